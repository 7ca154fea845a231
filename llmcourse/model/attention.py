"""Attention: the one place where positions of a sequence look at each other.

`scaled_dot_product_attention` is the written-out formula, for reading and for looking inside; the
model uses PyTorch's, which gives the same numbers without ever holding the T × T weights.

Taught in chapter 04.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from .layers import Linear, softmax
from .rope import rotate

Probe = Callable[[str, Tensor], Tensor]
"""Shown every intermediate by name; what it returns is what the model goes on with."""


class Cache(Protocol):
    """What a forward pass asks of a cache of keys and values (`llmcourse.engine.cache` has one)."""

    def begin(self, B: int, T: int) -> tuple[Tensor, Tensor | None]:
        """Positions [B, T] of the coming tokens, and who may attend to what [B, 1, T, S] (None: causal)."""

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values [B, Hkv, T, hd]; return all so far [B, Hkv, S, hd]."""


def causal_mask(T: int, S: int | None = None, device: torch.device | str | None = None) -> Tensor:
    """Who may look at whom, [T, S], True = may: each of the last T positions of S sees itself and all before."""
    S = T if S is None else S
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """How much each query takes from each key: softmax(q kᵀ / √d). [..., T, d], [..., S, d] → [..., T, S].

    Where `mask` (boolean, True = may attend) forbids everything, the weights are 0.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return softmax(scores, dim=-1)


def scaled_dot_product_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Each query's mixture of the values. [..., T, d], [..., S, d], [..., S, e] → [..., T, e].

    "Attention is all you need" (arXiv:1706.03762), equation 1. Any leading dimensions; T and S may
    differ; without a mask every query sees every key.
    """
    return attention_weights(q, k, mask) @ v


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """`scaled_dot_product_attention` by PyTorch's fused function, except that no mask means causal."""
    causal = mask is None and q.shape[-2] > 1
    return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)


def smeared(keys: Tensor, smear: Tensor, follows: Tensor | None = None) -> Tensor:
    """Each key blended with the one before it; the first has none and stays. [B, Hkv, S, hd] → the same.

    A query then finds not only what it looks for, but also *what came after* what it looks for: the
    token after an earlier copy of this one. Models learn that in two steps of two layers, a "previous token"
    head and an induction head, which takes them billions of tokens; with smeared keys one layer can do it.
    Olsson et al. (2022), "In-context learning and induction heads" (arXiv:2209.11895), argument 2.

    Args:
        keys: The keys, turned by RoPE already.
        smear: A number for each key head [Hkv]: after a sigmoid, the share of the key before.
        follows: Boolean, broadcastable to [B, 1, S, 1]: False where a new sequence begins. Default:
            only the first position begins one.
    """
    before = torch.cat([keys[:, :, :1], keys[:, :, :-1]], dim=2)
    if follows is not None:
        before = torch.where(follows, before, keys)
    share = torch.sigmoid(smear).view(-1, 1, 1).to(keys.dtype)
    return keys + share * (before - keys)


class Attention(nn.Module):
    """Multi-head causal self-attention with grouped keys. [B, T, C] → [B, T, C].

    Args:
        width: C.
        n_heads: Query heads.
        n_kv_heads: Heads of keys and values; a divisor of `n_heads` (default: as many).
        head_dim: Numbers per head (default: width / n_heads).
        bias: Whether the output adds a vector …
        qkv_bias: … and queries, keys and values (default: as `bias`).
        smear: Whether each key is blended with the one before it (`smeared`).

    Attributes:
        attend: What mixes the values, `attend`; `llmcourse.train.speed` puts another way to the same
            numbers in its place.
    """

    def __init__(
        self,
        width: int,
        n_heads: int,
        n_kv_heads: int | None = None,
        head_dim: int | None = None,
        bias: bool = False,
        qkv_bias: bool | None = None,
        smear: bool = False,
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads or n_heads
        self.head_dim = head_dim or width // n_heads
        if n_heads % self.n_kv_heads:
            raise ValueError(
                f"{n_heads} query heads cannot share {self.n_kv_heads} key heads evenly"
            )
        qkv_bias = bias if qkv_bias is None else qkv_bias
        self.q = Linear(width, n_heads * self.head_dim, qkv_bias)
        self.k = Linear(width, self.n_kv_heads * self.head_dim, qkv_bias)
        self.v = Linear(width, self.n_kv_heads * self.head_dim, qkv_bias)
        self.out = Linear(n_heads * self.head_dim, width, bias)
        self.smear = nn.Parameter(torch.zeros(self.n_kv_heads)) if smear else None
        self.attend = attend

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None = None,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        layer: int = 0,
        probe: Probe | None = None,
        follows: Tensor | None = None,
    ) -> Tensor:
        """Let positions look at each other.

        Args:
            x: [B, T, C].
            rotation: Cosines and sines [B or 1, 1, T, head_dim / 2] (`rope_angles`), or None: no RoPE.
            mask: Boolean, broadcastable to [B, n_heads, T, S]; None means causal.
            cache: Keys and values of earlier positions; `layer` says whose.
            probe: Sees q, k, v, weights and heads (and the keys as ``smeared``, if they are); slower,
                because the weights are written out.
            follows: Where a sequence begins, for smeared keys; with a cache, rows begin at its start.
        """
        B, T, _ = x.shape
        q = self.q(x).view(B, T, self.n_heads, self.head_dim).transpose(1, 2)  # [B, H, T, hd]
        k = self.k(x).view(B, T, self.n_kv_heads, self.head_dim).transpose(1, 2)
        v = self.v(x).view(B, T, self.n_kv_heads, self.head_dim).transpose(1, 2)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        if probe is not None:
            q, k, v = probe("q", q), probe("k", k), probe("v", v)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        if self.smear is not None:  # the cache holds keys as they were: the next one needs the last
            k = smeared(k, self.smear, None if cache is not None else follows)
            k = k if probe is None else probe("smeared", k)
        if self.n_kv_heads < self.n_heads:  # each key head serves a group of query heads
            group = self.n_heads // self.n_kv_heads
            k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        if probe is not None:
            seen = causal_mask(T, k.shape[-2], x.device) if mask is None else mask
            weights = probe("weights", attention_weights(q, k, seen))
            heads = probe("heads", weights @ v)
        else:
            heads = self.attend(q, k, v, mask)
        return cast(Tensor, self.out(heads.transpose(1, 2).flatten(2)))
