"""Hugging Face's ``tokenizer.json``: byte-level BPE out of a description with many options.

The file describes a pipeline: normalise, cut, merge, add what frames a text. Only pipelines that do
what our `Tokenizer` does are taken; an option that would change an id is refused by name. What is
added around a text (a token for its beginning, say) is left to the chat template.

Taught in chapter 04 (weights on disk).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmcourse.assets import atomic_write
from llmcourse.errors import CourseError

from .files import FORMAT, PRINTABLE, to_printable
from .json_object import read_json_object
from .pretokenize import GPT2_PATTERN
from .released import (
    LLAMA3_PATTERN,
    QWEN2_PATTERN,
    SMOLLM_PATTERN,
    Cutting,
    ReleasedTokenizer,
    as_bytes,
    assemble,
    parse_merges,
)
from .tokenizer import Tokenizer

FILE_NAME = "tokenizer.json"
_KNOWN_SPLITS = (QWEN2_PATTERN, LLAMA3_PATTERN)


def load_tokenizer(folder: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer in a folder: our ``tokenizer.json``, Hugging Face's, or GPT-2's two files.

    Raises:
        CourseError: if there is none, it is damaged, or it is of a kind we do not have.
    """
    folder = Path(folder)
    path = folder / FILE_NAME
    if not path.exists() and (folder / "vocab.json").exists():
        return Tokenizer.from_files(folder / "vocab.json", folder / "merges.txt", ["<|endoftext|>"])
    content = read_json_object(path)
    if content.get("format") == FORMAT:
        return Tokenizer.load(folder)
    return from_huggingface(content, str(path))


def from_huggingface(content: Mapping[str, Any], where: str = FILE_NAME) -> Tokenizer:
    """A tokenizer from the content of a ``tokenizer.json``.

    Args:
        content: The JSON object.
        where: The file, for messages.

    Raises:
        CourseError: naming what is missing or not supported.
    """
    model = content.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        kind = model.get("type") if isinstance(model, dict) else model
        raise _unsupported(where, "model", str(kind)[:40])
    for option in ("byte_fallback", "dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(option):
            raise _unsupported(where, option, model[option])
    table, lines = model.get("vocab"), model.get("merges")
    if not isinstance(table, dict) or not isinstance(lines, list) or not _are_ids(table.values()):
        raise CourseError(f"{where}: model has no vocab and merges", hint="get the file again")
    special = _added_tokens(content.get("added_tokens") or [], where)
    bytes_of = {text: as_bytes(text) for text in table if text not in special}
    if len({*table.values()}) < len(table):
        raise CourseError(f"{where}: two tokens have the same id", hint="get the file again")
    vocab = {table[text]: token for text, token in bytes_of.items()}
    # A token for what has none would stand where we leave something out; no known release has both.
    if model.get("unk_token") and not set(PRINTABLE.values()) <= table.keys():
        raise _unsupported(where, "unk_token with bytes that have no token", model["unk_token"])
    cutting = _cutting(content, bool(model.get("ignore_merges")), where)
    return assemble(vocab, parse_merges(lines, bytes_of, where), special, cutting, where)


def save_huggingface(tokenizer: Tokenizer, folder: str | os.PathLike[str]) -> None:
    """Write a tokenizer as Hugging Face's ``tokenizer.json``, for transformers and others to read.

    Raises:
        CourseError: if it has no merges or a pattern that cannot be said there, or the folder cannot
            be written.
    """
    path = Path(folder) / FILE_NAME
    content = json.dumps(to_huggingface(tokenizer), ensure_ascii=False, indent=1)
    with atomic_write(path) as temporary:
        temporary.write_text(content + "\n", encoding="utf-8")


def to_huggingface(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of the ``tokenizer.json`` that does what this tokenizer does.

    Raises:
        CourseError: if it has no merges, or a pattern that cannot be said there.
    """
    if tokenizer.merges is None or tokenizer.pattern not in _STEPS:
        raise CourseError(
            "this tokenizer cannot be said in Hugging Face's tokenizer.json: it has no merges, or a "
            "split pattern of its own",
            hint="save it in our own format",
        )
    steps = _STEPS[tokenizer.pattern]
    nfc = isinstance(tokenizer, ReleasedTokenizer) and tokenizer.cutting.nfc
    special = tokenizer.special_tokens
    listed = sorted(special.items(), key=lambda item: item[1])
    table = {to_printable(t): i for i, t in tokenizer.vocab.items() if i not in special.values()}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": i, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for name, i in listed
        ],
        "normalizer": {"type": "NFC"} if nfc else None,
        "pre_tokenizer": steps[0] if len(steps) == 1 else {"type": "Sequence", "pretokenizers": steps},
        "post_processor": _BYTES | {"use_regex": True},
        "decoder": _BYTES | {"use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": dict(listed) | table,
            "merges": [[*map(to_printable, pair)] for pair in tokenizer.merges],
        },
    }  # fmt: skip


def _split(pattern: str) -> list[dict[str, Any]]:
    split = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    return [split, _BYTES | {"use_regex": False}]


_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
_STEPS: dict[str, list[dict[str, Any]]] = {
    GPT2_PATTERN: [_BYTES | {"use_regex": True}],
    SMOLLM_PATTERN: [{"type": "Digits", "individual_digits": True}, _BYTES | {"use_regex": True}],
    QWEN2_PATTERN: _split(QWEN2_PATTERN),
    LLAMA3_PATTERN: _split(LLAMA3_PATTERN),
}
"""Our pattern → the steps that cut in the same places."""


def _cutting(content: Mapping[str, Any], whole_first: bool, where: str) -> Cutting:
    normalizer = content.get("normalizer")
    if normalizer not in (None, {"type": "NFC"}):
        raise _unsupported(where, "normalizer", normalizer)
    steps = _steps(content.get("pre_tokenizer"), "pretokenizers")
    pattern = _pattern(steps)
    if pattern is None:
        raise _unsupported(where, "pre_tokenizer", content.get("pre_tokenizer"))
    decoders = _steps(content.get("decoder"), "decoders")
    if [step.get("type") for step in decoders] != ["ByteLevel"]:
        raise _unsupported(where, "decoder", content.get("decoder"))
    return Cutting(pattern, nfc=normalizer is not None, whole_first=whole_first)


def _pattern(steps: list[dict[str, Any]]) -> str | None:
    """The one expression that cuts as these steps do one after the other, or None."""
    types = [step.get("type") for step in steps]
    if not types or types[-1] != "ByteLevel" or steps[-1].get("add_prefix_space"):
        return None
    gpt2 = steps[-1].get("use_regex", True)
    if types == ["ByteLevel"]:
        return GPT2_PATTERN if gpt2 else None
    if types == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and gpt2:
        return SMOLLM_PATTERN
    if types == ["Split", "ByteLevel"] and not gpt2:
        split = steps[0].get("pattern")
        said = split.get("Regex") if isinstance(split, dict) else None
        isolated = steps[0].get("behavior") == "Isolated" and not steps[0].get("invert")
        return said if isolated and said in _KNOWN_SPLITS else None
    return None


def _steps(part: Any, several: str) -> list[dict[str, Any]]:
    """A part of the pipeline as a list of its steps; what is no step is one without a type."""
    if isinstance(part, dict) and part.get("type") == "Sequence":
        part = part.get(several)
    listed = part if isinstance(part, list) else [part]
    return [step if isinstance(step, dict) else {} for step in listed]


def _added_tokens(listed: Any, where: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for token in listed if isinstance(listed, list) else [listed]:
        entry: dict[str, Any] = token if isinstance(token, dict) else {}
        name, i = entry.get("content"), entry.get("id")
        if (
            not isinstance(name, str)
            or not isinstance(i, int)
            or not _are_ids([i])
            or name in found
        ):
            raise CourseError(
                f"{where}: {str(token)[:80]} is no added token", hint="get the file again"
            )
        for option in ("lstrip", "rstrip", "single_word"):
            if entry.get(option):
                raise _unsupported(where, f"{option} of the token {name!r}", True)
        found[name] = i
    return found


def _are_ids(values: Any) -> bool:
    return all(type(i) is int and 0 <= i < 1 << 31 for i in values)


def _unsupported(where: str, what: str, value: Any) -> CourseError:
    return CourseError(
        f"{where}: {what} {str(value)[:200]} is not supported",
        hint="byte-level BPE as GPT-2, SmolLM, Llama 3 and Qwen2 have it is",
    )
