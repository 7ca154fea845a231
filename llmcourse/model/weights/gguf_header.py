"""Reading the header of a GGUF file, believing nothing it says.

GGUF is llama.cpp's format: one file with the model's shape, its tokenizer and its tensors. Before
the tensors stand metadata (key, type, value) and a list of tensors (name, dimensions, type,
offset), all of it lengths and counts that whoever made the file could choose. Here every length,
count and offset is compared with what is left of the file before anything is allocated or looped
over; so a file of 100 bytes cannot ask for 2^63 strings.

This file does NOT read tensors; that is `gguf`. Taught in chapter 04.

Source: the GGUF specification, github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from llmcourse.errors import CourseError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
LARGEST_TEXT = 1 << 24  # bytes of one string; a chat template has some ten thousand
LARGEST_LIST = 1 << 21  # strings of one list; the greatest vocabularies have 300,000
MOST_STRINGS = 1 << 23  # strings in all: a string costs less on disk than in memory
MOST_DIMENSIONS = 4

# The types of metadata values: struct's letter for numbers.
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 10: "Q", 11: "q", 12: "d"}
_BOOL, _STRING, _ARRAY = 7, 8, 9

# Types of tensors: name, weights in a block, bytes of a block (ggml.h).
TENSOR_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2),
    26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's entry in the header.

    Args:
        name: As in the file.
        shape: As torch says it, slowest dimension first (the file has it the other way round).
        type: Number of its type, a key of `TENSOR_TYPES`.
        offset: Where its bytes begin, from the beginning of the file.
        size: How many bytes.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    size: int


@dataclass(frozen=True)
class Header:
    """All that a GGUF file says before its tensors.

    Args:
        version: 2 or 3.
        metadata: Key → a number, a bool, a string, a list of strings, or an array of numbers.
        tensors: Name → its entry, in the order of the file.
    """

    version: int
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]


def read_header(path: Path) -> Header:
    """The header of a GGUF file, checked against the file's size.

    Raises:
        CourseError: naming the key or the tensor that is impossible.
    """
    if not path.is_file():
        raise CourseError(
            f"{path} is {'no file' if path.exists() else 'missing'}", hint="check the path"
        )
    try:
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise CourseError(
                    f"{path} is no GGUF file",
                    hint="give a .gguf file, or a folder with config.json",
                )
            # Mapped only while the header is read: tensors are read, not mapped, because a mapped
            # file that somebody shortens takes the whole process down with it.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data).header()
    except OSError as error:
        raise CourseError(
            f"cannot read {path}: {error.strerror or error}", hint="check the path"
        ) from error


class _Reader:
    """A position in the file that never goes beyond its end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.size, self.at = path, data, len(data), len(MAGIC)
        self.strings = 0

    def wrong(self, what: str) -> CourseError:
        return CourseError(f"{self.path}: {what}", hint=_AGAIN)

    def header(self) -> Header:
        version = self.number("I", "the version")
        if version not in VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            kind = " (its bytes are in big-endian order)" if swapped in VERSIONS else ""
            raise self.wrong(f"version {version}{kind} is none of 2 and 3")
        n_tensors = self.count("the number of tensors", 24)  # no entry is shorter
        n_keys = self.count("the number of keys", 13)
        metadata = self.table(n_keys, "key", self.value)
        entries = self.table(n_tensors, "tensor", self.entry)
        alignment = metadata.get("general.alignment", 32)
        power_of_two = (
            isinstance(alignment, int) and alignment >= 8 and not alignment & alignment - 1
        )
        if not power_of_two or isinstance(alignment, bool):
            raise self.wrong(f"general.alignment is {alignment!r}, no power of two from 8 on")
        return Header(version, metadata, self.placed(entries, alignment))

    def table(self, count: int, what: str, read: Callable[[str], T]) -> dict[str, T]:
        found: dict[str, T] = {}
        for number in range(count):
            name = self.text(f"the name of {what} {number}")
            if name in found:
                raise self.wrong(f"the {what} {name!r} is there twice")
            found[name] = read(name)
        return found

    # ---------------------------------------------------------------- numbers and strings

    def need(self, size: int, what: str) -> int:
        """Move on by `size` bytes, if that many are left; where they begin."""
        if size > self.size - self.at:
            raise self.wrong(f"cut short in {what}")
        self.at += size
        return self.at - size

    def number(self, letter: str, what: str) -> Any:
        form = "<" + letter
        return struct.unpack_from(form, self.data, self.need(struct.calcsize(form), what))[0]

    def count(self, what: str, least: int) -> int:
        """A number of things of at least so many bytes each: no more than the file has room for."""
        count = int(self.number("Q", what))
        if count > (self.size - self.at) // least:
            raise self.wrong(f"{what} is {count:,}, more than the file has room for")
        return count

    def text(self, what: str) -> str:
        length = int(self.number("Q", what))
        if length > min(LARGEST_TEXT, self.size - self.at):
            raise self.wrong(f"{what} has {length:,} bytes, more than the file has room for")
        start = self.need(length, what)
        try:
            return str(self.data[start : self.at], "utf-8")
        except UnicodeDecodeError:
            raise self.wrong(f"{what} is not UTF-8") from None

    # ---------------------------------------------------------------- metadata

    def value(self, key: str) -> Any:
        kind = self.number("I", key)
        if kind == _ARRAY:
            return self.array(key)
        if kind == _STRING:
            return self.text(key)
        if kind == _BOOL:
            return bool(self.number("B", key))
        if kind not in _NUMBERS:
            raise self.wrong(f"{key} has the unknown type {kind}")
        return self.number(_NUMBERS[kind], key)

    def array(self, key: str) -> Any:
        kind = self.number("I", key)
        if kind == _STRING:
            return self.list_of_strings(key)
        if kind != _BOOL and kind not in _NUMBERS:  # arrays of arrays are in no language model
            raise self.wrong(f"{key} is an array of the type {kind}")
        dtype = np.dtype("?" if kind == _BOOL else "<" + _NUMBERS[kind])
        count = self.count(f"the length of {key}", dtype.itemsize)
        start = self.need(count * dtype.itemsize, key)
        return np.frombuffer(self.data[start : self.at], dtype)

    def list_of_strings(self, key: str) -> list[str]:
        count = self.count(f"the length of {key}", 8)
        self.strings += count
        if count > LARGEST_LIST or self.strings > MOST_STRINGS:
            raise self.wrong(f"{key} has {count:,} strings, more than any vocabulary")
        # `text` a hundred thousand times, written out: it is most of the time a header takes.
        data, size, at, found = self.data, self.size, self.at, []
        for _ in range(count):
            end = at + 8
            if end > size:
                raise self.wrong(f"cut short in {key}")
            length = int.from_bytes(data[at:end], "little")
            at = end + length
            if at > size or length > LARGEST_TEXT:
                raise self.wrong(f"{key} has a string of {length:,} bytes, beyond the file's end")
            found.append(data[end:at])
        self.at = at
        try:
            return [str(text, "utf-8") for text in found]
        except UnicodeDecodeError:
            raise self.wrong(f"{key} has a string that is not UTF-8") from None

    # ---------------------------------------------------------------- tensors

    def entry(self, name: str) -> TensorInfo:
        what = f"the tensor {name!r}"
        dimensions = self.number("I", what)
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise self.wrong(f"{what} has {dimensions:,} dimensions")
        shape = tuple(int(self.number("Q", what)) for _ in range(dimensions))[::-1]
        kind, offset = self.number("I", what), int(self.number("Q", what))
        if kind not in TENSOR_TYPES:
            raise self.wrong(f"{what} has the unknown type {kind}")
        type_name, weights, size = TENSOR_TYPES[kind]
        total = 1
        for length in shape:
            total *= length
        if total == 0 or shape[-1] % weights:
            raise self.wrong(f"{what} has an impossible shape for {type_name}: {shape}")
        return TensorInfo(name, shape, kind, offset, total // weights * size)

    def placed(self, entries: dict[str, TensorInfo], alignment: int) -> dict[str, TensorInfo]:
        """The entries with offsets from the beginning of the file; in it, aligned, and apart."""
        begin = -(-self.at // alignment) * alignment
        placed = {
            name: TensorInfo(name, e.shape, e.type, begin + e.offset, e.size)
            for name, e in entries.items()
        }
        end, before = begin, ""
        for name, e in sorted(placed.items(), key=lambda item: item[1].offset):
            if (e.offset - begin) % alignment:
                raise self.wrong(f"the tensor {name!r} does not begin at a multiple of {alignment}")
            if e.offset + e.size > self.size:
                raise self.wrong(f"the tensor {name!r} reaches beyond the file's end")
            if e.offset < end:
                raise self.wrong(f"the tensors {before!r} and {name!r} overlap")
            end, before = e.offset + e.size, name
        return placed


_AGAIN = "get the file again"
