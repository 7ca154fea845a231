"""Removing lines that stand in more than one place, exactly.

Boilerplate repeats: the same menu, the same cookie notice, on every page of a site. A line that
occurs twice anywhere is therefore dropped everywhere. (Near duplicates of whole documents are the
subject of ``minhash``.)

Taught in chapter 01.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..assets import atomic_write
from ..errors import CourseError
from .minhash import (
    MinHashResult,
    band_probability,
    jaccard,
    minhash_deduplication,
    minhash_signature,
    output_paths,
    shingles,
)

__all__ = [
    "LineResult",
    "MinHashResult",
    "band_probability",
    "exact_line_deduplication",
    "jaccard",
    "minhash_deduplication",
    "minhash_signature",
    "shingles",
]


@dataclass(frozen=True)
class LineResult:
    """What exact line deduplication did.

    Args:
        files: The files written, in the order of their originals.
        lines: Lines read.
        dropped: Lines left out.
    """

    files: tuple[Path, ...]
    lines: int
    dropped: int


def exact_line_deduplication(paths: Iterable[str | Path], output_dir: str | Path) -> LineResult:
    """Copy text files without the lines that occur more than once, in one file or across files.

    Every occurrence goes, the first one too. Lines are compared as bytes without their line ending,
    and remembered by a 16-byte hash, so that memory grows with the number of different lines and
    not with their length.

    Args:
        paths: Files in any encoding that keeps ``\\n`` as one byte.
        output_dir: Where files of the same names are written.

    Raises:
        CourseError: if a file cannot be read, two have the same name, or one would be overwritten.
    """
    files = [Path(path) for path in paths]
    outputs = output_paths(files, output_dir)
    once: set[bytes] = set()
    often: set[bytes] = set()
    for path in files:
        for line in _lines(path):
            key = _key(line)
            (often if key in once else once).add(key)
    total = dropped = 0
    for path, output in zip(files, outputs, strict=True):
        with atomic_write(output) as temporary, temporary.open("wb") as out:
            for line in _lines(path):
                total += 1
                if _key(line) in often:
                    dropped += 1
                else:
                    out.write(line)
    return LineResult(tuple(outputs), total, dropped)


def _key(line: bytes) -> bytes:
    return hashlib.blake2b(line.rstrip(b"\r\n"), digest_size=16).digest()


def _lines(path: Path) -> Iterable[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise CourseError(
            f"cannot read {path}: {error.strerror or error}", hint="check the path"
        ) from error
