"""The shapes of word problems: which numbers are told, which is asked for, and the steps from here to there.

Emily's, of the video, is `price`: the total is told, and what one thing costs is asked for. A shape knows
numbers alone; who buys what, and how it is said, is left to `word_problems`.

Taught in chapters 12 and 15.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from .dials import number


@dataclass(frozen=True)
class Sum:
    """A shape with its numbers.

    Attributes:
        slots: The numbers that are told.
        steps: From them to the answer; ``{many}``, ``{others}`` and ``{thirds}`` are the things.
        answer: What is asked for.
    """

    slots: dict[str, int]
    steps: tuple[str, ...]
    answer: int


def _few(rng: random.Random) -> int:
    return rng.randint(2, 9)


def two_sorts(rng: random.Random, digits: int) -> Sum:
    """Some of one sort and one of another."""
    n, p, q = _few(rng), number(digits, rng), number(digits, rng)
    steps = (f"{{many}}: {n} x {p} = {n * p}.", f"Total: {n * p} + {q} = {n * p + q}.")
    return Sum({"n": n, "p": p, "q": q}, steps, n * p + q)


def from_purse(rng: random.Random, digits: int) -> Sum:
    """What is left after some of one sort."""
    n, p, left = _few(rng), number(digits, rng), number(digits, rng)
    t = n * p + left
    steps = (f"{{many}}: {n} x {p} = {n * p}.", f"Left: {t} - {n * p} = {left}.")
    return Sum({"n": n, "p": p, "t": t}, steps, left)


def _basket(rng: random.Random, digits: int) -> tuple[dict[str, int], tuple[str, ...], int]:
    """Two sorts: the numbers, the steps to what they cost together, and what that is."""
    n, m, p, q = _few(rng), _few(rng), number(digits, rng), number(digits, rng)
    total = n * p + m * q
    steps = (f"{{many}}: {n} x {p} = {n * p}.", f"{{others}}: {m} x {q} = {m * q}.",
             f"Total: {n * p} + {m * q} = {total}.")  # fmt: skip
    return {"n": n, "m": m, "p": p, "q": q}, steps, total


def basket(rng: random.Random, digits: int) -> Sum:
    """What two sorts cost together."""
    return Sum(*_basket(rng, digits))


def price(rng: random.Random, digits: int) -> Sum:
    """Emily: what one thing costs, if the total is known."""
    n, m, p, q = _few(rng), _few(rng), number(digits, rng), number(digits, rng)
    t = n * p + m * q
    steps = (f"{{others}}: {m} x {q} = {m * q}.", f"{{many}}: {t} - {m * q} = {n * p}.",
             f"Each: {n * p} / {n} = {p}.")  # fmt: skip
    return Sum({"n": n, "m": m, "q": q, "t": t}, steps, p)


def from_basket(rng: random.Random, digits: int) -> Sum:
    """What is left after two sorts."""
    slots, steps, total = _basket(rng, digits)
    left = number(digits, rng)
    t = total + left
    return Sum(slots | {"t": t}, (*steps, f"Left: {t} - {total} = {left}."), left)


def price_of_more(rng: random.Random, digits: int) -> Sum:
    """Emily goes on: what another number of the things costs."""
    one = price(rng, digits)
    k = rng.choice([k for k in range(2, 10) if k != one.slots["n"]])
    steps = (*one.steps, f"{k} {{many}}: {k} x {one.answer} = {k * one.answer}.")
    return Sum(one.slots | {"k": k}, steps, k * one.answer)


def three_sorts(rng: random.Random, digits: int) -> Sum:
    """What three sorts cost together."""
    slots, steps, two = _basket(rng, digits)
    k, r = _few(rng), number(digits, rng)
    steps = (
        *steps,
        f"{{thirds}}: {k} x {r} = {k * r}.",
        f"Total: {two} + {k * r} = {two + k * r}.",
    )
    return Sum(slots | {"k": k, "r": r}, steps, two + k * r)


def shared_change(rng: random.Random, digits: int) -> Sum:
    """What is left after two sorts, in equal parts."""
    slots, steps, total = _basket(rng, digits)
    k, each = _few(rng), number(digits, rng)
    t = total + k * each
    steps = (*steps, f"Left: {t} - {total} = {k * each}.", f"Each: {k * each} / {k} = {each}.")
    return Sum(slots | {"t": t, "k": k}, steps, each)


def twice(rng: random.Random, digits: int) -> Sum:
    """Somebody has so many times as many; how many have both?"""
    n, k = number(digits, rng), _few(rng)
    steps = (f"{{friend}}: {k} x {n} = {k * n}.", f"Both: {n} + {k * n} = {n + k * n}.")
    return Sum({"n": n, "k": k}, steps, n + k * n)


def twice_and_more(rng: random.Random, digits: int) -> Sum:
    """So many times as many, and some more; how many have both?"""
    n, k, m = number(digits, rng), _few(rng), number(digits, rng)
    theirs = k * n + m
    steps = (f"{k} x {n} = {k * n}.", f"{{friend}}: {k * n} + {m} = {theirs}.",
             f"Both: {n} + {theirs} = {n + theirs}.")  # fmt: skip
    return Sum({"n": n, "k": k, "m": m}, steps, n + theirs)


def pages(rng: random.Random, digits: int) -> Sum:
    """What is left of a book."""
    n, k, left = number(digits, rng), _few(rng), number(digits, rng)
    t = n * k + left
    steps = (f"Read: {n} x {k} = {n * k}.", f"Left: {t} - {n * k} = {left}.")
    return Sum({"n": n, "k": k, "t": t}, steps, left)


def pages_on(rng: random.Random, digits: int) -> Sum:
    """How long the rest of a book takes."""
    n, k, m, days = number(digits, rng), _few(rng), number(digits, rng), _few(rng)
    t = n * k + m * days
    steps = (f"Read: {n} x {k} = {n * k}.", f"Left: {t} - {n * k} = {m * days}.",
             f"Days: {m * days} / {m} = {days}.")  # fmt: skip
    return Sum({"n": n, "k": k, "t": t, "m": m}, steps, days)


SHAPES: dict[int, dict[str, Callable[[random.Random, int], Sum]]] = {
    2: {"two-sorts": two_sorts, "from-purse": from_purse, "twice": twice, "pages": pages},
    3: {"basket": basket, "price": price, "twice-and-more": twice_and_more, "pages-on": pages_on},
    4: {"from-basket": from_basket, "price-of-more": price_of_more},
    5: {"three-sorts": three_sorts, "shared-change": shared_change},
}
"""By the number of steps: the beat of ``stories.txt`` and the shape."""
