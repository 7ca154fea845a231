"""Prose out of pages that are not prose: the sentences of a manual.

FineWeb's filters judge whole pages and keep hardly one of Python's documentation, because code and
tables stand between the sentences (chapter 01). Those who train models on manuals, papers or source
code therefore give each such source a recipe of its own. Ours: cut each page into sentences, and keep
the runs of sentences that consist of plain words, some of them little ones.

Taught in chapter 06.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .world.names import words

STOP_WORDS = frozenset(
    words("the of and to a in is that it for as with be are this not or by an on")
)
FEWEST_WORDS, MOST_WORDS = 6, 60
LEAST_PLAIN = 0.9
LEAST_STOP_WORDS = 0.2
SHORTEST_RUN = 2

_PLAIN = re.compile(r"[\"'(]?[A-Za-z][a-z]*(?:[-'\u2019][a-z]+)*[\"')]?[.,;:!?]*")
_RULE = re.compile(r"[=*~^-]{3}")  # the line under a heading
_BORDER = re.compile(r"(?<=[.!?]) (?=[A-Z\"])")


def is_prose(sentence: str) -> bool:
    """Whether a sentence is one: 6 to 60 words between a capital and a final mark, nine of ten plain words
    (letters and punctuation), and one of five among the twenty most frequent of English."""
    words = sentence.split()
    if not FEWEST_WORDS <= len(words) <= MOST_WORDS:
        return False
    if not sentence[0].isupper() or sentence[-1] not in ".!?" or _RULE.search(sentence):
        return False
    plain = sum(bool(_PLAIN.fullmatch(word)) for word in words) / len(words)
    common = sum(word.lower() in STOP_WORDS for word in words) / len(words)
    return plain >= LEAST_PLAIN and common >= LEAST_STOP_WORDS


def prose_runs(text: str) -> Iterator[str]:
    """The runs of at least two sentences of prose in a text, each on one line."""
    for line in text.split("\n"):
        run: list[str] = []
        for sentence in [*_BORDER.split(" ".join(line.split())), ""]:
            if sentence and is_prose(sentence):
                run.append(sentence)
                continue
            if len(run) >= SHORTEST_RUN:
                yield " ".join(run)
            run = []
