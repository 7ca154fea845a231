"""Which is larger, 9.11 or 9.9? As verses of a book, as versions of a program and as numbers the answers differ.

The way to the answer is to write both with equally many places: 9.11 and 9.90.

Taught in chapters 14 and 15.
"""

from __future__ import annotations

import random

from ..conversations.split import Part
from .dials import Dial
from .problem import Problem
from .wording import Writer

DIALS = {
    "places": Dial(1, 4, easy=1, middle=2, hard=(3, 4)),
    "whole": Dial(1, 3, easy=1, middle=1, hard=(1, 2)),
    "traps": Dial(0, 100, easy=0, middle=50, hard=80),
}
"""The most decimal places, the digits before the point, and how many problems in 100 are a trap.

In a trap the smaller number has more decimals, which read as a whole number are the larger: 9.11 and 9.9.
"""


def make(rng: random.Random, part: Part, places: int, whole: int, traps: int) -> Problem:
    """Two numbers with the same whole part; which is larger, or which is smaller?"""
    trap = places > 1 and rng.random() < traps / 100
    first = str(rng.randint(1 if whole == 1 else 10 ** (whole - 1), 10**whole - 1))
    a, b = (f"{first}.{decimals}" for decimals in _decimals(rng, places, trap))
    if rng.random() < 0.5:
        a, b = b, a
    ask = rng.choice(("larger", "smaller"))
    writer = Writer("sums", part, rng)
    question = writer.say(ask, a=a, b=b)
    low, high, steps = _compared(a, b)
    answer = high if ask == "larger" else low
    return Problem("decimals", question, steps, answer, places, writer.template, (a, b))


def _decimals(rng: random.Random, places: int, trap: bool) -> tuple[str, str]:
    """Digits after the point, of two numbers that differ; none ends in 0."""
    while True:
        one, other = (_digits(rng, rng.randint(1, places)) for _ in range(2))
        if one.ljust(places, "0") == other.ljust(places, "0"):
            continue
        smaller, larger = sorted((one, other))  # as text, which is the order of decimals
        trapped = len(smaller) > len(larger) and int(smaller) > int(larger)
        if trapped == trap:
            return one, other


def _digits(rng: random.Random, n: int) -> str:
    """So many digits, of which the last is not 0."""
    return "".join(rng.choice("0123456789") for _ in range(n - 1)) + rng.choice("123456789")


def _compared(a: str, b: str) -> tuple[str, str, tuple[str, ...]]:
    """The smaller, the larger, and how one sees it."""
    longest = max(len(a), len(b))
    low, high = sorted((a, b), key=lambda text: text.ljust(longest, "0"))
    steps = [f"{text} = {text.ljust(longest, '0')}." for text in (a, b) if len(text) < longest]
    steps.append(f"{low.ljust(longest, '0')} < {high.ljust(longest, '0')}.")
    return low, high, tuple(steps)
