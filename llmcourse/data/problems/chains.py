"""Chains of additions and subtractions: long enough that the answer cannot be seen at a glance.

Taught in chapters 12 and 15.
"""

from __future__ import annotations

import random

from ..conversations.split import Part
from .dials import Dial, number
from .expression import numbers
from .problem import Problem
from .wording import Writer

DIALS = {
    "length": Dial(1, 8, easy=(1, 2), middle=(3, 4), hard=(5, 7)),
    "digits": Dial(1, 4, easy=(1, 2), middle=2, hard=3),
}
"""How many signs, and of how many digits the numbers are."""


def make(rng: random.Random, part: Part, length: int, digits: int) -> Problem:
    """A chain from left to right that never goes below 0; each step is one sum or one difference."""
    so_far = number(digits, rng)
    text, steps = str(so_far), []
    for _ in range(length):
        step = number(digits, rng)
        sign = "+" if so_far < step or rng.random() < 0.5 else "-"
        after = so_far + step if sign == "+" else so_far - step
        text += f" {sign} {step}"
        steps.append(f"{so_far} {sign} {step} = {after}.")
        so_far = after
    writer = Writer("sums", part, rng)
    question = writer.say("chain", e=text)
    return Problem(
        "chain", question, tuple(steps), str(so_far), length, writer.template, tuple(numbers(text))
    )
