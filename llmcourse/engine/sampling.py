"""From logits to a token: temperature, top-k, top-p, min-p, the repetition penalty, and the draw.

Each step is a small function on logits [*, V], so that a chapter can show them one by one; −inf means
"cannot happen". Their order is that of the transformers library: penalty, temperature, top-k, top-p,
min-p. Where two logits are equal, the lower id wins, always.

This file is the clear version, one row after the other. `batch_sampling.py` does the same for many
streams at once, without sorting the whole vocabulary.

Taught in chapter 05.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import CourseError

COLDEST = 1e-30
"""A positive temperature below this counts as this one: everything it does is done already."""

ROUNDING = 1e-9
"""Sums of probabilities this close are equal."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Args:
        temperature: The logits are divided by it. 0 is *greedy*: always the most probable token.
        top_k: Only the k most probable tokens can be drawn; None, or a number above V: no limit.
        top_p: Only the fewest most probable tokens that together have at least this probability (*nucleus
            sampling*, Holtzman et al. 2019, arXiv:1904.09751). In (0, 1].
        min_p: Only tokens at least this fraction as probable as the most probable one
            (arXiv:2407.01082). In [0, 1].
        repetition_penalty: Logits of tokens that occurred are divided by it (multiplied where
            negative), after CTRL (arXiv:1909.05858, section 4.1). 1: none.
        seed: Where the chance comes from; None: from the operating system, another one each time.

    Raises:
        CourseError: if a number is outside its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        def check(name: str, good: bool, allowed: str) -> None:
            if not good:
                raise CourseError(
                    f"{name} cannot be {getattr(self, name)!r}", hint=f"it must be {allowed}"
                )

        check("temperature", 0 <= self.temperature < math.inf, "0 (greedy) or a positive number")
        whole = isinstance(self.top_k, int) and not isinstance(self.top_k, bool)
        check("top_k", self.top_k is None or (whole and self.top_k >= 1), "a whole number ≥ 1")
        check("top_p", self.top_p is None or 0 < self.top_p <= 1, "above 0 and at most 1")
        check("min_p", self.min_p is None or 0 <= self.min_p <= 1, "from 0 to 1")
        check("repetition_penalty", 0 < self.repetition_penalty < math.inf, "a positive number")

    def generator(self, stream: int = 0) -> torch.Generator:
        """The chance of one stream: a generator on the CPU, whatever device the model is on.

        Streams that share a `Sampling` have seeds of their own, derived from (seed, stream).
        """
        return torch.Generator().manual_seed(stream_seed(self.seed, stream))


def stream_seed(seed: int | None, stream: int) -> int:
    """The seed of stream number `stream`: the first 63 bits of SHA-256 of ``"seed/stream"``.

    Not seed + stream: then stream 1 of seed 0 would be stream 0 of seed 1.
    """
    if seed is None:
        return int.from_bytes(os.urandom(8), "big") >> 1
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "big") >> 1


# ---------------------------------------------------------------- logits [*, V] → logits [*, V]


def penalise_repetition(logits: Tensor, penalty: float, ids: Tensor) -> Tensor:
    """Make the tokens `ids` [*, n] less probable: positive logits are divided, negative multiplied."""
    seen = torch.gather(logits, -1, ids)
    seen = torch.where(seen < 0, seen * penalty, seen / penalty)
    return logits.scatter(-1, ids, seen)


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide by the temperature: above 1 flatter, below 1 sharper, 0 leaves only the most probable.

    In double precision, so that a tiny temperature does not overflow.
    """
    if temperature == 1:
        return logits
    if temperature == 0:
        return keep_top_k(logits, 1)
    return logits.double() / max(temperature, COLDEST)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Only the k greatest logits stay. Exactly k: of equal ones the lower ids."""
    if k >= logits.shape[-1]:
        return logits
    least = logits.topk(k).values[..., -1:]  # the k-th greatest
    above, equal = logits > least, logits == least
    room = k - above.sum(-1, keepdim=True)
    return logits.masked_fill(~(above | (equal & (equal.cumsum(-1) <= room))), -math.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Only the most probable tokens stay, as few as together have probability p (one at least).

    A token stays if those before it, from the most probable down, have less than p (by more than
    rounding: 0.1 + 0.2 is enough for 0.3).
    """
    if p >= 1:
        return logits
    falling, ids = logits.sort(dim=-1, descending=True, stable=True)  # stable: equal ones by id
    probabilities = falling.double().softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    out = torch.zeros_like(before, dtype=torch.bool).scatter(-1, ids, before >= p - ROUNDING)
    return logits.masked_fill(out, -math.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Only tokens at least p times as probable as the most probable one stay."""
    if p <= 0:
        return logits
    # Quotients of probabilities are differences of logits: no softmax is needed.
    below = logits.double() - logits.amax(-1, keepdim=True).double()
    return logits.masked_fill(below < math.log(p), -math.inf)


# ---------------------------------------------------------------- the draw


def check_logits(logits: Tensor, where: str = "") -> None:
    """Refuse logits that are no distribution.

    Args:
        logits: [*, V].
        where: Whose they are, for the message.

    Raises:
        CourseError: if a row holds NaN, or nothing but −inf.
    """
    top = logits.amax(-1)  # NaN if one is NaN
    if top.isnan().any():
        raise CourseError(f"{where}NaN in the logits", hint="look for NaN in the model's weights")
    if (top == -math.inf).any():
        raise CourseError(f"{where}every logit is −inf", hint="something forbids every token")


def settle_infinities(logits: Tensor) -> Tensor:
    """A logit of +inf is certainty: it becomes 0 and the finite ones −inf. Several share evenly."""
    infinite = logits.amax(-1, keepdim=True) == math.inf
    if not infinite.any():
        return logits
    certain = torch.where(logits == math.inf, 0.0, -math.inf).to(logits.dtype)
    return torch.where(infinite, certain, logits)


def probabilities(logits: Tensor) -> Tensor:
    """Softmax in double precision, [*, V] → [*, V].

    Raises:
        CourseError: if a row holds NaN, or nothing but −inf.
    """
    check_logits(logits)
    return settle_infinities(logits).double().softmax(-1)


def sample(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Draw by the inverse of the cumulative distribution. [*, V], uniform numbers [*] → ids [*].

    The tokens lie side by side on a line of length 1, in the order of their ids, each as wide as it is
    probable; the uniform number in [0, 1) points at one. One number for one token.
    """
    line = probabilities.cumsum(-1)
    end = line[..., -1:]
    # `right`: the first token that reaches beyond the point, so one of width 0 is never hit.
    point = torch.minimum(uniform.unsqueeze(-1) * end, end.nextafter(torch.zeros_like(end)))
    return torch.searchsorted(line, point, right=True).squeeze(-1)


def uniform(generator: torch.Generator) -> Tensor:
    """One number in [0, 1), double precision, a scalar tensor."""
    return torch.rand((), generator=generator, dtype=torch.float64)


def filtered(logits: Tensor, sampling: Sampling, seen: Tensor | None = None) -> Tensor:
    """Every step but the draw: logits [*, V] to probabilities [*, V].

    Args:
        logits: The model's.
        sampling: The settings.
        seen: Ids that occurred [*, n], prompt included: for the repetition penalty.
    """
    check_logits(logits)
    logits = settle_infinities(logits)
    if sampling.repetition_penalty != 1 and seen is not None:
        logits = penalise_repetition(logits, sampling.repetition_penalty, seen)
    logits = apply_temperature(logits, sampling.temperature)
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p is not None:
        logits = keep_min_p(logits, sampling.min_p)
    return probabilities(logits)


def next_token(
    logits: Tensor, sampling: Sampling, generator: torch.Generator, seen: Tensor | None = None
) -> int:
    """One token from the logits [V] of one stream.

    A number is taken from the generator even when greedy, so that what a stream drew so far depends
    only on how many tokens it has.
    """
    return int(sample(filtered(logits, sampling, seen), uniform(generator).to(logits.device)))
