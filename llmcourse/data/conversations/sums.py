"""Arithmetic in conversation: the answer at once, or with its steps if they are asked for.

Taught in chapters 08 and 12.
"""

from __future__ import annotations

import random

from ..problems import Problem, arithmetic
from ..world.textbank import load_bank
from ..world.whole.telling import fill
from .message import Conversation
from .split import Part, part_of, wordings


def _problem(rng: random.Random, part: Part) -> Problem:
    while True:
        make = rng.choice((arithmetic.total, arithmetic.difference, arithmetic.product))
        problem = make(rng, rng.choice((1, 1, 2, 2, 3)))
        if part_of(problem.question) == part:
            return problem


def arithmetics(rng: random.Random, part: Part) -> Conversation:
    """A sum, a difference or a product of up to three digits."""
    problem, worked = _problem(rng, part), rng.random() < 0.5
    beat = "steps" if worked else "sum"
    lines = wordings(load_bank("chat/ask"), f"{beat}.q", part)
    number = rng.randrange(len(lines))
    asked = fill(lines[number], {"q": problem.question}, rng)
    said = problem.worked if worked else problem.direct
    return Conversation.of(asked, said, kind="sums", entity=None, relation=beat,
                           answer=problem.answer, question=problem.question,
                           template=f"{beat}.{part}:{number}")  # fmt: skip
