"""Verifiable problems: as many as one likes, as hard as one likes, each with a check of its own.

What reinforcement learning needs is a question and a judge that cannot be talked round. The parts are disjoint twice:
what stands in a held-out problem (its numbers in any order, its word, its row of signs) stands in no training problem,
and neither does its wording.

    >>> for problem in problems("story", 2, "train", seed=1, steps=3):
    ...     print(problem.question, problem.worked)

Taught in chapters 12 to 16.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from ...errors import CourseError
from ..conversations.split import PARTS, Part, part_of
from . import chains, countdown, counting, decimals, spelling, word_problems
from .checking import check
from .dials import Dial, Setting, draw, settings
from .problem import Problem

__all__ = ["KINDS", "Kind", "check", "key", "problems", "stream"]

_TRIES = 1000  # draws without a new problem, after which there are taken to be none


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        make: One of them: ``make(rng, part, **dials)``, in the wordings of a part.
        dials: What can be set.
    """

    make: Callable[..., Problem]
    dials: dict[str, Dial]


KINDS: dict[str, Kind] = {
    "story": Kind(word_problems.make, word_problems.DIALS),
    "chain": Kind(chains.make, chains.DIALS),
    "counting": Kind(counting.make, counting.DIALS),
    "letters": Kind(spelling.make, spelling.DIALS),
    "decimals": Kind(decimals.make, decimals.DIALS),
    "countdown": Kind(countdown.make, countdown.DIALS),
}


def key(problem: Problem) -> str:
    """What a problem is dealt out by: its numbers, whatever their order, or its word or row."""
    return " ".join(sorted(problem.given))


def problems(
    kind: str,
    n: int,
    part: Part,
    seed: int = 0,
    *,
    level: str = "middle",
    wording: Part | None = None,
    **dials: Setting,
) -> list[Problem]:
    """Problems of a kind, no two with the same question.

    Args:
        kind: One of `KINDS`.
        n: How many.
        part: ``train``, ``validation`` or ``held``.
        seed: Of everything; the same seed gives the same problems.
        level: ``easy``, ``middle`` or ``hard``: what all dials are set to …
        wording: Of another part, to see what new numbers and new wordings cost each; by default of the same.
        **dials: … unless they are given here: a number, or the least and the most.

    Raises:
        CourseError: if a kind, part, level or dial is unknown, a dial is out of range, or there are not so many.
    """
    if not isinstance(n, int) or n < 0:
        raise CourseError(f"{n!r} problems cannot be made", hint="ask for 0 or more")
    found = list(islice(stream(kind, part, seed, level=level, wording=wording, **dials), n))
    if len(found) < n:
        raise CourseError(
            f"there are only about {len(found)} problems of kind {kind} in part {part} with these dials, not {n}",
            hint="give the dials a wider range",
        )
    return found


def stream(
    kind: str,
    part: Part,
    seed: int = 0,
    *,
    level: str = "middle",
    wording: Part | None = None,
    **dials: Setting,
) -> Iterator[Problem]:
    """The same, one after the other, until there are no more.

    Raises:
        CourseError: as `problems`, at once.
    """
    if kind not in KINDS:
        raise CourseError(f"unknown kind {kind!r}", hint="kinds are " + ", ".join(KINDS))
    for name in (part, wording or part):
        if name not in PARTS:
            raise CourseError(f"unknown part {name!r}", hint="parts are " + ", ".join(PARTS))
    ranges = settings(kind, KINDS[kind].dials, level, dials)
    return _stream(kind, part, seed, wording or part, ranges)


def _stream(
    kind: str, part: Part, seed: int, wording: Part, ranges: dict[str, tuple[int, int]]
) -> Iterator[Problem]:
    rng = random.Random(f"{kind}\n{part}\n{seed}")
    seen: set[str] = set()
    tries = 0
    while tries < _TRIES:
        problem = KINDS[kind].make(rng, wording, **draw(ranges, rng))
        tries += 1
        if part_of(key(problem)) == part and problem.question not in seen:
            seen.add(problem.question)
            tries = 0
            yield problem
