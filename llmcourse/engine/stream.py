"""What goes into the engine and what comes out: requests, streams, events, generations.

Taught in chapter 05.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch

from ..errors import CourseError
from .sampling import Sampling
from .text import TextStream

if TYPE_CHECKING:
    from .scheduler import Scheduler

FinishReason = Literal["stop_token", "stop_string", "length", "context", "cancelled", "error"]
Alternatives = list[tuple[int, float]]


@dataclass(frozen=True)
class Request:
    """One prompt and what is wanted of it.

    Args:
        prompt_ids: At least one token id.
        sampling: How tokens are chosen.
        max_tokens: How many may be generated; None: as many as the context holds. Forced ones do not
            count: nobody chose them.
        stop_tokens: Ids that end it. The id is the last of `ids`; its name is not in the text.
        stop_strings: Texts that end it. Neither they nor what follows is in the text.
        alternatives: For each token, keep so many of the model's most probable ones.
        number: Which stream this is: for messages.
        seed_index: Which of the streams that share `sampling.seed` this is.
    """

    prompt_ids: Sequence[int]
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = 256
    stop_tokens: frozenset[int] = frozenset()
    stop_strings: tuple[str, ...] = ()
    alternatives: int = 0
    number: int = 0
    seed_index: int = 0


@dataclass(frozen=True)
class Generation:
    """What came after a prompt.

    All lists are as long as `ids`. Forced tokens have None where there is no number.

    Attributes:
        prompt_ids: The prompt.
        ids: The new tokens, forced ones and a stop token included.
        text: Their text, without stop token or stop string ("" without a tokenizer).
        finish_reason: ``stop_token``, ``stop_string``, ``length`` (max_tokens), ``context`` (the model
            holds no more) or ``cancelled``.
        logprobs: Natural logarithm of the model's own probability of each token (temperature 1).
        probabilities: With which each was drawn: after temperature, top-k and the rest.
        forced: Whether each was forced.
        alternatives: For each token the model's most probable ones, (id, probability), most probable first.
    """

    prompt_ids: list[int]
    ids: list[int]
    text: str
    finish_reason: FinishReason
    logprobs: list[float | None]
    probabilities: list[float | None]
    forced: list[bool]
    alternatives: list[Alternatives]


@dataclass(frozen=True)
class Event:
    """One token of one stream, or its end.

    Attributes:
        stream: Whose.
        id: The token; None for an end without one (cancelled, no tokens wanted, an error).
        text: The text that became certain with it, perhaps "".
        forced: Whether somebody else chose it.
        finish_reason: Set on a stream's last event.
    """

    stream: Stream
    id: int | None
    text: str = ""
    forced: bool = False
    logprob: float | None = None
    probability: float | None = None
    finish_reason: FinishReason | None = None


class Stream:
    """A generation on its way. Made by `Engine.submit`.

    Attributes:
        request: What was asked for.
        ids, logprobs, probabilities, forced, alternatives, text: As in `Generation`, so far.
        finish_reason: None while it runs.
        error: What went wrong, if `finish_reason` is ``error``.
        pending: Ids that the model has not seen yet; the last one is what the next token follows.
    """

    def __init__(self, request: Request, engine: Scheduler) -> None:
        self.request, self.engine = request, engine
        self.ids: list[int] = []
        self.logprobs: list[float | None] = []
        self.probabilities: list[float | None] = []
        self.forced: list[bool] = []
        self.alternatives: list[Alternatives] = []
        self.text = ""
        self.finish_reason: FinishReason | None = None
        self.error: CourseError | None = None
        self.pending = list(request.prompt_ids)
        self.chosen = 0  # tokens that count towards max_tokens
        self.generator = request.sampling.generator(request.seed_index)
        self.streamer = TextStream(request.stop_strings)

    @property
    def length(self) -> int:
        """Tokens in all: prompt and new ones."""
        return len(self.request.prompt_ids) + len(self.ids)

    @property
    def finished(self) -> bool:
        return self.finish_reason is not None

    def force(self, ids: Sequence[int]) -> None:
        """Go on with these tokens, whatever the model would say: a tool's answer, say.

        The model reads them in one go before the stream's next token. They are not searched for stop
        strings and do not count towards `max_tokens`.

        Raises:
            CourseError: if the stream is finished, an id does not exist, or the context is too short.
        """
        self.engine.force(self, ids)

    def cancel(self) -> None:
        """End it now. Does nothing if it has ended."""
        self.engine.cancel(self)

    def seen(self) -> torch.Tensor | None:
        """All ids so far, for the repetition penalty; None if there is none."""
        if self.request.sampling.repetition_penalty == 1:
            return None
        return torch.tensor([*self.request.prompt_ids, *self.ids])

    def add(
        self,
        token: int,
        *,
        logprob: float | None = None,
        probability: float | None = None,
        alternatives: Alternatives | None = None,
        forced: bool = False,
    ) -> None:
        """Record one more token; the model sees it in the next step."""
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.probabilities.append(probability)
        self.alternatives.append(alternatives or [])
        self.forced.append(forced)
        self.pending.append(token)
        self.chosen += not forced

    def generation(self) -> Generation:
        """What it has come to.

        Raises:
            CourseError: if it is not finished, or went wrong.
        """
        if self.error is not None:
            raise self.error
        if self.finish_reason is None:
            raise CourseError("the stream is not finished", hint="call engine.step() until it is")
        return Generation(
            list(self.request.prompt_ids), list(self.ids), self.text, self.finish_reason, list(self.logprobs),
            list(self.probabilities), list(self.forced), list(self.alternatives),
        )  # fmt: skip
