"""Weights on disk: our own format, Hugging Face's folders, GGUF files. Taught in chapter 04.

`open_checkpoint` looks at headers, `build` makes the model, `load` does both; `save` writes our
format and `export` Hugging Face's. No pickle is read or written.
"""

from __future__ import annotations

from pathlib import Path

import torch

from llmcourse.errors import CourseError
from llmcourse.tokenizer.json_object import read_json_object

from ..transformer import Transformer
from .build import build
from .gguf import open_gguf
from .huggingface import CONFIG, LARGEST_CONFIG, export, open_huggingface
from .own import open_own, save
from .stored import Checkpoint, Stored

__all__ = ["Checkpoint", "Stored", "build", "export", "load", "open_checkpoint", "save"]


def open_checkpoint(path: str | Path) -> Checkpoint:
    """What a ``.gguf`` file or a folder holds, ours or Hugging Face's; only headers are read.

    Raises:
        CourseError: if it is neither, is damaged, or needs what is not supported.
    """
    path = Path(path)
    if not path.exists():
        raise CourseError(f"{path} is missing", hint="check the path")
    if not path.is_dir():
        if path.suffix == ".safetensors":
            raise CourseError(
                f"{path} is weights without a configuration",
                hint="give the folder that has config.json as well",
            )
        return open_gguf(path)
    content = read_json_object(path / CONFIG, LARGEST_CONFIG)
    return open_own(path) if "format" in content else open_huggingface(path)


def load(
    path: str | Path,
    *,
    dtype: torch.dtype | str = torch.float32,
    device: torch.device | str = "cpu",
    allow_non_finite: bool = False,
    progress: bool = False,
) -> Transformer:
    """A model from a ``.gguf`` file or a folder; see `build` for the arguments.

    Raises:
        CourseError: as `open_checkpoint` and `build`.
    """
    return build(
        open_checkpoint(path),
        dtype=dtype,
        device=device,
        allow_non_finite=allow_non_finite,
        progress=progress,
    )
