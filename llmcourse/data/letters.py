"""Chapter 04's task as training data: six letters, and the same six in alphabetical order.

There are 729 inputs; half of them are kept out of training. A row is an input and its answer,
``CBABBCABBBCC``; the model is shown all but the last letter, and only the answer's letters count
as targets. No file is needed: a row follows from its number.

Taught in chapter 04.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from ..errors import CourseError
from ..tokenizer import Tokenizer

LETTERS = "ABC"
LENGTH = 6
CONTEXT = 2 * LENGTH - 1
"""T: the last letter of the answer is a target and never an input."""
HELD_OUT = 364
IGNORE = -100
"""The target that counts for nothing, as in `llmcourse.train.losses`."""

Rows = npt.NDArray[np.int64]


def letter_tokenizer() -> Tokenizer:
    """Three symbols, each of them one byte: A, B and C."""
    return Tokenizer({i: letter.encode() for i, letter in enumerate(LETTERS)}, [])


def letter_inputs(seed: int = 0) -> tuple[Rows, Rows]:
    """All 729 inputs in two heaps: [365, 6] to learn from and [364, 6] that stay unseen."""
    inputs = np.array(list(itertools.product(range(len(LETTERS)), repeat=LENGTH)))
    order = np.random.default_rng(seed).permutation(len(inputs))
    return inputs[order[HELD_OUT:]], inputs[order[:HELD_OUT]]


def letter_rows(inputs: Rows) -> tuple[Rows, Rows]:
    """Inputs [N, 6] → what the model sees and what comes next, both [N, 11].

    The given letters are not to be guessed: their targets are −100.
    """
    rows = np.concatenate([inputs, np.sort(inputs, axis=1)], axis=1)
    x, y = rows[:, :-1].copy(), rows[:, 1:].copy()
    y[:, : LENGTH - 1] = IGNORE
    return x, y


class LetterLoader:
    """`ShardLoader` for letters: the batch of step s depends on the seed and s alone.

    Args:
        batch_size: Rows of the global batch, over all processes.
        seed: Of every choice.
        rank: Which process this is …
        world_size: … of how many.

    Raises:
        CourseError: if the processes cannot share the batch evenly.
    """

    def __init__(
        self, *, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        if not 0 <= rank < world_size or batch_size % world_size:
            raise CourseError(
                f"{world_size} processes cannot share a batch of {batch_size} rows evenly",
                hint="take a number of processes that divides it",
            )
        self.batch_size, self.seed = batch_size, seed
        self.rank, self.world_size = rank, world_size
        self._x, self._y = letter_rows(letter_inputs()[0])

    def batch(self, step: int) -> tuple[Rows, Rows]:
        """This process's rows of the batch of any step: inputs and targets, [rows, 11]."""
        chosen = np.random.default_rng([self.seed, step]).integers(
            len(self._x), size=self.batch_size
        )
        rows = self.batch_size // self.world_size
        mine = chosen[self.rank * rows : (self.rank + 1) * rows]
        return self._x[mine], self._y[mine]
