"""Reading a JSON object that somebody else wrote: bounded, and with one kind of error.

Taught in chapter 04 (weights on disk).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from llmcourse.errors import CourseError

LARGEST = 64 << 20  # bytes; the tokenizer.json of a vocabulary of 256,000 has about 35 MB


def read_json_object(path: str | os.PathLike[str], largest: int = LARGEST) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: A regular file.
        largest: More bytes than this are refused before they are read.

    Raises:
        CourseError: if there is no such file, it is too large, or holds anything else.
    """
    path = Path(path)
    if not path.is_file():  # a folder, or a pipe that nobody writes to, would be no better
        raise CourseError(f"{path} is {'no file' if path.exists() else 'missing'}", hint=_CHECK)
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise CourseError(f"cannot read {path}: {error.strerror or error}", hint=_CHECK) from error
    if len(data) > largest:
        raise CourseError(f"{path} has more than {largest:,} bytes", hint="this is no such file")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or brackets without end
        raise CourseError(
            f"{path} is no JSON: {_short(error)}", hint="get the file again"
        ) from error
    if not isinstance(content, dict):
        raise CourseError(f"{path} holds no JSON object", hint="get the file again")
    return content


def _short(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]


_CHECK = "check the path"
