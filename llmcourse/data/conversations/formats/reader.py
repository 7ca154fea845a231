"""Conversations out of a file of any format we know: one after the other, each checked.

Taught in chapter 08.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from ....errors import CourseError
from ..message import Conversation, check
from .records import records
from .shapes import Alpaca, ChatML, OpenAssistant, Paths, ShareGPT, UltraChat

SHAPES: dict[str, type[BaseModel]] = {
    "chatml": ChatML,
    "openassistant": OpenAssistant,
    "ultrachat": UltraChat,
    "sharegpt": ShareGPT,
    "alpaca": Alpaca,
}
FORMATS = tuple(SHAPES)
SPECIAL = re.compile(r"<\|\w+\|>")
SURROGATE = re.compile("[\ud800-\udfff]")
SHOWN = 20  # errors kept of a file that is read with on_error="skip"

OnError = Literal["raise", "skip"]


@dataclass(frozen=True)
class Limits:
    """What is too much, or not wanted.

    Attributes:
        turn: Characters of one turn.
        line: Bytes of one line of a file.
        special_text: Whether a text may contain what looks like a special token, ``<|im_end|>``. It does no
            harm when it is rendered, but in published data it mostly means a conversation pasted whole.
    """

    turn: int = 1_000_000
    line: int = 64_000_000
    special_text: bool = False


@dataclass
class Reader:
    """The conversations of a file; each iteration reads it anew.

    Attributes:
        given: Conversations of the latest iteration so far.
        skipped: Records and paths left out because something was wrong with them …
        errors: … and what, the first twenty.
    """

    path: Path
    format: str
    on_error: OnError = "raise"
    paths: Paths = "best"
    limits: Limits = field(default_factory=Limits)
    given: int = 0
    skipped: int = 0
    errors: list[CourseError] = field(default_factory=list)

    def __iter__(self) -> Iterator[Conversation]:
        self.given, self.skipped, self.errors = 0, 0, []
        for where, record in records(self.path, self.limits.line):
            try:
                if isinstance(record, CourseError):
                    raise record
                found = self._conversations(record, where)
            except CourseError as error:
                if self.on_error == "raise":
                    raise
                self.skipped += 1
                if len(self.errors) < SHOWN:
                    self.errors.append(error)
                continue
            for conversation in found:
                self.given += 1
                yield conversation

    def _conversations(self, record: dict[str, Any], where: str) -> list[Conversation]:
        """All of a record, or an error: a tree with one bad path is left out as a whole."""
        shape = SHAPES[self.format]
        if self.format == "ultrachat" and "messages" in record:
            shape = ChatML  # as the hub has it
        try:
            value: Any = shape.model_validate(record)
            found = (
                value.conversations(self.paths) if shape is OpenAssistant else value.conversations()
            )
            return [_checked(conversation, where, self.limits) for conversation in found]
        except ValidationError as error:
            raise CourseError(
                f"{where}: {_first(error)}", hint=f"as {self.format} has it"
            ) from None
        except RecursionError:
            raise CourseError(f"{where}: it is nested too deeply") from None
        except CourseError as error:
            if error.message.startswith(where):
                raise
            raise CourseError(f"{where}: {error.message}", hint=error.hint) from None


def read(
    path: str | Path,
    format: str = "chatml",
    *,
    on_error: OnError = "raise",
    paths: Paths = "best",
    limits: Limits | None = None,
) -> Reader:
    """The conversations of a file, read as they are asked for.

    Args:
        path: A ``.jsonl``, ``.jsonl.gz`` or ``.json`` file.
        format: One of `FORMATS`.
        on_error: ``raise``, or ``skip`` what is malformed and count it.
        paths: Of an OpenAssistant tree: the ``best``-ranked replies, or ``all`` ways through it.
        limits: What is too long.

    Raises:
        CourseError: if there is no such format; while reading, if the file cannot be read, and with
            ``raise``, if a record is malformed: it names the line and what is wrong there.
    """
    if format not in SHAPES:
        raise CourseError(f"no format is called {format!r}", hint="known: " + ", ".join(FORMATS))
    if on_error not in ("raise", "skip") or paths not in ("best", "all"):
        raise CourseError(
            f"on_error={on_error!r}, paths={paths!r}", hint="raise or skip; best or all"
        )
    return Reader(Path(path), format, on_error, paths, limits or Limits())


def _checked(conversation: Conversation, where: str, limits: Limits) -> Conversation:
    check(conversation, where)
    for number, message in enumerate(conversation.messages, 1):
        length = sum(len(part.text) for part in message.parts)
        if length > limits.turn:
            raise CourseError(
                f"{where}, message {number}: {length:,} characters, and {limits.turn:,} are allowed"
            )
        for part in message.parts:
            if SURROGATE.search(part.text):
                raise CourseError(f"{where}, message {number}: half a surrogate pair is no text")
            if not limits.special_text and (found := SPECIAL.search(part.text)):
                raise CourseError(
                    f"{where}, message {number}: {found[0]} stands in the text",
                    hint="allow it with Limits(special_text=True): it will stay text",
                )
    return conversation


def _first(error: ValidationError) -> str:
    """One complaint of several, and about what: the deepest, where a field may be of two kinds."""
    complaints = error.errors(include_url=False, include_input=False, include_context=False)
    complaint = max(complaints, key=lambda c: len(c["loc"]))
    return f"{'.'.join(map(str, complaint['loc']))}: {complaint['msg']}"
