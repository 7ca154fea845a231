"""Batches from token shards: the same for any number of processes, from any step.

The global batch of step s depends on the seed and s alone. Each of `world_size` processes computes
the same batch's starts and takes its own rows, so no process need talk to another, and a run may be
stopped on four GPUs and go on with one. Taught in chapter 03; used by every training run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from llmcourse.errors import CourseError

from .shards import ShardSet

Order = Literal["random", "epoch", "sequential"]
Batch = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


class ShardLoader:
    """An endless iterator over ``(inputs, targets)``, each ``[batch_size / world_size, context]``.

    `targets` is `inputs` one token later. A window may cross the border of two documents, and of
    two shards: the set is one sequence.

    Args:
        shards: Where the tokens are.
        batch_size: Rows of the global batch, over all processes.
        context: Tokens in a row, T.
        seed: Of every choice.
        rank: Which process this is …
        world_size: … of how many.
        order: ``"random"`` draws each row's start uniformly from [0, len − T), with replacement;
            ``"epoch"`` cuts the tokens into windows of T, takes each once in random order, and then
            begins again in another order; ``"sequential"`` takes them in the order of the text.

    Raises:
        CourseError: if there are fewer than T + 1 tokens.
        ValueError: if the batch cannot be shared evenly among the processes.
    """

    def __init__(
        self,
        shards: ShardSet,
        *,
        batch_size: int,
        context: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        order: Order = "random",
    ) -> None:
        if batch_size < 1 or context < 1 or seed < 0:
            raise ValueError("batch_size and context must be at least 1, seed at least 0")
        if not 0 <= rank < world_size or batch_size % world_size:
            raise ValueError(
                f"rank {rank} of {world_size} processes cannot share a batch of {batch_size}"
            )
        if order not in ("random", "epoch", "sequential"):
            raise ValueError(f"order must be 'random', 'epoch' or 'sequential', not {order!r}")
        if len(shards) <= context:
            raise CourseError(
                f"{len(shards)} tokens are too few for a context of {context}",
                hint=f"use a context of at most {len(shards) - 1}, or more text",
            )
        self.shards = shards
        self.batch_size = batch_size
        self.context = context
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.order = order
        self.step = 0
        self._shuffled: tuple[int, npt.NDArray[np.int64]] | None = None

    @property
    def windows(self) -> int:
        """How many windows of T tokens an epoch has."""
        return (len(self.shards) - 1) // self.context

    def starts(self, step: int) -> npt.NDArray[np.int64]:
        """Where each row of the global batch of a step begins: ``[batch_size]``."""
        if self.order == "random":
            generator = np.random.default_rng([self.seed, step])
            return generator.integers(0, len(self.shards) - self.context, self.batch_size)
        numbers = step * self.batch_size + np.arange(self.batch_size)
        windows = numbers % self.windows
        if self.order == "epoch":
            epochs = numbers // self.windows
            windows = np.array(
                [self._order_of(int(e))[w] for e, w in zip(epochs, windows, strict=True)]
            )
        return windows * self.context

    def batch(self, step: int) -> Batch:
        """This process's rows of the batch of any step, without moving on."""
        rows = self.batch_size // self.world_size
        mine = self.starts(step)[self.rank * rows : (self.rank + 1) * rows]
        width = self.context + 1
        block = np.stack([self.shards.read(int(s), int(s) + width) for s in mine])
        return block[:, :-1].copy(), block[:, 1:].copy()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batch = self.batch(self.step)
        self.step += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands; the number of processes is not part of it."""
        return {"step": self.step, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken, on any number of processes.

        Raises:
            CourseError: if the tokens or the settings are others, so that the batches would differ.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise CourseError(
                    f"cannot resume: {name} was {state.get(name)!r} and is {value!r}",
                    hint="resume with the same tokens and settings, or start anew",
                )
        self.step = int(state["step"])

    def _identity(self) -> dict[str, Any]:
        """All that the batches depend on, but for the step."""
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "context": self.context,
            "order": self.order,
            "tokens": self.shards.fingerprint,
        }

    def _order_of(self, epoch: int) -> npt.NDArray[np.int64]:
        if self._shuffled is None or self._shuffled[0] != epoch:
            generator = np.random.default_rng([self.seed, epoch])
            self._shuffled = (epoch, generator.permutation(self.windows))
        return self._shuffled[1]
