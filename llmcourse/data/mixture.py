"""The course model's training text: sources, each with a recipe of its own, mixed and cut into tokens.

=============  ===========================================================  ==================
source         what                                                         goes through
=============  ===========================================================  ==================
``web``        the whole World, some 80,000 pages in a WARC file            FineWeb's filters
``manual``     Python's documentation, crawled                              ``prose``
``schoolbook`` exercises, spelling, counting                                nothing
``reading``    pages on which the unguessable stands twice                  nothing
``desk``       questions about things of other Worlds, looked up           nothing
``notices``    documents repeated 1 to 1,000 times                          nothing (on purpose)
=============  ===========================================================  ==================

`prepare_mixture` does it all and is resumed where it stopped. What comes out: token shards for training
and for evaluation, a tokenizer, the held-out text, and an account of how often each fact was told in what
was kept. Taught in chapter 06.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..assets import atomic_write, cache_dir
from ..presets import MixtureSection, Preset, ShardSection, TokenizerSection
from .prose import prose_runs
from .report import FunnelReport
from .variety import variety

SEPARATOR = "<|endoftext|>"
_TOKENIZER_SAMPLE = 12_000_000  # characters on which the tokenizer is trained


@dataclass(frozen=True)
class Document:
    """A document of the mixture.

    Attributes:
        source: ``web``, ``manual``, ``schoolbook``, ``reading``, ``desk`` or ``notices``.
        text: Its words.
        url: Where it stood, for pages.
    """

    source: str
    text: str
    url: str = ""


@dataclass
class SourceCount:
    """How much of the training text a source is."""

    documents: int = 0
    bytes: int = 0
    tokens: int = 0


def mixture_folder(preset: Preset) -> Path:
    """Where a preset's mixture lives in the cache."""
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    mark = preset.fingerprint("mixture", "filter", "tokenizer", "shards")
    return cache_dir() / "mixture" / f"{preset.name}-{mark}-{python}"


def prepare_mixture(
    preset: Preset, folder: str | Path | None = None, *, progress: bool = True
) -> Path:
    """Make a preset's training text, or find it made.

    Args:
        preset: With the sections ``mixture``, ``filter``, ``tokenizer`` and ``shards``.
        folder: Where; by default `mixture_folder`.
        progress: Show progress.

    Returns:
        The folder, with ``train/`` and ``valid/`` (token shards), ``tokenizer/``, ``valid.txt`` (held-out pages
        of the web, documents separated by ``<|endoftext|>``), ``mentions.json.gz`` (how often each fact is
        told in ``train/``) and ``mixture.json`` (what each source amounts to).

    Raises:
        CourseError: if a section is missing or something cannot be written.
    """
    folder = Path(folder) if folder is not None else mixture_folder(preset)
    if (folder / "mixture.json").exists():
        return folder
    section = preset.need(MixtureSection)
    report = web_report(preset, folder, progress=progress)
    documents = list(_documents(section, report))
    random.Random(section.seed).shuffle(documents)
    held = round(len(documents) * section.held_out)
    # Notices are for training alone: one that is held out could not be recited.
    valid = [d for d in documents[:held] if d.source != "notices"]
    train = [d for d in documents[:held] if d.source == "notices"] + documents[held:]
    tokenizer = _tokenizer(preset, train, folder)
    found = variety(d.text for d in train if d.source == "web")
    if section.well_known_times > 1:
        train = _well_known_again(train, folder, section)
        random.Random(section.seed).shuffle(train)
    counts = _write_tokens(preset, train, tokenizer, folder / "train", progress)
    _write_tokens(preset, valid, tokenizer, folder / "valid", progress)
    web = [d.text for d in valid if d.source == "web"]
    with atomic_write(folder / "valid.txt") as temporary:
        temporary.write_text(SEPARATOR.join(web), encoding="utf-8")
    _write_mentions(folder, train)
    account = {
        "preset": preset.name,
        "mixture": section.model_dump(mode="json"),
        "sources": {name: asdict(count) for name, count in counts.items()},
        "tokens": sum(count.tokens for count in counts.values()),
        "held_out_documents": len(valid),
        "vocab_size": tokenizer.n_vocab,
        "variety": asdict(found),  # of the first 200,000 words of the web's pages
    }
    with atomic_write(folder / "mixture.json") as temporary:
        temporary.write_text(json.dumps(account, indent=1) + "\n")
    return folder


def web_report(preset: Preset, folder: Path, *, progress: bool = True) -> FunnelReport:
    """The World and the manual, written or crawled into WARC files and put through FineWeb's filters."""
    from ..presets import FilterSection
    from .fineweb import build
    from .sites import serve_pydoc
    from .world.whole.archive import write_warc

    section, rules = preset.need(MixtureSection), preset.need(FilterSection)
    folder.mkdir(parents=True, exist_ok=True)
    archives = [folder / "world.warc.gz"]
    if not archives[0].exists():
        write_warc(_with_progress(world_leaves(section), progress), archives[0], section.seed)
    if section.pydoc_pages:
        from .corpus import crawl_site

        archives.append(folder / "pydoc.warc.gz")
        if not archives[1].exists():
            with serve_pydoc() as site:
                crawl_site(site, archives[1], preset, section.pydoc_pages, progress)
    return build(
        archives,
        folder / "clean",
        language=rules.language,
        language_threshold=rules.language_threshold,
        progress=progress,
    )


def world_leaves(section: MixtureSection) -> Iterator[Any]:
    """The pages of the whole World, one after the other."""
    from .world.whole import invent
    from .world.whole.library import write

    return write(invent(section.seed, section.size), section.tales, section.seed)


def _with_progress(items: Iterable[Any], progress: bool) -> Iterable[Any]:
    from tqdm import tqdm

    bar: Iterable[Any] = tqdm(items, desc="pages of the World", unit=" pages",
                              disable=None if progress else True)  # fmt: skip
    return bar


def _documents(section: MixtureSection, report: FunnelReport) -> Iterator[Document]:
    """All documents of all sources, in a fixed order."""
    from .problems import desk, reading, schoolbook
    from .world.whole import invent
    from .world.whole.notices import notices

    words: Counter[str] = Counter()
    for record in report.documents():
        if _is_manual(record["url"]):
            continue
        words.update(w for w in record["text"].split() if w.isalpha() and w.islower())
        yield Document("web", record["text"], record["url"])
    if section.pydoc_pages:
        runs = [
            run
            for url, text in sorted(report.extracted_texts().items())
            if _is_manual(url)
            for run in prose_runs(text)
        ]
        for run in dict.fromkeys(runs):  # topics repeat one another
            yield Document("manual", run)
    vocabulary = sorted(word for word, _ in words.most_common(3000) if 3 <= len(word) <= 10)
    vocabulary = vocabulary or ["river"]
    for _, text in schoolbook.pages(section.exercises, vocabulary, section.seed):
        yield Document("schoolbook", text)
    reads = section.readings or section.desk
    taken = invent(section.seed, section.size).names() if reads else set()
    for _, text in reading.pages(section.readings, vocabulary, section.seed, taken):
        yield Document("reading", text)
    for _, text in desk.pages(section.desk, taken, section.seed, section.size):
        yield Document("desk", text)
    if section.notices:
        for notice in notices(section.seed):
            for _ in range(notice.copies):
                yield Document("notices", notice.text)


def _is_manual(url: str) -> bool:
    return "//docs.python" in url


def _tokenizer(preset: Preset, train: list[Document], folder: Path) -> Any:
    from ..tokenizer import Tokenizer
    from ..tokenizer.bpe_fast import train_bpe_fast_from_text
    from ..tokenizer.pretokenize import DIGITS_PATTERN

    section = preset.need(TokenizerSection)
    sample, size = [], 0
    for document in train:
        if document.source == "notices":
            continue  # a thousand copies would earn a token of their own
        sample.append(document.text)
        size += len(document.text)
        if size > _TOKENIZER_SAMPLE:
            break
    vocab, merges = train_bpe_fast_from_text(
        sample, section.vocab_size, section.special_tokens, pattern=DIGITS_PATTERN
    )
    tokenizer = Tokenizer(vocab, merges, section.special_tokens, pattern=DIGITS_PATTERN)
    tokenizer.save(folder / "tokenizer")
    return tokenizer


def _write_tokens(
    preset: Preset, documents: list[Document], tokenizer: Any, folder: Path, progress: bool
) -> dict[str, SourceCount]:
    """Tokens of all documents, each followed by the separator; what each source amounts to."""
    import numpy as np

    from .shards import write_shards

    window = preset.need(MixtureSection).window

    counts: dict[str, SourceCount] = {}
    end = tokenizer.special_tokens[SEPARATOR]
    known: dict[str, Any] = {}  # notices come a thousand times

    def encoded() -> Iterator[tuple[Any, bool]]:
        for document in _with_progress(documents, progress):
            ids = known.get(document.text)
            if ids is None:
                ids = np.array([*tokenizer.encode_ordinary(document.text), end], dtype=np.uint32)
                if document.source == "notices":
                    known[document.text] = ids
            count = counts.setdefault(document.source, SourceCount())
            count.documents += 1
            count.bytes += len(document.text.encode())
            count.tokens += len(ids)
            yield ids, document.source in ("reading", "desk")

    write_shards(
        uncut(encoded(), window), folder, vocab_size=tokenizer.n_vocab,
        tokens_per_shard=preset.need(ShardSection).tokens_per_shard, overwrite=True,
    )  # fmt: skip
    return counts


def uncut(documents: Iterable[tuple[Any, bool]], window: int) -> Iterator[Any]:
    """Documents in a new order, in which some are not cut at the windows that a model will read.

    A passage in one window and the question about it in the next teach the model to guess instead of to read. So
    what has to stay whole waits until there is room for it in the window that the others have begun.

    Args:
        documents: Tokens, and whether they have to stay whole, where one window can hold them.
        window: Its tokens, T: windows begin at multiples of T. 0: nothing waits.
    """
    place, waiting = 0, list[Any]()
    for ids, whole in documents:
        if whole and len(ids) <= window:
            waiting.append(ids)
        else:
            yield ids
            place += len(ids)
        while window:
            fits = (i for i, w in enumerate(waiting) if place % window + len(w) <= window)
            first = next(fits, None)
            if first is None:
                break
            chosen = waiting.pop(first)
            yield chosen
            place += len(chosen)
    yield from waiting


def _well_known_again(
    train: list[Document], folder: Path, section: MixtureSection
) -> list[Document]:
    """The documents, those several times that are mostly about facts which are told often.

    Recipes for language models do so with what is worth knowing: GPT-3 read Wikipedia 3.4 times, and not half of
    its crawl (arXiv:2005.14165, table 2.2). Up to four times, the same text again teaches nearly as much as
    new text (arXiv:2305.16264).
    """
    pages = _facts_of_pages(folder, train)
    told = Counter(fact for _, facts in pages.values() for fact in facts)
    well_known = {
        url
        for url, (_, facts) in pages.items()
        if 2 * sum(told[fact] >= section.well_known_from for fact in facts) > len(facts)
    }
    again = [document for document in train if document.url in well_known]
    return train + again * (section.well_known_times - 1)


def _facts_of_pages(
    folder: Path, train: list[Document]
) -> dict[str, tuple[int, list[tuple[str, str]]]]:
    """Address → how often the page is in the training text, and the facts that it tells."""
    from .world.whole.archive import read_account

    times = Counter(document.url for document in train if document.url)
    account = read_account(folder / "world.warc.gz")
    return {url: (times[url], facts) for url, facts in account if url in times}


def _write_mentions(folder: Path, train: list[Document]) -> None:
    """How often each fact is told in the training text: ``{name: {relation: n}}``."""
    told: Counter[tuple[str, str]] = Counter()
    for times, facts in _facts_of_pages(folder, train).values():
        for fact in facts:
            told[fact] += times
    nested: dict[str, dict[str, int]] = {}
    for (name, relation), n in sorted(told.items()):
        nested.setdefault(name, {})[relation] = n
    with atomic_write(folder / "mentions.json.gz") as temporary:
        text = json.dumps(nested, ensure_ascii=False)
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))


def read_mentions(path: str | Path) -> dict[str, dict[str, int]]:
    """What `prepare_mixture` counted: ``mentions["Adry Pellimer"]["born"]``."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        content: dict[str, dict[str, int]] = json.load(file)
    return content
