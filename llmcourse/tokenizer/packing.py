"""Many short conversations in few long rows, none of them split.

A row of T + 1 tokens gives T inputs and T targets. With a conversation a row, most of a row would be padding;
*packing* puts as many into one as fit. The longest goes first, each into the row that leaves the least room
("best fit, decreasing": at most 11/9 of the fewest possible rows and a few more; Johnson 1973). The
segments say which token belongs to which conversation, for whoever wants to start positions anew and keep
attention inside a conversation. Only numpy is used. Taught in chapter 08.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import CourseError
from .chat import Rendered

IGNORE = -100
"""The target that counts for nothing, as in `train.losses`."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Packed:
    """Conversations in rows: R rows, T inputs each.

    Attributes:
        x: What the model sees [R, T].
        y: What comes next [R, T]; −100 where the mask is 0, and in the padding.
        segments: Which conversation of its row an input belongs to [R, T]: 1, 2, …, and 0 for padding.
        positions: Of each input in its own conversation [R, T], from 0; 0 in the padding.
        rows: The numbers of the conversations in each row, in order.
        fill: What part of the R · (T + 1) tokens is not padding, from 0 to 1.
    """

    x: Ids
    y: Ids
    segments: Ids
    positions: Ids
    rows: list[list[int]]
    fill: float


def pack(conversations: Sequence[Rendered], context: int, *, pad: int = 0) -> Packed:
    """Put rendered conversations into rows of ``context + 1`` tokens.

    The same conversations always give the same rows: shuffle the rows, not their contents.

    Args:
        conversations: As `render` returns them.
        context: T, inputs of a row.
        pad: The id that fills up a row; it counts for nothing.

    Raises:
        CourseError: if there are none, or one is empty, damaged or too long; it says which.
    """
    if context < 1:
        raise CourseError(f"a context of {context} holds nothing", hint="use at least 1")
    if not conversations:
        raise CourseError("there are no conversations to pack", hint="is the file empty?")
    lengths = [_length(c, i, context) for i, c in enumerate(conversations, 1)]
    rows = best_fit(lengths, context + 1)
    shape = (len(rows), context + 1)
    ids, targets = np.full(shape, pad, np.int64), np.full(shape, IGNORE, np.int64)
    segments, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for place, row in enumerate(rows):
        at = 0
        for number, i in enumerate(row, 1):
            here = slice(at, at + lengths[i])
            ids[place, here] = said = np.asarray(conversations[i].ids, np.int64)
            counts = np.asarray(conversations[i].loss_mask) != 0
            counts[0] = False  # nothing stands before it that could foretell it
            targets[place, here] = np.where(counts, said, IGNORE)
            segments[place, here] = number
            positions[place, here] = np.arange(lengths[i])
            at += lengths[i]
    fill = sum(lengths) / (shape[0] * shape[1])
    x, y = ids[:, :-1].copy(), targets[:, 1:].copy()
    return Packed(x, y, segments[:, :-1].copy(), positions[:, :-1].copy(), rows, fill)


def best_fit(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Which items share a row: the longest first, each where it leaves the least room.

    Args:
        lengths: Of the items, each from 1 to `room`.
        room: Of a row.

    Returns:
        The items of each row, by number.
    """
    rows: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (room left, row), sorted
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        place = bisect.bisect_left(free, (lengths[i], -1))
        if place < len(free):
            left, row = free.pop(place)
        else:
            left, row = room, len(rows)
            rows.append([])
        rows[row].append(i)
        if left > lengths[i]:
            bisect.insort(free, (left - lengths[i], row))
    return rows


def attention_mask(segments: Ids) -> npt.NDArray[np.bool_]:
    """Who may look at whom: [R, T, T], True where query i may see key j of its own conversation, j ≤ i.

    Padding sees padding, so that no row of a softmax is empty.
    """
    same = segments[:, :, None] == segments[:, None, :]
    return np.tril(same)


def _length(conversation: Rendered, number: int, context: int) -> int:
    length = len(conversation.ids)
    if not length or length != len(conversation.loss_mask):
        raise CourseError(
            f"conversation {number} has {length} ids and {len(conversation.loss_mask)} mask entries",
            hint="as many of both, and at least one: as `render` gives them",
        )
    if length > context + 1:
        raise CourseError(
            f"conversation {number} has {length:,} tokens, and a row takes {context + 1:,}",
            hint="render it with max_tokens, or leave it out",
        )
    return length
