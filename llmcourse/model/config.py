"""The shape of a transformer: every choice that decides what its parameters are.

One set of fields covers GPT-2 (2019), Llama, SmolLM2 and Qwen2: they differ in where positions come
from, which norm and which MLP they use, and whether their linear layers have biases. The named
configurations at the end are those of real releases; `llmcourse model show gpt2-xl` prints one.

Taught in chapter 04.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import CourseError


class RopeScaling(BaseModel):
    """How Llama 3.1 stretches rotary positions to a longer context (arXiv:2407.21783, section 3.4.2)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    factor: float = Field(gt=0)
    low_freq_factor: float = Field(gt=0)
    high_freq_factor: float = Field(gt=0)
    original_context_length: int = Field(ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> RopeScaling:
        if self.low_freq_factor >= self.high_freq_factor:
            raise ValueError("low_freq_factor must be smaller than high_freq_factor")
        return self


class ModelConfig(BaseModel):
    """The shape of one transformer. Immutable; contradictions are refused.

    Args:
        vocab_size: V, rows of the embedding.
        context_length: Positions the model sees at once.
        n_layers: Blocks, one after the other.
        n_heads: Attention heads, side by side.
        width: C, numbers per position between the blocks.
        n_kv_heads: Heads of keys and values; several query heads share one (grouped-query attention,
            arXiv:2305.13245). By default as many as query heads.
        head_dim: Numbers per head; by default `width / n_heads`.
        hidden: Width inside the MLP.
        position: ``learned`` vectors added at the entrance (GPT-2), ``rope``, rotations of queries and
            keys (Llama), or ``none``.
        norm: ``layer`` or ``rms``.
        mlp: ``gelu`` (exact), ``gelu_tanh`` (GPT-2's approximation) or ``swiglu``.
        bias: Whether linear layers and layer norms add a vector.
        qkv_bias: The same for queries, keys and values alone (Qwen2); by default as `bias`.
        smear: Whether each key is blended with the one before it, by a share learned for each key head
            (Olsson et al., 2022, "In-context learning and induction heads", the *smeared key*).
        tied: Whether the exit reuses the embedding's rows.
        norm_eps: Added to the variance, so that nothing is divided by zero.
        rope_theta: Base of the rotary frequencies.
        rope_scaling: Llama 3.1's stretching of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    vocab_size: int = Field(ge=1)
    context_length: int = Field(ge=1)
    n_layers: int = Field(ge=1)
    n_heads: int = Field(ge=1)
    width: int = Field(ge=1)
    hidden: int = Field(ge=1)
    n_kv_heads: int = Field(default=0, ge=0)
    head_dim: int = Field(default=0, ge=0)
    position: Literal["learned", "rope", "none"] = "rope"
    norm: Literal["layer", "rms"] = "rms"
    mlp: Literal["gelu", "gelu_tanh", "swiglu"] = "swiglu"
    bias: bool = False
    qkv_bias: bool | None = None
    smear: bool = False
    tied: bool = True
    norm_eps: float = Field(default=1e-5, gt=0)
    rope_theta: float = Field(default=10_000.0, gt=0)
    rope_scaling: RopeScaling | None = None

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, given: Any) -> Any:
        """Fill in what follows from the rest."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        heads, width = filled.get("n_heads"), filled.get("width")
        if not filled.get("n_kv_heads"):
            filled["n_kv_heads"] = heads
        if not filled.get("head_dim") and isinstance(heads, int) and isinstance(width, int):
            if heads > 0 and width % heads:
                raise ValueError(f"width {width} is not a multiple of n_heads {heads}")
            filled["head_dim"] = width // heads if heads > 0 else 0
        if filled.get("qkv_bias") is None:
            filled["qkv_bias"] = filled.get("bias", False)
        return filled

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.n_kv_heads}"
            )
        if self.position == "rope" and self.head_dim % 2:
            raise ValueError(f"rope turns pairs of numbers: head_dim {self.head_dim} is odd")
        if self.rope_scaling is not None and self.position != "rope":
            raise ValueError("rope_scaling without rope")
        return self


def config_from(fields: dict[str, Any], where: str = "the configuration") -> ModelConfig:
    """A configuration from a dictionary, for example out of a file.

    Raises:
        CourseError: naming the field that is missing, unknown or impossible.
    """
    try:
        return ModelConfig(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise CourseError(
            f"{where}: {field + ': ' if field else ''}{message}",
            hint="see llmcourse.model.config.ModelConfig for what each field may be",
        ) from error


def _gpt2(n_layers: int, n_heads: int, width: int) -> dict[str, Any]:
    return {
        "vocab_size": 50_257, "context_length": 1024, "n_layers": n_layers, "n_heads": n_heads, "width": width,
        "hidden": 4 * width, "position": "learned", "norm": "layer", "mlp": "gelu_tanh", "bias": True,
    }  # fmt: skip


def _smollm2(
    n_layers: int, n_heads: int, n_kv_heads: int, width: int, hidden: int, theta: float
) -> dict[str, Any]:
    return {
        "vocab_size": 49_152, "context_length": 8192, "n_layers": n_layers, "n_heads": n_heads,
        "n_kv_heads": n_kv_heads, "width": width, "hidden": hidden, "rope_theta": theta,
    }  # fmt: skip


def _llama31(n_layers: int, n_heads: int, width: int, hidden: int) -> dict[str, Any]:
    return {
        "vocab_size": 128_256, "context_length": 131_072, "n_layers": n_layers, "n_heads": n_heads, "n_kv_heads": 8,
        "width": width, "hidden": hidden, "tied": False, "rope_theta": 500_000.0,
        "rope_scaling": {
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_context_length": 8192,
        },
    }  # fmt: skip


_NAMED: dict[str, dict[str, Any]] = {
    # Small enough to see every number: three letters, six to sort and five to look back on.
    "nano": {
        "vocab_size": 3, "context_length": 11, "n_layers": 3, "n_heads": 3, "width": 48, "hidden": 192,
        "position": "learned", "norm": "layer", "mlp": "gelu", "bias": True,
    },
    # The model raised through the book.
    "course": {
        "vocab_size": 2048, "context_length": 256, "n_layers": 6, "n_heads": 6, "n_kv_heads": 2,
        "width": 192, "hidden": 512, "smear": True,
    },
    # Radford et al. (2019), "Language models are unsupervised multitask learners", table 2.
    "gpt2": _gpt2(12, 12, 768), "gpt2-medium": _gpt2(24, 16, 1024),
    "gpt2-large": _gpt2(36, 20, 1280), "gpt2-xl": _gpt2(48, 25, 1600),
    # Ben Allal et al. (2025), SmolLM2, arXiv:2502.02737.
    "smollm2-135m": _smollm2(30, 9, 3, 576, 1536, 100_000.0),
    "smollm2-360m": _smollm2(32, 15, 5, 960, 2560, 100_000.0),
    "smollm2-1.7b": _smollm2(24, 32, 32, 2048, 8192, 130_000.0),
    # Grattafiori et al. (2024), "The Llama 3 herd of models", arXiv:2407.21783, table 3.
    "llama-3.1-8b": _llama31(32, 32, 4096, 14_336), "llama-3.1-70b": _llama31(80, 64, 8192, 28_672),
    "llama-3.1-405b": _llama31(126, 128, 16_384, 53_248),
}  # fmt: skip


def names() -> list[str]:
    """The named configurations."""
    return list(_NAMED)


def named(name: str) -> ModelConfig:
    """A named configuration.

    Raises:
        CourseError: if there is none of this name.
    """
    if name not in _NAMED:
        raise CourseError(
            f"no configuration is called {name!r}", hint=f"known: {', '.join(names())}"
        )
    return ModelConfig(**_NAMED[name])
