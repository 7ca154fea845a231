"""How probable a model thought each token, how undecided it was, and means over what counts.

All shapes are [B, T] with a mask of the same shape: 1 on tokens that the model chose, 0 on prompts, on results of
tools and on padding. Taught in chapter 15.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from ..errors import CourseError
from ..train.losses import log_probabilities


def token_logprobs(model: Callable[[Tensor], Any], inputs: Tensor, targets: Tensor) -> Tensor:
    """Log-probability of each token that came, at temperature 1.

    Args:
        model: Ids [B, T] → logits [B, T, V], or an object that has them as `logits`.
        inputs: Ids [B, T] …
        targets: … and the id that came after each [B, T].

    Returns:
        [B, T], in nats, float32 at least.

    Taught in chapter 15.
    """
    return log_probabilities(_logits(model, inputs), targets)


def token_logprobs_and_entropy(
    model: Callable[[Tensor], Any], inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """`token_logprobs`, and the entropy of each choice, without gradient: both [B, T], in nats."""
    logits = _logits(model, inputs)
    return log_probabilities(logits, targets), entropy(logits.detach())


def entropy(logits: Tensor) -> Tensor:
    """−Σ p log p of each distribution: [*, V] → [*], in nats. ln V for no opinion, 0 for certainty."""
    logp = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
    # A symbol that cannot come adds 0, not 0 · −∞.
    return -(logp.exp() * logp.masked_fill(logp == -torch.inf, 0.0)).sum(-1)


def masked_mean(x: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Mean of what counts, over a dimension or over all. NaN over nothing: 0 would look like a result.

    Raises:
        CourseError: if the shapes differ.
    """
    counts = _counts(x, mask)
    kept = x.masked_fill(~counts, 0.0)
    return kept.sum() / counts.sum() if dim is None else kept.sum(dim) / counts.sum(dim)


def masked_normalize(x: Tensor, mask: Tensor, constant: float, dim: int | None = None) -> Tensor:
    """Sum of what counts divided by a constant, whatever the length: Dr. GRPO's way. 0 over nothing.

    Raises:
        CourseError: if the shapes differ, or the constant is 0.
    """
    if constant == 0:
        raise CourseError("normalised by 0", hint="take the longest answer's length")
    kept = x.masked_fill(~_counts(x, mask), 0.0)
    return (kept.sum() if dim is None else kept.sum(dim)) / constant


def _logits(model: Callable[[Tensor], Any], inputs: Tensor) -> Tensor:
    said = model(inputs)
    return cast(Tensor, getattr(said, "logits", said))


def _counts(x: Tensor, mask: Tensor) -> Tensor:
    if x.shape != mask.shape:
        raise CourseError(
            f"numbers {list(x.shape)} and a mask {list(mask.shape)}", hint="they are alike"
        )
    return mask.to(torch.bool)
