"""The tensors and the metadata of files of weights, supported or not: only headers are read.

`llmcourse.model.weights.open_checkpoint` wants a model it can build; this wants no more than a whole
header, so that one can look at a file *because* it does not load. Taught in chapter 04.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CourseError
from ..model.weights.gguf_header import MAGIC, TENSOR_TYPES, read_header
from ..model.weights.huggingface import CONFIG, LARGEST_CONFIG
from ..model.weights.safetensors_files import open_file, open_folder
from ..model.weights.stored import Stored
from ..tokenizer.json_object import read_json_object

LONGEST_LIST = 8  # items of a list that is shown; of a longer one only how many
DEEPEST = 8  # brackets within brackets


@dataclass(frozen=True)
class Listed:
    """A tensor's entry: name, type as the file says it, shape (slowest dimension first), bytes, file."""

    name: str
    type: str
    shape: tuple[int, ...]
    bytes: int
    file: str

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Contents:
    """What is in a file or a folder: its format, its metadata in plain JSON types, its tensors."""

    path: Path
    format: str
    metadata: dict[str, Any]
    tensors: list[Listed]


def contents_of(path: Path) -> Contents:
    """Read the headers of a ``.gguf`` file, a ``.safetensors`` file, or a folder of the latter.

    Raises:
        CourseError: if it is none of these, or damaged.
    """
    if path.is_dir():
        tensors = _listed(open_folder(path))
        config = path / CONFIG
        found = read_json_object(config, LARGEST_CONFIG) if config.exists() else {}
        return Contents(path, "safetensors", _plain_all(found), tensors)
    if path.suffix == ".safetensors":
        stored, metadata = open_file(path)
        return Contents(path, "safetensors", _plain_all(metadata), _listed(stored))
    _check_magic(path)
    header = read_header(path)
    entries = [
        Listed(name, TENSOR_TYPES[t.type][0], t.shape, t.size, path.name)
        for name, t in header.tensors.items()
    ]
    return Contents(path, f"GGUF {header.version}", _plain_all(header.metadata), entries)


def bits(dtype: str) -> int:
    """Bits of one number, from the name that safetensors gives its type: BF16 16, F8_E4M3 8, BOOL 8."""
    digits = re.search(r"\d+", dtype)
    return int(digits[0]) if digits else 8


def _listed(tensors: Mapping[str, Stored]) -> list[Listed]:
    return [
        Listed(name, t.dtype, t.shape, math.prod(t.shape) * bits(t.dtype) // 8, t.where.name)
        for name, t in tensors.items()
    ]


def _check_magic(path: Path) -> None:
    is_gguf = False
    try:
        if path.is_file():
            with path.open("rb") as file:
                is_gguf = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise CourseError(
            f"cannot read {path}: {error.strerror or error}", hint="check the path"
        ) from error
    if not is_gguf:
        pickled = path.suffix in (".bin", ".pt", ".pth", ".ckpt")
        raise CourseError(
            f"{path} is neither a GGUF nor a .safetensors file",
            hint="pickled weights can run programs and are not read; get the safetensors"
            if pickled
            else "give one of these, or a folder with model.safetensors",
        )


def _plain_all(metadata: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    return {key: _plain(value, depth) for key, value in metadata.items()}


def _plain(value: Any, depth: int) -> Any:
    """Metadata as JSON can say it: long lists as their length, numbers that are none as text."""
    if hasattr(value, "tolist"):  # a numpy array
        value = value.tolist() if value.size <= LONGEST_LIST else range(value.size)
    if isinstance(value, (Mapping, list, range)):
        if len(value) > LONGEST_LIST and not isinstance(value, Mapping):
            return {"length": len(value)}
        if depth == DEEPEST:
            return "…"
        if isinstance(value, Mapping):
            return _plain_all(value, depth + 1)
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
