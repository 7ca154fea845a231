"""Learn: from attempts and their advantages to steps of the optimizers.

On several processes each has attempts of its own. Every number that a mean is divided by is the whole team's, so the
processes' gradients are parts of one mean, and are added. Taught in chapter 15.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import CourseError
from ..train.optim import clip_grad_norm
from ..train.precision import Precision
from ..train.team import Team
from .config import Rung
from .logprobs import token_logprobs
from .policy_loss import row_weights
from .rollout import Attempt, as_batch


@dataclass
class Lesson:
    """What came of learning from a batch.

    Attributes:
        loss: Of the first step, before it …
        kl: … divergence from the reference per token …
        clipped: … share of tokens whose gradient was clipped away, over all steps.
        gap: Greatest difference between a log-probability on the engine and in training, before the first step.
        grad_norm: Of the last step, before it was clipped.
        steps: How often the optimizers moved; 0 if there was nothing to learn.
    """

    loss: float = 0.0
    kl: float = 0.0
    clipped: float = 0.0
    gap: float = 0.0
    grad_norm: float = 0.0
    steps: int = 0


def learn(
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    rung: Rung,
    attempts: Sequence[Attempt],
    advantages: Tensor,
    counts: Tensor,
    *,
    longest: int,
    team: Team,
    reference: nn.Module | None = None,
    minibatches: int = 1,
    micro_tokens: int = 4096,
    clip: float = 1.0,
    precision: Precision | None = None,
    recompute: bool = False,
) -> Lesson:
    """Make the steps that a batch is good for: `rung.epochs` times `minibatches`.

    Args:
        model: Changed in place.
        optimizers: Of its parameters, with their learning rate set.
        rung: How to learn.
        attempts: Of this process; there may be none.
        advantages: One for each [N].
        counts: Whether each counts at all, boolean [N]; others are in no mean.
        longest: The most tokens that an attempt may have.
        team: Who takes part. All call it.
        reference: The model of the beginning, if leaving it has a price.
        minibatches: Steps in each epoch.
        micro_tokens: Positions that are computed at once.
        clip: Longest gradient allowed.
        precision: What products are computed in (default: float32).
        recompute: Take the probabilities of the attempts from a forward pass, not from the engine. For an engine
            that rounds otherwise than training does.

    Raises:
        CourseError: if the loss or the gradient is no number; the model is then as before that step.

    Taught in chapter 15.
    """
    lesson, cut, seen = Lesson(), 0.0, 0.0
    params = [p for p in model.parameters() if p.requires_grad]
    how = _How(rung, longest, team.device, micro_tokens, precision or Precision("fp32", "cpu"))
    old = _before(model, attempts, how) if recompute else {}
    # An attempt without advantage has no gradient, so nothing is computed for it.
    useful = counts & ((advantages != 0) | (rung.kl > 0))
    for epoch in range(rung.epochs):
        for part in _parts(len(attempts), minibatches, epoch):
            mine = [float(counts[i]) for i in part]
            lengths = [attempts[i].length * c for i, c in zip(part, mine, strict=True)]
            rows = [i for i in part if useful[i]]
            sizes = torch.tensor([sum(mine), sum(lengths), len(rows)], dtype=torch.float64)
            sizes = team.sum(sizes.to(team.device))
            if sizes[2] == 0:
                continue  # nobody has anything to learn; momentum alone must not move the model
            found, gap = _backward(model, reference, how, attempts, advantages, rows, old, sizes)
            add_gradients(params, team)
            loss, kl, clipped = team.sum(found).tolist()
            cut, seen = cut + clipped, seen + sizes[1].item()
            if lesson.steps == 0:
                lesson.loss, lesson.kl = loss, kl / max(sizes[1].item(), 1)
                lesson.gap = _largest(gap, team)
            _finite("loss", loss, model)
            lesson.grad_norm = clip_grad_norm(params, clip).item()
            _finite("length of the gradient", lesson.grad_norm, model)
            for optimizer in optimizers:
                optimizer.step()
            model.zero_grad(set_to_none=True)
            lesson.steps += 1
    lesson.clipped = cut / seen if seen else 0.0
    return lesson


@dataclass(frozen=True)
class _How:
    rung: Rung
    longest: int
    device: torch.device
    micro_tokens: int
    precision: Precision


def _backward(
    model: nn.Module,
    reference: nn.Module | None,
    how: _How,
    attempts: Sequence[Attempt],
    advantages: Tensor,
    rows: Sequence[int],
    old: dict[int, Tensor],
    sizes: Tensor,
) -> tuple[Tensor, float]:
    """Gradients of some attempts; this process's parts of loss, divergence and clipped tokens, and the gap."""
    count, tokens, _ = sizes.tolist()
    found, gap = torch.zeros(3, dtype=torch.float64, device=how.device), 0.0
    for together in _micro(rows, attempts, how.micro_tokens):
        batch = as_batch([attempts[i] for i in together]).to(how.device)
        counted = batch.mask > 0
        before = None
        with how.precision.autocast():
            logprobs = token_logprobs(model, batch.inputs, batch.targets)
            if reference is not None:
                with torch.no_grad():
                    before = token_logprobs(reference, batch.inputs, batch.targets)
                before = torch.where(counted, before, batch.logprobs)
        # Where nothing counts all are alike: a ratio of what stands there could overflow.
        logprobs = torch.where(counted, logprobs, batch.logprobs)
        then = batch.logprobs
        if old:
            then = torch.nn.utils.rnn.pad_sequence([old[i] for i in together], batch_first=True)
        better = advantages[together].to(how.device).unsqueeze(-1)  # [B, 1]
        losses, clipped, kl = how.rung.losses(logprobs, then, better, before)
        weights = row_weights(
            batch.mask, how.rung.normalise, attempts=count, tokens=tokens, longest=how.longest
        )
        loss = (losses.masked_fill(~counted, 0.0) * weights).sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        with torch.no_grad():
            found += torch.stack([loss, (kl * batch.mask).sum(), (clipped & counted).sum()])
            gap = max(gap, float((logprobs - batch.logprobs).abs().max()))
    return found, gap


@torch.no_grad()
def _before(model: nn.Module, attempts: Sequence[Attempt], how: _How) -> dict[int, Tensor]:
    """Log-probabilities of each attempt as training computes them, before anything is learnt from it."""
    found = {}
    for rows in _micro(range(len(attempts)), attempts, how.micro_tokens):
        batch = as_batch([attempts[i] for i in rows]).to(how.device)
        with how.precision.autocast():
            logprobs = token_logprobs(model, batch.inputs, batch.targets) * batch.mask
        for row, i in enumerate(rows):
            width = len(attempts[i].prompt_ids) + len(attempts[i].ids) - 1
            found[i] = logprobs[row, :width]
    return found


def add_gradients(params: Sequence[nn.Parameter], team: Team) -> None:
    """Each process's gradient becomes the sum of all, in one message. A process without any adds nothing."""
    if team.backend is None:
        return
    flat = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in params]
    )
    parts = torch.split(team.sum(flat), [p.numel() for p in params])
    for p, part in zip(params, parts, strict=True):
        p.grad = part.view_as(p)


@torch.no_grad()
def begin_alike(model: nn.Module, team: Team) -> None:
    """Everybody begins with the parameters and buffers of rank 0."""
    if team.backend is not None:
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.copy_(team.sum(tensor if team.is_main else torch.zeros_like(tensor)))


def _parts(count: int, minibatches: int, epoch: int) -> Iterator[list[int]]:
    """The minibatches of an epoch: every m-th attempt, so that each has some of every problem."""
    for m in range(minibatches):
        yield list(range((m + epoch) % minibatches, count, minibatches))


def _micro(rows: Sequence[int], attempts: Sequence[Attempt], tokens: int) -> Iterator[list[int]]:
    """Rows of similar length together, so many that padding and all stays below `tokens`."""
    length = {i: len(attempts[i].prompt_ids) + len(attempts[i].ids) for i in rows}
    together: list[int] = []
    for i in sorted(rows, key=length.__getitem__):
        if together and length[i] * (len(together) + 1) > tokens:
            yield together
            together = []
        together.append(i)
    if together:
        yield together


def _largest(value: float, team: Team) -> float:
    """The greatest of all processes' numbers."""
    if team.backend is None:
        return value
    each = torch.zeros(team.world_size, dtype=torch.float64, device=team.device)
    each[team.rank] = value
    return float(team.sum(each).max())


def _finite(what: str, value: float, model: nn.Module) -> None:
    if not math.isfinite(value):
        model.zero_grad(set_to_none=True)
        raise CourseError(
            f"the {what} is {value}; the model is as it was before that step",
            hint="start anew with a smaller learning rate, and read that step's rollouts",
        )
