"""What a piece of arithmetic comes to: read with `ast`, worked out by hand, exact; never `eval`.

Whatever a model writes may end up here, so only digits, brackets and four signs are let in. The name of a
function, a power (``9**9**9`` would take until tomorrow) or ten thousand brackets are refused.

Taught in chapters 12 and 15.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

from ...errors import CourseError

LONGEST = 200
"""Longer than this is no expression of ours, and deep brackets are slow to read."""

EQUALITY = re.compile(r"(\d+(?:\.\d+)?(?: [-+x*/] \d+(?:\.\d+)?)*) = (\d+(?:\.\d+)?)(?![\d]|\.\d)")
"""An equality as our steps write it: ``48 / 2 = 24``; what is on the left and on the right of the sign."""

_ALLOWED = re.compile(r"[0-9.+\-*/() ]*")
_SIGNS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value(text: str) -> Fraction:
    """What an expression of numbers, brackets and ``+ - * /`` comes to; ``x``, ``×`` and ``÷`` are read too.

    Raises:
        CourseError: if it is no such expression, or divides by 0.
    """
    plain = re.sub(r"[x×]", "*", text.strip()).replace("÷", "/").replace("−", "-")
    return _worked_out(_tree(plain), plain)


def numbers(text: str) -> list[str]:
    """The numbers of an expression, as they are written, in their order."""
    return re.findall(r"\d+(?:\.\d+)?", text)


def _tree(text: str) -> ast.expr:
    refused = CourseError(
        f"{text[:60]!r} is no arithmetic", hint="numbers, brackets and + - * / are read"
    )
    if len(text) > LONGEST or not _ALLOWED.fullmatch(text):
        raise refused
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise refused from None


def _worked_out(node: ast.expr, text: str) -> Fraction:
    if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        left, right = _worked_out(node.left, text), _worked_out(node.right, text)
        if isinstance(node.op, ast.Div) and not right:
            raise CourseError(f"{text[:60]!r} divides by 0")
        return _SIGNS[type(node.op)](left, right)
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Fraction(ast.get_source_segment(text, node) or "")
    raise CourseError(
        f"{text[:60]!r} is no arithmetic", hint="each sign stands between two numbers"
    )
