"""Rotary positions: a position is an angle by which queries and keys are turned.

A head's numbers are taken as pairs, and pair i of a vector at position p is turned by p · f_i. The
product of a query and a key then depends on how far apart they are, not on where (RoFormer,
arXiv:2104.09864). Which numbers make a pair is a convention: Meta's and GGUF's files pair
neighbours (*interleaved*), Hugging Face's pair the first half with the second (*half rotation*).
The two give the same attention when the rows of the weights are put in the matching order.

Taught in chapter 04.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .config import RopeScaling


def rope_frequencies(
    head_dim: int,
    theta: float = 10_000.0,
    scaling: RopeScaling | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Radians per position of each pair: theta^(−2i / head_dim), fast to slow. [head_dim / 2], float32.

    With `scaling`, slow pairs are slowed further by its factor, fast ones kept, and those between
    blended: Llama 3.1's way to a longer context.
    """
    pairs = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device)
    frequencies = theta ** (-pairs / head_dim)
    if scaling is None:
        return frequencies
    turns = scaling.original_context_length * frequencies / (2 * math.pi)  # over the old context
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    keep = ((turns - low) / (high - low)).clamp(0, 1)
    return frequencies * (keep + (1 - keep) / scaling.factor)


def rope_angles(positions: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every pair's angle. Positions of any shape [...] → two of [..., head_dim / 2]."""
    angles = positions.unsqueeze(-1).float() * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool = False) -> Tensor:
    """Turn each pair of `x` [..., head_dim] by its angle; `cos` and `sin` broadcast to half of it."""
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]
    else:
        a, b = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    turned = a * cos - b * sin, a * sin + b * cos
    return torch.stack(turned, dim=-1).flatten(-2) if interleaved else torch.cat(turned, dim=-1)


def rope(
    x: Tensor,
    positions: Tensor,
    theta: float = 10_000.0,
    interleaved: bool = False,
    scaling: RopeScaling | None = None,
) -> Tensor:
    """Give the vectors `x` [..., T, head_dim] their positions [..., T]. Same shape.

    Positions follow torch's broadcasting: [T] serves any x; for rows with positions of their own and
    heads between, x [B, H, T, head_dim], pass positions [B, 1, T].
    """
    frequencies = rope_frequencies(x.shape[-1], theta, scaling, device=x.device)
    return rotate(x, *rope_angles(positions, frequencies), interleaved)
