"""The one kind of error a reader should ever see: what went wrong, and what to do about it."""

from __future__ import annotations


class CourseError(Exception):
    """Something the user can put right.

    Args:
        message: What went wrong, in one line, naming the file or the setting.
        hint: What to do about it, as a command where there is one.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message
