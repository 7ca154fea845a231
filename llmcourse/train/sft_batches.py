"""Batches of conversations: many lengths into few rectangles, and the loss where it belongs.

A rendered conversation is ids and a loss mask, 1 on what the assistant must write. The model sees all ids
but the last and predicts all but the first; what carries no loss gets the target −100. Conversations
are short and of all lengths, and a batch is a rectangle. Two ways to fill it:

- ``padded``: a conversation a row, in *buckets* of similar length: the context, a half, a quarter of it … A
  bucket's last conversations, too few for a batch, go to the next wider one. Padding is at the end,
  where causal attention never looks.
- ``packed``: as many conversations to a row as fit. Each has positions of its own from 0, and attention
  stays inside it (`Separated`), so they do not see each other, and losses are those of ``padded``.

The batches of an epoch follow from the seed and the epoch's number alone, so any of them can be asked
for at any time: to go on after an interruption, the number of the step is enough. Taught in chapter 08.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from ..errors import CourseError
from ..tokenizer.packing import best_fit
from .losses import IGNORE

Ids = npt.NDArray[np.int64]
Layout = Literal["padded", "packed"]
NARROWEST = 16  # positions: to pad a shorter conversation to this costs next to nothing


@dataclass(frozen=True)
class SFTBatch:
    """A rectangle of conversations.

    Args:
        x: What the model sees [B, T].
        y: What comes next [B, T]; −100 counts for nothing.
        positions: Of each id in its own conversation [B, T]; None where a row is one conversation.
    """

    x: Ids
    y: Ids
    positions: Ids | None

    @property
    def targets(self) -> int:
        """How many count."""
        return int((self.y != IGNORE).sum())

    @property
    def inputs(self) -> Ids:
        """What `Separated` takes: `x`, or ids and positions, one above the other [B, 2, T]."""
        return self.x if self.positions is None else np.stack([self.x, self.positions], axis=1)


class Separated(nn.Module):
    """A model that takes packed rows: conversations in a row do not see each other.

    Inputs are ids [B, T], which go to the model as they are, or ids and positions [B, 2, T].
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.ndim == 2:
            return cast(Tensor, self.model(inputs))
        ids, positions = inputs.unbind(1)
        number = (positions == 0).cumsum(-1)  # which conversation of its row: [B, T]
        same = number.unsqueeze(-1) == number.unsqueeze(-2)  # [B, T, T]
        return cast(Tensor, self.model(ids, mask=same.tril().unsqueeze(1), positions=positions))


class SFTBatches:
    """Conversations as batches, by number.

    Args:
        examples: Pairs (ids, loss mask), or objects that have `ids` and `loss_mask`.
        context: The longest row, T.
        batch_tokens: Positions of a batch: it has batch_tokens // T rows, at least one.
        layout: ``padded`` or ``packed``.
        seed: Of the order.
        multiple: The rows of a batch are a multiple of this, the number of processes that share them.
        shuffle: Whether to take them in random order.

    Raises:
        CourseError: if there are no examples, or one has no token with a loss, is longer than
            ``context + 1``, or is damaged; the message says which.

    Taught in chapter 08.
    """

    def __init__(
        self,
        examples: Sequence[Any],
        context: int,
        batch_tokens: int,
        *,
        layout: Layout = "padded",
        seed: int = 0,
        multiple: int = 1,
        shuffle: bool = True,
    ) -> None:
        if layout not in ("padded", "packed"):
            raise CourseError(f"no layout is called {layout!r}", hint="known: padded, packed")
        if context < 1 or batch_tokens < 1 or multiple < 1 or seed < 0:
            raise CourseError(
                f"context {context}, batch_tokens {batch_tokens}, seed {seed}",
                hint="context and batch_tokens ≥ 1, seed ≥ 0",
            )
        if not len(examples):
            raise CourseError("there are no conversations to train on", hint="is the file empty?")
        self.context, self.batch_tokens, self.layout = context, batch_tokens, layout
        self.seed, self.multiple, self.shuffle = seed, multiple, shuffle
        self.pairs = [_pair(e, n, context) for n, e in enumerate(examples, 1)]
        self.lengths = np.array([len(x) for x, _ in self.pairs])
        self.targets = sum(int((y != IGNORE).sum()) for _, y in self.pairs)
        self._rows = (
            best_fit(self.lengths.tolist(), self.context)
            if layout == "packed"
            else [[i] for i in range(len(self.pairs))]
        )
        self._plan: tuple[int, list[tuple[int, list[int]]]] = (0, self._plan_of(0))
        self.per_epoch = len(self._plan[1])

    def __len__(self) -> int:
        """Batches in an epoch, the same in each."""
        return self.per_epoch

    @property
    def vocab_size(self) -> int:
        """Every id is below this."""
        return 1 + max(max(int(x.max()), int(y.max())) for x, y in self.pairs)

    @property
    def fingerprint(self) -> str:
        """A short checksum of every id and every mask."""
        digest = hashlib.sha256()
        for x, y in self.pairs:
            digest.update(len(x).to_bytes(8, "little") + x.astype("<i8").tobytes())
            digest.update(y.astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def rows(self, width: int) -> int:
        """Rows of a batch that is so wide."""
        return max(1, self.batch_tokens // width // self.multiple) * self.multiple

    def batch(self, step: int) -> SFTBatch:
        """The batch of any step, from 0; epochs follow each other."""
        epoch, number = divmod(step, self.per_epoch)
        if self._plan[0] != epoch:
            self._plan = (epoch, self._plan_of(epoch))
        width, rows = self._plan[1][number]
        shape = (self.rows(width), width)
        x, y = np.zeros(shape, np.int64), np.full(shape, IGNORE, np.int64)
        # What fills up a row is like one more conversation: it sees itself, and counts for nothing.
        positions = np.zeros(shape, np.int64)
        for place, row in enumerate(rows):
            start = 0
            for i in self._rows[row]:
                end = start + self.lengths[i]
                x[place, start:end], y[place, start:end] = self.pairs[i]
                positions[place, start:end] = np.arange(end - start)
                start = end
        return SFTBatch(x, y, positions if self.layout == "packed" else None)

    def _plan_of(self, epoch: int) -> list[tuple[int, list[int]]]:
        """The batches of an epoch: width, and which rows."""
        chance = np.random.default_rng([self.seed, epoch])
        count = len(self._rows)
        order = chance.permutation(count) if self.shuffle else np.arange(count)
        widths = self._widths()
        waiting: dict[int, list[int]] = {width: [] for width in widths}
        for row in order.tolist():
            length = int(sum(self.lengths[i] for i in self._rows[row]))
            waiting[next(w for w in widths if w >= length)].append(row)
        plan: list[tuple[int, list[int]]] = []
        for number, width in enumerate(widths):
            rows, size = waiting[width], self.rows(width)
            last = number == len(widths) - 1
            whole = len(rows) if last else len(rows) // size * size
            plan += [(width, rows[i : i + size]) for i in range(0, whole, size)]
            if not last:
                waiting[widths[number + 1]] += rows[whole:]
        if self.shuffle:
            plan = [plan[i] for i in chance.permutation(len(plan))]
        return plan

    def _widths(self) -> list[int]:
        if self.layout == "packed":
            return [self.context]
        widths = [self.context]
        while widths[0] > NARROWEST:
            widths.insert(0, max(NARROWEST, math.ceil(widths[0] / 2)))
        return widths


def _pair(example: Any, number: int, context: int) -> tuple[Ids, Ids]:
    """Ids and targets of one conversation, both shorter than it by one."""
    where = f"conversation {number}"
    pair = (example.ids, example.loss_mask) if hasattr(example, "loss_mask") else tuple(example)
    if len(pair) != 2 or len(pair[0]) != len(pair[1]):
        raise CourseError(
            f"{where} is not as many ids as entries of a loss mask",
            hint="give pairs (ids, loss mask), as `render` returns them",
        )
    ids, mask = np.asarray(pair[0], dtype=np.int64), np.asarray(pair[1]) != 0
    if len(ids) - 1 > context:
        raise CourseError(
            f"{where} has {len(ids):,} tokens, and a row takes {context + 1:,}",
            hint="truncate it when it is rendered, or leave it out",
        )
    if len(ids) and int(ids.min()) < 0:
        raise CourseError(f"{where} has the id {int(ids.min())}", hint="ids are 0 and above")
    if not mask[1:].any():
        raise CourseError(
            f"{where} has no token with a loss", hint="is there an assistant's turn in it?"
        )
    return ids[:-1].copy(), np.where(mask[1:], ids[1:], IGNORE)
