"""The course's own format: ``config.json`` and ``model.safetensors`` with the plain names.

Plain names are those of the model's state dict, so there is nothing to rename. The shape is written
twice, into ``config.json`` for people and into the header of the weights; a folder in which the two
differ is a mixture of two models and is refused. Taught in chapter 04.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmcourse.assets import atomic_write
from llmcourse.errors import CourseError
from llmcourse.tokenizer.json_object import read_json_object

from ..config import config_from
from ..transformer import Transformer
from .huggingface import CONFIG, LARGEST_CONFIG
from .safetensors_files import SINGLE, open_file, write_file
from .stored import Checkpoint

FORMAT = "llmcourse model, version 1"


def save(model: Transformer, folder: str | Path) -> None:
    """Write a model into a folder, each file all at once or not at all.

    Raises:
        CourseError: if the folder cannot be written.
    """
    folder = Path(folder)
    config = model.config.model_dump(mode="json")
    metadata = {"format": FORMAT, "config": json.dumps(config)}
    write_file(folder / SINGLE, model.state_dict(), metadata)
    with atomic_write(folder / CONFIG) as temporary:
        content = {"format": FORMAT, "config": config}
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def open_own(folder: str | Path) -> Checkpoint:
    """A folder that `save` wrote; headers only.

    Raises:
        CourseError: if a file is missing or damaged, or the two do not belong together.
    """
    folder = Path(folder)
    path = folder / CONFIG
    content = read_json_object(path, LARGEST_CONFIG)
    fields = content.get("config")
    if content.get("format") != FORMAT or not isinstance(fields, dict):
        raise CourseError(f"{path} is not a {FORMAT}", hint="save the model again")
    tensors, metadata = open_file(folder / SINGLE)
    if metadata.get("format") != FORMAT or _parsed(metadata.get("config", "")) != fields:
        raise CourseError(
            f"{path} and {SINGLE} are not of the same model", hint="save the model again"
        )
    return Checkpoint(config_from(fields, str(path)), "plain", tensors, folder)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
