"""Folders as Hugging Face has them: a ``config.json`` and safetensors, read and written.

Taught in chapter 04.
"""

from __future__ import annotations

import json
from pathlib import Path

from llmcourse.assets import atomic_write
from llmcourse.tokenizer.json_object import read_json_object

from ..names import rename
from ..transformer import Transformer
from .huggingface_config import from_huggingface, to_huggingface
from .safetensors_files import SINGLE, open_folder, write_file
from .stored import Checkpoint

CONFIG = "config.json"
LARGEST_CONFIG = 1 << 20


def open_huggingface(folder: str | Path) -> Checkpoint:
    """A folder with a GPT-2, Llama or Qwen2 as Hugging Face stores it; headers only.

    Raises:
        CourseError: if a file is missing or damaged, or sets what is not supported.
    """
    folder = Path(folder)
    path = folder / CONFIG
    content = read_json_object(path, LARGEST_CONFIG)
    config = from_huggingface(content, path)
    return Checkpoint(config, content["model_type"], open_folder(folder), folder)


def export(model: Transformer, folder: str | Path) -> None:
    """Write a model so that transformers can read it (``AutoModelForCausalLM.from_pretrained``).

    Raises:
        CourseError: if transformers has no such model, or the folder cannot be written.
    """
    folder = Path(folder)
    content = to_huggingface(model.config)
    tensors = rename(content["model_type"], model.config, model.state_dict())
    content["dtype"] = content["torch_dtype"] = str(model.dtype).removeprefix("torch.")
    write_file(folder / SINGLE, tensors, {"format": "pt"})
    with atomic_write(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
