"""What a build did with every page: the funnel, every loss and its reason, a page's whole story.

Everything is read back from the files that the stages wrote, so a report can be made again, and
tokens counted again with another tokenizer, long after the build.

Taught in chapter 01.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..assets import atomic_write
from ..errors import CourseError
from .funnel import NEAR, REASONS, SAME, STAGES, StageCount, html_table, plain_table, rich_table

if TYPE_CHECKING:
    from rich.table import Table

CountTokens = Callable[[str], int]


@dataclass(frozen=True)
class Dropped:
    """A page that a stage threw away.

    Args:
        stage: Which one.
        url: The page.
        reason: Why.
        start: The first 200 characters of what it looked like by then.
        duplicate_of: The page that was kept in its place, if it was a duplicate.
    """

    stage: str
    url: str
    reason: str
    start: str
    duplicate_of: str | None = None


@dataclass(frozen=True)
class PageHistory:
    """One page's way through the pipeline.

    Args:
        url: The page.
        html: As it was fetched, decoded.
        extracted: The text that Trafilatura found, or None if the page did not get so far.
        verdicts: For each stage that saw it: "kept", or the reason it was dropped.
        text: The final text, or None if it was dropped.
    """

    url: str
    html: str
    extracted: str | None
    verdicts: dict[str, str]
    text: str | None

    @property
    def kept(self) -> bool:
        return self.text is not None


@dataclass(repr=False)
class FunnelReport:
    """The account of a build. Made by `llmcourse.data.fineweb.build`.

    Args:
        folder: Where the build's files are.
        stages: What is left after each stage, in order.
        settings: The settings it was made with.
        masked: How many e-mail addresses, IP addresses and telephone numbers were masked.
        seconds: Time for each of datatrove's stages; no part of the comparison of two reports.
    """

    folder: Path
    stages: list[StageCount]
    settings: dict[str, Any]
    masked: dict[str, int]
    seconds: dict[str, float] = field(default_factory=dict, compare=False)

    # -- making, saving, loading ------------------------------------------------------------------

    @classmethod
    def summarise(cls, folder: str | Path, settings: dict[str, Any],
                  seconds: dict[str, float] | None = None,
                  count_tokens: CountTokens | None = None) -> FunnelReport:  # fmt: skip
        """Add up what the stages wrote into a folder."""
        report = cls(Path(folder), [], settings, {}, seconds or {})
        report._add_up(count_tokens)
        return report

    def count_tokens(self, count: CountTokens) -> None:
        """Fill in the tokens of every stage that has text."""
        self._add_up(count)

    def _add_up(self, count: CountTokens | None) -> None:
        def size(record: dict[str, Any]) -> tuple[int, int]:
            text = record["text"]
            return len(text.encode("utf-8", "surrogatepass")), count(text) if count else 0

        drops = {name: list(self._raw_drops(name)) for name in STAGES}
        extracted, filtered = list(self._records("extracted")), list(self._records("filtered"))
        documents = list(self._records("documents"))
        sizes = {
            "html": {
                _key(r): (r["html_bytes"], 0) for r in drops["url"] + drops["text"] + extracted
            },
            "extracted": {_key(r): size(r) for r in extracted},
            "cleaned": {_key(r): size(r) for r in drops["fineweb"] + filtered},
            "final": {_key(r): size(r) for r in documents},
        }
        alive, self.stages = set(sizes["html"]), []
        for name, (_, version) in STAGES.items():
            alive -= {_key(record) for record in drops[name]}
            of = [sizes[version][key] for key in alive]
            tokens = sum(t for _, t in of) if count is not None and version != "html" else None
            reasons = Counter(record["filter_reason"] for record in drops[name])
            dropped = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
            self.stages.append(StageCount(name, len(of), sum(b for b, _ in of), tokens, dropped))
        masked = Counter[str]()
        for record in documents:
            masked.update(record["masked"])
        self.masked = {name: masked[name] for name in ("emails", "ips", "phones")}

    def _raw_drops(self, stage: str) -> Iterator[dict[str, Any]]:
        """What a stage dropped, as stored; for duplicates with the page that was kept instead."""
        if stage != "dedup":
            for record in self._records(f"dropped/{'damaged' if stage == 'crawled' else stage}"):
                reason = record["filter_reason"]
                yield record | {"filter_reason": REASONS.get(reason, reason)}
            return
        kept = {r["minhash_cluster_id"]: _key(r) for r in self._records("documents")
                if r.get("minhash_cluster_id", -1) >= 0}  # fmt: skip
        wanted = set(kept.values())
        originals = {_key(r): r for r in self._records("filtered") if _key(r) in wanted}
        for record in self._records("dropped/dedup"):
            original = originals[kept[record["minhash_cluster_id"]]]
            same = original["text"] == record["text"]
            yield record | {
                "filter_reason": SAME if same else NEAR,
                "duplicate_of": original["url"],
            }

    def _records(self, name: str) -> Iterator[dict[str, Any]]:
        """The records of one folder in the order of the crawl, however many tasks wrote them."""
        files = sorted((self.folder / name).glob("*.jsonl.gz"))
        yield from heapq.merge(*map(_read, files), key=_key)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = asdict(self)
        del plain["folder"]
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any], folder: str | Path = ".") -> FunnelReport:
        """The report again, from `to_dict`."""
        stages = [StageCount(**stage) for stage in plain["stages"]]
        return cls(Path(folder), **(plain | {"stages": stages}))

    def save(self) -> Path:
        """Write ``report.json`` into the build's folder."""
        path = self.folder / "report.json"
        with atomic_write(path) as temporary:
            temporary.write_text(
                json.dumps(self.to_dict(), indent=1, ensure_ascii=False), encoding="utf-8"
            )
        return path

    @classmethod
    def load(cls, folder: str | Path) -> FunnelReport:
        """The report of a finished build.

        Raises:
            CourseError: if there is none.
        """
        path = Path(folder) / "report.json"
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            return cls.from_dict(plain, folder)
        except OSError as error:
            raise CourseError(
                f"there is no finished build in {folder}", hint="llmcourse data build"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise CourseError(f"{path} is damaged", hint="build again") from error

    # -- asking -----------------------------------------------------------------------------------

    def stage(self, name: str) -> StageCount:
        """The counts after one stage.

        Raises:
            CourseError: if there is no such stage.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise CourseError(f"there is no stage {name!r}", hint=f"one of {', '.join(STAGES)}")

    def documents(self) -> Iterator[dict[str, Any]]:
        """The final documents in the order of the crawl: ``url``, ``text``, ``language``, …"""
        return self._records("documents")

    def extracted_texts(self) -> dict[str, str]:
        """For each page that had text: its address and the text as Trafilatura found it."""
        return {record["url"]: record["text"] for record in self._records("extracted")}

    def kept_urls(self) -> list[str]:
        """The addresses of the final documents, in the order of the crawl."""
        return [record["url"] for record in self.documents()]

    def crawled_urls(self) -> list[str]:
        """The addresses of all pages that the build read, in no particular order."""
        parts = ("dropped/url", "dropped/text", "extracted")
        return [record["url"] for part in parts for record in self._records(part)]

    def texts_before_masks(self) -> dict[str, str]:
        """For each final document its text as it was before personal data were masked."""
        kept = {_key(record) for record in self.documents()}
        return {r["url"]: r["text"] for r in self._records("filtered") if _key(r) in kept}

    def dropped(self, stage: str) -> Iterator[Dropped]:
        """Every page that a stage dropped, in the order of the crawl.

        Raises:
            CourseError: if there is no such stage.
        """
        self.stage(stage)
        for record in self._raw_drops(stage):
            yield Dropped(stage, record["url"], record["filter_reason"], record["text"][:200],
                          record.get("duplicate_of"))  # fmt: skip

    def examples(self, stage: str, n: int = 3) -> list[Dropped]:
        """A few pages that a stage dropped: one for each reason first, then more of each."""
        by_reason: dict[str, list[Dropped]] = {}
        for item in self.dropped(stage):
            by_reason.setdefault(item.reason, []).append(item)
        found: list[Dropped] = []
        for rank in range(max(map(len, by_reason.values()), default=0)):
            found += [items[rank] for items in by_reason.values() if rank < len(items)]
        return found[:n]

    def page(self, url: str) -> PageHistory:
        """One page's way through the pipeline, read from the archive and from the stages' files.

        Raises:
            CourseError: if no page of this address was crawled.
        """
        from .html import decode_html
        from .warc import page_at

        extracted = _first(self._records("extracted"), url)
        verdicts, last = {"crawled": "kept"}, extracted
        for name in list(STAGES)[1:]:
            record = _first(self._raw_drops(name), url)
            if record is not None:
                verdicts[name], last = record["filter_reason"], record
                break
            verdicts[name] = "kept"
        final = _first(self.documents(), url) if "privacy" in verdicts else None
        if last is None:
            raise CourseError(f"{url} was not crawled", hint="report.kept_urls() lists addresses")
        page = page_at(last["warc"], last["offset"])
        return PageHistory(
            url=url,
            html=decode_html(page.html, page.charset),
            extracted=extracted["text"] if extracted else None,
            verdicts=verdicts,
            text=final["text"] if final else None,
        )

    # -- showing ----------------------------------------------------------------------------------

    def __str__(self) -> str:
        return plain_table(self.stages)

    __repr__ = __str__  # what a notebook stores beside the HTML

    def __rich__(self) -> Table:
        return rich_table(self.stages)

    def _repr_html_(self) -> str:
        return html_table(self.stages)


def _key(record: dict[str, Any]) -> tuple[int, ...]:
    """A page's place in the crawl, which is unique."""
    return tuple(record["order"])


def _read(path: Path) -> Iterator[dict[str, Any]]:
    from .jsonl import read_jsonl

    for record in read_jsonl(path):
        text = record.get("text", "")  # datatrove leaves out what is empty
        yield {"id": record.get("id", ""), "text": text, **record["metadata"]}


def _first(records: Iterable[dict[str, Any]], url: str) -> dict[str, Any] | None:
    return next((record for record in records if record["url"] == url), None)
