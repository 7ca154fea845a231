"""Token shards: a corpus as numbers on disk, read in place by as many processes as there are.

A shard is a header of 256 bytes and then the tokens, two bytes each (four where the vocabulary is
larger than 65,536), little-endian. A set of shards is a folder with an ``index.json`` that is
written last: a folder without one was never finished, and cannot be mistaken for a whole one.

What this file does NOT do: choose batches (`loader`), or know what a token means. Documents are
separated by whatever separator the tokens contain. Taught in chapter 01.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Union

import numpy as np
import numpy.typing as npt

from llmcourse.assets import atomic_write
from llmcourse.errors import CourseError

MAGIC = b"LLMSHARD"
VERSION = 1
INDEX = "index.json"
FORMAT = "llmcourse token shards, version 1"
HEADER_SIZE = 256
# magic, version, bytes per token, number of tokens, vocabulary size, SHA-256 of the tokens
_FIELDS = struct.Struct("<8sIIQQ32s")
_BLOCK = 1 << 20  # tokens handled at a time

Tokens = npt.NDArray[Any]
TokenSource = Iterable[Union[int, Sequence[int], Tokens]]  # noqa: UP007


@dataclass(frozen=True)
class Header:
    """What a shard says about itself.

    Args:
        itemsize: Bytes per token, 2 or 4.
        tokens: How many tokens follow.
        vocab_size: Every token is below this.
        sha256: Checksum of the tokens' bytes, as hexadecimal.
    """

    itemsize: int
    tokens: int
    vocab_size: int
    sha256: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Little-endian unsigned integers of this size, on every machine."""
        return np.dtype(f"<u{self.itemsize}")

    def to_bytes(self) -> bytes:
        """The 256 bytes: fields, zeros, and a CRC-32 of all that as the last four."""
        digest = bytes.fromhex(self.sha256)
        fields = _FIELDS.pack(
            MAGIC, VERSION, self.itemsize, self.tokens, self.vocab_size, digest
        ).ljust(HEADER_SIZE - 4, b"\0")
        return fields + struct.pack("<I", zlib.crc32(fields))

    @classmethod
    def read(cls, path: Path) -> Header:
        """Read and check a shard's header, and that the file is as long as it says.

        Raises:
            CourseError: naming the file and what is wrong with it.
        """
        try:
            with path.open("rb") as file:
                data = file.read(HEADER_SIZE)
                size = os.fstat(file.fileno()).st_size
        except FileNotFoundError as error:
            raise CourseError(f"{path} is missing", hint=_REWRITE) from error
        except OSError as error:
            raise CourseError(f"cannot read {path}: {error.strerror}", hint=_REWRITE) from error
        if data[: len(MAGIC)] != MAGIC:
            raise CourseError(f"{path} is not a token shard", hint=_REWRITE)
        if len(data) < HEADER_SIZE:
            raise CourseError(f"{path} is cut short inside its header", hint=_REWRITE)
        _, version, itemsize, tokens, vocab_size, digest = _FIELDS.unpack_from(data)
        if version != VERSION:
            raise CourseError(
                f"{path} has version {version}; this program reads version {VERSION}", hint=_REWRITE
            )
        if struct.pack("<I", zlib.crc32(data[:-4])) != data[-4:]:
            raise CourseError(f"{path} has a damaged header", hint=_REWRITE)
        if size != HEADER_SIZE + tokens * itemsize:
            raise CourseError(
                f"{path} has {size:,} bytes; its header promises {tokens:,} tokens, "
                f"{HEADER_SIZE + tokens * itemsize:,} bytes",
                hint=_REWRITE,
            )
        return cls(itemsize, tokens, vocab_size, digest.hex())


_REWRITE = "write the shards again"


class ShardSet:
    """Some shards that are one long sequence of tokens. Made by `write_shards` or `ShardSet.open`.

    Nothing is read until it is asked for, and then only the pages where it lies (`numpy.memmap`).
    """

    def __init__(self, directory: Path, names: Sequence[str], headers: Sequence[Header]) -> None:
        self.directory = directory
        self.names = tuple(names)
        self.headers = tuple(headers)
        self.vocab_size = headers[0].vocab_size
        self.dtype = headers[0].dtype
        # borders[i] is where shard i begins in the sequence; the last is the length.
        self.borders: list[int] = [0, *np.cumsum([header.tokens for header in headers]).tolist()]
        self._maps: list[Tokens | None] = [None] * len(names)

    @classmethod
    def open(cls, directory: str | os.PathLike[str], *, verify: bool = True) -> ShardSet:
        """Open a finished set.

        Args:
            directory: The folder that holds ``index.json``.
            verify: Read everything once and compare checksums (about a second per gigabyte). The
                headers, sizes and names are compared in any case.

        Raises:
            CourseError: if the set is unfinished, or a shard is missing, cut short, of another
                version, of another set, or (with `verify`) corrupt; the message names the file.
        """
        directory = Path(directory)
        index = _read_index(directory / INDEX)
        names, headers = [], []
        for entry in index["shards"]:
            path = directory / entry["name"]
            header = Header.read(path)
            if (header.sha256, header.tokens) != (entry["sha256"], entry["tokens"]):
                raise CourseError(
                    f"{path} does not belong to the set that {directory / INDEX} describes",
                    hint=_REWRITE,
                )
            names.append(entry["name"])
            headers.append(header)
        shards = cls(directory, names, headers)
        if verify:
            shards.verify()
        return shards

    def __getstate__(self) -> dict[str, Any]:  # another process maps the files itself
        return {**self.__dict__, "_maps": [None] * len(self.names)}

    def __len__(self) -> int:
        """How many tokens there are in all."""
        return self.borders[-1]

    def __repr__(self) -> str:
        return f"ShardSet({len(self):,} tokens in {len(self.names)} shards, {self.directory})"

    @property
    def fingerprint(self) -> str:
        """A short name for exactly these tokens in these shards, on whatever disk they are."""
        digests = "".join(header.sha256 for header in self.headers)
        return hashlib.sha256(digests.encode("ascii")).hexdigest()[:16]

    def shard(self, i: int) -> Tokens:
        """The tokens of one shard, mapped from disk, read-only."""
        tokens = self._maps[i]
        if tokens is None:
            tokens = np.memmap(
                self.directory / self.names[i], self.headers[i].dtype, "r", offset=HEADER_SIZE
            )
            self._maps[i] = tokens
        return tokens

    def read(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Tokens `start` to `stop` of the whole sequence, across shards where need be.

        Raises:
            IndexError: if the range is not inside the sequence.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"tokens {start} to {stop} of {len(self)}")
        result = np.empty(stop - start, dtype=np.int64)
        first = int(np.searchsorted(self.borders, start, side="right")) - 1
        for i in range(first, len(self.names)):
            begin, end = self.borders[i], self.borders[i + 1]
            if begin >= stop:
                break
            low, high = max(start, begin), min(stop, end)
            result[low - start : high - start] = self.shard(i)[low - begin : high - begin]
        return result

    def __iter__(self) -> Iterator[int]:
        for start in range(0, len(self), _BLOCK):
            yield from self.read(start, min(start + _BLOCK, len(self))).tolist()

    def verify(self) -> None:
        """Read every token and compare the checksums.

        Raises:
            CourseError: naming the first shard that is corrupt.
        """
        for name, header in zip(self.names, self.headers, strict=True):
            digest = hashlib.sha256()
            with (self.directory / name).open("rb") as file:
                file.seek(HEADER_SIZE)
                while block := file.read(_BLOCK):
                    digest.update(block)
            if digest.hexdigest() != header.sha256:
                raise CourseError(
                    f"{self.directory / name} is corrupt: its SHA-256 differs", hint=_REWRITE
                )


def write_shards(
    tokens: TokenSource,
    out_dir: str | os.PathLike[str],
    *,
    vocab_size: int,
    tokens_per_shard: int = 100_000_000,
    overwrite: bool = True,
) -> ShardSet:
    """Write tokens as shards, each in one step and the index last.

    A writer that is killed leaves whole shards without an index; running it again writes the set
    anew and completes it. Nothing of another set survives in the folder.

    Args:
        tokens: Token ids, singly or in lists or arrays (faster), in the order of the text.
        out_dir: The folder; made if need be.
        vocab_size: Every token must be below this. Up to 65,536, tokens take two bytes.
        tokens_per_shard: The last shard may have fewer.
        overwrite: Whether a finished set in the folder may be replaced.

    Raises:
        CourseError: if a token is out of range, there are none, or the folder cannot be written.
    """
    if not 0 < vocab_size <= 1 << 32 or tokens_per_shard < 1:
        raise ValueError("vocab_size must be in 1…2³² and tokens_per_shard at least 1")
    directory = Path(out_dir)
    index = directory / INDEX
    if index.exists() and not overwrite:
        raise CourseError(f"{index} exists", hint="choose another folder, or overwrite=True")
    itemsize = 2 if vocab_size <= 1 << 16 else 4
    blocks = _Blocks(tokens, vocab_size, np.dtype(f"<u{itemsize}"))
    names: list[str] = []
    headers: list[Header] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        index.unlink(missing_ok=True)  # from here on the folder holds no finished set
        for pattern in ("shard-*.bin", ".shard-*.partial", f".{INDEX}.*.partial"):
            for old in directory.glob(pattern):
                old.unlink()
        while not blocks.finished():
            name = f"shard-{len(names):05d}.bin"
            with atomic_write(directory / name) as temporary, temporary.open("wb") as file:
                headers.append(_write_shard(file, blocks, tokens_per_shard, itemsize, vocab_size))
            names.append(name)
        if not names:
            raise CourseError("there are no tokens to write", hint="check the input")
        with atomic_write(index) as temporary:
            temporary.write_text(_index_text(names, headers), encoding="utf-8")
        _sync_directory(directory)
    except OSError as error:
        raise CourseError(
            f"cannot write {directory}: {error.strerror or error}", hint="choose another folder"
        ) from error
    return ShardSet(directory, names, headers)


def _write_shard(
    file: BinaryIO, blocks: _Blocks, limit: int, itemsize: int, vocab_size: int
) -> Header:
    digest, written = hashlib.sha256(), 0
    file.write(bytes(HEADER_SIZE))  # the header's place: it needs the checksum, which comes last
    while written < limit and not blocks.finished():
        block = blocks.take(limit - written)
        data = block.tobytes()
        digest.update(data)
        file.write(data)
        written += len(block)
    header = Header(itemsize, written, vocab_size, digest.hexdigest())
    file.seek(0)
    file.write(header.to_bytes())
    return header


class _Blocks:
    """Tokens that come singly or in arrays, given out in arrays of the right type, checked."""

    def __init__(self, source: TokenSource, vocab_size: int, dtype: np.dtype[Any]) -> None:
        self.source = _guarded(source)
        self.vocab_size = vocab_size
        self.dtype = dtype
        self.ready: Tokens = np.empty(0, dtype)
        self.given = 0

    def finished(self) -> bool:
        """Are all tokens given out? (Fetches the next block if none is ready.)"""
        while not len(self.ready):
            gathered: list[Tokens] = []
            single: list[int] = []
            total = 0
            for item in self.source:
                if isinstance(item, (int, np.integer)):
                    single.append(int(item))
                    total += 1
                else:
                    gathered += [self._check(single), self._check(item)]
                    total += len(item)
                    single = []
                if total >= _BLOCK:
                    break
            if not total and not gathered:
                return True
            self.ready = np.concatenate([*gathered, self._check(single)])
        return False

    def take(self, limit: int) -> Tokens:
        """At most `limit` tokens, at least one."""
        block, self.ready = self.ready[:limit], self.ready[limit:]
        return block

    def _check(self, item: Sequence[int] | Tokens) -> Tokens:
        array = np.asarray(item)
        if array.size and array.dtype.kind not in "iu":
            raise CourseError(
                f"tokens must be whole numbers, not {array.dtype}", hint="give token ids"
            )
        wrong = (array < 0) | (array >= self.vocab_size)
        if wrong.any():
            place = int(np.argmax(wrong))
            raise CourseError(
                f"token {int(array[place])} at position {self.given + place:,} is outside the "
                f"vocabulary of {self.vocab_size:,}",
                hint="give the vocab_size of the tokenizer that made the tokens",
            )
        self.given += array.size
        return array.astype(self.dtype)


def _guarded(source: TokenSource) -> Iterator[int | Sequence[int] | Tokens]:
    """The tokens; an input that cannot be read is not to be taken for a failure to write."""
    try:
        yield from source
    except OSError as error:
        raise CourseError(f"cannot read the tokens: {error}", hint="check the input") from error


def _index_text(names: Sequence[str], headers: Sequence[Header]) -> str:
    shards = [
        {"name": name, "tokens": header.tokens, "sha256": header.sha256}
        for name, header in zip(names, headers, strict=True)
    ]
    total = sum(header.tokens for header in headers)
    whole = {
        "format": FORMAT,
        "tokens": total,
        "vocab_size": headers[0].vocab_size,
        "bytes_per_token": headers[0].itemsize,
        "shards": shards,
    }
    return json.dumps(whole, indent=1) + "\n"


def _read_index(path: Path) -> dict[str, Any]:
    try:
        index = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CourseError(
            f"{path} is missing: the shards were never finished", hint="run the writer again"
        ) from error
    except OSError as error:
        raise CourseError(f"cannot read {path}: {error.strerror}", hint=_REWRITE) from error
    except ValueError as error:
        raise CourseError(f"{path} is cut short or corrupt", hint=_REWRITE) from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise CourseError(f"{path} is not an index of {FORMAT}", hint=_REWRITE)
    try:
        total = sum(int(entry["tokens"]) for entry in index["shards"])
        inside = all(Path(e["name"]).name == e["name"] and e["sha256"] for e in index["shards"])
    except (KeyError, TypeError, ValueError):
        inside, total = False, 0
    if not inside or not total or total != index.get("tokens"):
        raise CourseError(f"{path} does not describe whole shards", hint=_REWRITE)
    return index


def _sync_directory(directory: Path) -> None:
    """Make the new names themselves survive a power cut, where the system can."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
