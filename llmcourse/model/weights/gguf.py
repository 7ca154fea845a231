"""GGUF files as checkpoints: the model's shape from the metadata, tensors unpacked one by one.

Quantised tensors hold their weights in blocks: a few bits for each and a scale (and a minimum) for
all. Here they become floats again, which is what a model that computes in floats needs; the
unpacking itself is the `gguf` package's. Taught in chapter 04.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llmcourse.errors import CourseError

from ..config import ModelConfig, RopeScaling, config_from
from ..names import Kind
from ..rope import rope_frequencies
from .extras import extra
from .gguf_header import TENSOR_TYPES, TensorInfo, read_header
from .stored import Checkpoint, Stored

READABLE = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q6_K")
"""Types of tensors that can be unpacked."""

_KINDS: dict[str, Kind] = {"llama": "gguf-llama", "qwen2": "gguf-qwen2", "gpt2": "gguf-gpt2"}
# Keys that would change what the model computes, unless they have this value.
_ONLY = {
    "expert_count": 0,
    "expert_used_count": 0,
    "attention.sliding_window": 0,
    "rope.scaling.type": "none",
    "use_parallel_residual": False,
    "logit_scale": 1.0,
    "attention.scale": 0.0,
}
# GGUF has Llama 3.1's scaling as factors for each frequency, in a tensor. These releases exist.
_LLAMA3_FACTORS = (8.0, 32.0)


def open_gguf(path: str | Path) -> Checkpoint:
    """A GGUF file of a Llama, a Qwen2 or a GPT-2, its header checked and no tensor read.

    Raises:
        CourseError: if it is damaged, of another architecture, or sets what is not supported.
    """
    path = Path(path)
    header = read_header(path)
    architecture = header.metadata.get("general.architecture")
    if architecture not in _KINDS:
        raise CourseError(
            f"{path} has the architecture {architecture!r}", hint=f"known: {', '.join(_KINDS)}"
        )
    tensors = {
        name: Stored(t.shape, TENSOR_TYPES[t.type][0], functools.partial(_read, path, t), path)
        for name, t in header.tensors.items()
    }
    config = config_of(header.metadata, tensors, path)
    return Checkpoint(config, _KINDS[architecture], tensors, path, header.metadata)


def config_of(
    metadata: Mapping[str, Any], tensors: Mapping[str, Stored], path: Path
) -> ModelConfig:
    """The model's shape from a file's metadata.

    Raises:
        CourseError: naming the key that is missing, of the wrong type, or not supported.
    """
    architecture = str(metadata["general.architecture"])
    keys = _Keys(metadata, architecture, path)
    for key, value in _ONLY.items():
        if keys.get(key, value) != value:
            raise keys.wrong(key, "is not supported")
    heads, width = keys.integer("attention.head_count"), keys.integer("embedding_length")
    head_dim = keys.integer("attention.key_length", width // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        if architecture != "gpt2" and keys.integer(key, head_dim) != head_dim:
            raise keys.wrong(key, f"is not the head's size {head_dim}")
    embedding = tensors.get("token_embd.weight")
    vocab_size = keys.integer("vocab_size", embedding.shape[0] if embedding else 1)
    fields: dict[str, Any] = {
        "vocab_size": vocab_size,
        "context_length": keys.integer("context_length"),
        "n_layers": keys.integer("block_count"),
        "n_heads": heads,
        "width": width,
        "hidden": keys.integer("feed_forward_length"),
        "tied": "output.weight" not in tensors,
    }
    if architecture == "gpt2":
        eps = keys.number("attention.layer_norm_epsilon")
        fields |= {"position": "learned", "norm": "layer", "mlp": "gelu_tanh", "bias": True}
        return config_from(fields | {"norm_eps": eps}, str(path))
    theta = keys.number("rope.freq_base", 10_000.0)
    fields |= {
        "n_kv_heads": keys.integer("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "norm_eps": keys.number("attention.layer_norm_rms_epsilon"),
        "rope_theta": theta,
        "qkv_bias": architecture == "qwen2",
    }
    if "rope_freqs.weight" in tensors:
        factors = tensors["rope_freqs.weight"].read()
        fields["rope_scaling"] = _scaling(factors, head_dim, theta, path)
    return config_from(fields, str(path))


def _scaling(factors: Tensor, head_dim: int, theta: float, path: Path) -> RopeScaling | None:
    """The scaling whose frequencies are the plain ones divided by these factors."""
    if bool((factors == 1).all()):
        return None
    for factor in _LLAMA3_FACTORS:
        scaling = RopeScaling(
            factor=factor, low_freq_factor=1.0, high_freq_factor=4.0, original_context_length=8192
        )
        if head_dim % 2 or tuple(factors.shape) != (head_dim // 2,):
            break
        expected = rope_frequencies(head_dim, theta) / rope_frequencies(head_dim, theta, scaling)
        if torch.allclose(factors, expected, rtol=1e-3):
            return scaling
    raise CourseError(
        f"{path}: rope_freqs.weight scales the rotations in a way that is not Llama 3.1's",
        hint="take the model from Hugging Face's files",
    )


class _Keys:
    """Metadata under ``architecture.``, with types checked."""

    def __init__(self, metadata: Mapping[str, Any], architecture: str, path: Path) -> None:
        self.metadata, self.architecture, self.path = metadata, architecture, path

    def get(self, key: str, default: Any) -> Any:
        return self.metadata.get(f"{self.architecture}.{key}", default)

    def wrong(self, key: str, what: str) -> CourseError:
        value = str(self.get(key, "missing"))[:60]
        return CourseError(
            f"{self.path}: {self.architecture}.{key} ({value}) {what}", hint="take another file"
        )

    def integer(self, key: str, default: int | None = None) -> int:
        value = self.get(key, default)
        if isinstance(value, np.ndarray) and value.size and (value == value.flat[0]).all():
            value = value.flat[0].item()  # one number for every layer, all the same
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(key, "is no positive whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.get(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise self.wrong(key, "is no number")
        # Stored as float32: 9.999999747378752e-06 was 1e-05, and is again.
        return float(f"{value:.7g}")


def _read(path: Path, tensor: TensorInfo) -> Tensor:
    """The numbers of one tensor, unpacked to float32 (or as they are: F16, BF16)."""
    type_name = TENSOR_TYPES[tensor.type][0]
    if type_name not in READABLE:
        raise CourseError(
            f"{path}: the tensor {tensor.name!r} is {type_name}, which cannot be unpacked",
            hint=f"take a file with {', '.join(READABLE)}",
        )
    try:
        data = np.fromfile(path, np.uint8, tensor.size, offset=tensor.offset)
    except OSError as error:
        raise CourseError(
            f"cannot read {path}: {error.strerror or error}", hint="check the path"
        ) from error
    if data.size != tensor.size:
        raise CourseError(f"{path} became shorter while it was read", hint="get the file again")
    if type_name in ("F32", "F16", "BF16"):
        kind = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[type_name]
        return torch.from_numpy(data).view(kind).reshape(tensor.shape)
    quantised = extra("gguf")
    rows = data.reshape(-1, data.size // (_total(tensor.shape) // tensor.shape[-1]))
    with np.errstate(all="ignore"):  # a damaged scale may be anything; `build` looks at the result
        floats = quantised.quants.dequantize(rows, quantised.GGMLQuantizationType(tensor.type))
    return torch.from_numpy(floats).reshape(tensor.shape)


def _total(shape: tuple[int, ...]) -> int:
    total = 1
    for length in shape:
        total *= length
    return total
