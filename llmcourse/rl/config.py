"""The ladder from REINFORCE to DAPO: each rung is the one before it with a single change.

    LADDER["grpo"].adds      # "the mean over each attempt's own tokens"
    replace(LADDER["grpo"], kl=0.0)

Taught in chapter 15.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..errors import CourseError
from . import advantages as adv
from .policy_loss import Normalise

Baseline = Literal["none", "batch", "group", "leave_one_out"]


@dataclass(frozen=True)
class Rung:
    """One way of learning from rewards.

    Attributes:
        name: What it is called …
        adds: … what it changes …
        source: … and whose idea that is.
        baseline: What an attempt is compared with.
        divide_by_std: Whether a group's advantages are divided by their standard deviation.
        clip_low: How much less probable a token may become in learning from one batch, and …
        clip_high: … how much more; both None: no ratio and no clip, `policy_gradient`.
        epochs: How often a batch is learnt from.
        kl: Weight of the divergence from the model as it was at the beginning.
        normalise: From tokens to one number, `policy_loss.row_weights`.
        dynamic_sampling: Draw other problems in place of those whose attempts all earn the same.
        overlong_filtering: Learn nothing from attempts that were cut at the limit.

    Raises:
        CourseError: if the settings contradict each other.
    """

    name: str
    adds: str = ""
    source: str = ""
    baseline: Baseline = "none"
    divide_by_std: bool = False
    clip_low: float | None = None
    clip_high: float | None = None
    epochs: int = 1
    kl: float = 0.0
    normalise: Normalise = "constant"
    dynamic_sampling: bool = False
    overlong_filtering: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.kl < 0:
            raise CourseError(f"epochs {self.epochs}, kl {self.kl}", hint="epochs ≥ 1, kl ≥ 0")
        if (self.clip_low is None) != (self.clip_high is None):
            raise CourseError("a clip has two bounds", hint="give clip_low and clip_high")
        if self.epochs > 1 and self.clip_low is None:
            raise CourseError(
                f"{self.epochs} epochs without a ratio: the attempts are an older model's after the first",
                hint="give clip_low and clip_high",
            )
        if self.divide_by_std and self.baseline != "group":
            raise CourseError("a group's deviation, but not its mean", hint="baseline='group'")

    @property
    def needs_groups(self) -> bool:
        """Whether an attempt is compared with others at the same problem."""
        return self.baseline in ("group", "leave_one_out") or self.dynamic_sampling

    def advantages(self, rewards: Tensor, batch_mean: float | Tensor | None = None) -> Tensor:
        """Advantages [P, k] of rewards [P, k]; `batch_mean` is of a larger batch of which these are a part."""
        if self.baseline == "none":
            return adv.rewards_alone(rewards)
        if self.baseline == "batch":
            return adv.minus_batch_mean(rewards, batch_mean)
        if self.baseline == "leave_one_out":
            return adv.leave_one_out(rewards)
        return (adv.group_normalised if self.divide_by_std else adv.minus_group_mean)(rewards)

    def losses(
        self, logprobs: Tensor, old: Tensor, advantages: Tensor, reference: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, whether it was clipped, and divergence from the reference, of each token: all [B, T]."""
        from .policy_loss import clipped, kl_k3, policy_gradient

        if self.clip_low is None:
            loss = policy_gradient(logprobs, advantages)
            cut = torch.zeros_like(loss, dtype=torch.bool)
        else:
            loss, cut = clipped(logprobs, old, advantages, self.clip_low, self.clip_high)
        kl = torch.zeros_like(loss) if reference is None else kl_k3(logprobs, reference)
        return loss + self.kl * kl, cut, kl


def _ladder() -> dict[str, Rung]:
    reinforce = Rung(
        "reinforce", "reward times the gradient of the log-probability", "Williams 1992"
    )
    baseline = replace(
        reinforce,
        name="baseline",
        baseline="batch",
        adds="the mean reward of the batch is subtracted",
        source="Williams 1992, section 4",
    )
    group = replace(
        baseline,
        name="group",
        baseline="group",
        adds="the mean of the attempts at the same problem instead",
        source="arXiv:2402.14740, section 3.2",
    )
    std = replace(
        group,
        name="group_std",
        divide_by_std=True,
        adds="divided by the group's standard deviation",
        source="arXiv:2402.03300, section 4.1.2",
    )
    clip = replace(
        std,
        name="clip",
        clip_low=0.2,
        clip_high=0.2,
        epochs=2,
        adds="several steps from one batch, with a clipped ratio",
        source="arXiv:1707.06347, equation 7",
    )
    kl = replace(
        clip,
        name="kl",
        kl=0.04,
        adds="a price for leaving the model of the beginning",
        source="arXiv:2402.03300, equation 4",
    )
    grpo = replace(
        kl,
        name="grpo",
        normalise="sequence",
        adds="the mean over each attempt's own tokens",
        source="arXiv:2402.03300, equation 3",
    )
    dr_grpo = replace(
        grpo,
        name="dr_grpo",
        normalise="constant",
        divide_by_std=False,
        kl=0.0,
        adds="GRPO without its biases: no own length, no deviation, no price",
        source="arXiv:2503.20783, section 3.2",
    )
    dapo = replace(
        dr_grpo, name="dapo", divide_by_std=True, clip_high=0.28, normalise="tokens",
        dynamic_sampling=True, overlong_filtering=True,
        adds="clip-higher, a mean over all tokens, dynamic sampling, no learning from cut attempts",
        source="arXiv:2503.14476, section 3",
    )  # fmt: skip
    rungs = (reinforce, baseline, group, std, clip, kl, grpo, dr_grpo, dapo)
    return {rung.name: rung for rung in rungs}


LADDER: dict[str, Rung] = _ladder()
"""From the bottom up: reinforce, baseline, group, group_std, clip, kl, grpo, dr_grpo, dapo."""


def rung(name: str | Rung) -> Rung:
    """A rung by its name, or as it is.

    Raises:
        CourseError: if there is none of this name.
    """
    if isinstance(name, Rung):
        return name
    if name not in LADDER:
        raise CourseError(f"no rung is called {name!r}", hint=f"known: {', '.join(LADDER)}")
    return LADDER[name]
