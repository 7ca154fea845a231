"""Traces: one and the same solution thought through hastily or with care.

Who works something out may *leap* over a step, write every step out, *split* a sum into tens and ones, or *check* a
result by going back. A trace mixes all of these, as its `Habits` have it. What is longer is not better by decree: a
leap asks for more at one token, a check shows what went wrong before it. Whether either matters, a model has to find
out.

Some checks need something to find, so now and then a result is wrong on purpose (a *slip*), found by its check and
mended. The wrong digits are not `learnt`: nobody should imitate them.

Taught in chapters 12, 15 and 16.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .problem import Problem

_STEP = re.compile(r"((?:[^:=]*: )?)(\d+) ([-+x/]) (\d+) = (\d+)\.")
_BACK = {"+": "-", "-": "+", "x": "/", "/": "x"}
CHECKING = re.compile(r"\bCheck: ")
"""How a check begins."""

Piece = tuple[str, bool]
"""Text, and whether it is to be learnt."""


@dataclass(frozen=True)
class Habits:
    """How somebody works: each number is a chance, at each step.

    Attributes:
        leap: To take the next step in the same breath.
        split: To add or subtract tens and ones one after the other.
        check: To go back from the result.
        slip: To have been wrong where it is checked.
    """

    leap: float = 0.0
    split: float = 0.0
    check: float = 0.0
    slip: float = 0.0

    @classmethod
    def any(cls, rng: random.Random) -> Habits:
        """Somebody's: hasty or careful, and everything between."""
        leap = rng.random() if rng.random() < 0.8 else 0.0
        split, check = (rng.choice((0.0, rng.random(), rng.random())) for _ in range(2))
        return cls(leap, split, check * 0.8, 0.3)


@dataclass(frozen=True)
class Step:
    """``lead`` ``a`` ``sign`` ``b`` = ``c``; `a` and `b` may be what earlier steps still have to be worked out to."""

    lead: str
    a: str
    sign: str
    b: str
    c: int


def steps_of(problem: Problem) -> list[Step]:
    """The steps of a chain or a story.

    Raises:
        ValueError: if a step is no sum, difference, product or quotient of two numbers.
    """
    found = []
    for text in problem.steps:
        match = _STEP.fullmatch(text)
        if match is None:
            raise ValueError(f"no step with two numbers: {text!r}")
        found.append(Step(match[1], match[2], match[3], match[4], int(match[5])))
    return found


def trace(problem: Problem, rng: random.Random, habits: Habits | None = None) -> tuple[Piece, ...]:
    """The steps to the answer as somebody with these habits would write them.

    Args:
        problem: A chain or a story of `verifiable`; there is one way only to count.
        rng: Draws everything.
        habits: By default those of anybody.

    Returns:
        Pieces of text; joined, they are the trace.

    Raises:
        ValueError: as `steps_of`.

    Taught in chapter 12.
    """
    if problem.kind == "counting":
        return ((" ".join(problem.steps), True),)
    habits = habits or Habits.any(rng)
    pieces: list[Piece] = []
    for step in _with_leaps(steps_of(problem), rng, habits.leap):
        pieces += _written(step, rng, habits)
    (first, learnt), *rest = pieces
    return ((first.lstrip(), learnt), *rest)


def program(problem: Problem) -> str | None:
    """A line of Python that prints the answer to a chain, a story or a row of signs; None where one line does not do.

    Taught in chapter 12.
    """
    if problem.kind == "counting":
        return _counting(problem)
    (*rest, whole) = _with_leaps(steps_of(problem), random.Random(0), 1.0)
    if rest:
        return None
    sign = {"x": "*", "/": "//"}.get(whole.sign, whole.sign)
    text = f"{whole.a} {sign} {whole.b}".replace(" x ", " * ").replace(" / ", " // ")
    return f"print({text})"


def _counting(problem: Problem) -> str | None:
    row = problem.given[0]
    counted = problem.steps[0].removeprefix("Count: ").removesuffix(".")
    if "," in counted:
        return None
    sign = re.findall(r"(\S) 1\b", counted)[0]  # the first that is counted
    sorts = len(set(row.split()))
    return f'print("{row}".count("{sign}"))' if sorts > 1 else f'print(len("{row}".split()))'


def _with_leaps(steps: list[Step], rng: random.Random, leap: float) -> Iterator[Step]:
    """Some steps are put into the next one that needs them at once."""
    waiting: Step | None = None
    for step in steps:
        if waiting is not None:
            joined = _joined(waiting, step)
            if joined is None:
                yield waiting
            else:
                step = joined
            waiting = None
        if rng.random() < leap:
            waiting = step
        else:
            yield step
    if waiting is not None:
        yield waiting


def _joined(first: Step, then: Step) -> Step | None:
    inside = f"{first.a} {first.sign} {first.b}"
    if then.a == str(first.c):
        low = first.sign in "+-" and then.sign in "x/"
        return Step(then.lead, f"({inside})" if low else inside, then.sign, then.b, then.c)
    if then.b == str(first.c):
        return Step(then.lead, then.a, then.sign, f"({inside})", then.c)
    return None


def _written(step: Step, rng: random.Random, habits: Habits) -> list[Piece]:
    """A step with what belongs to it."""
    plain = step.a.isdecimal() and step.b.isdecimal()
    made = f" {step.lead}{step.a} {step.sign} {step.b} ="
    if not plain:  # a leap cannot be split, nor gone back
        return [(f"{made} {step.c}.", True)]
    if step.sign in "+-" and len(step.b) > 1 and step.b[-1] != "0" and rng.random() < habits.split:
        tens = 10 ** (len(step.b) - 1) * int(step.b[0])
        half = int(step.a) + tens * (1 if step.sign == "+" else -1)
        parts = (Step("", step.a, step.sign, str(tens), half),
                 Step(step.lead, str(half), step.sign, str(int(step.b) - tens), step.c))  # fmt: skip
        calm = Habits(split=1.0, check=habits.check, slip=habits.slip)
        return [piece for part in parts for piece in _written(part, rng, calm)]
    if rng.random() >= habits.check:
        return [(f"{made} {step.c}.", True)]
    pieces: list[Piece] = []
    while rng.random() < habits.slip and (wrong := _slip(step, rng)) is not None:
        pieces += [(made, True), (f" {wrong}", False), (".", True)]
        pieces.append((f" Check: {_back(step, wrong)}. No.", True))
    return [*pieces, (f"{made} {step.c}. Check: {_back(step, step.c)}.", True)]


def _back(step: Step, c: int) -> str:
    """From the result to where it came from."""
    sign, a = _BACK[step.sign], int(step.b)
    result = {"-": c - a, "+": c + a, "/": c // a, "x": c * a}[sign]
    return f"{c} {sign} {step.b} = {result}"


def _slip(step: Step, rng: random.Random) -> int | None:
    """A result that is nearly right: a digit off by a little, or a carry lost."""
    wrong = step.c + rng.choice((-1, 1)) * rng.choice((1, 1, 2, 3, 10, 10, 20))
    exact = step.sign != "x" or wrong % int(step.b) == 0  # what cannot be divided is no check
    least = int(step.b) if step.sign == "+" else 0
    return wrong if wrong > least and exact else None
