"""From Parquet files of text to tokens, on as many processor cores as there are.

Taught in chapter 06.
"""

from __future__ import annotations

import importlib
import multiprocessing
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..assets import cache_dir, download, sha256_of
from ..errors import CourseError
from ..tokenizer import Tokenizer
from ..tokenizer.pretokenize import GPT2_PATTERN

TOKENIZERS = {"gpt2": 50_257, "cl100k": 100_277}
"""GPT-2's tokenizer, which has to be downloaded once; GPT-4's, which comes with the course. Name → rows
of the embedding."""
END = "<|endoftext|>"
DOCUMENTS = 512  # handed to a process at a time

# The same ranks as GPT-2's vocab.bpe, in tiktoken's form; the checksum is tiktoken's.
GPT2_RANKS = "r50k_base.tiktoken"
GPT2_URL = f"https://openaipublic.blob.core.windows.net/encodings/{GPT2_RANKS}"
GPT2_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"

# tiktoken gives up on runs of several hundred thousand spaces; our own encoder takes them.
_ENDLESS = re.compile(r"\s{100000}")

Array = npt.NDArray[Any]
Encoder = Callable[[Iterable[list[str]]], Iterator[Array]]


class DamagedFile(CourseError):
    """A Parquet file that cannot be read to its end."""


@lru_cache(maxsize=2)
def tokenizer_named(name: str) -> Tokenizer:
    """A published tokenizer.

    Raises:
        CourseError: if there is none of this name, or GPT-2's can neither be found nor downloaded.
    """
    if name == "cl100k":
        from ..tokenizer.pretrained import gpt4

        return gpt4()
    if name != "gpt2":
        raise CourseError(
            f"no tokenizer is called {name!r}", hint=f"known: {', '.join(TOKENIZERS)}"
        )
    from ..tokenizer.files import load_ranks

    path = cache_dir() / GPT2_RANKS
    if not path.is_file() or sha256_of(path) != GPT2_SHA256:
        try:
            download(GPT2_URL, path, GPT2_SHA256)
        except CourseError as error:
            raise CourseError(
                f"GPT-2's tokenizer is missing, and {error.message}",
                hint=f"put {GPT2_RANKS} into {path.parent}, or take cl100k, which comes with the course",
            ) from error
    return Tokenizer.from_ranks(load_ranks(path), GPT2_PATTERN, {END: 50_256})


def tokenizer_for(vocab_size: int) -> str:
    """The name of the tokenizer that a model of this vocabulary is for; up to 127 rows may be padding.

    Raises:
        CourseError: if it is for none.
    """
    for name, n in TOKENIZERS.items():
        if n <= vocab_size < n + 128:
            return name
    known = ", ".join(f"{n:,} ({name})" for name, n in TOKENIZERS.items())
    raise CourseError(
        f"no published tokenizer has {vocab_size:,} tokens", hint=f"set model.vocab_size: {known}"
    )


def documents(path: Path) -> Iterator[list[str]]:
    """The texts of a Parquet file, some hundreds at a time, in their order.

    Raises:
        DamagedFile: if the file is cut short or corrupt.
        CourseError: if it has no column of texts, or pyarrow is not installed.
    """
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        invalid: Any = importlib.import_module("pyarrow").ArrowException
    except ImportError as error:
        raise CourseError("pyarrow is not installed", hint="pip install pyarrow") from error
    try:
        with parquet.ParquetFile(path) as file:
            if "text" not in file.schema_arrow.names:
                raise CourseError(
                    f"{path} has no column text", hint="it is not one of FineWeb's files"
                )
            for batch in file.iter_batches(batch_size=DOCUMENTS, columns=["text"]):
                yield [text for text in batch.column(0).to_pylist() if text]
    except (invalid, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DamagedFile(
            f"{path} is cut short or damaged: {reason}", hint="fetch it again"
        ) from error


@contextmanager
def encoding(name: str, workers: int) -> Iterator[Encoder]:
    """Within it: a function from batches of texts to their tokens, an array for each batch, in order.

    Every document ends with the separator, ``<|endoftext|>``.

    Raises:
        CourseError: as `tokenizer_named`; or if a worker process dies.
    """
    tokenizer_named(name)  # downloaded once, by one
    if workers <= 1:
        _prepare(name)
        yield lambda batches: map(_encode, batches)
        return
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(name,)
    )
    with _closing(pool):
        yield lambda batches: _in_order(pool, batches, workers)


def _in_order(
    pool: ProcessPoolExecutor, batches: Iterable[list[str]], workers: int
) -> Iterator[Array]:
    waiting: deque[Future[Array]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(_encode, batch))
            if len(waiting) > 2 * workers:  # never more than a few texts in memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise CourseError(
            "a process that was tokenizing died", hint="is there too little memory? try --workers 1"
        ) from error
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def _closing(pool: ProcessPoolExecutor) -> Iterator[None]:
    try:
        yield
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_ready: dict[str, Any] = {}  # of a worker process: its tokenizer, made once


def _prepare(name: str) -> None:
    if _ready.get("name") == name:
        return
    tokenizer = tokenizer_named(name)
    _ready.update(
        name=name,
        ours=tokenizer, fast=tokenizer.to_tiktoken(), end=tokenizer.special_tokens[END],
        dtype=np.uint16 if TOKENIZERS[name] <= 1 << 16 else np.uint32,
    )  # fmt: skip


def _encode(texts: list[str]) -> Array:
    ids: list[int] = []
    for text in texts:
        if len(text) >= 100_000 and _ENDLESS.search(text):
            ids += _ready["ours"].encode(text)
        else:
            ids += _ready["fast"].encode_ordinary(text)
        ids.append(_ready["end"])
    return np.array(ids, _ready["dtype"])
