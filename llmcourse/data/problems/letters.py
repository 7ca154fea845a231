"""Spelling and counting: what is easy to see for us, and hidden inside tokens for a model.

Taught in chapter 13.
"""

from __future__ import annotations

import random

from ..world.names import words
from .problem import Problem

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_NUMBERS = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)


def spell(word: str, rng: random.Random) -> Problem:
    """A word letter by letter."""
    question = rng.choice((
        f"How is the word {word} spelled?", f"Please spell {word}.", f"How do you write {word}?",
    ))  # fmt: skip
    return Problem("spell", question, (), "-".join(word), len(word))


def length(word: str, rng: random.Random) -> Problem:
    """How many letters a word has."""
    question = rng.choice((f"How many letters are in {word}?", f"How long is the word {word}?"))
    return Problem("length", question, (f"{word} is spelled {'-'.join(word)}.",), str(len(word)))


def nth(word: str, rng: random.Random) -> Problem:
    """The n-th letter of a word."""
    place = rng.randrange(min(len(word), len(_ORDINALS)))
    question = f"What is the {_ORDINALS[place]} letter of {word}?"
    return Problem("nth", question, (f"{word} is spelled {'-'.join(word)}.",), word[place])


def occurrences(word: str, rng: random.Random) -> Problem:
    """How often a letter occurs in a word."""
    letter = rng.choice(word)
    question = f"How many times does the letter {letter} occur in {word}?"
    n = word.count(letter)
    return Problem("occurrences", question, (f"{word} is spelled {'-'.join(word)}.",), str(n))


def dots(rng: random.Random) -> Problem:
    """How many signs stand in a row."""
    n, sign = rng.randint(2, 20), rng.choice(".*o#")
    question = f"How many signs are there: {' '.join(sign * n)} ?"
    counted = " ".join(str(i) for i in range(1, n + 1))
    return Problem("dots", question, (f"Count them: {counted}.",), str(n), n)


def number_word(rng: random.Random) -> Problem:
    """A number in words."""
    n = rng.randint(0, 20)
    return Problem("number-word", f"How is {n} written in words?", (), _NUMBERS[n])
