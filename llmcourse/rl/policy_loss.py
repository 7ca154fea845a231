"""From advantages to a loss whose gradient makes better attempts more probable. Each function is one change.

Per token: `policy_gradient`, `clipped`, `kl_k3`; from tokens to one number: `row_weights`. Everything is [B, T], a row
an attempt, with a mask that is 1 on tokens the model chose. Taught in chapter 15.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..errors import CourseError

Normalise = Literal["sequence", "tokens", "constant"]


def policy_gradient(logprobs: Tensor, advantages: Tensor) -> Tensor:
    """−A · log π(token): REINFORCE (Williams 1992; Sutton et al. 1999). The gradient pushes every token of an attempt
    up or down by the same A: nobody knows which of them was the good one.

    Args:
        logprobs: [B, T], with gradient.
        advantages: [B, 1] or [B, T], without.
    """
    return -advantages * logprobs


def clipped(
    logprobs: Tensor, old: Tensor, advantages: Tensor, low: float = 0.2, high: float | None = None
) -> tuple[Tensor, Tensor]:
    """−min(r · A, clip(r, 1 − low, 1 + high) · A), with r = π / π_old: PPO (arXiv:1707.06347, equation 7).

    r makes it right to learn from attempts that an earlier policy made: several steps from one batch. The
    clip takes the gradient away where a token has already become so much more (A > 0) or less (A < 0) probable.
    With `high` above `low`, improbable tokens can become probable faster: DAPO's clip-higher (arXiv:2503.14476,
    section 3.1).

    Args:
        logprobs: [B, T], with gradient …
        old: … and what they were when the attempts were made.
        advantages: [B, 1] or [B, T].
        low: How much less probable a token may become …
        high: … and how much more (default: as `low`).

    Returns:
        Loss per token [B, T], and which tokens were clipped, boolean.

    Raises:
        CourseError: if a bound makes no sense.
    """
    high = low if high is None else high
    if not (0 <= low <= 1 and high >= 0):
        raise CourseError(f"clip at {low} and {high}", hint="0 ≤ low ≤ 1, high ≥ 0")
    ratio = (logprobs - old).exp()
    free, bounded = ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages
    return -torch.minimum(free, bounded), bounded < free


def kl_k3(logprobs: Tensor, reference: Tensor) -> Tensor:
    """exp(d) − d − 1 with d = log π_ref − log π: an estimate of KL(π ‖ π_ref) from the token that was drawn.

    Never negative, right in the mean, and steadier than −d, which is also right in the mean (Schulman 2020,
    "Approximating KL divergence", k3; GRPO, arXiv:2402.03300, equation 4). [B, T].
    """
    d = reference - logprobs
    return d.exp() - d - 1


def row_weights(
    mask: Tensor, how: Normalise, *, attempts: float, tokens: float, longest: float
) -> Tensor:
    """What a token of each attempt weighs in the loss. [B, T] → [B, 1].

    - ``sequence``: 1 / (attempts · own length). Every attempt weighs the same, so a token of a long one weighs little:
      a wrong answer is punished less, token by token, the longer it is (GRPO, arXiv:2402.03300, equation 3).
    - ``tokens``: 1 / tokens. Every token weighs the same (DAPO, arXiv:2503.14476, section 3.3).
    - ``constant``: 1 / (attempts · longest). Nothing depends on any length: the sum over an attempt's tokens, which
      is what the policy-gradient theorem says, up to a constant (Dr. GRPO, arXiv:2503.20783, section 3.2).

    Args:
        mask: 1 where a token counts.
        how: Which of them.
        attempts: That count in the whole batch, of which these rows may be a part …
        tokens: … their tokens …
        longest: … and the most tokens that an attempt may have.

    Raises:
        CourseError: if there is no such way.
    """
    own = mask.sum(-1, keepdim=True).clamp(min=1)
    if how == "sequence":
        return 1 / (max(attempts, 1) * own)
    if how == "tokens":
        return torch.full_like(own, 1 / max(tokens, 1), dtype=torch.float32)
    if how == "constant":
        return torch.full_like(own, 1 / (max(attempts, 1) * longest), dtype=torch.float32)
    raise CourseError(f"nothing is normalised by {how!r}", hint="sequence, tokens or constant")
