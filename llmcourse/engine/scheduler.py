"""Who is computed when: streams join, read their prompts, move on together, and leave.

One `step` moves every running stream on by one token, all at once: the weights are read one time for
all of them. Streams come and go between any two steps (*continuous batching*, Orca, OSDI 2022): a free
row of the cache takes the next one in the queue. Prompts are read in chunks, similar lengths together,
so one long prompt neither fills the memory nor holds up the others for long.

Every stream reads all but its last pending token by itself; that one goes through the model together
with everybody's, and what comes out is the next token.

Taught in chapter 05.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch

from ..errors import CourseError
from ..model.transformer import Transformer
from .cache import KVCache
from .choose import choose
from .stream import Event, FinishReason, Request, Stream
from .text import TextTokenizer

PADDING = 0.25
"""Prompts are read together as long as at most this part of the batch is padding."""


class Scheduler:
    """The engine's step-by-step half (`engine.py` has the other, and explains the arguments)."""

    def __init__(
        self,
        model: Any,
        tokenizer: TextTokenizer | None,
        max_streams: int,
        max_length: int | None,
        chunk: int,
    ) -> None:
        if chunk < 1:
            raise CourseError(f"chunk cannot be {chunk}", hint="at least 1 token")
        self.model, self.tokenizer, self.chunk = model, tokenizer, chunk
        self.device = torch.device(getattr(model, "device", "cpu"))
        # On a GPU the cache is as the weights are: half the memory, and the fast attention kernels.
        dtype = torch.float32
        if isinstance(model, Transformer):
            dtype = model.dtype
        elif self.device.type != "cpu" and getattr(model, "weights", "fp32") != "fp32":
            dtype = torch.bfloat16
        self.static = bool(getattr(model, "compiled", False))
        self.cache = KVCache(
            model.config, max_streams, max_length, dtype, self.device, static=self.static
        )  # fmt: skip
        self.running: list[Stream] = []  # stream i has row i of the cache
        self.queue: deque[Stream] = deque()
        self._events: list[Event] = []

    @property
    def busy(self) -> bool:
        """Whether `step` has anything to do."""
        return bool(self.running or self.queue or self._events)

    def submit(self, request: Request) -> Stream:
        """Put a request into the queue; `step` moves it on.

        Raises:
            CourseError: if its prompt is empty, too long or has an unknown id, or a setting is out of range.
        """
        return self._enqueue(self.checked(request))

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Move every running stream on by one token. Returns what happened, in no particular order."""
        self._admit()
        self._read()
        ready = self._ready()
        if ready:
            self._decode(ready)
        events, self._events = self._events, []
        return events

    def force(self, stream: Stream, ids: Sequence[int]) -> None:
        """`Stream.force`."""
        if stream.finished:
            raise CourseError("the stream is finished", hint="force tokens while it is running")
        self._check_ids(ids, "the forced tokens")
        if stream.length + len(ids) > self.cache.max_length:
            raise CourseError(
                f"{len(ids)} forced tokens after {stream.length}: a stream has room for {self.cache.max_length}",
                hint="force fewer",
            )
        for token in ids:
            stream.add(int(token), forced=True)
            text = ""
            if self.tokenizer is not None:
                text = stream.streamer.force(self.tokenizer.token_bytes(int(token)))
            stream.text += text
            self._events.append(Event(stream, int(token), text, forced=True))

    def cancel(self, stream: Stream) -> None:
        """End a stream now, whether it runs or waits. Does nothing if it has ended."""
        if not stream.finished:
            text = self._finish(stream, "cancelled")
            self._events.append(Event(stream, None, text, finish_reason="cancelled"))

    def checked(self, request: Request, what: str = "the prompt") -> Request:
        """The request, if it can be served.

        Raises:
            CourseError: if it cannot; `what` names it.
        """
        ids, room = request.prompt_ids, self.cache.max_length
        if len(ids) == 0:
            raise CourseError(
                f"{what} is empty: there is nothing to go on from",
                hint="begin with the end-of-text token, which stands for a fresh start",
            )
        self._check_ids(ids, what)
        if len(ids) > room:
            raise CourseError(
                f"{what} has {len(ids):,} tokens, but the context holds {room:,}",
                hint=f"keep the last {room:,}, or fewer to leave room for an answer",
            )
        if request.max_tokens is not None and request.max_tokens < 0:
            raise CourseError(f"max_tokens cannot be {request.max_tokens}", hint="0 or more")
        if not 0 <= request.alternatives <= self.model.config.vocab_size:
            raise CourseError(
                f"alternatives cannot be {request.alternatives}", hint="0 to the vocabulary's size"
            )
        if "" in request.stop_strings:
            raise CourseError(
                "a stop string is empty", hint="every text begins with it: leave it out"
            )
        if request.stop_strings and self.tokenizer is None:
            raise CourseError("stop strings need text", hint="Engine(model, tokenizer)")
        return request

    # ---------------------------------------------------------------- inside

    def _check_ids(self, ids: Sequence[int], what: str) -> None:
        V = self.model.config.vocab_size
        for token in ids:
            if not 0 <= token < V:
                raise CourseError(
                    f"{what}: no token has the id {token}, the model knows 0 to {V - 1:,}",
                    hint="was it made with this model's tokenizer?",
                )

    def _enqueue(self, request: Request) -> Stream:
        stream = Stream(request, self)
        if request.max_tokens == 0:
            stream.finish_reason = "length"
            self._events.append(Event(stream, None, finish_reason="length"))
        else:
            self.queue.append(stream)
        return stream

    def _admit(self) -> None:
        """Give free rows to the streams that wait longest, similar lengths side by side."""
        free = min(self.cache.slots - len(self.running), len(self.queue))
        new = [self.queue.popleft() for _ in range(free)]
        self.running += sorted(new, key=lambda stream: len(stream.pending))

    def _ready(self) -> int:
        """Put the streams that have one token to read first; how many these are."""
        ready = 0
        for row, stream in enumerate(self.running):
            if len(stream.pending) == 1:
                if row != ready:
                    self.cache.swap(row, ready)
                    self.running[row], self.running[ready] = self.running[ready], stream
                ready += 1
        return ready

    def _read(self) -> None:
        """Let streams read their prompts and forced tokens, all but the last token, a chunk in one step."""
        budget = self.chunk
        row = self._ready()
        while row < len(self.running) and budget > 0:
            need = [len(stream.pending) - 1 for stream in self.running[row:]]
            if budget < need[0] <= self.chunk:
                break  # whole in the next step rather than a crumb of it now
            T, together = min(need[0], budget), 1
            for extra in range(1, len(need)):
                longest = min(max(T, need[extra]), self._room(row, extra + 1))
                wanted = sum(min(n, longest) for n in need[: extra + 1])
                area = longest * (extra + 1)
                if area > budget or wanted < (1 - PADDING) * area:
                    break
                T, together = longest, extra + 1
            streams = self.running[row : row + together]
            counts = [min(len(stream.pending) - 1, T) for stream in streams]
            ids = [
                s.pending[:count] + [0] * (T - count)
                for s, count in zip(streams, counts, strict=True)
            ]
            rows = self.cache.rows(row)
            read = getattr(self.model, "hidden", self.model)  # no logits are needed
            read(torch.tensor(ids, device=self.device), cache=rows)
            rows.advance(counts)
            for stream, count in zip(streams, counts, strict=True):
                del stream.pending[:count]
            budget -= T * together
            row += together

    def _room(self, row: int, B: int) -> int:
        """Tokens by which each of B rows could still grow: padding needs room too."""
        return self.cache.max_length - max(self.cache.lengths[row : row + B])

    def _decode(self, ready: int) -> None:
        streams = self.running[:ready]
        ids = [[stream.pending[0]] for stream in streams]
        # One CUDA graph serves one shape: batches of 1, 2, 4, 8 … rows, the last ones idle.
        B = min(1 << (ready - 1).bit_length(), self.cache.slots) if self.static else ready
        ids += [[0]] * (B - ready)
        logits = self.model(torch.tensor(ids, device=self.device), cache=self.cache)[:ready, 0]
        self.cache.advance([1] * ready)
        for stream in streams:
            stream.pending.clear()
        choices = choose(logits, streams)
        for row, choice in enumerate(choices):
            if isinstance(choice, CourseError):
                self.cache.clear(row)  # before any row moves
        for stream, choice in zip(streams, choices, strict=True):
            if isinstance(choice, CourseError):
                stream.error = choice
                self._finish(stream, "error")
                self._events.append(Event(stream, None, finish_reason="error"))
                continue
            stream.add(
                choice.id, logprob=choice.logprob, probability=choice.probability, alternatives=choice.alternatives
            )  # fmt: skip
            text, reason = self._text(stream, choice.id), self._reason(stream)
            if reason is not None:
                text += self._finish(stream, reason)
            self._events.append(
                Event(stream, choice.id, text, False, choice.logprob, choice.probability, reason)
            )

    def _reason(self, stream: Stream) -> FinishReason | None:
        """Why a stream ends after the token it just got, or None."""
        if stream.ids[-1] in stream.request.stop_tokens:
            return "stop_token"
        if stream.streamer.stopped:
            return "stop_string"
        if stream.request.max_tokens is not None and stream.chosen >= stream.request.max_tokens:
            return "length"
        return "context" if stream.length > self.cache.max_length else None

    def _text(self, stream: Stream, token: int) -> str:
        """The text that became certain with a token the stream chose."""
        if self.tokenizer is None or token in stream.request.stop_tokens:
            return ""
        text = stream.streamer.push(self.tokenizer.token_bytes(token))
        stream.text += text
        return text

    def _finish(self, stream: Stream, reason: FinishReason) -> str:
        """End a stream, free its row, and return the text that was held back."""
        stream.finish_reason = reason
        text = stream.streamer.flush()
        stream.text += text
        if stream in self.queue:
            self.queue.remove(stream)
        else:
            row, last = self.running.index(stream), len(self.running) - 1
            if row != last:
                self.cache.move(last, row)
                self.running[row] = self.running[last]
            self.running.pop()
            self.cache.lengths[last] = 0
        return text
