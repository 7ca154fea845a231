"""Hugging Face's ``config.json`` to our `ModelConfig` and back.

Each family spells the same numbers its own way. What would make the model compute something else
than we do (a sliding window, another activation, quantised weights) is refused by name; what only
concerns training or other programs is ignored. Taught in chapter 04.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmcourse.errors import CourseError

from ..config import ModelConfig, config_from

FAMILIES = ("gpt2", "llama", "qwen2")
_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
# Settings under which the model would compute something else, unless they have one of these values.
_ONLY: dict[str, tuple[Any, ...]] = {
    "quantization_config": (None,), "partial_rotary_factor": (None, 1, 1.0), "rope_interleaved": (None, False),
    "add_cross_attention": (None, False), "scale_attn_by_inverse_layer_idx": (None, False),
    "scale_attn_weights": (None, True), "is_encoder_decoder": (None, False),
    "num_local_experts": (None, 0), "num_experts": (None, 0),
}  # fmt: skip


def from_huggingface(content: Mapping[str, Any], path: Path) -> ModelConfig:
    """A `ModelConfig` from the content of a ``config.json``.

    Raises:
        CourseError: naming the setting that is missing, of the wrong type, or not supported.
    """
    settings = _Settings(content, path)
    family = content.get("model_type")
    if family not in FAMILIES:
        raise CourseError(
            f"{path}: model_type is {str(family)[:40]!r}", hint=f"known: {', '.join(FAMILIES)}"
        )
    for name, allowed in _ONLY.items():
        if content.get(name) not in allowed:
            raise settings.unsupported(name)
    fields = _gpt2(settings) if family == "gpt2" else _llama(settings, family == "qwen2")
    return config_from(fields, str(path))


def _gpt2(settings: _Settings) -> dict[str, Any]:
    width = settings.integer("n_embd")
    return {
        "vocab_size": settings.integer("vocab_size"),
        "context_length": settings.integer("n_positions"),
        "n_layers": settings.integer("n_layer"),
        "n_heads": settings.integer("n_head"),
        "width": width,
        "hidden": settings.integer("n_inner", 4 * width),
        "position": "learned",
        "norm": "layer",
        "mlp": settings.choice("activation_function", _ACTIVATIONS, "gelu_new"),
        "bias": True,
        "tied": settings.flag("tie_word_embeddings", True),
        "norm_eps": settings.number("layer_norm_epsilon", 1e-5),
    }


def _llama(settings: _Settings, qwen2: bool) -> dict[str, Any]:
    settings.choice("hidden_act", {"silu": "silu", "swish": "silu"}, "silu")
    if settings.flag("use_sliding_window", False) and settings.content.get("sliding_window"):
        raise settings.unsupported("use_sliding_window")
    kinds = settings.content.get("layer_types") or ["full_attention"]
    if not isinstance(kinds, list) or any(kind != "full_attention" for kind in kinds):
        raise settings.unsupported("layer_types")
    attention_bias = settings.flag("attention_bias", False)
    if attention_bias != settings.flag("mlp_bias", False):
        raise settings.unsupported("attention_bias")
    heads, width = settings.integer("num_attention_heads"), settings.integer("hidden_size")
    return {
        "vocab_size": settings.integer("vocab_size"),
        "context_length": settings.integer("max_position_embeddings"),
        "n_layers": settings.integer("num_hidden_layers"),
        "n_heads": heads,
        "n_kv_heads": settings.integer("num_key_value_heads", heads),
        "width": width,
        "head_dim": settings.integer("head_dim", max(1, width // heads)),
        "hidden": settings.integer("intermediate_size"),
        "bias": attention_bias,
        "qkv_bias": qwen2 or attention_bias,
        "tied": settings.flag("tie_word_embeddings", False),
        "norm_eps": settings.number("rms_norm_eps", 1e-6),
        **_rope(settings),
    }


def _rope(settings: _Settings) -> dict[str, Any]:
    """``rope_parameters`` (transformers 5), or ``rope_theta`` and ``rope_scaling`` (before it)."""
    name = "rope_parameters" if settings.content.get("rope_parameters") else "rope_scaling"
    rope = settings.content.get(name) or {}
    if not isinstance(rope, dict):
        raise settings.unsupported(name)
    inside = _Settings(rope, settings.path, name + ".")
    theta = inside.number("rope_theta", settings.number("rope_theta", 10_000.0))
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return {"rope_theta": theta}
    if kind != "llama3" or rope.get("partial_rotary_factor") not in (None, 1, 1.0):
        raise settings.unsupported(name)
    return {
        "rope_theta": theta,
        "rope_scaling": {
            "factor": inside.number("factor"),
            "low_freq_factor": inside.number("low_freq_factor"),
            "high_freq_factor": inside.number("high_freq_factor"),
            "original_context_length": inside.integer("original_max_position_embeddings"),
        },
    }


def to_huggingface(config: ModelConfig) -> dict[str, Any]:
    """The content of a ``config.json`` with which transformers builds the same model.

    Raises:
        CourseError: if none of the three families has this shape.
    """
    c = config
    if c.smear:
        raise CourseError(
            f"none of {', '.join(FAMILIES)} smears its keys", hint="save it in our own format"
        )
    if (c.position, c.norm, c.bias, c.qkv_bias) == ("learned", "layer", True, True):
        names = {"gelu": "gelu", "gelu_tanh": "gelu_new"}
        if c.mlp in names and c.n_kv_heads == c.n_heads and c.n_heads * c.head_dim == c.width:
            return {
                "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"],
                "vocab_size": c.vocab_size, "n_positions": c.context_length, "n_layer": c.n_layers,
                "n_head": c.n_heads, "n_embd": c.width, "n_inner": c.hidden,
                "activation_function": names[c.mlp], "layer_norm_epsilon": c.norm_eps,
                "tie_word_embeddings": c.tied,
            }  # fmt: skip
    # Qwen2 has biases on q, k and v and takes its head's size from the width.
    qwen2 = c.qkv_bias and not c.bias
    if (c.position, c.norm, c.mlp) == ("rope", "rms", "swiglu") and (
        c.qkv_bias == c.bias or (qwen2 and c.n_heads * c.head_dim == c.width)
    ):
        rope: dict[str, Any] = {"rope_type": "default", "rope_theta": c.rope_theta}
        if c.rope_scaling is not None:
            scaling = c.rope_scaling.model_dump()
            length = scaling.pop("original_context_length")
            rope |= scaling | {"rope_type": "llama3", "original_max_position_embeddings": length}
        family = "Qwen2" if qwen2 else "Llama"
        biases = {} if qwen2 else {"attention_bias": c.bias, "mlp_bias": c.bias}
        return {
            "model_type": family.lower(), "architectures": [f"{family}ForCausalLM"],
            "vocab_size": c.vocab_size, "max_position_embeddings": c.context_length,
            "num_hidden_layers": c.n_layers, "num_attention_heads": c.n_heads,
            "num_key_value_heads": c.n_kv_heads, "head_dim": c.head_dim, "hidden_size": c.width,
            "intermediate_size": c.hidden, "hidden_act": "silu", "rms_norm_eps": c.norm_eps,
            # Both spellings: transformers before version 5 knows the older one only.
            "rope_parameters": rope, "rope_theta": c.rope_theta,
            "rope_scaling": rope if c.rope_scaling is not None else None,
            "tie_word_embeddings": c.tied, **biases,
        }  # fmt: skip
    raise CourseError(
        f"none of {', '.join(FAMILIES)} has this shape: position {c.position}, norm {c.norm}, mlp {c.mlp}, "
        f"bias {c.bias}, qkv_bias {c.qkv_bias}, {c.n_heads} heads of {c.head_dim} in a width of {c.width}",
        hint="save it in our own format",
    )


class _Settings:
    """Settings with their types checked; null counts as missing."""

    def __init__(self, content: Mapping[str, Any], path: Path, inside: str = "") -> None:
        self.content, self.path, self.inside = content, path, inside

    def unsupported(self, name: str) -> CourseError:
        return CourseError(
            f"{self.path}: {self.inside}{name} {str(self.content.get(name))[:80]} is not supported",
            hint="take another model",
        )

    def _wrong(self, name: str, what: str) -> CourseError:
        value = self.content.get(name)
        said = "is missing" if value is None else f"is {str(value)[:40]!r}, no {what}"
        return CourseError(f"{self.path}: {self.inside}{name} {said}", hint="get the file again")

    def integer(self, name: str, default: int | None = None) -> int:
        value = self.content.get(name)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._wrong(name, "positive whole number")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self.content.get(name)
        value = default if value is None else value
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1e300:
            raise self._wrong(name, "positive number")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.content.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def choice(self, name: str, known: Mapping[str, str], default: str) -> str:
        value = self.content.get(name)
        value = default if value is None else value
        if not isinstance(value, str) or value not in known:
            raise self.unsupported(name)
        return known[value]
