"""Conversations in which something is worked out: at once, step by step, or as somebody happens to think.

===========  =======================================================================================
way          what is answered
===========  =======================================================================================
``once``     the answer alone, as asked
``steps``    every step, then the answer, as asked
``plain``    nothing is asked for: now and then the answer alone, else hasty or careful thoughts, then the answer
``python``   a program of one line, what it printed, then the answer, as asked
===========  =======================================================================================

The problems are the same in all four. Taught in chapters 12, 15 and 16.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from ...errors import CourseError
from ..problems.problem import Problem
from ..problems.traces import Habits, program, trace
from ..problems.verifiable import stream
from ..world.textbank import load_bank
from ..world.whole.telling import fill
from .message import Conversation, Message
from .message import Part as Piece
from .split import Part, wordings

Way = Literal["once", "steps", "plain", "python"]
WAYS: tuple[Way, ...] = get_args(Way)

SHARES: Mapping[Way, float] = {"once": 2, "steps": 2, "plain": 5, "python": 1}
"""How often each way comes."""

THOUGHTLESS = 0.3
"""Of the plain ones, those that are answered at once."""

PROBLEMS: tuple[tuple[float, str, Mapping[str, Any]], ...] = (
    (5, "chain", {"length": (1, 7), "digits": 1}),
    (3, "chain", {"length": (1, 4), "digits": 2}),
    (1.5, "counting", {"most": (2, 12), "sorts": (1, 3)}),
    (3, "story", {"steps": (2, 4), "digits": 1}),
)
"""What is asked: weight, kind and dials."""


def ask(problem: Problem, way: Way, rng: random.Random, part: Part = "train") -> str:
    """A problem, with the wish how it be answered.

    Raises:
        CourseError: if there is no such way.
    """
    if way not in WAYS:
        raise CourseError(f"nobody asks {way!r}", hint="ways are " + ", ".join(WAYS))
    lines = wordings(load_bank("problems/ways"), f"{way}.q", part)
    return fill(rng.choice(lines), {"q": problem.question}, rng)


def reason(problem: Problem, way: Way, rng: random.Random, part: Part = "train") -> Conversation:
    """A problem and its answer. Where one line of Python does not do, ``python`` becomes ``steps``.

    ``about["slips"]`` has the places in the thoughts, first and last character, that are wrong on purpose; they are
    shown and not to be learnt.
    """
    code = program(problem) if way == "python" else None
    if way == "python" and code is None:
        way = "steps"
    asked, parts = ask(problem, way, rng, part), [Piece("text", problem.direct)]
    slips: list[list[int]] = []
    if code is not None:
        parts = [Piece("python", code), Piece("result", problem.answer), *parts]
    elif way == "steps" or (way == "plain" and rng.random() >= THOUGHTLESS):
        habits = Habits() if way == "steps" else None
        text = ""
        for piece, learnt in trace(problem, rng, habits):
            if not learnt:
                slips.append([len(text), len(text) + len(piece)])
            text += piece
        parts.insert(0, Piece("think", text))
    messages = (Message.of("user", asked), Message("assistant", tuple(parts)))
    return Conversation(
        messages, {"kind": f"reason-{way}", "answer": problem.answer, "slips": slips}
    )


def reasons(n: int, part: Part, seed: int) -> Iterator[Conversation]:
    """``n`` conversations: the same seed gives the same ones."""
    rng = random.Random(f"reasons\n{part}\n{seed}")
    weights = [weight for weight, _, _ in PROBLEMS]
    sources = [
        stream(kind, part, seed + 7919 * i, **dials) for i, (_, kind, dials) in enumerate(PROBLEMS)
    ]
    ways, shares = list(SHARES), list(SHARES.values())
    for number in rng.choices(range(len(sources)), weights, k=n):
        problem = next(sources[number], None)
        if problem is None:  # all of that sort have been asked: begin again
            _, kind, dials = PROBLEMS[number]
            sources[number] = stream(kind, part, rng.randrange(2**31), **dials)
            problem = next(sources[number])
        yield reason(problem, rng.choices(ways, shares)[0], rng, part)
