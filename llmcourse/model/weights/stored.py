"""What every format of weights on disk comes down to: a shape, and tensors with names.

A `Checkpoint` has looked at the headers of its files and at nothing else. The numbers are read
later, one tensor at a time (`build`), once every name and every shape is known to fit.

Taught in chapter 04.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..config import ModelConfig
from ..names import Kind


@dataclass(frozen=True)
class Stored:
    """One tensor that lies in a file.

    Args:
        shape: As torch says it, slowest dimension first.
        dtype: As the file says it, for example ``BF16`` or ``Q4_1``.
        read: Fetches the numbers into memory of their own: what changes the file later must not
            change the model.
        where: The file.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Tensor]
    where: Path


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk whose headers have been read and checked.

    Args:
        config: Its shape.
        kind: By which layout its tensors are named.
        tensors: Name in the file → the tensor.
        path: The file or the folder.
        metadata: What else the file says (GGUF: the tokenizer and the chat template).
    """

    config: ModelConfig
    kind: Kind
    tensors: Mapping[str, Stored]
    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)
