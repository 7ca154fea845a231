"""Batches in which not every token is a target: beside the shards of tokens lie shards of zeros and ones.

Some text can be read and not be foreseen: what a question asks, what a card tells of somebody never heard of. Where the
mask is 0, the target is -100 and counts for nothing, as in fine-tuning (chapter 08).

Taught in chapter 07.
"""

from __future__ import annotations

from typing import Any

from llmcourse.errors import CourseError

from .loader import Batch, ShardLoader
from .shards import ShardSet

IGNORED = -100


class MaskedLoader:
    """A `ShardLoader` whose targets are -100 where a mask is 0.

    Args:
        tokens: The shards of tokens …
        mask: … and as many zeros and ones.
        settings: Of `ShardLoader`: batch_size, context, seed, rank, world_size, order.

    Raises:
        CourseError: if the mask has another length, or numbers other than 0 and 1 are possible in it.
    """

    def __init__(self, tokens: ShardSet, mask: ShardSet, **settings: Any) -> None:
        if len(mask) != len(tokens) or mask.vocab_size != 2:
            raise CourseError(
                f"a mask of {len(mask):,} for {len(tokens):,} tokens",
                hint="the folders do not belong together: write them anew",
            )
        self.tokens, self.mask = ShardLoader(tokens, **settings), ShardLoader(mask, **settings)

    def batch(self, step: int) -> Batch:
        """This process's rows of the batch of any step: inputs, and targets or -100."""
        x, y = self.tokens.batch(step)
        _, counts = self.mask.batch(step)  # the same settings choose the same windows
        y[counts == 0] = IGNORED
        return x, y
