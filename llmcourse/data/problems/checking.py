"""Is an answer right? No model is asked: it is worked out.

`check` is strict about form: it takes the sentence with which our worked answers end, the last line of GSM8K, or
the bare answer. The reinforcement learning room reads answers more generously, out of any text.

Taught in chapters 12 and 15.
"""

from __future__ import annotations

import re
from fractions import Fraction

from . import countdown
from .problem import Problem

_STATED = re.compile(r"(?:The answer is|####)[ \t]+")
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", re.ASCII)
_LONGEST = 100  # characters; a longer answer is none


def stated(text: str) -> str:
    """What a text gives as its answer: after its last ``The answer is`` or ``####``, or the whole of it."""
    *before, said = _STATED.split(text)
    if before:
        said = said.partition("\n")[0]
    return said.strip().removesuffix(".").rstrip()


def check(problem: Problem, text: str) -> bool:
    """Whether the answer that a text gives is right.

    Numbers are compared as numbers: 9.90 is 9.9, and 1,200 is 1200. Letters are compared one by one, with or
    without hyphens. For countdown any expression counts that obeys the rules.
    """
    answer = stated(text)
    if problem.kind == "countdown":
        return countdown.reaches(problem, answer)
    if problem.kind == "letters" and not problem.answer.isdecimal():
        return _letters(answer) == _letters(problem.answer)
    return (found := _number(answer)) is not None and found == _number(problem.answer)


def _number(text: str) -> Fraction | None:
    plain = text.strip().removeprefix("$")
    if len(plain) > _LONGEST or not _NUMBER.fullmatch(plain):
        return None
    return Fraction(plain.replace(",", ""))


def _letters(text: str) -> str:
    return re.sub(r"[- ]", "", text).lower()
