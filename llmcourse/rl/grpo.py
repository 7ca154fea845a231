"""Group-relative policy optimisation in single functions: rewards of groups, losses, one micro-batch.

The loop that puts them together is `trainer`, which has the same pieces in other sizes. These need no problem, no
engine and no optimizer: texts, tensors and a callable are enough. DeepSeekMath, arXiv:2402.03300, section 4.1.

Taught in chapter 15.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import CourseError
from .advantages import EPSILON, group_normalised, minus_group_mean
from .logprobs import masked_mean, masked_normalize
from .policy_loss import clipped, policy_gradient
from .rollout import Batch, pad

LossType = Literal["no_baseline", "reinforce_with_baseline", "grpo_clip"]


def compute_group_normalized_rewards(
    reward_fn: Callable[[str, str], float | Mapping[str, float]],
    rollout_responses: Sequence[str],
    repeated_ground_truths: Sequence[str],
    group_size: int,
    advantage_eps: float = EPSILON,
    normalize_by_std: bool = True,
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Rewards of attempts, and how much better each is than its group.

    Args:
        reward_fn: Text and right answer → reward, or a mapping that has it as ``reward``.
        rollout_responses: Attempts [P · k], those at one problem side by side.
        repeated_ground_truths: The right answer for each.
        group_size: k.
        advantage_eps: Added to the standard deviation.
        normalize_by_std: Divide by it (unbiased), as GRPO does and Dr. GRPO does not.

    Returns:
        Advantages [P · k], raw rewards [P · k], and statistics: mean, std, min and max of the rewards, and the share
        of groups whose attempts did not all earn the same.

    Raises:
        CourseError: if the attempts are no whole number of groups, or answers are missing.

    Taught in chapter 15.
    """
    count = len(rollout_responses)
    if count != len(repeated_ground_truths) or group_size < 2 or count == 0 or count % group_size:
        raise CourseError(
            f"{count} attempts, {len(repeated_ground_truths)} answers, groups of {group_size}",
            hint="an answer for each attempt, and whole groups of 2 or more",
        )
    said = [
        reward_fn(*pair) for pair in zip(rollout_responses, repeated_ground_truths, strict=True)
    ]
    raw = torch.tensor([float(r["reward"] if isinstance(r, Mapping) else r) for r in said])
    groups = raw.view(-1, group_size)
    better = (
        group_normalised(groups, advantage_eps) if normalize_by_std else minus_group_mean(groups)
    )
    statistics = {
        "mean": raw.mean().item(), "std": raw.std().item(), "min": raw.min().item(), "max": raw.max().item(),
        "informative": (groups.amax(-1) > groups.amin(-1)).float().mean().item(),
    }  # fmt: skip
    return better.flatten(), raw, statistics


def compute_policy_gradient_loss(
    policy_logprobs: Tensor,
    loss_type: LossType,
    *,
    raw_rewards: Tensor | None = None,
    advantages: Tensor | None = None,
    old_logprobs: Tensor | None = None,
    cliprange: float = 0.2,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of each token [B, T], and the share that was clipped.

    Args:
        policy_logprobs: [B, T], with gradient.
        loss_type: ``no_baseline`` takes `raw_rewards`, ``reinforce_with_baseline`` takes `advantages`, and
            ``grpo_clip`` takes `advantages` and `old_logprobs`.
        raw_rewards: [B, 1].
        advantages: [B, 1].
        old_logprobs: [B, T].
        cliprange: How far the ratio may go, both ways.

    Raises:
        CourseError: if something that it takes is missing, or there is no such loss.

    Taught in chapter 15.
    """
    needs = {
        "no_baseline": {"raw_rewards": raw_rewards},
        "reinforce_with_baseline": {"advantages": advantages},
        "grpo_clip": {"advantages": advantages, "old_logprobs": old_logprobs},
    }
    if loss_type not in needs:
        raise CourseError(f"no loss is called {loss_type!r}", hint=f"known: {', '.join(needs)}")
    missing = [name for name, value in needs[loss_type].items() if value is None]
    if missing:
        raise CourseError(f"{loss_type} needs {' and '.join(missing)}", hint="give them by name")
    if loss_type == "grpo_clip":
        assert advantages is not None and old_logprobs is not None
        loss, cut = clipped(policy_logprobs, old_logprobs, advantages, cliprange)
        return loss, {"clipped": cut.float().mean()}
    weight = raw_rewards if loss_type == "no_baseline" else advantages
    assert weight is not None
    return policy_gradient(policy_logprobs, weight), {}


def grpo_microbatch_step(
    policy_logprobs: Tensor,
    response_mask: Tensor,
    gradient_accumulation_steps: int,
    loss_type: LossType,
    *,
    raw_rewards: Tensor | None = None,
    advantages: Tensor | None = None,
    old_logprobs: Tensor | None = None,
    cliprange: float = 0.2,
    constant: float | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Backward pass of one micro-batch: gradients are added to what is there.

    Each attempt's mean over its own tokens (GRPO), or with `constant` their sum divided by it (Dr. GRPO); then the mean
    over attempts, divided by the number of micro-batches.

    Args:
        policy_logprobs: [B, T], with gradient.
        response_mask: 1 where the model chose the token [B, T].
        gradient_accumulation_steps: Micro-batches of a step.
        loss_type, raw_rewards, advantages, old_logprobs, cliprange: See `compute_policy_gradient_loss`.
        constant: The same divisor for every attempt, whatever its length.

    Returns:
        The loss, a scalar without gradient, and statistics.

    Raises:
        CourseError: if there are no micro-batches, shapes differ, or something is missing.

    Taught in chapter 15.
    """
    if gradient_accumulation_steps < 1:
        raise CourseError(f"{gradient_accumulation_steps} micro-batches", hint="1 or more")
    losses, statistics = compute_policy_gradient_loss(
        policy_logprobs, loss_type, raw_rewards=raw_rewards, advantages=advantages,
        old_logprobs=old_logprobs, cliprange=cliprange,
    )  # fmt: skip
    rows = (
        masked_mean(losses, response_mask, -1)
        if constant is None
        else masked_normalize(losses, response_mask, constant, -1)
    )
    loss = rows.mean() / gradient_accumulation_steps
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
    return loss.detach(), statistics


def tokenize_prompt_and_response(
    prompts: Sequence[str], responses: Sequence[str], tokenizer: Any, padding: int = 0
) -> Batch:
    """Texts as inputs, targets and a mask that is 1 on the response, [B, T]: encoded apart and joined.

    Args:
        prompts: Texts, none of them empty.
        responses: One for each.
        tokenizer: Anything with ``encode(text)``.
        padding: The id that fills up, at the end.

    Taught in chapter 15.
    """
    return pad(
        [list(tokenizer.encode(text)) for text in prompts],
        [list(tokenizer.encode(text)) for text in responses],
        padding=padding,
    )
