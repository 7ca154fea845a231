"""The transformer again, arranged for generating: the same function, a fraction of the time.

What differs from `llmcourse.model.transformer`, and why:

- Queries, keys and values come out of one product, and so do the two halves of the gate: fewer, larger
  reads.
- Weights are stored the way the product reads them, in 32, 16 or 8 bits (`weights.py`).
- Rotary angles are computed once for all positions; query and key heads are turned together.
- Several query heads share a key head without copying it.
- Logits are computed only where somebody wants them: the vocabulary is the largest matrix of all.

Between the products everything is float32. There is no gradient and no probe; `Transformer` has both.

Taught in chapter 05.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..model.attention import Cache, smeared
from ..model.config import ModelConfig
from ..model.rope import rope_angles, rope_frequencies
from ..model.transformer import Transformer, checked_shape
from .weights import Product, Table, Weights, product


@dataclass
class Layer:
    """One block's weights: norms as (gain, bias), products fused."""

    attention_norm: tuple[Tensor, Tensor | None]
    qkv: Product  # [C] → q | k | v
    out: Product
    smear: Tensor | None  # [Hkv], for smeared keys
    mlp_norm: tuple[Tensor, Tensor | None]
    up: Product  # [C] → w1 x | w3 x for SwiGLU, w1 x otherwise
    down: Product


class FastModel:
    """A `Transformer` for inference: the same call, the same logits up to rounding.

    Args:
        model: What it is made from. Its weights are copied, not shared.
        weights: ``fp32``, ``bf16`` or ``int8``; by default fp32 on a CPU and bf16 elsewhere.
        device: Where to compute (default: where `model` is).
        compile: Let `torch.compile` turn the step for one token into one CUDA graph. Worth it on a GPU,
            where launching 1,000 small kernels takes longer than running them.

    Raises:
        CourseError: if `weights` is none of the three.
    """

    def __init__(
        self,
        model: Transformer,
        weights: Weights | None = None,
        *,
        device: torch.device | str | None = None,
        compile: bool = False,
    ) -> None:
        self.config: ModelConfig = model.config
        self.device = torch.device(model.device if device is None else device)
        self.weights: Weights = weights or ("fp32" if self.device.type == "cpu" else "bf16")
        self.compiled = compile
        state = {name: w.detach().to(self.device) for name, w in model.state_dict().items()}

        def linear(*names: str) -> Product:
            biases = [state[f"{name}.bias"] for name in names if f"{name}.bias" in state]
            weight = torch.cat([state[f"{name}.weight"] for name in names])
            bias = torch.cat(biases) if biases else None
            return product(self.weights, weight, bias, pack=not compile)

        def norm(name: str) -> tuple[Tensor, Tensor | None]:
            bias = state.get(f"{name}.bias")
            return _copy(state[f"{name}.weight"]), None if bias is None else _copy(bias)

        self.layers = []
        for n in range(self.config.n_layers):
            at = f"blocks.{n}."
            inputs = ("w1", "w3") if self.config.mlp == "swiglu" else ("w1",)
            self.layers.append(
                Layer(
                    norm(at + "attention_norm"),
                    linear(at + "attention.q", at + "attention.k", at + "attention.v"),
                    linear(at + "attention.out"),
                    _copy(state[f"{at}attention.smear"]) if self.config.smear else None,
                    norm(at + "mlp_norm"),
                    linear(*(f"{at}mlp.{name}" for name in inputs)),
                    linear(at + "mlp.w2"),
                )
            )
        self.norm = norm("norm")
        self.head = linear("embedding" if self.config.tied else "head")
        self.embedding = Table(
            self.weights, state["embedding.weight"], self.head if self.config.tied else None
        )
        self.positions = (
            _copy(state["positions.weight"]) if self.config.position == "learned" else None
        )
        if self.config.position == "rope":
            self._frequencies = rope_frequencies(
                self.config.head_dim,
                self.config.rope_theta,
                self.config.rope_scaling,
                device=self.device,
            )
        self._angles = self._all_angles(0)
        self._step: Callable[..., Tensor] = self._blocks
        if compile:
            self._step = torch.compile(self._blocks, mode="reduce-overhead", dynamic=False)

    @property
    def nbytes(self) -> int:
        """Bytes of weights that are read for one token (the tied embedding counts once)."""
        per_layer = (p.nbytes for x in self.layers for p in (x.qkv, x.out, x.up, x.down))
        return sum(per_layer) + self.head.nbytes

    def eval(self) -> FastModel:
        """Itself: there is nothing that behaves differently in training."""
        return self

    @torch.inference_mode()
    def __call__(
        self,
        ids: Tensor,
        *,
        cache: Cache | None = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        logits_at: Tensor | None = None,
    ) -> Tensor:
        """Logits of the next token, as `Transformer.forward`: [B, T] → [B, T, V], or [B, V].

        Raises:
            CourseError: if there are more positions than the model has, or none.
        """
        x = self.hidden(ids, cache=cache, mask=mask, positions=positions)
        if logits_at is not None:
            x = x[torch.arange(x.shape[0], device=x.device), logits_at]
        return self.logits(x)

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        """What `hidden` [..., C] says about the next token: [..., V]."""
        return self.head(self._normed(hidden, self.norm))

    @torch.inference_mode()
    def hidden(
        self,
        ids: Tensor,
        *,
        cache: Cache | None = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """What the last block puts out, [B, T, C]: enough to fill a cache with a prompt."""
        B, T = checked_shape(ids, self.config)
        ids = ids.to(self.device)
        if cache is not None:
            where, seen = cache.begin(B, T)
            everything = getattr(cache, "all_visible", False)
            mask = mask if mask is not None else None if everything else seen
            causal = seen is None and mask is None
        else:
            where, causal = torch.arange(T, device=self.device)[None], mask is None
        where = where if positions is None else positions.to(self.device)
        x = self.embedding(ids)  # [B, T, C]
        angles = None
        if self.positions is not None:
            x = x + F.embedding(where, self.positions)
        elif self.config.position == "rope":
            angles = self._rotation(where if where.ndim == 2 else where[None])
        follows = None
        if self.config.smear and cache is None and positions is not None:
            follows = (where > 0).reshape(-1, 1, T, 1)
        step = self._step if T == 1 and cache is not None else self._blocks
        return step(x, angles, mask, causal and T > 1, cache, follows)

    # ---------------------------------------------------------------- inside

    def _blocks(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        causal: bool,
        cache: Cache | None,
        follows: Tensor | None,
    ) -> Tensor:
        H, Hkv, hd = self.config.n_heads, self.config.n_kv_heads, self.config.head_dim
        gated, gelu = self.config.mlp == "swiglu", self.config.mlp == "gelu_tanh"
        approximate = "tanh" if gelu else "none"
        B, T, _ = x.shape
        for n, layer in enumerate(self.layers):
            qkv = layer.qkv(self._normed(x, layer.attention_norm))  # [B, T, (H + 2 Hkv) · hd]
            qk = qkv[..., : (H + Hkv) * hd].view(B, T, H + Hkv, hd)
            v = qkv[..., (H + Hkv) * hd :].view(B, T, Hkv, hd).transpose(1, 2)
            if angles is not None:
                cos, sin = angles  # [B, T, 1, hd]
                other = qk.view(B, T, H + Hkv, 2, hd // 2).flip(-2).view_as(qk)
                qk = (qk * cos).addcmul_(other, sin)
            q, k = qk[:, :, :H].transpose(1, 2), qk[:, :, H:].transpose(1, 2)
            if cache is not None:
                k, v = cache.append(n, k, v)
            if layer.smear is not None:
                k = smeared(k, layer.smear, follows)
            heads = F.scaled_dot_product_attention(
                q.to(k.dtype), k, v, attn_mask=mask, is_causal=causal, enable_gqa=Hkv != H
            )
            # Adding turns 16 bits into 32 on the way: no step of its own.
            x = x + layer.out(heads.transpose(1, 2).reshape(B, T, H * hd), raw=True)

            h = layer.up(self._normed(x, layer.mlp_norm), raw=True)
            if gated:
                gate, value = h.chunk(2, dim=-1)
                h = F.silu(gate).mul_(value)
            else:
                h = F.gelu(h, approximate=approximate)
            x = x + layer.down(h, raw=True)
        return x

    def _normed(self, x: Tensor, norm: tuple[Tensor, Tensor | None]) -> Tensor:
        gain, bias = norm
        if self.config.norm == "rms":
            return F.rms_norm(x, gain.shape, gain, self.config.norm_eps)
        return F.layer_norm(x, gain.shape, gain, bias, self.config.norm_eps)

    def _rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines for positions [B, T]: two of [B, T, 1, head_dim]."""
        cos, sin = self._angles
        if self.device.type == "cpu" and (needed := int(positions.max()) + 1) > cos.shape[0]:
            self._angles = cos, sin = self._all_angles(needed)
        return cos[positions].unsqueeze(2), sin[positions].unsqueeze(2)

    def _all_angles(self, needed: int) -> tuple[Tensor, Tensor]:
        """The tables [positions, head_dim]; on a CPU as long as needed so far, doubled, else whole."""
        if self.config.position != "rope":
            return torch.empty(0), torch.empty(0)
        whole = max(self.config.context_length, needed)
        length = min(max(2 * needed, 256), whole) if self.device.type == "cpu" else whole
        cos, sin = rope_angles(torch.arange(length, device=self.device), self._frequencies)
        # Half rotation: (a, b) → (a cos − b sin, b cos + a sin) = (a, b) · cos + (b, a) · (−sin, sin).
        return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)


def _copy(weight: Tensor) -> Tensor:
    """In float32, and nobody else's."""
    return weight.to(torch.float32, copy=True)


def bytes_per_token(model: Any) -> int:
    """Bytes of weights that a `Transformer` or `FastModel` reads for one token."""
    if isinstance(model, FastModel):
        return model.nbytes
    config: ModelConfig = model.config
    unread = ("positions.weight",) if config.tied else ("positions.weight", "embedding.weight")
    return sum(p.nbytes for name, p in model.named_parameters() if name not in unread)
