"""Several texts that grow at once, printed one after the other, each as soon as it is known.

The first one is printed as it comes; the others wait, and when it is done what there is of the next
one follows, and the rest of that as it comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .output import printable, write

if TYPE_CHECKING:
    from ..engine.stream import Alternatives, FinishReason

OTHERS = 4  # alternatives shown beside a token


class Growing(Protocol):
    """What is looked at: an `engine.Stream`, or a `NaiveStream`."""

    @property
    def ids(self) -> list[int]: ...
    @property
    def text(self) -> str: ...
    @property
    def finish_reason(self) -> FinishReason | None: ...
    @property
    def logprobs(self) -> list[float | None]: ...
    @property
    def probabilities(self) -> list[float | None]: ...
    @property
    def alternatives(self) -> list[Alternatives]: ...


class Live:
    """Prints what is new since it was last called.

    Args:
        streams: What is to be printed; may still grow longer.
        total: How many there will be: from two on, each has a heading.
        row: Instead of the text, a line for each token: (stream, index of the token) → line.
        head: A line above those lines.
    """

    def __init__(
        self,
        streams: Sequence[Growing],
        total: int,
        row: Callable[[Growing, int], str] | None = None,
        head: str = "",
    ) -> None:
        self.streams, self.total, self.row, self.head = streams, total, row, head
        self._current = self._printed = 0
        self._begun = self._line_open = False

    def update(self) -> None:
        """Print what is new."""
        while self._current < len(self.streams):
            stream = self.streams[self._current]
            if not self._begun:
                self._begin()
            finished = stream.finish_reason is not None
            self._print_new(stream)
            if not finished:
                return
            self.end()
            self._current, self._printed, self._begun = self._current + 1, 0, False

    def end(self) -> None:
        """End the line, if one is open."""
        if self._line_open:
            write("\n")
            self._line_open = False

    def _begin(self) -> None:
        self._begun = True
        if self.total > 1:
            before = "\n" if self._current else ""
            write(f"{before}--- {self._current + 1} of {self.total}\n")
        if self.row is not None:
            write(self.head + "\n")
        else:
            self._line_open = True  # a text ends its line, even if it is empty

    def _print_new(self, stream: Growing) -> None:
        if self.row is not None:
            for index in range(self._printed, len(stream.ids)):
                write(self.row(stream, index) + "\n")
            self._printed = len(stream.ids)
        elif new := stream.text[self._printed :]:
            write(new)
            self._printed += len(new)
            self._line_open = not new.endswith("\n")


HEAD = f"{'drawn':>9}  {'model':>9}  {'token':<16}  the model's others"


def probability_row(name_of: Callable[[int], str], stream: Growing, index: int) -> str:
    """A token, with which probability it was drawn, which the model gave it, and what else could have come."""
    from ..viz.labels import percent

    token = stream.ids[index]
    drawn, logprob = stream.probabilities[index], stream.logprobs[index]
    assert drawn is not None and logprob is not None  # nobody forced a token
    others = [(i, p) for i, p in stream.alternatives[index] if i != token][:OTHERS]
    more = "  ".join(f"{name_of(i)} {percent(p)}" for i, p in others)
    shown = f"{percent(drawn):>9}  {percent(math.exp(logprob)):>9}  {name_of(token):<16}"
    return f"{shown}  {more}".rstrip()


def token_objects(text_of: Callable[[int], str], stream: Growing) -> list[dict[str, Any]]:
    """The same for a program to read."""
    return [
        {
            "id": token,
            "text": text_of(token),
            "drawn_with_probability": stream.probabilities[index],
            "logprob": stream.logprobs[index],
            "alternatives": [
                {"id": i, "text": text_of(i), "probability": p}
                for i, p in stream.alternatives[index]
            ],
        }
        for index, token in enumerate(stream.ids)
    ]


def token_name(data: bytes) -> str:
    """A token as a table shows it: a space as ␣, a line end as ↵, nothing that acts on a terminal."""
    from ..viz.labels import shown

    return printable(shown(data))
