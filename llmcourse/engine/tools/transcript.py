"""Tokens into the parts of a turn, one at a time: text, thoughts, calls, results.

Special tokens that make no sense where they stand (an end without a start, a result that the model wrote itself)
stay in the text, by their names: what a model really wrote should be seen.

Taught in chapter 10.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from ...data.conversations import Part
from ...data.conversations.message import Kind
from ...errors import CourseError
from .protocol import Tool


class ToolTokenizer(Protocol):
    """What tools ask of a tokenizer."""

    @property
    def special_tokens(self) -> dict[str, int]: ...
    def encode_ordinary(self, text: str) -> list[int]: ...
    def token_bytes(self, token_id: int) -> bytes: ...


class Protocols:
    """The ids of the special tokens that a turn with these tools needs.

    Raises:
        CourseError: if the tokenizer lacks one, or two tools share a name or a token.
    """

    def __init__(self, tokenizer: ToolTokenizer, tools: Sequence[Tool]) -> None:
        special = tokenizer.special_tokens

        def token(name: str) -> int:
            if name not in special:
                raise CourseError(
                    f"this tokenizer has no token {name}",
                    hint="tools need the course's tokenizer, or one with its special tokens",
                )
            return special[name]

        self.tokenizer = tokenizer
        self.starts = {token(tool.start): tool for tool in tools}
        self.ends = {tool.name: token(tool.end) for tool in tools}
        ids = {*self.starts, *self.ends.values()}
        if len(self.ends) != len(tools) or len(ids) != 2 * len(tools):
            raise CourseError(
                "two tools share a name or a token", hint="give each its own start and end"
            )
        self.result_start, self.result_end = token("<|result_start|>"), token("<|result_end|>")
        self.think_start, self.think_end = (
            special.get("<|think_start|>"), special.get("<|think_end|>")
        )  # fmt: skip


class Transcript:
    """A turn so far.

    Args:
        protocols: The special tokens.
        stops: Ids that end the turn; their names are in no part.

    Attributes:
        parts: What is complete.
        tool: Whose call is being written, or was just closed and has no result yet.
        length: Tokens of that call so far.
    """

    def __init__(self, protocols: Protocols, stops: Collection[int] = ()) -> None:
        self.protocols, self.stops = protocols, stops
        self.parts: list[Part] = []
        self.tool: Tool | None = None
        self.length = 0
        self._kind: Kind = "text"  # outside of calls: text or thoughts
        self._bytes = bytearray()

    @property
    def text(self) -> str:
        """What the part that is being written says so far."""
        return self._bytes.decode("utf-8", "replace")

    def add(self, token: int) -> bool:
        """Take a token that the model wrote. True if it closes a call: then `result` is due."""
        known = self.protocols
        if token in self.stops:
            return False
        if self.tool is not None:
            if token == known.ends[self.tool.name]:
                return True
            self.length += 1
        elif token in known.starts:
            self._end_part(self._kind)
            self.tool, self.length = known.starts[token], 0
            return False
        elif token == known.think_start and self._kind == "text":
            self._end_part("text")
            self._kind = "think"
            return False
        elif token == known.think_end and self._kind == "think":
            self._end_part("think")
            self._kind = "text"
            return False
        self._bytes += known.tokenizer.token_bytes(token)
        return False

    def result(self, text: str) -> None:
        """The call is over, and this came back. Text, or thoughts, go on."""
        assert self.tool is not None
        self.parts += [Part(self.tool.name, self.text), Part("result", text)]
        self.tool = None
        self._bytes.clear()

    def finish(self) -> bool:
        """The turn is over: keep what was being written. True if that was a call, which has no result."""
        inside = self.tool
        if inside is None:
            self._end_part(self._kind)
        else:
            self.parts.append(Part(inside.name, self.text))
            self._bytes.clear()
        return inside is not None

    def _end_part(self, kind: Kind) -> None:
        if self._bytes:
            self.parts.append(Part(kind, self.text))
            self._bytes.clear()
