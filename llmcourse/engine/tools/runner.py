"""Generation with tools: a stream stops at a call's end, reads the result, and goes on.

    generate_with_tools(engine, prompts, [SearchTool(index), PythonTool()], Sampling(temperature=0))

Streams run side by side in the engine, each with its own calls and its own budget. Calls are made between two
steps, one after the other, so that a call's time is its own and does not depend on its neighbours.

Taught in chapter 10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from ...data.conversations import Part
from ...errors import CourseError
from ..engine import Engine
from ..sampling import Sampling
from ..stream import Event, FinishReason, Generation, Request, Stream
from .calling import call_tool, fit
from .protocol import Budget, Tool, ToolCall
from .transcript import Protocols, ToolTokenizer, Transcript

NO_CALLS = "no calls are left"
TOO_LONG = "error: the call was not closed, so it was not made"

ROOM = 16
"""Tokens that must be left in the context after a result: a result that nobody can use is worth nothing."""

TURN_ENDS = ("<|im_end|>", "<|endoftext|>")

StopReason = Literal[FinishReason, "no_calls"]


@dataclass(frozen=True)
class Turn:
    """What a model wrote after a prompt, and what it was shown.

    Attributes:
        generation: All tokens, with their log-probabilities.
        parts: The same as parts of a message; a stop token is in none.
        calls: All calls, those not made included, in order.
        stopped: Why it ended: as in `Generation`, where ``context`` is also a result that finds no room; or
            ``no_calls``: it went on calling after it had been told that no calls were left.
        open_call: Whether it ended inside a call, or after one that got no result: the last part is that call.
    """

    generation: Generation
    parts: tuple[Part, ...]
    calls: tuple[ToolCall, ...]
    stopped: StopReason
    open_call: bool

    @property
    def ids(self) -> list[int]:
        """The new tokens."""
        return self.generation.ids

    @property
    def written(self) -> list[bool]:
        """For each of `ids` whether the model wrote it: results, and ends of calls that were closed for it, are not."""
        return [not forced for forced in self.generation.forced]

    @property
    def text(self) -> str:
        """What is said aloud, without calls, results and thoughts."""
        return "".join(part.text for part in self.parts if part.kind == "text")


def generate_with_tools(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    tools: Sequence[Tool],
    sampling: Sampling | Sequence[Sampling] | None = None,
    budget: Budget | None = None,
    *,
    max_tokens: int | None = 256,
    stop_tokens: Iterable[int] | None = None,
    on_token: Callable[[Event], object] | None = None,
) -> list[Turn]:
    """One turn after each prompt.

    Args:
        engine: With a tokenizer that has the course's special tokens, and nothing else to do.
        prompts: Ids; each ends where the assistant's turn begins.
        tools: What the model can call. None: every call is text.
        sampling: One for all (default: `Sampling()`) or one each, as in `Engine.generate`.
        budget: Of each turn (default: `Budget()`).
        max_tokens: That the model may write in each turn; results do not count. None: what the context holds.
        stop_tokens: Ids that end a turn (default: those of ``<|im_end|>`` and ``<|endoftext|>``).
        on_token: Called with an `Event` for every token as it comes, results included.

    Raises:
        CourseError: if a prompt is empty, too long or has an unknown id; if the tokenizer lacks a special token; if
            the engine is busy; if the logits are NaN. Whatever `on_token` raises comes out too. The engine is free
            again in either case.
    """
    if engine.tokenizer is None or not hasattr(engine.tokenizer, "special_tokens"):
        raise CourseError(
            "tools need a tokenizer with special tokens", hint="Engine(model, tokenizer)"
        )
    if engine.busy:
        raise CourseError(
            "the engine is busy with other streams", hint="let it finish, or make another engine"
        )
    shared = not isinstance(sampling, Sequence)
    each = (
        [sampling or Sampling()] * len(prompts) if not isinstance(sampling, Sequence) else sampling
    )
    if len(each) != len(prompts):
        raise CourseError(
            f"{len(each)} samplings for {len(prompts)} prompts",
            hint="give one for all, or one each",
        )
    tokenizer = cast(ToolTokenizer, engine.tokenizer)
    protocols = Protocols(tokenizer, tools)
    if stop_tokens is None:
        special = tokenizer.special_tokens
        stop_tokens = [special[name] for name in TURN_ENDS if name in special]
    stops = frozenset(stop_tokens)
    requests = [
        engine.checked(
            Request(prompt, each[i], max_tokens, stops, number=i, seed_index=i if shared else 0),
            f"prompt {i}",
        )
        for i, prompt in enumerate(prompts)
    ]
    budget = budget or Budget()
    turns = {
        stream: _Turn(stream, Transcript(protocols, stops), budget)
        for stream in map(engine.submit, requests)
    }
    try:
        while engine.busy:
            for event in engine.step():
                if event.stream.error is not None:
                    raise event.stream.error
                if on_token is not None:
                    on_token(event)
                if event.id is not None and not event.forced:
                    turns[event.stream].take(event.id)
    finally:
        for stream in turns:
            stream.cancel()
        engine.step()  # nothing runs any more: this takes the last news away
    return [turn.finished() for turn in turns.values()]


class _Turn:
    """One stream, its transcript and what it has spent."""

    def __init__(self, stream: Stream, transcript: Transcript, budget: Budget) -> None:
        self.stream, self.transcript, self.budget = stream, transcript, budget
        self.calls: list[ToolCall] = []
        self.spent, self.seconds, self.refusals = 0, 0.0, 0
        self.stopped: StopReason | None = None

    def take(self, token: int) -> None:
        """The model wrote a token."""
        closed = self.transcript.add(token)
        tool = self.transcript.tool
        if tool is None or self.stream.finished:
            return
        too_long = not closed and self.transcript.length > self.budget.max_call_tokens
        if not closed and not too_long:
            return
        # Its end (if we have to write it), the start and the end of the result.
        room = self._room() - 2 - too_long
        if room < 1:
            self._stop("context")
            return
        call = self._refused(tool) or (
            ToolCall(tool.name, self.transcript.text, TOO_LONG, status="unclosed")
            if too_long
            else call_tool(tool, self.transcript.text, self._patience(), self.budget)
        )
        if call.status != "refused":
            self.spent += 1
            self.seconds += call.seconds
        elif self.refusals > self.budget.max_refusals:
            self._stop("no_calls")
            return
        self._paste(call, min(room, self.budget.max_result_tokens), too_long)

    def finished(self) -> Turn:
        """What it has come to."""
        generation = self.stream.generation()
        open_call = self.transcript.finish()
        return Turn(
            generation,
            tuple(self.transcript.parts),
            tuple(self.calls),
            self.stopped or generation.finish_reason,
            open_call,
        )

    def _refused(self, tool: Tool) -> ToolCall | None:
        """The call, if none is left to make."""
        if self.spent < self.budget.max_calls and self._patience() > 0:
            return None
        self.refusals += 1
        return ToolCall(tool.name, self.transcript.text, NO_CALLS, status="refused")

    def _patience(self) -> float:
        """Seconds that the next call may take."""
        return min(self.budget.seconds_per_call, self.budget.seconds_total - self.seconds)

    def _room(self) -> int:
        """Tokens that may be forced now."""
        return self.stream.engine.cache.max_length - self.stream.length - ROOM

    def _paste(self, call: ToolCall, tokens: int, close: bool) -> None:
        """Let the stream read a result of at most so many tokens."""
        known = self.transcript.protocols
        ids = fit(call.result, known.tokenizer.encode_ordinary, tokens)
        shown = b"".join(map(known.tokenizer.token_bytes, ids)).decode("utf-8", "replace")
        call = ToolCall(call.tool, call.text, shown, call.seconds, call.status)
        end = [known.ends[call.tool]] if close else []
        self.stream.force([*end, known.result_start, *ids, known.result_end])
        self.transcript.result(shown)
        self.calls.append(call)

    def _stop(self, reason: StopReason) -> None:
        self.stopped = reason
        self.stream.cancel()
