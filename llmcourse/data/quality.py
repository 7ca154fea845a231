"""Gopher's quality rules: is this prose, judged by counting alone?

The rules are those of Rae et al. 2021 (https://arxiv.org/abs/2112.11446, appendix A.1.1), with the
choices that FineWeb's library datatrove makes where the paper leaves one; the verdicts are the
same.

Taught in chapter 01.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
BULLETS = ("•", "-")
ELLIPSES = ("...", "…")


class QualityVerdict(NamedTuple):
    """Whether to keep a text, and every rule that it breaks (none if it is kept)."""

    keep: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Measures:
    """What the rules look at.

    Args:
        words: Words that are more than punctuation.
        mean_word_length: Their mean length in characters.
        hashes: "#" signs per word.
        ellipses: "..." and "…" per word.
        bullet_lines: Share of lines that begin with a bullet.
        ellipsis_lines: Share of lines that end with an ellipsis.
        alphabetic_words: Share of words with at least one letter.
        stop_words: How many different ones of eight common English words occur.
    """

    words: int
    mean_word_length: float
    hashes: float
    ellipses: float
    bullet_lines: float
    ellipsis_lines: float
    alphabetic_words: float
    stop_words: int


RULES: tuple[tuple[str, Callable[[Measures], bool]], ...] = (
    ("fewer than 50 words", lambda m: m.words < 50),
    ("more than 100,000 words", lambda m: m.words > 100_000),
    ("mean word length below 3", lambda m: m.mean_word_length < 3),
    ("mean word length above 10", lambda m: m.mean_word_length > 10),
    ("more than one # to ten words", lambda m: m.hashes > 0.1),
    ("more than one ellipsis to ten words", lambda m: m.ellipses > 0.1),
    ("more than 90 % of lines are bullet points", lambda m: m.bullet_lines > 0.9),
    ("more than 30 % of lines end with an ellipsis", lambda m: m.ellipsis_lines > 0.3),
    ("less than 80 % of words have a letter", lambda m: m.alphabetic_words < 0.8),
    ("fewer than two of eight common English words", lambda m: m.stop_words < 2),
)


def gopher_quality(text: str) -> QualityVerdict:
    """Apply Gopher's quality rules and name the ones that the text breaks.

    Words are told apart as FineWeb does it, with spaCy's English tokenizer. An empty text breaks
    the first rule only.
    """
    measures = measure(text)
    if measures is None:
        return QualityVerdict(False, (RULES[0][0],))
    reasons = tuple(reason for reason, broken in RULES if broken(measures))
    return QualityVerdict(not reasons, reasons)


def measure(text: str) -> Measures | None:
    """Count what the rules need; None for a text without a single word."""
    from datatrove.utils.text import PUNCTUATION_SET, split_into_words

    tokens: list[str] = split_into_words(text)
    words = [token for token in tokens if any(char not in PUNCTUATION_SET for char in token)]
    if not words:
        return None
    lines = text.splitlines()

    def share(of: Callable[[str], bool]) -> float:
        return sum(map(of, lines)) / len(lines)

    return Measures(
        words=len(words),
        mean_word_length=sum(map(len, words)) / len(words),
        hashes=text.count("#") / len(tokens),
        ellipses=sum(map(text.count, ELLIPSES)) / len(tokens),
        bullet_lines=share(lambda line: line.lstrip().startswith(BULLETS)),
        ellipsis_lines=share(lambda line: line.rstrip().endswith(ELLIPSES)),
        alphabetic_words=sum(any(map(str.isalpha, token)) for token in tokens) / len(tokens),
        stop_words=len(STOP_WORDS.intersection(tokens)),
    )
