"""How large a step, when: warm up, then cool down along a cosine.

The first gradients are large and point in no particular direction, and AdamW's averages are still
empty, so the rate climbs from 0. Towards the end small steps settle what large ones found.

Taught in chapter 06.
"""

from __future__ import annotations

import math

from ..errors import CourseError


def warmup_cosine(
    step: int, lr: float, warmup_steps: int, total_steps: int, min_lr: float = 0.0
) -> float:
    """The learning rate at a step.

    A straight line from 0 at step 0 to `lr` at `warmup_steps`; from there half a cosine, down to
    `min_lr` at `total_steps` (SGDR, arXiv:1608.03983, equation 5, without restarts); then `min_lr`.

    Args:
        step: From 0. A loop that counts from 0 passes ``step + 1``, or its first step is none.
        lr: The greatest rate.
        warmup_steps: Where it is reached; 0 for no warm-up.
        total_steps: Where the cosine ends.
        min_lr: What remains.

    Raises:
        CourseError: if the numbers contradict each other.

    Taught in chapter 06.
    """
    if not 0 <= warmup_steps <= total_steps:
        raise CourseError(
            f"a warm-up of {warmup_steps} steps in {total_steps} steps altogether",
            hint="warmup_steps is between 0 and total_steps",
        )
    if step < 0 or not 0 <= min_lr <= lr < math.inf:
        raise CourseError(
            f"step {step}, lr {lr} and min_lr {min_lr}: no schedule has these",
            hint="0 ≤ step, and 0 ≤ min_lr ≤ lr",
        )
    if step < warmup_steps:
        return lr * step / warmup_steps
    if step > total_steps:
        return min_lr
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)  # 0 … 1
    return min_lr + (lr - min_lr) * (1 + math.cos(math.pi * done)) / 2
