"""Three letter tasks in a short form, for models so small that they cannot also learn English.

``<|third|>strawberry<|answer|>`` asks for every third letter, ``<|back|>…`` for the word backwards, and
``<|count|>r<|of|>strawberry<|answer|>`` how many r there are; the answer to that writes down each r that is found, and
then their number: ``rrr3``. (``spelling`` asks the same in sentences.)

Taught in chapter 13.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..conversations.split import Part, part_of
from . import spelling

LetterKind = Literal["third", "back", "count"]
KINDS: tuple[LetterKind, ...] = get_args(LetterKind)
MARKS = ("<|third|>", "<|back|>", "<|count|>", "<|of|>", "<|answer|>")
"""Special tokens with which a task is written."""

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
SHORTEST, LONGEST = 4, 10


@dataclass(frozen=True)
class LetterTask:
    """Something to be done with the letters of a word.

    Attributes:
        kind: ``third``, ``back`` or ``count``.
        word: In small letters.
        letter: Which one is counted; empty for the other kinds.
    """

    kind: LetterKind
    word: str
    letter: str = ""

    @property
    def prompt(self) -> str:
        """The task, up to where the answer begins."""
        what = f"{self.letter}<|of|>" if self.kind == "count" else ""
        return f"<|{self.kind}|>{what}{self.word}<|answer|>"

    @property
    def answer(self) -> str:
        """What is to be written: letters, for ``count`` followed by their number."""
        if self.kind == "third":
            return self.word[::3]
        if self.kind == "back":
            return self.word[::-1]
        number = self.word.count(self.letter)
        return self.letter * number + str(number)

    @property
    def program(self) -> str:
        """A line of Python that prints the result."""
        if self.kind == "count":
            return f'print("{self.word}".count("{self.letter}"))'
        return f'print("{self.word}"[::{3 if self.kind == "third" else -1}])'

    @property
    def result(self) -> str:
        """What the program prints."""
        return str(self.word.count(self.letter)) if self.kind == "count" else self.answer

    def right(self, text: str) -> bool:
        """Whether a text gives the answer; of a count only the number after the letters is looked at."""
        if self.kind == "count":
            return text.lstrip(ALPHABET) == self.result
        return text == self.answer


def words(part: Part) -> list[str]:
    """The words of a part: those of the World's own texts, of 4 to 10 letters. No two parts share one."""
    known = (word for n in range(SHORTEST, LONGEST + 1) for word in spelling.words(n))
    return [word for word in known if part_of(word) == part]


def task(word: str, kind: LetterKind, rng: random.Random) -> LetterTask:
    """A task about a word. To be counted is a letter that occurs 0, 1 or 2 times, as the dice fall; if none occurs so
    often, any letter of the word: so once is the commonest answer, to about half of the tasks."""
    if kind != "count":
        return LetterTask(kind, word)
    times = rng.randrange(3)
    letters = [letter for letter in ALPHABET if word.count(letter) == times] or list(word)
    return LetterTask(kind, word, rng.choice(letters))


def tasks(some: Sequence[str], seed: int = 0) -> list[LetterTask]:
    """One task of each kind about each word."""
    rng = random.Random(seed)
    return [task(word, kind, rng) for word in some for kind in KINDS]
