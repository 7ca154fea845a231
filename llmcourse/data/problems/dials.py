"""The dials of a kind of problem: how long, how large, how many.

A dial is set to a number, or to two numbers between which each problem draws its own.

Taught in chapter 15.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import CourseError

Setting = int | tuple[int, int]
"""A number, or the least and the most of what is drawn."""


@dataclass(frozen=True)
class Dial:
    """What a dial can be set to, and what it is set to at three levels of difficulty.

    Attributes:
        low: The least.
        high: The most.
        easy: For those who begin.
        middle: What a model of three million parameters can learn in minutes.
        hard: What it cannot learn in minutes.
    """

    low: int
    high: int
    easy: Setting
    middle: Setting
    hard: Setting


def settings(
    kind: str, dials: Mapping[str, Dial], level: str, given: Mapping[str, Setting]
) -> dict[str, tuple[int, int]]:
    """Every dial with the range that it is set to: as it was given, or else as the level has it.

    Raises:
        CourseError: if the level or a dial is unknown, or a setting is out of range.
    """
    if level not in ("easy", "middle", "hard"):
        raise CourseError(f"unknown level {level!r}", hint="levels are easy, middle, hard")
    for name in given:
        if name not in dials:
            raise CourseError(f"{kind} has no dial {name!r}", hint="it has " + ", ".join(dials))
    return {
        name: _range(kind, name, dial, given.get(name, getattr(dial, level)))
        for name, dial in dials.items()
    }


def _range(kind: str, name: str, dial: Dial, setting: Setting) -> tuple[int, int]:
    ends = setting if isinstance(setting, (tuple, list)) else (setting, setting)
    whole = len(ends) == 2 and all(isinstance(n, int) and not isinstance(n, bool) for n in ends)
    if not whole or not dial.low <= ends[0] <= ends[1] <= dial.high:
        raise CourseError(
            f"{kind}: {name} cannot be {setting!r}",
            hint=f"a number from {dial.low} to {dial.high}, or two of them, the lower first",
        )
    return ends[0], ends[1]


def draw(ranges: Mapping[str, tuple[int, int]], rng: random.Random) -> dict[str, int]:
    """A number for each dial."""
    return {name: rng.randint(*ends) for name, ends in ranges.items()}


def number(digits: int, rng: random.Random) -> int:
    """A number of so many digits, at least 2."""
    return rng.randint(max(2, 10 ** (digits - 1)), 10**digits - 1)
