"""A drill before the text: tokens in no order, said again, so that a model learns to look back.

The rows are made of pieces. A piece is 2 to 19 tokens drawn from the text, each by itself, and stands two or more
times in a row: nothing predicts it the first time, and everything the second. In a hundred steps a small model with
smeared keys learns to go on as it did before (an *induction head*, Olsson et al., 2022, arXiv:2209.11895). In text the
same lesson is too thin: our model read four million tokens and had not begun. Once learnt, it stays.

Taught in chapter 07.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..data.loader import Batch, ShardLoader
from ..errors import CourseError

SHORTEST, LONGEST = 2, 19
"""Tokens of a piece."""

SPAN = 40
"""A piece is repeated over so many tokens at most, and at least twice."""

_STREAM = 1_000_003  # random numbers of its own, apart from the loader's


class Drill:
    """Batches of the drill, of the shape of a loader's and from its tokens; any step can be asked for.

    Args:
        loader: Whose shards, batch size, context, seed and processes to use.

    Raises:
        CourseError: if the loader's tokens do not come from shards.
    """

    def __init__(self, loader: object) -> None:
        if not isinstance(loader, ShardLoader):
            raise CourseError("the drill needs token shards", hint="set drill_steps to 0")
        self.loader = loader

    def batch(self, step: int) -> Batch:
        """This process's rows of a step: inputs and targets [rows, T]. All processes together: the same rows."""
        loader = self.loader
        rng = np.random.default_rng([loader.seed, _STREAM, step])
        rows = np.stack([self._row(rng) for _ in range(loader.batch_size)])
        mine = loader.batch_size // loader.world_size
        block = rows[loader.rank * mine : (loader.rank + 1) * mine]
        return block[:, :-1].copy(), block[:, 1:].copy()

    def _row(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        shards, width = self.loader.shards, self.loader.context + 1
        row: list[int] = []
        while len(row) < width:
            length = int(rng.integers(SHORTEST, LONGEST + 1))
            places = rng.integers(0, len(shards), length)
            piece = [int(shards.read(int(at), int(at) + 1)[0]) for at in places]
            times = int(rng.integers(2, max(3, SPAN // length)))
            row += piece * times
        return np.array(row[:width], dtype=np.int64)
