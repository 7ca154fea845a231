"""Libraries that only weights need: imported when used, and named when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from llmcourse.errors import CourseError


def extra(module: str) -> Any:
    """Import a module of the extra ``[weights]``.

    Raises:
        CourseError: if it is not installed; the hint says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CourseError(
            f"reading weights needs {module.partition('.')[0]}",
            hint="pip install 'llmcourse[weights]'",
        ) from error
