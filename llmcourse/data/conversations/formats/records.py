"""JSON objects from a file, one at a time, each with the name of its place.

``.jsonl`` and ``.jsonl.gz`` are read by the line, so a file may be larger than memory; a ``.json`` file is one
list, or one object. Nothing that stands in a file stops the reading of its next line. Taught in chapter 08.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from ....errors import CourseError

Record = tuple[str, dict[str, Any] | CourseError]
"""Where it stands, and what: an object, or what is wrong with it."""


def records(path: Path, longest_line: int) -> Iterator[Record]:
    """The objects of a file.

    Args:
        path: ``.jsonl``, ``.jsonl.gz`` or ``.json``.
        longest_line: In bytes; a longer line is not read into memory.

    Raises:
        CourseError: if the file cannot be read, is damaged, or has another ending.
    """
    if not path.name.endswith((".jsonl", ".jsonl.gz", ".json")):
        raise CourseError(
            f"{path} is not a file of conversations", hint="give a .jsonl, .jsonl.gz or .json file"
        )
    try:
        if path.suffix == ".json":
            yield from _whole(path)
            return
        with _open(path) as file:
            yield from _lines(path, file, longest_line)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CourseError(f"{path} is damaged: {error}", hint="fetch it again") from error
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror or error}") from error


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))


def _lines(path: Path, file: IO[bytes], longest: int) -> Iterator[Record]:
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        where = f"line {number} of {path}"
        if len(line) > longest and not line.endswith(b"\n"):
            while (rest := file.readline(longest)) and not rest.endswith(b"\n"):
                pass
            yield where, CourseError(f"{where}: it is longer than {longest:,} bytes")
        elif line.strip():
            value = _value(line, where)
            yield where, value if isinstance(value, CourseError) else _object(value, where)


def _whole(path: Path) -> Iterator[Record]:
    value = _value(path.read_bytes(), str(path))
    if isinstance(value, CourseError):
        raise value  # there is no next record to go on with
    for number, item in enumerate(value if isinstance(value, list) else [value], 1):
        where = f"record {number} of {path}"
        yield where, _object(item, where)


def _value(data: bytes, where: str) -> Any:
    """What the JSON says, or what is wrong with it."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return CourseError(f"{where}: it is not UTF-8")
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        return CourseError(
            f"{where}: it is not JSON: {error.msg} ({place}column {error.colno})",
            hint="one object a line in .jsonl, one list in .json",
        )
    except (RecursionError, ValueError) as error:  # nested too deeply; a number of 5,000 digits
        return CourseError(f"{where}: it is no JSON for us: {error}")


def _object(value: Any, where: str) -> dict[str, Any] | CourseError:
    if isinstance(value, dict):
        return value
    return CourseError(f"{where}: it is a {type(value).__name__}, not an object")
