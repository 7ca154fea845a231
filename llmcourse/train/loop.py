"""Training, in its smallest honest form: batch, loss, gradients, step; again.

`fit` is for models that train in seconds or minutes on one device. It hides nothing: it does not
evaluate, save or sample, but calls you back after every step, and you do. Long runs, on several
devices, with everything that lets them be stopped and resumed, are another file's matter.

Taught in chapters 03 and 04.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import CourseError
from .losses import cross_entropy
from .optim import AdamW, Muon, clip_grad_norm, matrices_and_rest, parameter_groups
from .schedule import warmup_cosine

Ids = Tensor | npt.NDArray[Any]


@dataclass
class History:
    """What happened, step by step: the three lists grow together.

    Args:
        loss: Of each step's batch, before the step, in nats per token.
        lr: The learning rate with which the step was made.
        grad_norm: Length of the gradient before clipping.
        tokens: Positions trained on so far, padding included.
        seconds: Spent training so far, without what `on_step` did.
    """

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0

    @property
    def tokens_per_second(self) -> float:
        """The speed of training; 0 before the first step."""
        return self.tokens / self.seconds if self.seconds else 0.0


def make_optimizers(
    model: nn.Module,
    kind: Literal["adamw", "muon"] = "adamw",
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.1,
) -> list[Optimizer]:
    """AdamW for everything; or Muon for the blocks' matrices and AdamW for the rest.

    Muon's steps are scaled so that one learning rate serves both.

    Raises:
        CourseError: if `kind` is neither, or nothing can be trained.

    Taught in chapter 06.
    """
    if kind not in ("adamw", "muon"):
        raise CourseError(f"no optimizer is called {kind!r}", hint="known: adamw, muon")
    if kind == "muon":
        matrices, rest = matrices_and_rest(model, weight_decay)
    else:
        matrices, rest = [], parameter_groups(model, weight_decay)
    if not (matrices or rest):
        raise CourseError("the model has nothing to train", hint="every parameter is frozen")
    optimizers: list[Optimizer] = []
    if matrices:
        optimizers.append(Muon(matrices, lr=lr, match_adamw=True))
    if rest:
        optimizers.append(AdamW(rest, lr=lr, betas=betas))
    return optimizers


def fit(
    model: nn.Module,
    batches: Callable[[int], tuple[Ids, Ids]],
    *,
    steps: int,
    lr: float = 1e-3,
    min_lr: float | None = None,
    warmup_steps: int | None = None,
    optimizer: Literal["adamw", "muon"] = "adamw",
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.1,
    clip: float = 1.0,
    on_step: Callable[[int, History], None] | None = None,
    progress: bool = True,
) -> History:
    """Train a model.

    Args:
        model: Ids [B, T] → logits [B, T, V]; changed in place.
        batches: Step (from 0) → inputs and targets, both [B, T], tensors or arrays; targets of −100
            count for nothing. ``lambda step: get_batch(ids, 16, 64)`` is one, `ShardLoader.batch` another.
        steps: How many.
        lr: The greatest learning rate …
        min_lr: … the last one (default: a tenth) …
        warmup_steps: … and how many steps it takes to get there (default: a tenth, at most 100).
        optimizer: ``adamw``, or ``muon`` for the blocks' matrices with AdamW for the rest.
        betas: AdamW's.
        weight_decay: For matrices; norms and biases never decay.
        clip: Longest gradient allowed; ``math.inf`` for none.
        on_step: Called after each step with the step and the history so far.
        progress: Whether to show a bar, if there is a terminal to show it on.

    Returns:
        Loss, learning rate and gradient length of every step; speed.

    Raises:
        CourseError: if the loss or the gradient is no longer a number, naming the step. The model
            is then as it was before that step.

    Taught in chapters 03 and 04.
    """
    from tqdm import tqdm

    if steps < 1:
        raise CourseError(f"{steps} steps", hint="train for at least 1")
    warmup_steps = min(100, steps // 10) if warmup_steps is None else warmup_steps
    min_lr = lr / 10 if min_lr is None else min_lr
    optimizers = make_optimizers(model, optimizer, lr=lr, betas=betas, weight_decay=weight_decay)
    device = next(model.parameters()).device
    history = History()
    was_training = model.training
    model.train()
    bar = tqdm(range(steps), desc="training", disable=None if progress else True, file=sys.stderr)
    try:
        for step in bar:
            began = time.perf_counter()
            # Counted from 1: the first step should be a step, and the last one have `min_lr`.
            rate = warmup_cosine(step + 1, lr, warmup_steps, steps, min_lr)
            x, y = (torch.as_tensor(ids, device=device) for ids in batches(step))

            loss = cross_entropy(model(x), y)
            _finite(loss.item(), "loss", step)
            model.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
            norm = clip_grad_norm(model.parameters(), clip).item()
            _finite(norm, "length of the gradient", step)
            for each in optimizers:
                for group in each.param_groups:
                    group["lr"] = rate
                each.step()

            history.loss.append(loss.item())
            history.lr.append(rate)
            history.grad_norm.append(norm)
            history.tokens += y.numel()
            history.seconds += time.perf_counter() - began
            bar.set_postfix(loss=f"{history.loss[-1]:.3f}", refresh=False)
            if on_step is not None:
                on_step(step, history)
    finally:
        bar.close()
        model.zero_grad(set_to_none=True)
        model.train(was_training)
    return history


def _finite(value: float, what: str, step: int) -> None:
    if not math.isfinite(value):
        raise CourseError(
            f"the {what} is {value} at step {step}",
            hint="train with a smaller learning rate, and look at that step's batch",
        )
