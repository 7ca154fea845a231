"""The parts of a transformer, each usable on its own.

Plain functions first, then the modules that hold parameters. Linear weights are `[out, in]`; norms
compute in float32 at least, whatever comes in. Attention is in `attention.py`, rotary positions in `rope.py`.

Taught in chapter 04.
"""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn

INIT_STD = 0.02
"""Standard deviation of fresh weights: GPT-2's. Small, so that an untrained model has no opinion."""


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Numbers to probabilities: exp, divided by the sum along `dim`. Same shape.

    The greatest is subtracted first: it changes nothing, and exp cannot overflow. Where every
    number is −inf there is nothing to choose from, and the result is 0 (torch's is NaN).
    """
    top = x.amax(dim, keepdim=True)
    e = torch.exp(x - top.masked_fill(top == -math.inf, 0.0))
    return e / e.sum(dim, keepdim=True).clamp_min(torch.finfo(e.dtype).tiny)


def silu(x: Tensor) -> Tensor:
    """x · sigmoid(x): a smooth gate, about 0 below and about x above. Same shape."""
    return x * torch.sigmoid(x)


def gelu(x: Tensor, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """x times the chance that a standard normal number is below x (arXiv:1606.08415). Same shape.

    GPT-2 was trained with the ``tanh`` formula that was faster at the time; they differ by up to 5e-4.
    """
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x.pow(3))
        return 0.5 * x * (1 + torch.tanh(inner))
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def draw(weight: Tensor, std: float = INIT_STD) -> None:
    """Fill a fresh parameter with normal random numbers, in place.

    Not on the *meta* device, which has nothing to fill (and where torch would load its compiler for it).
    """
    if not weight.is_meta:
        nn.init.normal_(weight, std=std)


class Linear(nn.Module):
    """y = x Wᵀ (+ b): every output is a weighted sum of all inputs. [..., in] → [..., out]."""

    def __init__(self, in_features: int, out_features: int, bias: bool = False) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        draw(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"{self.in_features} → {self.out_features}{', bias' if self.bias is not None else ''}"
        )


class Embedding(nn.Module):
    """A table of vectors, one row for each id. [...] → [..., C]."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))
        draw(self.weight)

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.embedding(ids, self.weight)  # refuses ids below 0

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]} × {self.weight.shape[1]}"


def _wide(x: Tensor) -> Tensor:
    """At least float32: a sum of squares needs more digits than bfloat16 has, and float16's range."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class LayerNorm(nn.Module):
    """Each position's numbers shifted to mean 0 and scaled to variance 1, then by learnt gains (and biases).

    [..., C] → [..., C] (arXiv:1607.06450). Computed in float32 at least.
    """

    def __init__(self, width: int, eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        h = _wide(x)
        h = h - h.mean(-1, keepdim=True)
        h = h * torch.rsqrt(h.square().mean(-1, keepdim=True) + self.eps)
        h = h * self.weight.to(h.dtype)
        if self.bias is not None:
            h = h + self.bias.to(h.dtype)
        return h.to(x.dtype)


class RMSNorm(nn.Module):
    """Each position's numbers scaled to mean square 1, then by learnt gains. No shift, no bias.

    [..., C] → [..., C] (arXiv:1910.07467). Computed in float32 at least.
    """

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        h = _wide(x)
        h = h * torch.rsqrt(h.square().mean(-1, keepdim=True) + self.eps)
        return (h * self.weight.to(h.dtype)).to(x.dtype)


class MLP(nn.Module):
    """w2(gelu(w1 x)): each position thinks by itself. [..., C] → [..., C]; GPT-2's."""

    def __init__(
        self,
        width: int,
        hidden: int,
        bias: bool = False,
        approximate: Literal["none", "tanh"] = "none",
    ) -> None:
        super().__init__()
        self.approximate: Literal["none", "tanh"] = approximate
        self.w1 = Linear(width, hidden, bias)
        self.w2 = Linear(hidden, width, bias)

    def inside(self, x: Tensor) -> Tensor:
        """What the hidden neurons say: [..., C] → [..., hidden]."""
        return gelu(self.w1(x), self.approximate)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.w2(self.inside(x)))


class SwiGLU(nn.Module):
    """w2(silu(w1 x) · w3 x): an MLP with a gate (arXiv:2002.05202). [..., C] → [..., C]; Llama's.

    The hidden size is given, not derived: releases round it in different ways.
    """

    def __init__(self, width: int, hidden: int, bias: bool = False) -> None:
        super().__init__()
        self.w1 = Linear(width, hidden, bias)
        self.w2 = Linear(hidden, width, bias)
        self.w3 = Linear(width, hidden, bias)

    def inside(self, x: Tensor) -> Tensor:
        """What the hidden neurons say: [..., C] → [..., hidden]."""
        gate, values = self.w1(x), self.w3(x)
        return silu(gate) * cast(Tensor, values)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.w2(self.inside(x)))
