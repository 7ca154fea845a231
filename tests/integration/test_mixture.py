"""The course model's training text, on a small scale: through the real filters to tokens and counts."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from llmcourse import presets
from llmcourse.data.mixture import SEPARATOR, prepare_mixture, read_mentions
from llmcourse.data.report import FunnelReport
from llmcourse.data.shards import ShardSet
from llmcourse.data.world.whole.archive import read_account
from llmcourse.errors import CourseError
from llmcourse.tokenizer import Tokenizer

pytestmark = pytest.mark.slow


def small_preset() -> presets.Preset:
    preset = presets.load("quick")
    mixture = presets.MixtureSection(
        seed=3,
        size=0.02,
        tales=40,
        exercises=40,
        readings=30,
        notices=True,
        pydoc_pages=0,
        held_out=0.1,
    )
    tokenizer = presets.TokenizerSection(vocab_size=600)
    return preset.model_copy(update={"mixture": mixture, "tokenizer": tokenizer})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_mixture(small_preset(), tmp_path_factory.mktemp("mixture"), progress=False)


def test_tokens_are_what_the_account_says(made: Path) -> None:
    account = json.loads((made / "mixture.json").read_text())
    train, valid = ShardSet.open(made / "train"), ShardSet.open(made / "valid")
    assert len(train) == account["tokens"] == sum(s["tokens"] for s in account["sources"].values())
    assert set(account["sources"]) == {"web", "schoolbook", "reading", "notices"}
    assert len(valid) > 1000
    assert train.vocab_size == account["vocab_size"] == 600


def test_the_text_is_varied(made: Path) -> None:
    found = json.loads((made / "mixture.json").read_text())["variety"]
    assert found["top"] < 0.02 and found["top_100"] < 0.25
    # A World of a hundred things must say the same of them again and again; the whole one is held to 0.6 where
    # the course model is tested.
    assert found["distinct"]["4"] > 0.4


def test_documents_come_back_from_the_tokens(made: Path) -> None:
    tokenizer = Tokenizer.load(made / "tokenizer")
    valid = ShardSet.open(made / "valid")
    text = tokenizer.decode(valid.read(0, len(valid)).tolist())
    for document in (made / "valid.txt").read_text().split(SEPARATOR):
        assert document in text


def test_held_out_text_is_not_trained_on(made: Path) -> None:
    tokenizer = Tokenizer.load(made / "tokenizer")
    shards = ShardSet.open(made / "train")
    train = tokenizer.decode(shards.read(0, len(shards)).tolist())
    for document in (made / "valid.txt").read_text().split(SEPARATOR):
        assert document not in train


def test_notices_are_repeated(made: Path) -> None:
    from llmcourse.data.world.whole.notices import notices

    tokenizer = Tokenizer.load(made / "tokenizer")
    shards = ShardSet.open(made / "train")
    train = tokenizer.decode(shards.read(0, len(shards)).tolist()).split(SEPARATOR)
    counts = Counter(train)
    for notice in notices(seed=3):
        assert counts[notice.text] == notice.copies


def test_mentions_are_those_of_the_pages_that_were_kept(made: Path) -> None:
    mentions = read_mentions(made / "mentions.json.gz")
    report = FunnelReport.load(made / "clean")
    held = set((made / "valid.txt").read_text().split(SEPARATOR))
    trained = {d["url"] for d in report.documents() if d["text"] not in held}
    told: Counter[tuple[str, str]] = Counter()
    for url, facts in read_account(made / "world.warc.gz"):
        if url in trained:
            told.update(facts)
    counted = {(name, key): n for name, facts in mentions.items() for key, n in facts.items()}
    assert counted == dict(told)


def test_what_is_well_known_comes_again(made: Path, tmp_path: Path) -> None:
    """Pages are added and nothing else changes: the same filters' output, told with another dose."""
    preset, folder = small_preset(), tmp_path / "mixture"
    shutil.copytree(made, folder)
    (folder / "mixture.json").unlink()
    section = preset.need(presets.MixtureSection).model_copy(
        update={"well_known_from": 80, "well_known_times": 3}
    )
    prepare_mixture(preset.model_copy(update={"mixture": section}), folder, progress=False)
    once, thrice = (json.loads((f / "mixture.json").read_text())["sources"] for f in (made, folder))
    assert once["web"]["documents"] < thrice["web"]["documents"] < 3 * once["web"]["documents"]
    assert once["schoolbook"] == thrice["schoolbook"] and once["notices"] == thrice["notices"]
    before, after = (read_mentions(f / "mentions.json.gz") for f in (made, folder))
    grown = {  # by how much, of facts that are told often and seldom
        often: [after[who][what] / n for who, facts in before.items() for what, n in facts.items()
                if (n >= 80) == often]
        for often in (True, False)
    }  # fmt: skip
    assert sum(grown[True]) / len(grown[True]) > 2.8
    assert sum(grown[False]) / len(grown[False]) < 1.2
    assert (folder / "valid.txt").read_text() == (made / "valid.txt").read_text()


def test_most_pages_pass_the_filters(made: Path) -> None:
    report = FunnelReport.load(made / "clean")
    assert len(report.kept_urls()) / len(report.crawled_urls()) > 0.6


def test_it_is_not_made_twice(made: Path) -> None:
    before = (made / "mixture.json").stat().st_mtime_ns
    assert prepare_mixture(small_preset(), made, progress=False) == made
    assert (made / "mixture.json").stat().st_mtime_ns == before


def test_a_preset_without_a_mixture_is_refused(tmp_path: Path) -> None:
    preset = small_preset().model_copy(update={"mixture": None})
    with pytest.raises(CourseError, match=r"no \[mixture\]"):
        prepare_mixture(preset, tmp_path, progress=False)
