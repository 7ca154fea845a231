"""One kind of files into another: a model in our format or Hugging Face's, with what it says in words.

The folder gets weights, shape, tokenizer, chat template, and for other programs the ids of the tokens
that begin and end a text. Everything is checked before the first byte is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..assets import atomic_write
from ..errors import CourseError
from ..model import pretrained, weights
from ..model.transformer import Transformer
from ..model.weights.build import checked_dtype
from ..model.weights.huggingface_config import to_huggingface
from ..tokenizer import Tokenizer
from ..tokenizer.chat_template import FILE_NAME as TEMPLATE
from ..tokenizer.chat_template import ChatTemplate
from ..tokenizer.huggingface import save_huggingface
from ..tokenizer.huggingface import to_huggingface as tokenizer_to_huggingface
from .model_places import find

FORMATS = ("ours", "huggingface")
# What belongs to a model in a folder: with --force, what is not written anew is a leftover.
MODEL_FILES = (
    "config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json", "model-*.safetensors",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", TEMPLATE,
)  # fmt: skip
ENDS = ("<|endoftext|>", "<|end_of_text|>")
"""What the token that ends a document is called."""


def convert(
    source: str,
    out: Path,
    *,
    format: str,
    dtype: str,
    words: bool,
    force: bool,
    progress: bool = False,
) -> Transformer:
    """Write a model into the folder `out`; returns what was written.

    Args:
        source: A name or a path.
        out: The folder.
        format: ``ours`` or ``huggingface``.
        dtype: ``float32``, ``bfloat16``, ``float16``, or ``auto``: the source's own, in which no number
            changes (float32 for quantised weights).
        words: Whether to write the tokenizer and the chat template.
        force: Overwrite a model that is there.
        progress: Show bars on standard error.

    Raises:
        CourseError: if something is there already, the format cannot hold the model, or a file
            cannot be read or written.
    """
    if format not in FORMATS:
        raise CourseError(f"the format cannot be {format!r}", hint=f"one of {', '.join(FORMATS)}")
    chosen = "float32" if dtype == "auto" else checked_dtype(dtype)
    _check_free(out, force)
    _check_words(source, words)
    tokenizer, template = None, None
    if words or source.lower() in pretrained.names():
        found = pretrained.load(source, dtype=chosen, progress=progress)
        model = found.model
        tokenizer, template = found.tokenizer, found.chat_template
    else:
        model = weights.load(find(source), dtype=chosen, progress=progress)
    path = find(source)
    if path.is_dir() and out.exists() and path.samefile(out):
        raise CourseError(f"{out} is the source as well", hint="choose another folder")
    if dtype == "auto":
        model = model.to(stored_dtype(path))
    if format == "huggingface":
        to_huggingface(model.config)
        if words and tokenizer is not None:
            tokenizer_to_huggingface(tokenizer)
    written = {"config.json", "model.safetensors"}
    if words and tokenizer is not None:
        written |= _save_words(tokenizer, template, out, format)
    (weights.save if format == "ours" else weights.export)(model, out)
    _remove_leftovers(out, written)
    return model


def stored_dtype(path: Path) -> Any:
    """The type that holds every number of a model on disk as it is: a `torch.dtype`."""
    types = {stored.dtype for stored in weights.open_checkpoint(path).tensors.values()}
    narrow = {frozenset({"BF16"}): "bfloat16", frozenset({"F16"}): "float16"}
    return checked_dtype(narrow.get(frozenset(types), "float32"))


def _check_free(out: Path, force: bool) -> None:
    """Before minutes of loading: could a folder be written here?"""
    if out.exists() and not out.is_dir():
        raise CourseError(f"{out} is a file", hint="give a folder")
    if out.is_dir() and not force and (there := sorted(out.iterdir())):
        raise CourseError(
            f"{out} holds {there[0].name} already", hint="choose another folder, or add --force"
        )
    parent = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise CourseError(f"nothing can be written to {parent}", hint="choose another folder")


def _check_words(source: str, words: bool) -> None:
    """A folder without a tokenizer is no mistake, but it has to be said."""
    folder = Path(source).expanduser()
    there = (folder / name for name in ("tokenizer.json", "vocab.json"))
    if words and folder.is_dir() and not any(path.exists() for path in there):
        raise CourseError(
            f"{folder} has no tokenizer.json",
            hint="get it, or convert the weights alone: --no-tokenizer",
        )


def _save_words(
    tokenizer: Tokenizer, template: ChatTemplate | None, out: Path, format: str
) -> set[str]:
    """Tokenizer, chat template and the names of special tokens; the files' names."""
    if format == "huggingface":
        save_huggingface(tokenizer, out)
    else:
        tokenizer.save(out)
    special = tokenizer.special_tokens
    bos = template.bos_token if template is not None else ""
    eos = template.eos_token if template is not None else ""
    eos = eos or next((name for name in ENDS if name in special), "")
    named = {"bos_token": bos, "eos_token": eos}
    settings: dict[str, Any] = {key: name for key, name in named.items() if name}
    if format == "huggingface":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        ids = {f"{key}_id": special[name] for key, name in named.items() if name in special}
        _write_json(out / "generation_config.json", ids)
    _write_json(out / "tokenizer_config.json", settings)
    written = {"tokenizer.json", "tokenizer_config.json"}
    if format == "huggingface":
        written.add("generation_config.json")
    if template is not None:
        with atomic_write(out / TEMPLATE) as temporary:
            temporary.write_bytes(template.text.encode("utf-8"))
        written.add(TEMPLATE)
    return written


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _remove_leftovers(out: Path, written: Collection[str]) -> None:
    for pattern in MODEL_FILES:
        for path in out.glob(pattern):
            if path.name not in written:
                path.unlink()
