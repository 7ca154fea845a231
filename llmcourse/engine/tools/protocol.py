"""What a tool is, what it may cost, and what is written down about a call.

A tool takes text and gives text. Between its start token and its end token the model writes what it asks for;
the engine calls the tool and goes on with ``<|result_start|>…<|result_end|>``, which the model only reads.

Taught in chapter 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, Protocol

from ...errors import CourseError

ToolName = Literal["search", "python"]
"""The tools that a conversation can hold calls of (`data.conversations.Part`)."""

Status = Literal["ok", "error", "timeout", "unclosed", "refused"]


class ToolError(Exception):
    """A tool cannot do what it was asked: the message is the result, and generation goes on."""


class Tool(Protocol):
    """Anything with a name, two special tokens and a `call`."""

    @property
    def name(self) -> ToolName:
        """Which kind of part its calls are."""

    @property
    def start(self) -> str:
        """The token that begins a call: ``<|search_start|>``."""

    @property
    def end(self) -> str:
        """The token that ends it."""

    def call(self, text: str) -> str:
        """The result for what stood between the two tokens.

        Raises:
            ToolError: if there is none; its message is shown to the model.
        """


@dataclass(frozen=True)
class Budget:
    """What one turn may spend on tools.

    Attributes:
        max_calls: Calls that are made. Later ones are told that none is left.
        max_refusals: How many are told so; the next one ends the turn.
        seconds_per_call: How long a result is waited for.
        seconds_total: How long all of a turn's calls may take together; then no call is left.
        max_call_tokens: Length of a call. A longer one is closed and not made.
        max_characters: Length of a result in characters, and …
        max_result_tokens: … in tokens. Results are cut, where it can be done at a sentence's end.

    Raises:
        CourseError: if a number is out of range.
    """

    max_calls: int = 4
    max_refusals: int = 2
    seconds_per_call: float = 5.0
    seconds_total: float = 20.0
    max_call_tokens: int = 256
    max_characters: int = 1_000
    max_result_tokens: int = 256

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            lowest = 0 if field.name in ("max_calls", "max_refusals") else 1
            if field.name.startswith("seconds"):
                good, allowed = 0 < value < math.inf, "a positive number of seconds"
            else:
                good, allowed = value >= lowest, f"{lowest} or more"
            if not good:
                raise CourseError(f"{field.name} cannot be {value}", hint=allowed)


@dataclass(frozen=True)
class ToolCall:
    """One call, made or not.

    Attributes:
        tool: The tool's name.
        text: What the model wrote.
        result: What it was shown, cut to the budget.
        seconds: How long the tool took; 0 if it was not called.
        status: ``ok``; ``error`` (the result says which); ``timeout``; ``unclosed`` (the call was too long, so it was
            closed and not made); ``refused`` (no call was left).
    """

    tool: ToolName
    text: str
    result: str
    seconds: float = 0.0
    status: Status = "ok"

    @property
    def error(self) -> bool:
        """Whether the result is not an answer."""
        return self.status != "ok"
