"""Pages of a schoolbook: worked problems and bare answers, spelling and counting.

The text that a model learns from contains exercises of all kinds, most of them worked, some not; which
kind of answer it can give itself is what chapters 12 and 13 measure.

Taught in chapter 06.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from . import arithmetic, letters, stories
from .problem import Problem

BARE = 0.4
"""The share of problems on whose pages only the answer stands."""

_LEADS = (
    "Here are some problems with their solutions.", "Exercises for a rainy afternoon.", "Work these out.",
    "From the schoolbook of Halvern.", "Some practice for the coming week.", "The teacher wrote this on the board.",
    "Try to solve these before you read on.", "Answers stand beside the questions.", "A page of exercises.",
)  # fmt: skip
_FORMS = ("{q} {a}", "Question: {q} Answer: {a}", "Q: {q} A: {a}", "Problem: {q} Solution: {a}")


def _arithmetic(rng: random.Random) -> Problem:
    make = rng.choice(
        (arithmetic.total, arithmetic.total, arithmetic.difference, arithmetic.product)
    )
    if rng.random() < 0.25:
        return arithmetic.chain(rng, rng.randint(2, 5))
    if rng.random() < 0.1:
        return arithmetic.comparison(rng, rng.randint(1, 4))
    return make(rng, rng.choice((1, 1, 2, 2, 2, 3)))


def _story(rng: random.Random) -> Problem:
    return rng.choice((stories.purchase, stories.change, stories.baskets))(rng)


def pages(n: int, vocabulary: Sequence[str], seed: int = 0) -> Iterator[tuple[str, str]]:
    """Pages of exercises: ``(sort, text)``, where the sort is ``arithmetic``, ``stories`` or ``letters``.

    Args:
        n: How many.
        vocabulary: Words to be spelled and counted.
        seed: Of everything.
    """
    rng = random.Random(seed)
    with_word = (letters.spell, letters.spell, letters.length, letters.nth, letters.occurrences)

    def of_letters(rng: random.Random) -> Problem:
        if rng.random() < 0.2:
            return rng.choice((letters.dots, letters.number_word))(rng)
        return rng.choice(with_word)(rng.choice(vocabulary), rng)

    makers: dict[str, Callable[[random.Random], Problem]] = {
        "arithmetic": _arithmetic, "stories": _story, "letters": of_letters,
    }  # fmt: skip
    for _ in range(n):
        sort = rng.choices(tuple(makers), (45, 30, 25))[0]
        bare, form = rng.random() < BARE, rng.choice(_FORMS)
        problems = [makers[sort](rng) for _ in range(rng.randint(4, 9))]
        lines = [form.format(q=p.question, a=p.direct if bare else p.worked) for p in problems]
        if rng.random() < 0.5:
            lines.insert(0, rng.choice(_LEADS))
        yield sort, "\n".join(lines)
