"""What a model's shape says about its size: parameters by component, bytes of weights and of cache.

Nothing here has memory: parameters are counted on torch's meta device. Taught in chapter 04.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..model.config import ModelConfig
from ..model.transformer import Transformer, meta_model

COMPONENTS = ("embedding", "positions", "attention", "MLP", "norms", "head")


@dataclass(frozen=True)
class Facts:
    """Sizes of one model.

    Args:
        parameters: Component → how many numbers, in the order of `COMPONENTS`.
        per_block: The same for one of the blocks.
        weights: Bytes of the weights as ``fp32``, ``bf16`` and ``int8``. As int8 each row of a matrix
            has a scale of 2 bytes, and what is no matrix stays at 4 bytes a number, as in
            `llmcourse.model.quantize` and the engine.
        cache: Bytes of keys and values for one token of one stream, as ``fp32`` and ``bf16``.
    """

    parameters: dict[str, int]
    per_block: dict[str, int]
    weights: dict[str, int]
    cache: dict[str, int]

    @property
    def total(self) -> int:
        """All parameters; a tied exit counts once."""
        return sum(self.parameters.values())


def facts_of(config: ModelConfig, model: Transformer | None = None) -> Facts:
    """The sizes of a model of this shape, from its parameters' shapes.

    Args:
        config: The shape.
        model: A model of it, on the meta device for example; without one it is made there.
    """
    everything: Counter[str] = Counter()
    block: Counter[str] = Counter()
    int8 = 0
    for name, parameter in (model or meta_model(config)).named_parameters():
        component, n = component_of(name), parameter.numel()
        everything[component] += n
        if name.startswith("blocks.0."):
            block[component] += n
        is_matrix = parameter.ndim == 2 and component != "positions"
        int8 += n + 2 * parameter.shape[0] if is_matrix else 4 * n
    total = sum(everything.values())
    cached = 2 * config.n_layers * config.n_kv_heads * config.head_dim
    return Facts(
        {component: everything[component] for component in COMPONENTS},
        {component: block[component] for component in COMPONENTS},
        {"fp32": 4 * total, "bf16": 2 * total, "int8": int8},
        {"fp32": 4 * cached, "bf16": 2 * cached},
    )


def component_of(name: str) -> str:
    """The component to which a parameter belongs, by its plain name."""
    part = name.split(".")[2] if name.startswith("blocks.") else name.split(".")[0]
    return {"attention": "attention", "mlp": "MLP"}.get(part, "norms" if "norm" in part else part)
