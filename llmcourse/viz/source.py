"""Library code in a chapter: what is shown is what runs."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any


class Source:
    """A piece of Python source as a stored output, coloured by whatever shows it."""

    def __init__(self, code: str) -> None:
        self.code = code

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.code, "text/markdown": f"```python\n{self.code}\n```"}


def source(*objects: Any, start: str = "", end: str = "") -> Source:
    """The source of functions, classes or a module.

    Args:
        objects: What to show, one after the other.
        start: Begin with the first line that contains this.
        end: Stop before the next line that contains this.

    Raises:
        ValueError: if a line to begin or stop at is not there.
    """
    code = "\n\n".join(textwrap.dedent(inspect.getsource(item)).strip("\n") for item in objects)
    lines = code.splitlines()
    first = _line(lines, start, 0) if start else 0
    last = _line(lines, end, first + 1) if end else len(lines)
    return Source(textwrap.dedent("\n".join(lines[first:last])).strip("\n"))


def _line(lines: list[str], text: str, after: int) -> int:
    for number, line in enumerate(lines[after:], start=after):
        if text in line:
            return number
    raise ValueError(f"no line contains {text!r}")
