"""Tokenizers on disk: our ``tokenizer.json``, GPT-2's two files, and tiktoken's ranks.

Bytes are written as text the way GPT-2 does it: every byte has a printable character (a space is
"Ġ", a line end "Ċ"), so that the files can be read by people too. Taught in chapter 02.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmcourse.assets import atomic_write
from llmcourse.errors import CourseError

from .training import Pair

FILE_NAME = "tokenizer.json"
FORMAT = "llmcourse tokenizer, version 1"


def _printable_bytes() -> dict[int, str]:
    """GPT-2's alphabet: printable Latin-1 as itself, the other bytes from U+0100 on, in order."""
    itself = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    others = [b for b in range(256) if b not in itself]
    return {b: chr(b) for b in itself} | {b: chr(256 + n) for n, b in enumerate(others)}


PRINTABLE = _printable_bytes()
_BYTE = {character: byte for byte, character in PRINTABLE.items()}


def to_printable(token: bytes) -> str:
    """Bytes in GPT-2's printable alphabet.

    >>> to_printable(b" the")
    'Ġthe'
    """
    return "".join(PRINTABLE[b] for b in token)


def from_printable(text: str) -> bytes:
    """The inverse of `to_printable`; a character outside the alphabet is a KeyError."""
    return bytes(_BYTE[character] for character in text)


def save(
    directory: str | os.PathLike[str],
    vocab: Mapping[int, bytes],
    merges: Sequence[Pair] | None,
    special_tokens: Mapping[str, int],
    pattern: str,
) -> None:
    """Write ``tokenizer.json``; see `Tokenizer.save`."""
    content = {
        "pattern": pattern,
        "special_tokens": dict(special_tokens),
        "vocab": {str(i): to_printable(token) for i, token in sorted(vocab.items())},
        "merges": None if merges is None else [[*map(to_printable, pair)] for pair in merges],
    }
    path = Path(directory) / FILE_NAME
    with atomic_write(path) as temporary:
        whole = {"format": FORMAT, "sha256": _digest(content), "content": content}
        temporary.write_text(json.dumps(whole, ensure_ascii=False, indent=0), encoding="utf-8")


def load(
    directory: str | os.PathLike[str],
) -> tuple[dict[int, bytes], list[Pair] | None, dict[str, int], str]:
    """Read and check ``tokenizer.json``; see `Tokenizer.load`."""
    path = Path(directory) / FILE_NAME
    whole = _read_json(path)
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise CourseError(f"{path} is not a {FORMAT} file", hint="save the tokenizer again")
    content = whole.get("content")
    if _digest(content) != whole.get("sha256") or not isinstance(content, dict):
        raise CourseError(f"{path} was altered: its SHA-256 differs", hint="save it again")
    merges = content["merges"]
    return (
        {int(i): from_printable(token) for i, token in content["vocab"].items()},
        None
        if merges is None
        else [(from_printable(left), from_printable(right)) for left, right in merges],
        content["special_tokens"],
        content["pattern"],
    )


def load_gpt2(
    vocab_path: str | os.PathLike[str], merges_path: str | os.PathLike[str]
) -> tuple[dict[int, bytes], list[Pair]]:
    """Read ``vocab.json`` and ``merges.txt``; see `Tokenizer.from_files`."""
    table = _read_json(Path(vocab_path))
    try:
        vocab = {int(i): _token(token) for token, i in table.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise CourseError(
            f"{os.fspath(vocab_path)} is no vocabulary (a JSON object, token → id)",
            hint="give GPT-2's vocab.json",
        ) from error
    merges: list[Pair] = []
    # Only "\n" ends a line: str.splitlines would also break at characters that tokens may contain.
    for number, line in enumerate(_read(Path(merges_path)).split("\n"), start=1):
        line = line.rstrip("\r")
        if not line or (number == 1 and line.startswith("#version")):
            continue
        try:
            left, right = line.split(" ")
            merges.append((from_printable(left), from_printable(right)))
        except (KeyError, ValueError):
            raise CourseError(
                f"{os.fspath(merges_path)}, line {number}: {line[:40]!r} is no merge",
                hint="give GPT-2's merges.txt, two tokens a line",
            ) from None
    return vocab, merges


def save_gpt2(
    vocab_path: str | os.PathLike[str],
    merges_path: str | os.PathLike[str],
    vocab: Mapping[int, bytes],
    merges: Sequence[Pair],
) -> None:
    """Write ``vocab.json`` and ``merges.txt``, which Hugging Face's libraries read."""
    table = {to_printable(token): i for i, token in sorted(vocab.items())}
    lines = [f"{to_printable(left)} {to_printable(right)}\n" for left, right in merges]
    with atomic_write(Path(vocab_path)) as temporary:
        temporary.write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    with atomic_write(Path(merges_path)) as temporary:
        temporary.write_bytes(("#version: 0.2\n" + "".join(lines)).encode("utf-8"))


def load_ranks(path: str | os.PathLike[str]) -> dict[bytes, int]:
    """Read a ``.tiktoken`` file: on each line a token in base64 and its rank.

    Raises:
        CourseError: if the file is missing or has another form.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(_read(Path(path)).splitlines(), start=1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError:
            raise CourseError(
                f"{os.fspath(path)}, line {number}: not a token in base64 and its rank",
                hint="give a .tiktoken file",
            ) from None
    return ranks


def _token(text: str) -> bytes:
    """A token of vocab.json; special tokens may have been added there as plain text."""
    try:
        return from_printable(text)
    except KeyError:
        return text.encode("utf-8")


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise CourseError(
            f"cannot read {path}: {error.strerror or error}", hint="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not UTF-8", hint="get the file again") from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise CourseError(
            f"{path} is cut short or corrupt (line {error.lineno})", hint="get the file again"
        ) from error
