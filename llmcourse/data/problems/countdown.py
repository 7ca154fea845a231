"""Countdown: make a number out of others, each used exactly once, with ``+ - * /``.

There is no way to the answer but to try; whether an answer is right is seen at once. So it can be any expression
that fits, not the one that was thought of when the problem was made.

Taught in chapters 15 and 16.
"""

from __future__ import annotations

import random

from ...errors import CourseError
from ..conversations.split import Part
from .dials import Dial
from .expression import numbers, value
from .problem import Problem
from .wording import Writer

DIALS = {
    "numbers": Dial(2, 5, easy=2, middle=3, hard=4),
    "largest": Dial(5, 100, easy=10, middle=12, hard=25),
}
"""How many numbers there are, and the largest that they can be."""

_MOST = 999  # no step on the way to a target goes higher


def make(rng: random.Random, part: Part, numbers: int, largest: int) -> Problem:
    """Numbers, and a target that can be reached: it is made by combining two of what is left, again and again."""
    while True:
        given = [rng.randint(1, largest) for _ in range(numbers)]
        found = _combined(given, rng)
        if found is not None:
            break
    target, expression, steps = found
    texts = tuple(str(n) for n in given)
    writer = Writer("sums", part, rng)
    question = writer.say("countdown", target=target, numbers=", ".join(texts))
    return Problem("countdown", question, steps, expression, numbers, writer.template, texts)


def _combined(
    given: list[int], rng: random.Random
) -> tuple[int, str, tuple[str, ...]] | None:  # fmt: skip
    """A target, the expression that reaches it and its steps; none if the target would be one of the numbers."""
    left, steps = [(n, str(n)) for n in given], []
    while len(left) > 1:
        rng.shuffle(left)
        (a, left_text), (b, right_text) = left.pop(), left.pop()
        signs = [sign for sign in "+-*/" if _fits(a, sign, b)]
        if not signs:
            return None
        sign = rng.choice(signs)
        result = {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0}[sign]
        steps.append(f"{a} {sign} {b} = {result}.")
        left.append((result, f"{_bracketed(left_text)} {sign} {_bracketed(right_text)}"))
    target, expression = left[0]
    return None if target in given else (target, expression, tuple(steps))


def _fits(a: int, sign: str, b: int) -> bool:
    """Whether a step stays among the whole numbers from 1 to the most, and does something."""
    if sign == "+":
        return a + b <= _MOST
    if sign == "-":
        return a > b
    return a > 1 and b > 1 and (a * b <= _MOST if sign == "*" else a % b == 0)


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text


def reaches(problem: Problem, answer: str) -> bool:
    """Whether an expression uses each of the numbers exactly once and comes to the target.

    What some write after it, ``= 60``, may be there if it is the target.
    """
    expression, equals, said = answer.partition("=")
    try:
        target = value(problem.answer)
        if equals and value(said) != target:
            return False
        return sorted(numbers(expression), key=int) == sorted(problem.given, key=int) and (
            value(expression) == target
        )
    except (CourseError, ValueError):
        return False
