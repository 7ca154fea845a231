"""Tokens to text as they come: never half a character, never the beginning of a stop string.

A token is bytes, and a character can take four of them, from two or three tokens; a stop string can be
spread over many. What might still become one is held back until the next tokens decide.

Taught in chapter 05.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Protocol


class TextTokenizer(Protocol):
    """What the engine asks of a tokenizer."""

    def encode(self, text: str) -> list[int]: ...
    def token_bytes(self, token_id: int) -> bytes: ...


class TextStream:
    """Bytes in, text out. All pieces together are the bytes' text up to the stop string.

    Bytes that are not UTF-8 become U+FFFD, as in `bytes.decode("utf-8", "replace")`.

    Args:
        stop_strings: Texts at which to end; the first one that is complete counts.
    """

    def __init__(self, stop_strings: Sequence[str] = ()) -> None:
        self.stop_strings = tuple(stop_strings)
        self.stopped = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def push(self, data: bytes) -> str:
        """Take some bytes; return the text that is certain now."""
        if self.stopped:
            return ""
        return self._settle(self._decoder.decode(data))

    def force(self, data: bytes) -> str:
        """Take bytes that nobody searches for stop strings. What was held back comes out before them."""
        text = self._held + self._decoder.decode(data)
        self._held = ""
        return text

    def flush(self) -> str:
        """Nothing more comes: return what was held back."""
        if self.stopped:
            return ""
        text = self._settle(self._decoder.decode(b"", final=True))
        held, self._held = self._held, ""
        return text + held

    def _settle(self, text: str) -> str:
        text = self._held + text
        found = [(text.find(stop) + len(stop), text.find(stop)) for stop in self.stop_strings]
        found = [(end, start) for end, start in found if start >= 0]
        if found:
            # The one that was complete first; of those the one that began first.
            self.stopped, self._held = True, ""
            return text[: min(found)[1]]
        held = max((_overlap(text, stop) for stop in self.stop_strings), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
