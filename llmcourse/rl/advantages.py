"""Better or worse than what? From rewards to advantages, one change after the other.

A reward says how good an attempt was; an *advantage* says how much better than could be expected. Its sign decides
whether the attempt becomes more or less probable. Subtracting anything that does not depend on the attempt itself
leaves the mean of the gradient as it is and can make it much less noisy (Williams 1992, section 4).

All functions take rewards [P, k], k attempts at each of P problems, and give advantages [P, k]. A reward of NaN
was not given: it is in no mean, and its advantage is 0. Taught in chapter 15.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import CourseError

EPSILON = 1e-6
"""Added to a standard deviation, so that a group without any does not divide by 0."""


def rewards_alone(rewards: Tensor) -> Tensor:
    """The reward itself: REINFORCE (Williams 1992). Where every reward is ≥ 0, nothing ever becomes less probable
    but through what becomes more probable."""
    return rewards.nan_to_num(0.0)


def minus_batch_mean(rewards: Tensor, mean: float | Tensor | None = None) -> Tensor:
    """Better than the mean of all attempts: REINFORCE with a baseline.

    Easy problems still look good and hard ones bad, whatever was done about them.

    Args:
        rewards: [P, k].
        mean: That of a larger batch of which this is a part; by default that of `rewards`.
    """
    return (rewards - (rewards.nanmean() if mean is None else mean)).nan_to_num(0.0)


def minus_group_mean(rewards: Tensor) -> Tensor:
    """Better than the other attempts at the same problem: no network has to guess how hard a problem is.

    Dr. GRPO's advantage (arXiv:2503.20783, section 3.2). A group in which all are alike teaches nothing.
    """
    _several(rewards)
    return (rewards - rewards.nanmean(-1, keepdim=True)).nan_to_num(0.0)


def leave_one_out(rewards: Tensor) -> Tensor:
    """Better than the mean of the *other* attempts: exactly unbiased, and k/(k−1) times `minus_group_mean`.

    RLOO (arXiv:2402.14740, section 3.2).
    """
    n = (~rewards.isnan()).sum(-1, keepdim=True)
    return minus_group_mean(rewards) * torch.where(n > 1, n / (n - 1).clamp(min=1), 0.0)


def group_normalised(rewards: Tensor, eps: float = EPSILON) -> Tensor:
    """Group mean subtracted, and divided by the group's standard deviation (unbiased: of k − 1).

    GRPO's advantage (arXiv:2402.03300, section 4.1.2). The division makes problems that are nearly always or
    nearly never solved weigh more than those in between, which Dr. GRPO calls a bias.
    """
    centred = minus_group_mean(rewards)
    n = (~rewards.isnan()).sum(-1, keepdim=True)
    std = (centred.square().sum(-1, keepdim=True) / (n - 1).clamp(min=1)).sqrt()
    return centred / (std + eps)


def informative(rewards: Tensor) -> Tensor:
    """Which groups can teach anything: those whose rewards are not all alike. [P, k] → boolean [P].

    DAPO draws others in place of the rest (*dynamic sampling*, arXiv:2503.14476, section 3.2).
    """
    low = rewards.nan_to_num(torch.inf).amin(-1)
    high = rewards.nan_to_num(-torch.inf).amax(-1)
    return high > low  # never true of a group of NaN


def _several(rewards: Tensor) -> None:
    if rewards.ndim != 2 or rewards.shape[1] < 2:
        raise CourseError(
            f"rewards {list(rewards.shape)} are no groups",
            hint="[P, k]: at least 2 attempts at each problem",
        )
