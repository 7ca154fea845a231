"""What is in an attempt besides its answer: steps, leaps, checks, second thoughts. Counted, never paid for.

Taught in chapters 15 and 16.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..data.problems.expression import value
from ..errors import CourseError

_EQUALITY = re.compile(r"((?:\(|\d)[\d ()+x/*-]*?) = (\d+)(?![\d.]*\d)")
_THOUGHT = re.compile(r"<think>(.*?)(?:</think>|\Z)", re.DOTALL)
_SIGN = re.compile(r" [-+x/*] ")


@dataclass(frozen=True)
class Counts:
    """Of one attempt.

    Attributes:
        thought: Whether there was a thought at all.
        steps: Equalities that are no checks …
        leaps: … of them those that take more than one operation at once …
        wrong: … and those that do not hold.
        checks: Results that were gone back from.
        retries: Results that were taken back.
    """

    thought: bool
    steps: int
    leaps: int
    wrong: int
    checks: int
    retries: int


def counts(text: str) -> Counts:
    """What an attempt's thoughts are made of; the text has them as ``<think>…</think>``.

    >>> counts("<think>7 + 5 + 2 = 14. 14 - 3 = 11. Check: 11 + 3 = 14.</think>The answer is 11.")
    Counts(thought=True, steps=2, leaps=1, wrong=0, checks=1, retries=0)
    """
    thoughts = " ".join(_THOUGHT.findall(text))
    steps = leaps = wrong = checks = 0
    for match in _EQUALITY.finditer(thoughts):
        if thoughts[: match.start()].endswith("Check: "):
            checks += 1
            continue
        steps += 1
        leaps += len(_SIGN.findall(match[1])) > 1
        wrong += not _holds(match[1], match[2])
    return Counts(
        "<think>" in text, steps, leaps, wrong, checks, len(re.findall(r"\bNo\.", thoughts))
    )


def shares(texts: Iterable[str]) -> dict[str, float]:
    """Over many attempts: how many think; and leaps, checks and retries for each step that was written.

    Raises:
        CourseError: if there are no attempts.
    """
    every = [counts(text) for text in texts]
    if not every:
        raise CourseError("no attempts to look at", hint="give at least one")
    steps = max(1, sum(c.steps for c in every))
    return {
        "thought": sum(c.thought for c in every) / len(every),
        "steps": sum(c.steps for c in every) / len(every),
        "leaps": sum(c.leaps for c in every) / steps,
        "checks": sum(c.checks for c in every) / steps,
        "retries": sum(c.retries for c in every) / steps,
        "wrong": sum(c.wrong for c in every) / steps,
    }


def _holds(left: str, right: str) -> bool:
    try:
        return value(left) == int(right)
    except CourseError:
        return False
