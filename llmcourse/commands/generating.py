"""Running a generation for the command line: by the engine or by chapter 05's loop, interruptible.

Whatever ends it, its streams hold what there is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..engine import Engine, Request
from ..engine.weights import Weights
from ..model.pretrained import Pretrained
from .live import Growing
from .naive import NaiveStream
from .output import count

MOST_TOGETHER = 16
"""Continuations at once; more wait their turn."""

ENDED = {
    "stop_token": "ended by the model", "stop_string": "ended at a stop text", "length": "ended at --max-tokens",
    "context": "the context is full", "cancelled": "interrupted",
}  # fmt: skip


class Progress:
    """The continuations, and how long they took.

    Attributes:
        streams: One for each continuation that was begun.
        interrupted: Whether somebody pressed Ctrl-C.
        seconds: From `begin` to `end`.
    """

    def __init__(self) -> None:
        self.streams: list[Growing] = []
        self.interrupted = False
        self.seconds = 0.0
        self._begun = time.perf_counter()
        self._first: float | None = None
        self._before = 0

    def begin(self) -> None:
        """Start the clock: everything is loaded."""
        self._begun = time.perf_counter()

    def changed(self) -> None:
        """Something came: remember when the first tokens did."""
        if self._first is None and (tokens := self.tokens):
            self._first, self._before = time.perf_counter(), tokens

    def end(self) -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self._begun

    @property
    def tokens(self) -> int:
        """New tokens so far, of all continuations."""
        return sum(len(stream.ids) for stream in self.streams)

    @property
    def rate(self) -> float | None:
        """Tokens per second once the prompt had been read; None if there was only one step."""
        if self._first is None or self.tokens == self._before:
            return None
        return (self.tokens - self._before) / (self._begun + self.seconds - self._first)

    def summary(self, prompt_tokens: int) -> str:
        """One line for people."""
        line = (
            f"{count(prompt_tokens, 'token')} read, {self.tokens:,} written in {self.seconds:.1f} s"
        )
        if self.rate is not None:
            line += f", {self.rate:.1f} tokens/s"
        reasons = dict.fromkeys(
            ENDED[s.finish_reason] for s in self.streams if s.finish_reason in ENDED
        )
        return "; ".join([line, *reasons])


def run_engine(
    loaded: Pretrained,
    requests: Sequence[Request],
    weights: Weights,
    progress: Progress,
    changed: Callable[[], object],
) -> None:
    """All continuations at once. They are in `progress.streams` from the beginning.

    Raises:
        CourseError: if the logits are NaN.
        KeyboardInterrupt: when it comes; the streams are `cancelled` then.
    """
    together = min(len(requests), MOST_TOGETHER)
    engine = Engine(loaded.model, loaded.tokenizer, weights=weights, max_streams=together)
    progress.begin()
    running = [engine.submit(request) for request in requests]
    progress.streams.extend(running)
    try:
        while engine.busy:
            for event in engine.step():
                if event.stream.error is not None:
                    raise event.stream.error
            changed()
    except KeyboardInterrupt:
        for stream in running:
            engine.cancel(stream)
        changed()
        raise


def run_loop(
    loaded: Pretrained,
    requests: Sequence[Request],
    progress: Progress,
    changed: Callable[[], object],
) -> None:
    """One continuation after the other. Each is in `progress.streams` once it is begun.

    Raises:
        CourseError: if the logits are NaN.
        KeyboardInterrupt: when it comes; the stream is `cancelled` then.
    """
    progress.begin()
    for request in requests:
        stream = NaiveStream(loaded.model, loaded.tokenizer, request, changed)
        progress.streams.append(stream)
        try:
            stream.run()
        except KeyboardInterrupt:
            stream.finish("cancelled")
            raise
