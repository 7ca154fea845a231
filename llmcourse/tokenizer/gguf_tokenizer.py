"""A tokenizer from the metadata of a GGUF file.

The file itself is read elsewhere (`llmcourse.model.weights.gguf_header`); here is only what the
keys mean. Taught in chapter 04 (weights on disk).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from llmcourse.errors import CourseError

from .released import CUTTINGS, as_bytes, assemble, parse_merges
from .tokenizer import Tokenizer

# What a token is for. Names of control tokens, and those a user defined, are cut out of the text
# before anything else.
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_SPECIAL = (_CONTROL, _USER_DEFINED)


def tokenizer_from_gguf(metadata: Mapping[str, Any], where: str = "the GGUF file") -> Tokenizer:
    """The byte-level BPE tokenizer that a GGUF file carries.

    Args:
        metadata: The file's keys and values.
        where: The file, for messages.

    Raises:
        CourseError: if there is none, it is of another kind, or its parts do not fit together.
    """
    model, pre = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "default")
    if model != "gpt2":
        raise CourseError(
            f"{where}: the tokenizer is {str(model)[:40]!r}, not byte-level BPE",
            hint="take a model with tokenizer.ggml.model gpt2",
        )
    if pre not in CUTTINGS:
        raise CourseError(
            f"{where}: text is cut in a way called {str(pre)[:40]!r}",
            hint=f"known: {', '.join(CUTTINGS)}",
        )
    tokens = _strings(metadata, "tokenizer.ggml.tokens", where)
    kinds = metadata.get("tokenizer.ggml.token_type", np.full(len(tokens), _NORMAL))
    if (
        not isinstance(kinds, np.ndarray)
        or len(kinds) != len(tokens)
        or kinds.dtype.kind not in "iu"
    ):
        raise CourseError(
            f"{where}: tokenizer.ggml.token_type does not fit {len(tokens):,} tokens",
            hint="get the file again",
        )
    special = {tokens[i]: int(i) for i in np.flatnonzero(np.isin(kinds, _SPECIAL))}
    bytes_of = {text: as_bytes(text) for text in tokens if text not in special}
    if len(bytes_of) + len(special) < len(tokens):
        raise CourseError(f"{where}: a token is there twice", hint="get the file again")
    lines = _strings(metadata, "tokenizer.ggml.merges", where)
    merges = parse_merges(lines, bytes_of, where)
    vocab = {i: bytes_of[text] for i, text in enumerate(tokens) if text not in special}
    return assemble(vocab, merges, special, CUTTINGS[pre], where)


def named_token(metadata: Mapping[str, Any], name: str) -> str:
    """The text of the token that marks the beginning (``bos``) or the end (``eos``), or ''."""
    token_id = metadata.get(f"tokenizer.ggml.{name}_token_id")
    tokens = metadata.get("tokenizer.ggml.tokens")
    if isinstance(token_id, int) and isinstance(tokens, list) and 0 <= token_id < len(tokens):
        return str(tokens[token_id])
    return ""


def _strings(metadata: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = metadata.get(key)
    if not isinstance(value, list):
        raise CourseError(f"{where}: {key} is no list of strings", hint="get the file again")
    return value
