"""Check: the attempts at one problem, with what each earned. Taught in chapter 15."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .rewards import Problem, Reward, Rewards
from .rollout import Attempt


@dataclass(frozen=True)
class Group:
    """A problem, k attempts at it, and their rewards.

    Attributes:
        problem: What was asked.
        attempts: k of them.
        rewards: [k], float32; NaN where no reward had anything to say.
        parts: For each attempt what each reward said, before its weight.
    """

    problem: Problem
    attempts: tuple[Attempt, ...]
    rewards: Tensor
    parts: tuple[dict[str, float | None], ...]


def check(
    problem: Problem,
    attempts: Sequence[Attempt],
    reward: Reward,
    unfinished: float | None = 0.0,
) -> Group:
    """What each attempt at a problem earns.

    Args:
        problem: Whose answer is known.
        attempts: At it.
        reward: `Rewards`, or a function (text, problem).
        unfinished: What an attempt that did not end its turn earns, whatever it says: "The answer is 12" may
            have been cut out of "The answer is 123". None: what the reward says.
    """
    rewards, parts = [], []
    for attempt in attempts:
        said = (
            reward.parts(attempt.text, problem)
            if isinstance(reward, Rewards)
            else {"reward": reward(attempt.text, problem)}
        )
        total = reward.total(said) if isinstance(reward, Rewards) else said["reward"]
        if unfinished is not None and not attempt.ended:
            total = unfinished
        rewards.append(math.nan if total is None else total)
        parts.append(said)
    return Group(problem, tuple(attempts), torch.tensor(rewards), tuple(parts))
