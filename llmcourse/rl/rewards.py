r"""What an attempt earns: plain functions of its text and of the problem, each reason apart.

A reward is a function (text, problem) → number, or None where it has nothing to say: then it is left out, and an
attempt of which no reward says anything is left out of training. A problem is anything with a `question` and an
`answer`. Thoughts stand in the text as ``<think>…</think>``.

    total = Rewards(correct=correctness, form=(states_one_answer, 0.1))
    total("3 + 4 = 7. The answer is 7.", problem)    # 1.1
    total.parts("It is 7.", problem)                 # {"correct": 1.0, "form": 0.0}

Keep them apart and look at each: a sum that rises may be a form that is learnt while correctness falls.
DeepSeek-R1 (arXiv:2501.12948, section 2.2.2) is paid for accuracy and for format, and for nothing else. Taught in
chapter 15.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import CourseError
from .answers import as_number, final_answer, last_number, plain, said_aloud, states_anything


class Problem(Protocol):
    """Something to be worked out, of which the answer is known."""

    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str: ...


Reward = Callable[[str, Problem], float | None]
"""All that an attempt wrote, and the problem → what it earns, or None: nothing to say."""


def correctness(text: str, problem: Problem) -> float | None:
    r"""1 for the right answer, 0 for any other or none; None if the problem's answer is empty.

    The answer is what is stated last (`answers.final_answer`); if nothing is stated anywhere, the last number
    that is said, or for an answer in words all that is said. Numbers are compared exactly, without unit.

    Taught in chapter 15.
    """
    if not problem.answer.strip():
        return None
    expected = as_number(problem.answer)
    if states_anything(text, problem.question):
        given = final_answer(text, problem.question)
    elif expected is not None:
        given = last_number(text, problem.question)
    else:
        given = said_aloud(text)
    if given is None:
        return 0.0
    if expected is not None:
        return float(as_number(given) == expected)
    return float(plain(given) == plain(problem.answer))


def math_correctness(text: str, problem: Problem) -> float | None:
    r"""1 for an answer that is mathematically the same (``x^2-1`` and ``(x-1)(x+1)``), else 0.

    By the library math-verify. None if the problem's own answer cannot be read.

    Raises:
        CourseError: if the library is not installed.

    Taught in chapter 15.
    """
    library = _math_verify()
    # Its time limits are alarms, which only a main thread may set; what is read here is short.
    gold = library.parse(_as_formula(problem.answer), parsing_timeout=None)
    if not gold:
        return None
    stated = states_anything(text, problem.question)
    given = (final_answer if stated else last_number)(text, problem.question)
    if given is None:
        return 0.0
    found = library.parse(_as_formula(given), parsing_timeout=None)
    return float(bool(found) and bool(library.verify(gold, found, timeout_seconds=None)))


def states_one_answer(text: str, problem: Problem) -> float:
    """1 if the text ends with one sentence "The answer is …", and says no such thing before; else 0."""
    said = said_aloud(text).strip()
    found = re.findall(r"\bthe answer is\b", said, re.IGNORECASE)
    ends = re.search(
        r"\bthe answer is\s+[^.!?\n]*?[^\s.!?](?:\.[0-9]+)?[.!]?$", said, re.IGNORECASE
    )
    return float(len(found) == 1 and ends is not None)


def thinks_first(text: str, problem: Problem) -> float:
    """1 if the text is one thought, ``<think>…</think>``, and something said after it; else 0.

    The format reward of DeepSeek-R1-Zero (arXiv:2501.12948, section 2.2.2). Nothing looks at what is thought.
    """
    match = re.fullmatch(r"\s*<think>(.*?\S.*?)</think>(.*\S.*)", text, re.DOTALL)
    return float(match is not None and "<think>" not in match[2] and "</think>" not in match[2])


def overlong(
    limit: int, margin: int, measure: Callable[[str], int] = lambda text: len(text.split())
) -> Reward:
    """A reward for not being too long: 0, and from `limit` − `margin` on down to −1 at `limit`.

    The soft overlong punishment of DAPO (arXiv:2503.14476, equation 13).

    Args:
        limit: From this length on: −1.
        margin: Over so much it falls.
        measure: Length of a text; by default in words. In tokens: ``lambda text: len(tokenizer.encode(text))``.

    Raises:
        CourseError: if the numbers contradict each other.

    Taught in chapter 15.
    """
    if not 0 < margin <= limit:
        raise CourseError(f"limit {limit}, margin {margin}", hint="0 < margin ≤ limit")

    def reward(text: str, problem: Problem) -> float:
        over = measure(text) - (limit - margin)
        return -min(1.0, max(0.0, over / margin))

    return reward


class Rewards:
    """A weighted sum of rewards that stay apart.

    Args:
        parts: Name → reward, or (reward, weight).

    Raises:
        CourseError: if there is none.
    """

    def __init__(self, **parts: Reward | tuple[Reward, float]) -> None:
        if not parts:
            raise CourseError("no rewards", hint="Rewards(correct=correctness)")
        self.rewards: dict[str, tuple[Reward, float]] = {
            name: part if isinstance(part, tuple) else (part, 1.0) for name, part in parts.items()
        }

    def parts(self, text: str, problem: Problem) -> dict[str, float | None]:
        """What each says, before its weight."""
        return {name: reward(text, problem) for name, (reward, _) in self.rewards.items()}

    def total(self, parts: dict[str, float | None]) -> float | None:
        """The sum of what was said; None if nobody said anything."""
        said = [self.rewards[name][1] * value for name, value in parts.items() if value is not None]
        return sum(said) if said else None

    def __call__(self, text: str, problem: Problem) -> float | None:
        return self.total(self.parts(text, problem))


def _as_formula(text: str) -> str:
    return text if "\\boxed" in text or "$" in text else f"${text}$"


def _math_verify() -> Any:
    try:
        return importlib.import_module("math_verify")
    except ImportError as error:
        raise CourseError(
            "answers in free form need the library math-verify",
            hint="pip install 'math-verify[antlr4_13_2]', or use correctness for numbers",
        ) from error
