"""Between the logits of a step and the tokens of its streams: check, draw, look up probabilities.

Taught in chapter 05.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import CourseError
from .batch_sampling import draw
from .sampling import check_logits, settle_infinities, uniform
from .stream import Alternatives, Stream


@dataclass(frozen=True)
class Choice:
    """A token, the model's own log-probability of it, and the probability with which it was drawn."""

    id: int
    logprob: float
    probability: float
    alternatives: Alternatives


def choose(logits: Tensor, streams: Sequence[Stream]) -> list[Choice | CourseError]:
    """The next token of each stream from its logits [B, V], or what is wrong with them.

    One stream's NaN is its own affair: the others get their tokens.
    """
    # Drawing needs double precision, which other devices lack.
    logits = logits.float().to(logits.device if logits.device.type in ("cpu", "cuda") else "cpu")
    total = logits.logsumexp(-1)  # NaN, +inf or −inf if something is odd
    errors: dict[int, CourseError] = {}
    if not total.isfinite().all():
        logits = logits.clone()
        for row, stream in enumerate(streams):
            where = f"stream {stream.request.number}, position {stream.length}: "
            try:
                check_logits(logits[row], where)
            except CourseError as wrong:
                errors[row] = wrong
                logits[row] = 0
        logits = settle_infinities(logits)
        total = logits.logsumexp(-1)
    uniforms = torch.stack([uniform(stream.generator) for stream in streams])
    samplings = [stream.request.sampling for stream in streams]
    ids, drawn = draw(logits, samplings, uniforms, [stream.seen() for stream in streams])
    logprobs = (logits.gather(-1, ids[:, None])[:, 0] - total).tolist()
    best = _best(logits, total, max(stream.request.alternatives for stream in streams))
    chosen = zip(ids.tolist(), logprobs, drawn.tolist(), best, strict=True)
    choices: list[Choice | CourseError] = [
        Choice(token, logprob, probability, alternatives[: stream.request.alternatives])
        for stream, (token, logprob, probability, alternatives) in zip(streams, chosen, strict=True)
    ]
    for row, error in errors.items():
        choices[row] = error
    return choices


def _best(logits: Tensor, total: Tensor, n: int) -> list[Alternatives]:
    """The n most probable tokens of each row, (id, probability), most probable first."""
    if n == 0:
        return [[] for _ in logits]
    values, ids = logits.topk(n)
    probabilities = (values - total[:, None]).exp()
    return [
        list(zip(row, p, strict=True))
        for row, p in zip(ids.tolist(), probabilities.tolist(), strict=True)
    ]
