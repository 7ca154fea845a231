"""The pipeline against the truth: what became of every page and string that the World planted.

Taught in chapter 01.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .report import FunnelReport
from .world.model import GOOD_KINDS

COPIES = ("exact-duplicate", "near-duplicate")
GONE = ("foreign", "spam", "blocked", "thin")
Manifest = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class AuditRow:
    """One line of the audit: of so many things planted, how many met the fate they should.

    Args:
        name: What was planted: a kind of page, or ``emails``, ``phones``, ``ips``, ``lookalikes``.
        fate: What should have become of it.
        planted: How many there were for the pipeline to see.
        right: How many of them ended so.
        missed: The others: addresses, or for strings "string at address".
    """

    name: str
    fate: str
    planted: int
    right: int
    missed: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The part that ended as it should; 1 if nothing was planted."""
        return self.right / self.planted if self.planted else 1.0

    @property
    def holds(self) -> bool:
        """Whether all of it did."""
        return self.right == self.planted


def audit(report: FunnelReport, manifest: Manifest) -> list[AuditRow]:
    """Compare a build with the manifest of the World that was crawled.

    Pages that the manifest does not know (another site in the same build) are left aside. Strings
    are counted on pages that reached the masks and still contained them there: what a filter cut
    away before is no merit of the masks.

    Args:
        report: A finished build.
        manifest: ``World.manifest()``: for each address its kind, original and planted strings.
    """
    kept = [url for url in report.kept_urls() if url in manifest]
    crawled = {url for url in report.crawled_urls() if url in manifest}

    def pages(*kinds: str) -> list[str]:
        return [url for url, page in manifest.items() if page["kind"] in kinds]

    groups = _groups(manifest)
    root = {url: first for first, group in groups.items() for url in group}
    kept_of: dict[str, list[str]] = {}
    for url in kept:
        kept_of.setdefault(root[url], []).append(url)

    good = pages(*GOOD_KINDS)
    lost = [url for url in good if root[url] not in kept_of]
    rows = [_row("good pages", "kept, or a copy kept in their place", good, lost)]
    for kind in COPIES:
        spare = [url for url in pages(kind) if url in kept and _spare(url, root, kept_of)]
        rows.append(_row(kind, "gone, if another of its group was kept", pages(kind), spare))
    several = [first for first, group in groups.items() if len(group) > 1]
    wrong = [first for first in several if len(kept_of.get(first, ())) != 1]
    rows.append(_row("groups of duplicates", "exactly one kept", several, wrong))
    for kind in GONE:
        rows.append(_row(kind, "gone", pages(kind), set(pages(kind)) & set(kept)))
    rows.append(_row("private", "never crawled", pages("private"), set(pages("private")) & crawled))
    return rows + _strings(report, manifest)


def _row(name: str, fate: str, planted: list[str], missed: Iterable[str]) -> AuditRow:
    wrong = tuple(sorted(missed))
    return AuditRow(name, fate, len(planted), len(planted) - len(wrong), wrong)


def _groups(manifest: Manifest) -> dict[str, list[str]]:
    """The first original of each group of duplicates → the whole group."""
    groups: dict[str, list[str]] = {}
    for url in manifest:
        first = url
        while (before := manifest.get(first, {}).get("original")) is not None:
            first = before
        groups.setdefault(first, []).append(url)
    return groups


def _spare(url: str, root: dict[str, str], kept_of: dict[str, list[str]]) -> bool:
    """Whether a copy that was kept stands beside another page of its group that was kept, too."""
    group = kept_of[root[url]]
    chosen = root[url] if root[url] in group else group[0]
    return url != chosen


def _strings(report: FunnelReport, manifest: Manifest) -> list[AuditRow]:
    """Planted personal data masked, and what only looks like it left alone."""
    before, after = report.texts_before_masks(), {d["url"]: d["text"] for d in report.documents()}
    rows = []
    fates = {"emails": "masked", "phones": "masked", "ips": "masked", "lookalikes": "left alone"}
    for name, fate in fates.items():
        planted, missed = [], []
        for url, text in after.items():
            for string in manifest.get(url, {}).get(name, ()):
                if string in before[url]:
                    planted.append(string)
                    if (string in text) != (fate == "left alone"):
                        missed.append(f"{string} at {url}")
        rows.append(_row(name, fate, planted, missed))
    return rows
