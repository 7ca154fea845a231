"""Batches out of one long row of tokens: what comes in, and what comes next.

Training text is one stream of ids. A batch is some windows of it, cut at random places; the target
of every position is simply the token that follows. For streams that are spread over files, and for
several processes, see `loader`.

Taught in chapter 03.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import CourseError

Ids = npt.NDArray[Any] | Tensor | Sequence[int]


def get_batch(
    ids: Ids,
    batch_size: int,
    T: int,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Some windows of a stream, and the same windows one token later.

    Every start in [0, len(ids) − T) is equally likely, so the last token of the stream is somewhere
    a target. Only the windows are read: a memory-mapped file of any size will do.

    Args:
        ids: One row of token ids, integers of any size: an array, a memory map or a tensor.
        batch_size: B, how many windows.
        T: How many tokens in a window.
        generator: Where chance comes from; torch's own by default.
        device: Where the batch should be.

    Returns:
        x and y, both [B, T], int64; ``y[b, t]`` follows ``x[b, t]`` in the stream.

    Raises:
        CourseError: if there are fewer than T + 1 tokens, or `ids` is no row of integers.

    Taught in chapter 03.
    """
    row = _row(ids)
    if batch_size < 1 or T < 1:
        raise CourseError(
            f"a batch of {batch_size} windows of {T} tokens", hint="both must be at least 1"
        )
    if len(row) <= T:
        raise CourseError(
            f"{len(row)} tokens are too few for windows of {T} and a token to come next",
            hint=f"take T at most {len(row) - 1}" if len(row) > 1 else "give it more text",
        )
    where = "cpu" if generator is None else generator.device
    starts = torch.randint(len(row) - T, (batch_size, 1), generator=generator, device=where).cpu()
    places = starts + torch.arange(T + 1)  # [B, T + 1]
    if isinstance(row, Tensor):
        block = row[places.to(row.device)].long().to(device)
    else:
        block = torch.from_numpy(row[places.numpy()].astype(np.int64)).to(device)
    return block[:, :-1].contiguous(), block[:, 1:].contiguous()


def windows(ids: Ids, max_length: int) -> Iterator[tuple[list[int], int]]:
    """All the questions a stream asks: every context of 1 … `max_length` tokens, and what came next.

    From each place the context grows until it is as long as it may be or the stream ends. One
    window of T tokens is T such questions at once; that is why training on windows is cheap.

    Yields:
        (context, target), from the first place, shortest context first.

    Raises:
        CourseError: if `ids` is no row of integers or `max_length` is below 1.

    Taught in chapter 03.
    """
    row = _row(ids)
    if max_length < 1:
        raise CourseError(f"contexts of at most {max_length} tokens", hint="at least 1")
    return (
        (row[start : start + length].tolist(), int(row[start + length]))
        for start in range(len(row) - 1)
        for length in range(1, min(max_length, len(row) - 1 - start) + 1)
    )


def _row(ids: Ids) -> npt.NDArray[Any] | Tensor:
    row = ids if isinstance(ids, Tensor) else np.asarray(ids)
    integers = (
        not (row.is_floating_point() or row.is_complex() or row.dtype == torch.bool)
        if isinstance(row, Tensor)
        else row.dtype.kind in "iu"
    )
    if row.ndim != 1 or not (integers or len(row) == 0):
        raise CourseError(
            f"token ids must be one row of integers, not {row.dtype} {list(row.shape)}",
            hint="ids.reshape(-1) makes one row of several",
        )
    return row
