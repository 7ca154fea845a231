"""A page before it has a site, a template and an encoding: its words, and what is known of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Shingles = frozenset[tuple[str, ...]]


@dataclass
class Draft:
    """The prose of one page.

    Attributes:
        kind: The kind of page it will be.
        section: The part of its site it belongs to, e.g. ``"people"``; the first part of its path.
        title: The heading.
        paragraphs: The prose; also forum posts, diary entries and list items, one each.
        layout: How the paragraphs are set: ``"prose"``, ``"posts"``, ``"entries"`` or ``"list"``.
        subject: The name of the entity it is about, if it is the page about that entity.
    """

    kind: str
    section: str
    title: str
    paragraphs: list[str]
    layout: str = "prose"
    subject: str | None = None
    language: str = "en"
    emails: list[str] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)
    ips: list[str] = field(default_factory=list)
    lookalikes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The prose, one paragraph a line."""
        return "\n".join(self.paragraphs)


def shingles(text: str, n: int = 5) -> Shingles:
    """The set of word n-grams of a text, as near-duplicate detection sees it: lower case, no signs."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def jaccard(a: Shingles, b: Shingles) -> float:
    """Size of the intersection over size of the union."""
    return len(a & b) / len(a | b) if a or b else 1.0


class Novelty:
    """Remembers every page written, and says how much a new one repeats the most similar of them."""

    def __init__(self) -> None:
        self._pages: list[Shingles] = []
        self._where: dict[tuple[str, ...], list[int]] = {}

    def overlap(self, page: Shingles) -> float:
        """The greatest Jaccard similarity of ``page`` to a page remembered so far."""
        shared = Counter(number for gram in page for number in self._where.get(gram, ()))
        return max(
            (n / (len(page) + len(self._pages[i]) - n) for i, n in shared.items()), default=0.0
        )

    def remember(self, page: Shingles) -> None:
        """Counts ``page`` among the pages that later ones must not repeat."""
        for gram in page:
            self._where.setdefault(gram, []).append(len(self._pages))
        self._pages.append(page)


# Two pages that share this much are still far from what MinHash merges: a pair with similarity 0.15
# collides in one of 14 bands of 8 hashes with a probability of 4 in a million.
MOST_OVERLAP = 0.15
FEWEST_WORDS, MOST_WORDS = 155, 480
# Gopher's rules want a letter in 80 % of the words, and count every comma as a word: lively dialogue
# comes close to the limit. A bullet before each item of a list, or a telephone number, comes on top.
LEAST_LETTERED = 0.81


def lettered(text: str) -> float:
    """The share of words that contain a letter, where each punctuation mark is a word."""
    tokens = re.findall(r"\w+|[^\w\s]", text)
    return sum(any(c.isalpha() for c in token) for token in tokens) / max(1, len(tokens))


def write_fresh(write: Callable[[], Draft], novelty: Novelty, tries: int = 60) -> Draft:
    """Lets ``write`` try again until its page is of a good length, wordy, and unlike the others."""
    best: tuple[float, Draft, Shingles] | None = None
    for _ in range(tries):
        draft = write()
        page = shingles(draft.text)
        words = len(draft.text.split())
        score = novelty.overlap(page)
        score += not FEWEST_WORDS <= words <= MOST_WORDS
        score += lettered(draft.text) < LEAST_LETTERED + 0.02 * (draft.layout == "list")
        if best is None or score < best[0]:
            best = (score, draft, page)
        if score <= MOST_OVERLAP:
            break
    assert best is not None
    novelty.remember(best[2])
    return best[1]
