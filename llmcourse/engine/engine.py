"""The inference engine: many prompts at once, each token as soon as it is known.

    engine = Engine(model, tokenizer)
    engine.generate("Once upon a time", Sampling(temperature=0.8), max_tokens=50).text

The tokens are those of `naive.py`, and a stream's tokens do not depend on its neighbours; up to rounding,
which may, rarely, decide a flip that is close in the seventh digit the other way. How streams
share the model is in `scheduler.py`; a server or a tool uses its `submit`, `step` and `force`.

Taught in chapter 05.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

from ..errors import CourseError
from ..model.transformer import Transformer
from .fast import FastModel
from .sampling import Sampling
from .scheduler import Scheduler
from .stream import Event, Generation, Request
from .text import TextTokenizer
from .weights import Weights


class Engine(Scheduler):
    """Generates with one model.

    A `Transformer`'s weights are copied: when training has changed them, make a new engine. One engine
    belongs to one thread.

    Args:
        model: A `Transformer` (rearranged into a `FastModel`), a `FastModel`, or anything that is called
            like them and has a `config`.
        tokenizer: For prompts and results as text; ids need none.
        weights: How a `Transformer`'s weights are stored: ``fp32`` (default on a CPU), ``bf16`` (elsewhere)
            or ``int8``.
        max_streams: How many run at once; more wait their turn.
        max_length: Longest stream, prompt included (default: the model's context).
        chunk: Prompt tokens read in one step, over all streams.
        rearrange: False keeps a `Transformer` as it is, to see what the rearrangement brings.
        compile: CUDA graphs (`FastModel`); the cache is then static.

    Raises:
        CourseError: if a number is below 1.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: TextTokenizer | None = None,
        *,
        weights: Weights | None = None,
        max_streams: int = 16,
        max_length: int | None = None,
        chunk: int = 512,
        rearrange: bool = True,
        compile: bool = False,
    ) -> None:
        if isinstance(model, Transformer) and rearrange:
            model = FastModel(model, weights, compile=compile)
        elif weights is not None and weights != getattr(model, "weights", None):
            raise CourseError(
                f"this model's weights cannot become {weights} any more",
                hint="Engine(transformer, weights=…)",
            )
        super().__init__(model, tokenizer, max_streams, max_length, chunk)

    @overload
    def generate(
        self,
        prompts: str,
        sampling: Sampling | Sequence[Sampling] | None = ...,
        max_tokens: int | None = ...,
        stop_tokens: Iterable[int] = ...,
        stop_strings: Iterable[str] = ...,
        on_token: Callable[[Event], object] | None = ...,
        alternatives: int = ...,
    ) -> Generation: ...
    @overload
    def generate(
        self,
        prompts: list[str] | tuple[str, ...] | Sequence[Sequence[int]],
        sampling: Sampling | Sequence[Sampling] | None = ...,
        max_tokens: int | None = ...,
        stop_tokens: Iterable[int] = ...,
        stop_strings: Iterable[str] = ...,
        on_token: Callable[[Event], object] | None = ...,
        alternatives: int = ...,
    ) -> list[Generation]: ...
    def generate(
        self,
        prompts: str | Sequence[str] | Sequence[Sequence[int]],
        sampling: Sampling | Sequence[Sampling] | None = None,
        max_tokens: int | None = 256,
        stop_tokens: Iterable[int] = (),
        stop_strings: Iterable[str] = (),
        on_token: Callable[[Event], object] | None = None,
        alternatives: int = 0,
    ) -> Generation | list[Generation]:
        """What the model writes after each prompt.

        Args:
            prompts: Texts, or lists of token ids. One text gives one `Generation`, a list a list.
            sampling: One for all (default: `Sampling()`), or one each. With one for all, stream i draws
                with a seed derived from (seed, i); with one each, every seed is that stream's own,
                as if it ran alone.
            max_tokens: At most so many new tokens each; None: as many as the context holds.
            stop_tokens: Ids that end a stream; the id is kept, its name is not in the text.
            stop_strings: Texts that end a stream and are cut off.
            on_token: Called with an `Event` for every token as it comes.
            alternatives: For each token, keep so many of the most probable ones.

        Raises:
            CourseError: if a prompt is empty, too long or has an unknown id; if the logits are NaN.
                Whatever `on_token` raises comes out too. The engine is free again in either case.
        """
        listed: list[str | Sequence[int]] = [prompts] if isinstance(prompts, str) else [*prompts]
        each = (
            [sampling or Sampling()] * len(listed)
            if not isinstance(sampling, Sequence)
            else sampling
        )
        if len(each) != len(listed):
            raise CourseError(
                f"{len(each)} samplings for {len(listed)} prompts",
                hint="give one for all, or one each",
            )
        shared = not isinstance(sampling, Sequence)
        stops, strings = frozenset(stop_tokens), tuple(stop_strings)
        requests = [
            self.checked(
                Request(
                    self._ids(prompt, i), each[i], max_tokens, stops, strings, alternatives, i, i if shared else 0
                ),
                f"prompt {i}",
            )
            for i, prompt in enumerate(listed)
        ]  # fmt: skip
        streams = [self._enqueue(request) for request in requests]
        waiting, others = set(streams), []
        try:
            while waiting:
                for event in self.step():
                    if event.stream not in waiting:
                        others.append(event)
                    else:
                        if event.stream.error is not None:
                            raise event.stream.error
                        if on_token is not None:
                            on_token(event)
                        if event.finish_reason is not None:
                            waiting.discard(event.stream)
        finally:
            for stream in streams:
                self.cancel(stream)
            # Streams that somebody else submitted are somebody else's news; cancelled ones nobody's.
            mine = set(streams)
            self._events = [e for e in (*others, *self._events) if e.stream not in mine]
        done = [stream.generation() for stream in streams]
        return done[0] if isinstance(prompts, str) else done

    def _ids(self, prompt: str | Sequence[int], i: int) -> Sequence[int]:
        if not isinstance(prompt, str):
            if isinstance(prompt, int):
                raise CourseError(
                    "a prompt is a list of ids", hint="for one prompt: generate([ids])"
                )
            return [int(token) for token in prompt]
        if self.tokenizer is None:
            raise CourseError(f"prompt {i} is text", hint="Engine(model, tokenizer), or give ids")
        return self.tokenizer.encode(prompt)
