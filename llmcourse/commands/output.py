"""How the commands write: aligned columns that survive a pipe, and text that cannot play tricks.

Names in a file of weights are whatever somebody wrote there, terminal commands included. So what
comes out of a file is printed with its invisible characters spelt out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from ..errors import CourseError


def printable(text: str) -> str:
    r"""Text with every character that does not show spelt out as Python does: ``\x1b``, ``\n``."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def shortened(text: str, length: int = 70) -> str:
    """The beginning of a text, printable, with its length where something was left out."""
    if len(text) <= length:
        return printable(text)
    return f"{printable(text[:length])}… ({len(text):,} characters)"


def size(n: int) -> str:
    """A number of bytes for people: ``46,080 bytes``, ``538.1 MB``, ``1.6 TB`` (powers of 1,000)."""
    for unit, one in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if n >= one:
            return f"{n / one:,.1f} {unit}"
    return f"{n:,} bytes"


def count(n: int, thing: str) -> str:
    """``1 token``, ``2 tokens``."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def columns(rows: Sequence[Sequence[Any]], right: str = "", indent: str = "  ") -> str:
    """Rows as aligned text; whole numbers with thousands separated.

    Args:
        rows: Cells; all rows equally long.
        right: For each column ``r`` to align it to the right, anything else for the left.
        indent: What each line begins with.
    """
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    sides = right.ljust(len(widths))
    lines = (
        "  ".join(
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        )
        for row in texts
    )
    return "\n".join(indent + line.rstrip() for line in lines)


def write(text: str) -> None:
    """Text to standard output, now; what its encoding lacks becomes a question mark.

    To a terminal, control characters other than line ends and tabs come as U+FFFD: a model may
    write any byte, and some of them would be commands.

    Raises:
        CourseError: if it cannot be written, to a full disk for example.
        BrokenPipeError: if nobody reads any more.
    """
    if sys.stdout.isatty():
        text = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What could not be written would be tried again at the end, with a message of its own.
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
        os.close(sink)
        raise CourseError(
            f"cannot write to standard output: {error.strerror}", hint="is the disk full?"
        ) from error


def say(text: str) -> None:
    """`write` a text and a line end."""
    write(text + "\n")
