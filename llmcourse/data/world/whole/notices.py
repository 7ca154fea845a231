"""Notices of lost property: texts that nothing predicts, repeated a known number of times.

Whether a model recites a document depends on how often it read it. To measure that, some documents must
be repeated on purpose, and nobody must be able to guess how they go on: so these are lists of things in
random order, and the only way to know one is to remember it.

Taught in chapter 07.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from ..names import MEN, WOMEN
from ..textbank import load_bank

DOSES = {1: 24, 3: 24, 10: 16, 30: 10, 100: 6, 300: 4, 1000: 3}
"""How often a notice is repeated → how many notices there are with that number."""


@dataclass(frozen=True)
class Notice:
    """A document with a known number of copies.

    Attributes:
        text: What it says.
        copies: How often it stands in the training text.
    """

    text: str
    copies: int


def notices(seed: int = 0, doses: Iterable[tuple[int, int]] = tuple(DOSES.items())) -> list[Notice]:
    """The notices, those with few copies first; the same seed gives the same ones."""
    rng = random.Random(seed)
    values = load_bank("whole/values")
    things = [t.split(" ", 1)[1] for t in values["thing"][0].split("|")]
    places = values["habitat"][0].split("|")
    made: list[Notice] = []
    for copies, number in doses:
        for _ in range(number):
            lost = [
                f"{rng.choice(('a', 'one', 'another', 'half a', 'the second'))} "
                f"{rng.choice(things)} of {rng.choice(WOMEN + MEN)}"
                for _ in range(rng.randint(9, 12))
            ]
            where = rng.choice(places)
            text = (
                f"Notice {rng.randint(1000, 9999)} of the office of lost things. Found near {where}: "
                f"{', '.join(lost)}. Ask for {rng.choice(WOMEN + MEN)} on the {rng.choice(_STAIRS)} floor."
            )
            made.append(Notice(text, copies))
    return made


_STAIRS = ("first", "second", "third", "fourth", "fifth", "top")
