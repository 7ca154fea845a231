"""Letters of words: how many r are in strawberry, every third letter, a word backwards.

A model reads tokens, not letters; the worked answer spells the word first.

Taught in chapters 13 and 15.
"""

from __future__ import annotations

import random
from functools import cache

from ..conversations.split import Part
from ..world.textbank import load_bank
from .dials import Dial
from .problem import Problem
from .wording import Writer

DIALS = {
    "letters": Dial(3, 10, easy=(3, 5), middle=(4, 8), hard=(8, 10)),
    "task": Dial(1, 3, easy=1, middle=(1, 3), hard=(1, 3)),
}
"""How long the words are, and what is asked: 1 how often a letter occurs, 2 the word backwards, 3 every n-th letter."""

_NTH = {2: "second", 3: "third"}


@cache
def words(letters: int) -> tuple[str, ...]:
    """The words of a length, of all parts: those of the World's own texts that are common there."""
    return tuple(
        word for line in load_bank("problems/words")[str(letters)] for word in line.split()
    )


def make(rng: random.Random, part: Part, letters: int, task: int) -> Problem:
    """A question about the letters of one word."""
    word = rng.choice(words(letters))
    return about(word, rng, part, task)


def about(word: str, rng: random.Random, part: Part, task: int = 1) -> Problem:
    """The same for a word of your own."""
    writer = Writer("letters", part, rng)
    spelled = f"{word} is spelled {'-'.join(word)}."
    steps: tuple[str, ...]
    if task == 1:
        letter = rng.choice(word) if rng.random() < 0.85 else rng.choice("aeiourstln")
        question = writer.say("occurrences", word=word, letter=letter)
        counted = (f"{sign} {word[: place + 1].count(letter)}" for place, sign in enumerate(word))
        steps, answer = (spelled, " ".join(counted) + "."), str(word.count(letter))
    elif task == 2:
        question = writer.say("reverse", word=word)
        steps, answer = (spelled,), "-".join(reversed(word))
    else:
        n = rng.choice(list(_NTH))
        question = writer.say("every", word=word, nth=_NTH[n])
        counted = (f"{sign} {place % n + 1}" for place, sign in enumerate(word))
        steps, answer = (spelled, " ".join(counted) + "."), "-".join(word[::n])
    return Problem("letters", question, steps, answer, len(word), writer.template, (word,))
