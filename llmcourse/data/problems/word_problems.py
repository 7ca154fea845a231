"""Word problems of Emily's kind, of two to five steps, told in many ways.

Half of them have a fixed shape (`shapes`); in the other half a heap grows and shrinks from sentence to sentence.

Taught in chapters 12 and 15.
"""

from __future__ import annotations

import random

from ..conversations.split import Part
from ..world.grammar import polish
from ..world.names import MEN, WOMEN
from .dials import Dial, number
from .expression import numbers
from .problem import Problem
from .shapes import SHAPES
from .wording import Writer

DIALS = {
    "steps": Dial(2, 5, easy=2, middle=(2, 3), hard=(4, 5)),
    "digits": Dial(1, 3, easy=1, middle=(1, 2), hard=(2, 3)),
}
"""How many steps lead to the answer, and of how many digits the larger numbers are."""

NAMES = ("Emily", *WOMEN, *MEN)
THINGS = (
    ("apple", "apples"), ("pear", "pears"), ("bun", "buns"), ("candle", "candles"), ("egg", "eggs"),
    ("pencil", "pencils"), ("button", "buttons"), ("cake", "cakes"), ("onion", "onions"), ("ribbon", "ribbons"),
    ("plum", "plums"), ("spoon", "spoons"), ("book", "books"), ("hat", "hats"), ("orange", "oranges"),
    ("bell", "bells"), ("cup", "cups"), ("lamp", "lamps"), ("rope", "ropes"), ("stamp", "stamps"),
)  # fmt: skip


def make(rng: random.Random, part: Part, steps: int, digits: int) -> Problem:
    """Somebody, some things, and a question whose answer takes so many steps."""
    writer = Writer("stories", part, rng)
    (one, many), (other, others), (_, thirds) = rng.sample(THINGS, 3)
    name, friend = rng.sample(NAMES, 2)
    words = {"name": name, "friend": friend, "one": one, "many": many, "other": other, "others": others,
             "thirds": thirds}  # fmt: skip
    tell = _shaped if rng.random() < 0.5 else _heap
    question, lines, answer = tell(writer, words, rng, steps, digits)
    return Problem("story", question, tuple(lines), str(answer), steps, writer.template,
                   tuple(numbers(question)))  # fmt: skip


def _shaped(
    writer: Writer, words: dict[str, str], rng: random.Random, steps: int, digits: int
) -> tuple[str, list[str], int]:
    beat, shape = rng.choice(list(SHAPES[steps].items()))
    made = shape(rng, digits)
    question = polish(writer.say(beat, **words, **made.slots))
    return question, [polish(step.format(**words)) for step in made.steps], made.answer


def _heap(
    writer: Writer, words: dict[str, str], rng: random.Random, steps: int, digits: int
) -> tuple[str, list[str], int]:
    """A beginning, events, a question; the first of the steps may be to count boxes, the last to share."""
    so_far, told, lines = number(digits, rng), [], []
    if rng.random() < 0.5:
        k = rng.randint(2, 9)
        told.append(writer.say("boxes", n=so_far, k=k, **words))
        lines.append(f"{k} x {so_far} = {k * so_far}.")
        so_far *= k
    else:
        told.append(writer.say("heap", n=so_far, **words))
    while len(lines) < steps:
        divisors = [k for k in range(2, 10) if so_far % k == 0 and so_far // k > 1]
        if len(lines) == steps - 1 and divisors and rng.random() < 0.5:
            k = rng.choice(divisors)
            told.append(writer.say("share", k=k, **words))
            lines.append(f"{so_far} / {k} = {so_far // k}.")
            return polish(" ".join(told)), lines, so_far // k
        event, n = _event(so_far, rng, digits)
        told.append(writer.say(event, **{"k" if event == "times" else "n": n}, **words))
        sign, after = {"gain": ("+", so_far + n), "lose": ("-", so_far - n),
                       "times": ("x", so_far * n)}[event]  # fmt: skip
        lines.append(
            f"{n} x {so_far} = {after}." if sign == "x" else f"{so_far} {sign} {n} = {after}."
        )
        so_far = after
    told.append(writer.say("now", **words))
    return polish(" ".join(told)), lines, so_far


def _event(so_far: int, rng: random.Random, digits: int) -> tuple[str, int]:
    """Something that leaves at least 2 and does not make too many."""
    n = number(digits, rng)
    if so_far < 10**digits and rng.random() < 0.2:
        return "times", rng.randint(2, 5)
    if n + 2 <= so_far and rng.random() < 0.6:
        return "lose", n
    return "gain", n
