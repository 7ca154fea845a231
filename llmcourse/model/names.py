"""The same tensors under other names: Hugging Face's and GGUF's layouts, and ours.

Every release of a GPT has the same few matrices; only their names, their orientation and their
grouping differ. GPT-2 keeps queries, keys and values side by side in one matrix, and all matrices
transposed. Meta's Llama pairs neighbouring numbers of a head for its rotations, and GGUF files of
Llamas still do, so the rows of their queries and keys have to be put in another order (`rope`).

This file says where each of our tensors comes from and how it is cut out, and the way back. It
reads no file. Taught in chapter 04.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .config import ModelConfig

Kind = Literal["plain", "gpt2", "llama", "qwen2", "gguf-gpt2", "gguf-llama", "gguf-qwen2"]

Shape = tuple[int, ...]

# Ours → theirs, without the last word (weight or bias). N is the number of the block.
_GPT2 = {
    "embedding": "transformer.wte", "positions": "transformer.wpe",
    "norm": "transformer.ln_f", "head": "lm_head",
    "blocks.N.attention_norm": "transformer.h.N.ln_1", "blocks.N.mlp_norm": "transformer.h.N.ln_2",
    "blocks.N.attention.q": "transformer.h.N.attn.c_attn",
    "blocks.N.attention.k": "transformer.h.N.attn.c_attn",
    "blocks.N.attention.v": "transformer.h.N.attn.c_attn",
    "blocks.N.attention.out": "transformer.h.N.attn.c_proj",
    "blocks.N.mlp.w1": "transformer.h.N.mlp.c_fc", "blocks.N.mlp.w2": "transformer.h.N.mlp.c_proj",
}  # fmt: skip
_LLAMA = {
    "embedding": "model.embed_tokens", "norm": "model.norm", "head": "lm_head",
    "blocks.N.attention_norm": "model.layers.N.input_layernorm",
    "blocks.N.mlp_norm": "model.layers.N.post_attention_layernorm",
    "blocks.N.attention.q": "model.layers.N.self_attn.q_proj",
    "blocks.N.attention.k": "model.layers.N.self_attn.k_proj",
    "blocks.N.attention.v": "model.layers.N.self_attn.v_proj",
    "blocks.N.attention.out": "model.layers.N.self_attn.o_proj",
    "blocks.N.mlp.w1": "model.layers.N.mlp.gate_proj",
    "blocks.N.mlp.w3": "model.layers.N.mlp.up_proj",
    "blocks.N.mlp.w2": "model.layers.N.mlp.down_proj",
}  # fmt: skip
_GGUF = {
    "embedding": "token_embd", "norm": "output_norm", "head": "output",
    "blocks.N.attention_norm": "blk.N.attn_norm", "blocks.N.mlp_norm": "blk.N.ffn_norm",
    "blocks.N.attention.q": "blk.N.attn_q", "blocks.N.attention.k": "blk.N.attn_k",
    "blocks.N.attention.v": "blk.N.attn_v", "blocks.N.attention.out": "blk.N.attn_output",
    "blocks.N.mlp.w1": "blk.N.ffn_gate", "blocks.N.mlp.w3": "blk.N.ffn_up", "blocks.N.mlp.w2": "blk.N.ffn_down",
}  # fmt: skip
_GGUF_GPT2 = _GGUF | {
    "positions": "position_embd", "blocks.N.mlp.w1": "blk.N.ffn_up",
    "blocks.N.attention.q": "blk.N.attn_qkv", "blocks.N.attention.k": "blk.N.attn_qkv",
    "blocks.N.attention.v": "blk.N.attn_qkv",
}  # fmt: skip
_TABLES: dict[Kind, dict[str, str]] = {
    "gpt2": _GPT2, "llama": _LLAMA, "qwen2": _LLAMA,
    "gguf-gpt2": _GGUF_GPT2, "gguf-llama": _GGUF, "gguf-qwen2": _GGUF,
}  # fmt: skip
_PREFIX: dict[Kind, str] = {"gpt2": "transformer.", "llama": "model.", "qwen2": "model."}
# GPT-2's Conv1D: [in, out]. Embeddings, norms and the exit are as ours.
_CONV1D = ("c_attn", "c_proj", "c_fc")
_INTERLEAVED = ("blk.N.attn_q", "blk.N.attn_k")

# Stored by some programs, but no parameters: causal masks, and the frequencies of the rotations.
_NO_PARAMETER = {
    "gpt2": re.compile(r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias"),
    "llama": re.compile(r"(model\.)?layers\.\d+\.self_attn\.rotary_emb\.inv_freq"),
    "gguf": re.compile(r"rope_freqs\.weight"),
}


@dataclass(frozen=True)
class Origin:
    """Where one of our tensors comes from.

    Args:
        source: The name in the file.
        shape: The shape which that tensor must have.
        rows: Which of its rows are ours, once it is the right way round (None: all).
        transposed: Whether it is stored [in, out].
        heads: Of this many heads, put neighbouring pairs of numbers apart (0: leave the order).
    """

    source: str
    shape: Shape
    rows: tuple[int, int] | None = None
    transposed: bool = False
    heads: int = 0


def layout(kind: Kind, config: ModelConfig, shapes: Mapping[str, Shape]) -> dict[str, Origin]:
    """Where each of our tensors comes from: our name → `Origin`, in the order of `shapes`.

    Args:
        kind: The layout of the file.
        config: The model.
        shapes: Our names and shapes, as in the model's state dict.

    Raises:
        KeyError: if the layout has no place for a tensor; `can_hold` says so beforehand.
    """
    if kind == "plain":
        return {name: Origin(name, shape) for name, shape in shapes.items()}
    plan: dict[str, Origin] = {}
    for name, shape in shapes.items():
        stem, leaf = name.rsplit(".", 1)
        number = "".join(re.findall(r"blocks\.(\d+)\.", name))
        rule = _TABLES[kind][re.sub(r"^blocks\.\d+\.", "blocks.N.", stem)]
        source = f"{rule.replace('.N.', f'.{number}.')}.{leaf}"
        rows, whole = None, shape
        if "c_attn" in rule or "attn_qkv" in rule:
            rows, total = _thirds(config, stem.rsplit(".", 1)[1])
            whole = (total, *shape[1:])
        transposed = kind == "gpt2" and rule.endswith(_CONV1D) and len(shape) == 2
        heads = 0
        if kind == "gguf-llama" and rule in _INTERLEAVED:
            heads = config.n_heads if rule.endswith("_q") else config.n_kv_heads
        plan[name] = Origin(source, whole[::-1] if transposed else whole, rows, transposed, heads)
    return plan


def without_prefix(
    kind: Kind, plan: dict[str, Origin], present: Collection[str]
) -> dict[str, Origin]:
    """The plan for a file whose names lack the prefix of the whole model (``transformer.``), if so."""
    prefix = _PREFIX.get(kind, "")
    embedding = plan["embedding.weight"].source
    if embedding in present or embedding.removeprefix(prefix) not in present:
        return plan
    return {
        name: Origin(o.source.removeprefix(prefix), o.shape, o.rows, o.transposed, o.heads)
        for name, o in plan.items()
    }


def is_no_parameter(kind: Kind, source: str) -> bool:
    """Whether a tensor of this name may be in the file without being part of the model."""
    family = "gguf" if kind.startswith("gguf") else "llama" if kind == "qwen2" else kind
    return family in _NO_PARAMETER and _NO_PARAMETER[family].fullmatch(source) is not None


def take(origin: Origin, stored: Tensor) -> Tensor:
    """Our tensor out of the one in the file."""
    tensor = stored.T if origin.transposed else stored
    if origin.rows is not None:
        tensor = tensor[origin.rows[0] : origin.rows[1]]
    return to_half_rotation(tensor, origin.heads) if origin.heads else tensor


def rename(kind: Kind, config: ModelConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict in another layout: the inverse of `take` for every tensor.

    Raises:
        KeyError: if the layout has no place for a tensor.
    """
    plan = layout(kind, config, {name: tuple(t.shape) for name, t in tensors.items()})
    parts: dict[str, list[Tensor]] = {}
    for name, origin in plan.items():  # q, k and v come in this order
        tensor = tensors[name]
        tensor = to_interleaved(tensor, origin.heads) if origin.heads else tensor
        parts.setdefault(origin.source, []).append(tensor)
    transposed = {o.source for o in plan.values() if o.transposed}
    whole = {source: torch.cat(several) for source, several in parts.items()}
    return {s: (t.T if s in transposed else t).contiguous() for s, t in whole.items()}


def to_half_rotation(tensor: Tensor, heads: int) -> Tensor:
    """Rows of queries or keys from neighbouring pairs (0,1), (2,3), … to (0,h), (1,h+1), …, per head.

    Weights [heads · head_dim, C] or biases [heads · head_dim]; h is half of head_dim.
    """
    pairs = tensor.reshape(heads, -1, 2, *tensor.shape[1:])
    return pairs.transpose(1, 2).reshape(tensor.shape)


def to_interleaved(tensor: Tensor, heads: int) -> Tensor:
    """The inverse of `to_half_rotation`."""
    halves = tensor.reshape(heads, 2, -1, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape)


def _thirds(config: ModelConfig, which: str) -> tuple[tuple[int, int], int]:
    """Rows of q, k or v where the three are stored as one, and how many rows that has."""
    q, kv = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    borders = [0, q, q + kv, q + 2 * kv]
    place = "qkv".index(which)
    return (borders[place], borders[place + 1]), borders[3]
