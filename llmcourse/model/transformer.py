"""The transformer, from top to bottom: GPT-2, Llama, SmolLM2, Qwen2 and the nano model in one class.

Token ids go in; for every position, a number for each symbol of the vocabulary comes out (a *logit*;
softmax makes it a probability). In between, each block adds two corrections to each position's
vector: what attention gathered from earlier positions, and what the MLP made of it.

Nothing is remembered between calls: the same ids and the same parameters give the same logits. What
makes generation fast is not here (`llmcourse.engine`), nor how weights come from files
(`llmcourse.model.weights`).

Taught in chapter 04.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import CourseError
from .attention import Attention, Cache, Probe
from .config import ModelConfig
from .layers import INIT_STD, MLP, Embedding, LayerNorm, Linear, RMSNorm, SwiGLU, draw
from .rope import rope_angles, rope_frequencies


def _norm(config: ModelConfig) -> LayerNorm | RMSNorm:
    if config.norm == "rms":
        return RMSNorm(config.width, config.norm_eps)
    return LayerNorm(config.width, config.norm_eps, config.bias)


def _mlp(config: ModelConfig) -> MLP | SwiGLU:
    if config.mlp == "swiglu":
        return SwiGLU(config.width, config.hidden, config.bias)
    approximate = "tanh" if config.mlp == "gelu_tanh" else "none"
    return MLP(config.width, config.hidden, config.bias, approximate)  # type: ignore[arg-type]


def checked_shape(ids: Tensor, config: ModelConfig) -> tuple[int, int]:
    """B and T of ids that a model of this shape can take.

    Raises:
        CourseError: if they are not [B, T], empty, or more than the model sees at once.
    """
    if ids.ndim != 2 or ids.shape[1] == 0:
        raise CourseError(
            f"ids must be [B, T] with T ≥ 1, not {list(ids.shape)}",
            hint="for one sequence: torch.tensor([ids])",
        )
    B, T = ids.shape
    if config.context_length < T:
        raise CourseError(
            f"{T} tokens, but the model sees {config.context_length} at once",
            hint="give it fewer, the last ones for example",
        )
    return B, T


class Block(nn.Module):
    """Communicate, then compute: x + attention(norm(x)), then x + mlp(norm(x)). [B, T, C] → [B, T, C].

    The norms stand before each part (*pre-norm*), so the sum runs untouched from the entrance to the
    exit: gradients reach the first block as easily as the last.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = Attention(
            config.width,
            config.n_heads,
            config.n_kv_heads,
            config.head_dim,
            config.bias,
            config.qkv_bias,
            config.smear,
        )
        self.mlp_norm = _norm(config)
        self.mlp = _mlp(config)

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        cache: Cache | None,
        layer: int,
        follows: Tensor | None = None,
    ) -> Tensor:
        h = self.attention_norm(x)
        x = x + self.attention(h, rotation, mask, cache, layer, follows=follows)
        return cast(Tensor, x + self.mlp(self.mlp_norm(x)))

    def probed(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        cache: Cache | None,
        layer: int,
        probe: Probe,
        follows: Tensor | None = None,
    ) -> Tensor:
        """`forward`, step by step, each intermediate shown to `probe`."""

        def inside(name: str, value: Tensor) -> Tensor:
            return probe(f"attention.{name}", value)

        h = probe("attention_norm", self.attention_norm(x))
        h = probe("attention", self.attention(h, rotation, mask, cache, layer, inside, follows))
        x = probe("after_attention", x + h)
        h = probe("mlp_norm", self.mlp_norm(x))
        h = probe("mlp.hidden", self.mlp.inside(h))
        return probe("output", x + probe("mlp", self.mlp.w2(h)))


class Transformer(nn.Module):
    """A language model: token ids to logits.

    Fresh parameters are drawn from torch's generator as in GPT-2: normal, standard deviation 0.02, and
    smaller by √(2 · layers) where a block adds to the sum, which has 2 · layers terms.

    Args:
        config: The shape (`llmcourse.model.config`).

    Attributes:
        probe: None, or a function (name, tensor) → tensor that is shown every intermediate and may
            replace it. See `trace` for the names.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config.vocab_size, config.width)
        if config.position == "learned":
            self.positions = Embedding(config.context_length, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = _norm(config)
        if not config.tied:
            self.head = Linear(config.width, config.vocab_size)
        self.probe: Probe | None = None
        for name, weight in self.named_parameters():
            if name.endswith(("attention.out.weight", "mlp.w2.weight")):
                draw(weight, INIT_STD / math.sqrt(2 * config.n_layers))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the parameters."""
        return self.embedding.weight.dtype

    def forward(
        self,
        ids: Tensor,
        *,
        cache: Cache | None = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        logits_at: Tensor | None = None,
    ) -> Tensor:
        """Logits of the next token after every position.

        Args:
            ids: Token ids [B, T], integers below `vocab_size`.
            cache: Keys and values of what went before; without one, `ids` is everything.
            mask: Boolean, broadcastable to [B, heads, T, S], True = may attend. Default: causal.
            positions: Position of each id, [T] or [B, T]. Default: 0, 1, 2, … (or where the cache is).
            logits_at: Index into T, one for each row [B]: only these logits are computed.

        Returns:
            [B, T, V], or [B, V] with `logits_at`.

        Raises:
            CourseError: if there are more positions than the model has, or none.
        """
        B, T = checked_shape(ids, self.config)
        follows: Tensor | None = None
        if cache is not None:
            cache_positions, cache_mask = cache.begin(B, T)
            positions = cache_positions if positions is None else positions
            mask = cache_mask if mask is None else mask
        elif positions is None:
            positions = torch.arange(T, device=ids.device)
        elif (
            self.config.smear
        ):  # several sequences in a row, or padding before one: none looks back
            follows = (positions > 0).reshape(-1, 1, T, 1)

        x = self.embedding(ids)  # [B, T, C]
        if self.probe is not None:
            x = self.probe("embedding", x)
        rotation = None
        if self.config.position == "learned":
            x = x + self.positions(positions)
        elif self.config.position == "rope":
            frequencies = rope_frequencies(
                self.config.head_dim,
                self.config.rope_theta,
                self.config.rope_scaling,
                device=ids.device,
            )
            cos, sin = rope_angles(positions, frequencies)  # [T, hd/2] or [B, T, hd/2]
            rotation = cos.unsqueeze(-3), sin.unsqueeze(-3)  # room for the heads
        if self.probe is not None:
            x = self.probe("input", x)

        for n, block in enumerate(self.blocks):
            if self.probe is None:
                x = block(x, rotation, mask, cache, n, follows)
            else:
                x = cast(Block, block).probed(
                    x, rotation, mask, cache, n, self._probe_of(n), follows
                )

        if logits_at is not None:
            x = x[torch.arange(B, device=x.device), logits_at]  # [B, C]
        x = self.norm(x)
        if self.probe is not None:
            x = self.probe("norm", x)
        # Tied: a symbol's logit is how well the vector agrees with the symbol's own embedding.
        exit_weight = self.embedding.weight if self.config.tied else self.head.weight
        logits = nn.functional.linear(x, exit_weight)
        return logits if self.probe is None else self.probe("logits", logits)

    def _probe_of(self, block: int) -> Probe:
        probe = self.probe
        assert probe is not None
        return lambda name, value: probe(f"blocks.{block}.{name}", value)

    @torch.no_grad()
    def trace(self, ids: Tensor) -> dict[str, Tensor]:
        """Every intermediate of one forward pass, by name, in the order in which they are computed.

        ``embedding`` and ``input`` [B, T, C]; for each block n ``blocks.n.`` + ``attention_norm``,
        ``attention.q`` [B, H, T, hd], ``attention.k``, ``attention.v`` (``attention.smeared`` with smeared
        keys), ``attention.weights`` [B, H, T, T],
        ``attention.heads``, ``attention``, ``after_attention``, ``mlp_norm``, ``mlp.hidden``, ``mlp``,
        ``output``; ``norm``, ``logits`` [B, T, V] and ``probabilities``. A probe that is set has its say.
        """
        kept: dict[str, Tensor] = {}
        before = self.probe

        def keep(name: str, value: Tensor) -> Tensor:
            kept[name] = value if before is None else before(name, value)
            return kept[name]

        self.probe = keep
        try:
            logits = self(ids)
        finally:
            self.probe = before
        kept["probabilities"] = torch.softmax(logits.float(), dim=-1)
        return kept


def meta_model(config: ModelConfig) -> Transformer:
    """A model without memory: every shape is right, no number exists. For counting, and for loading."""
    with torch.device("meta"):
        return Transformer(config)


def num_parameters(model: Transformer | ModelConfig) -> int:
    """How many numbers there are to learn; a tied exit counts once. 124,439,808 for GPT-2."""
    if isinstance(model, ModelConfig):
        model = meta_model(model)
    return sum(p.numel() for p in model.parameters())
