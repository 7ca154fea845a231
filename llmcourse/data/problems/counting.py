"""Counting: signs in a row, signs of one form among others, things on a table.

In each step of the worked answer the count goes up by one or stays: nothing has to be counted in one look.

Taught in chapters 12 and 15.
"""

from __future__ import annotations

import random

from ..conversations.split import Part
from .dials import Dial
from .problem import Problem
from .wording import Writer

DIALS = {
    "most": Dial(2, 30, easy=6, middle=9, hard=20),
    "sorts": Dial(1, 4, easy=(1, 2), middle=(1, 3), hard=(2, 4)),
}
"""How many stand in a row at most, and of how many sorts they are."""

_SIGNS = ".*o#+:~^"
_THINGS = (
    ("cup", "cups"), ("spoon", "spoons"), ("hat", "hats"), ("egg", "eggs"), ("bun", "buns"), ("book", "books"),
    ("bell", "bells"), ("plum", "plums"), ("pear", "pears"), ("button", "buttons"),
)  # fmt: skip


def make(rng: random.Random, part: Part, most: int, sorts: int) -> Problem:
    """A row, and the question how many there are of all, or of one sort."""
    length = rng.randint(2, most)
    sorts = min(sorts, length)
    if sorts > 1 and rng.random() < 0.4:
        return _of_things(rng, part, length, sorts)
    return _of_signs(rng, part, length, sorts)


def _row(items: list[str], length: int, rng: random.Random) -> list[str]:
    """Each item at least once, in any order."""
    row = items + [rng.choice(items) for _ in range(length - len(items))]
    rng.shuffle(row)
    return row


def _of_signs(rng: random.Random, part: Part, length: int, sorts: int) -> Problem:
    signs = rng.sample(_SIGNS, sorts)
    row, sign = _row(signs, length, rng), signs[0]
    writer = Writer("letters", part, rng)
    asked = writer.say("sort" if sorts > 1 else "row", row=" ".join(row), sign=sign)
    counted, so_far = [], 0
    for item in row:
        so_far += item == sign
        counted.append(f"{item} {so_far}")
    return Problem("counting", asked, (f"Count: {' '.join(counted)}.",), str(so_far), length,
                   writer.template, (" ".join(row),))  # fmt: skip


def _of_things(rng: random.Random, part: Part, length: int, sorts: int) -> Problem:
    things = dict(rng.sample(_THINGS, sorts))
    row, one = _row(list(things), length, rng), next(iter(things))
    shown = ", ".join(f"one {item}" for item in row)
    writer = Writer("letters", part, rng)
    asked = writer.say("things", row=shown, many=things[one])
    counted, so_far = [], 0
    for item in row:
        so_far += item == one
        counted.append(f"{item} {so_far}")
    return Problem("counting", asked, (f"Count: {', '.join(counted)}.",), str(so_far), length,
                   writer.template, (" ".join(row),))  # fmt: skip
