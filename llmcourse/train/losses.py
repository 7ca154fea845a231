"""How surprised a model is by the tokens that really came: the number that training lowers.

A model's logits say which of V symbols it expects next. The *loss* is minus the logarithm of the
probability that it gave to the symbol that came: 0 for certainty in what happened, ln V for
having no opinion. Everything is computed in float32 at least, whatever the logits come in.

Taught in chapter 03.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import CourseError

IGNORE = -100
"""The target that counts for nothing: padding, or what the user said. PyTorch's habit."""


def log_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    """Logarithm of the probability of each target: log softmax(logits)[target].

    The greatest logit is subtracted first: it changes no probability, exp cannot overflow, and the
    logarithm keeps its digits however large the logits are.

    Args:
        logits: [*, V], any floating type.
        targets: [*], integers in [0, V).

    Returns:
        [*], in nats, at most 0; float32, or float64 for float64 logits.

    Raises:
        CourseError: if the shapes do not belong together or a target is no symbol.

    Taught in chapter 03.
    """
    _check(logits, targets)
    x = logits.to(torch.promote_types(logits.dtype, torch.float32))
    top = x.detach().amax(-1, keepdim=True)  # a constant for the gradient: it cancels out
    x = x - top.masked_fill(top == -math.inf, 0.0)
    chosen = x.gather(-1, targets.long().unsqueeze(-1)).squeeze(-1)
    return chosen - x.exp().sum(-1).log()


def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """Mean loss: −log softmax(logits)[target], over the targets that count. A scalar, in nats.

    The gradient with respect to a logit is the symbol's probability, less 1 if it is the target,
    divided by the number of targets that count.

    Args:
        logits: [*, V], any floating type; finite ones of any size give a right answer.
        targets: [*], integers in [0, V), or `ignore_index`.
        ignore_index: Targets equal to it count for nothing. If none counts, the mean is NaN: a mean
            over nothing is no number, and 0 would look like a perfect model.

    Raises:
        CourseError: if the shapes do not belong together or a target is no symbol.

    Taught in chapter 03.
    """
    counts = targets != ignore_index
    # Any symbol will do where nothing counts: its loss is left out of the sum.
    losses = -log_probabilities(logits, targets.masked_fill(~counts, 0))
    return losses.masked_fill(~counts, 0.0).sum() / counts.sum()


def perplexity(logits: Tensor, targets: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """exp(cross-entropy): between how many equally likely symbols the model hesitates. A scalar.

    1 for certainty in what happened, V for no opinion. Arguments and errors as `cross_entropy`.

    Taught in chapter 03.
    """
    return cross_entropy(logits, targets, ignore_index).exp()


def _check(logits: Tensor, targets: Tensor) -> None:
    if logits.ndim == 0 or logits.shape[:-1] != targets.shape:
        raise CourseError(
            f"logits {list(logits.shape)} and targets {list(targets.shape)} do not belong together",
            hint="logits are [*, V], with one row for each of the targets [*]",
        )
    if targets.is_floating_point() or not logits.is_floating_point():
        raise CourseError(
            f"logits are {logits.dtype} and targets {targets.dtype}",
            hint="logits are floating-point numbers, targets are integers",
        )
    # On a GPU to look at the numbers would mean to wait for them; there, gather itself complains.
    if targets.device.type == "cpu" and targets.numel():
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= logits.shape[-1]:
            raise CourseError(
                f"the target {low if low < 0 else high} is none of {logits.shape[-1]} symbols",
                hint="are the tokens another tokenizer's than the model's?",
            )
