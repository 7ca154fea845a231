"""Near duplicates: shingles, MinHash signatures, bands, and a last exact check.

Comparing every document with every other one is out of the question for billions of them. MinHash
turns a document into a short row of numbers, of which two documents share as large a part as they
share shingles; cutting the row into bands and looking only at documents that agree in a whole band
finds the likely pairs without comparing the others (Broder 1997; Leskovec et al., *Mining of
Massive Datasets*, chapter 3).

Taught in chapter 01.
"""

from __future__ import annotations

import hashlib
import shutil
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from ..assets import atomic_write
from ..errors import CourseError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: A prime above 2**32. Hash functions are x → (a·x + b) mod p, as in Broder's scheme.
PRIME = 4_294_967_311


@dataclass(frozen=True)
class MinHashResult:
    """What near-duplicate removal did.

    Args:
        kept: The files written, in the order of their originals.
        duplicates: For each input that was left out, the input that was kept in its place.
        candidates: Pairs that shared a band; the others were never compared.
    """

    kept: tuple[Path, ...]
    duplicates: dict[Path, Path]
    candidates: int


def minhash_deduplication(
    paths: Iterable[str | Path],
    output_dir: str | Path,
    num_hashes: int,
    num_bands: int,
    ngrams: int,
    jaccard_threshold: float,
    seed: int = 0,
) -> MinHashResult:
    """Copy text files, keeping one of every group of near duplicates: the first in the given order.

    Two files are duplicates if the sets of their word n-grams have a Jaccard similarity of at least
    the threshold. Only pairs whose signatures agree in some band are looked at, and those exactly,
    so there are no false alarms; a true pair of similarity s is missed with probability ``1 -
    band_probability(s, num_bands, num_hashes // num_bands)``. Groups are closed: if A is like B and
    B like C, one of the three stays.

    Args:
        paths: UTF-8 text files, one document each.
        output_dir: Where the kept files are copied, under the same names, bytes unchanged.
        num_hashes: Length of a signature.
        num_bands: Number of bands; must divide ``num_hashes``.
        ngrams: Words in a shingle.
        jaccard_threshold: Least similarity of duplicates, in [0, 1].
        seed: Seed of the hash functions.

    Raises:
        ValueError: if ``num_bands`` does not divide ``num_hashes``, or a parameter is out of range.
        CourseError: if a file cannot be read or would be overwritten.
    """
    if num_bands < 1 or num_hashes < 1 or num_hashes % num_bands:
        raise ValueError(f"num_bands ({num_bands}) must divide num_hashes ({num_hashes})")
    if ngrams < 1 or not 0 <= jaccard_threshold <= 1:
        raise ValueError(
            f"ngrams ({ngrams}) must be at least 1, jaccard_threshold ({jaccard_threshold}) in [0, 1]"
        )
    files = [Path(path) for path in paths]
    outputs = output_paths(files, output_dir)

    rows = num_hashes // num_bands
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for i, path in enumerate(files):
        signature = minhash_signature(shingles(_read(path), ngrams), num_hashes, seed)
        for band in range(num_bands):
            buckets[band, signature[band * rows : (band + 1) * rows].tobytes()].append(i)

    candidates = sorted({pair for same in buckets.values() for pair in combinations(same, 2)})
    parent = list(range(len(files)))
    for a, b, similarity in _compare(candidates, files, ngrams):
        if similarity >= jaccard_threshold:
            first, second = sorted((_find(parent, a), _find(parent, b)))
            parent[second] = first  # the smallest index stays the root, so the first file is kept

    kept, duplicates = [], {}
    for i, (path, output) in enumerate(zip(files, outputs, strict=True)):
        root = _find(parent, i)
        if root != i:
            duplicates[path] = files[root]
            continue
        with atomic_write(output) as temporary:
            shutil.copyfile(path, temporary)
        kept.append(output)
    return MinHashResult(tuple(kept), duplicates, len(candidates))


def output_paths(files: list[Path], output_dir: str | Path) -> list[Path]:
    """Where each file's result goes.

    Raises:
        CourseError: if two have the same name, or a result would overwrite its source.
    """
    folder = Path(output_dir)
    outputs = [folder / path.name for path in files]
    if len(set(outputs)) < len(outputs):
        twice = next(path.name for path in outputs if outputs.count(path) > 1)
        raise CourseError(f"two input files are called {twice}", hint="rename one of them")
    for path, output in zip(files, outputs, strict=True):
        if output.resolve() == path.resolve():
            raise CourseError(f"{path} would be overwritten", hint="choose another output folder")
    return outputs


def normalise(text: str) -> str:
    """A text's words alone: lower case, no accents, no punctuation, single spaces."""
    bare = (
        char
        for char in unicodedata.normalize("NFD", text.lower())
        if unicodedata.category(char) != "Mn"
    )
    words = "".join(char if char.isalnum() else " " for char in bare)
    return " ".join(words.split())


def shingles(text: str, n: int = 5) -> set[str]:
    """The set of a text's word n-grams, after `normalise`. A shorter text is one shingle."""
    words = normalise(text).split()
    if not words:
        return set()
    return {" ".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def jaccard(a: set[str], b: set[str]) -> float:
    """Shared members over all members: |A ∩ B| / |A ∪ B|. Two empty sets are equal: 1."""
    return len(a & b) / len(a | b) if a or b else 1.0


def minhash_signature(of: set[str], num_hashes: int = 112, seed: int = 0) -> NDArray[np.uint64]:
    """For each of many hash functions the smallest hash of any member.

    The probability that two sets agree in one place is their Jaccard similarity, because the member
    with the smallest hash in the union is equally likely to be any of them.

    Returns:
        uint64 [num_hashes]; the signature of an empty set is all ones in binary.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    a = rng.integers(1, 2**31, size=(num_hashes, 1), dtype=np.uint64)  # a·x stays below 2**63
    b = rng.integers(0, 2**31, size=(num_hashes, 1), dtype=np.uint64)
    smallest = np.full(num_hashes, np.iinfo(np.uint64).max, dtype=np.uint64)
    members = np.array([_hash(member) for member in of], dtype=np.uint64)
    for start in range(0, len(members), 4096):  # a long document must not need gigabytes
        hashes = (a * members[start : start + 4096] + b) % np.uint64(PRIME)
        smallest = np.minimum(smallest, hashes.min(axis=1))
    return smallest


def band_probability(s: float, bands: int = 14, rows: int = 8) -> float:
    """How likely two documents of Jaccard similarity s share at least one band: 1 − (1 −
    s^rows)^bands.

    An S-curve with its steepest part near (1/bands)^(1/rows); FineWeb's 14 bands of 8 put that at
    0.72.
    """
    return float(1 - (1 - s**rows) ** bands)


def _hash(member: str) -> int:
    """32 bits that do not depend on Python's hash seed."""
    digest = hashlib.blake2b(member.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def _compare(
    pairs: list[tuple[int, int]], files: list[Path], ngrams: int
) -> Iterator[tuple[int, int, float]]:
    """The true similarity of each pair. They are sorted: the first one's shingles are made once."""
    last, a = -1, set[str]()
    for first, second in pairs:
        if first != last:
            last, a = first, shingles(_read(files[first]), ngrams)
        yield first, second, jaccard(a, shingles(_read(files[second]), ngrams))


def _find(parent: list[int], i: int) -> int:
    """The root of a tree of duplicates, with its paths halved on the way (union-find)."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CourseError(
            f"cannot read {path}: {error.strerror or error}", hint="check the path"
        ) from error
