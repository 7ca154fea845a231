"""The model before the network: a table of what followed the last four tokens.

An n-gram model with interpolated Kneser–Ney smoothing (Kneser and Ney 1995; Chen and Goodman 1999, section
4.1): the best that counting can do, and for twenty years the state of the art. Where a context was
never seen it falls back on a shorter one; and a shorter one counts in how many *different* contexts a
token has come up, so that "Francisco", frequent but only ever after "San", is not expected elsewhere.

All counts are sorted arrays of whole numbers (an n-gram is a number in base V), so that twenty million tokens
fit in memory and are looked up together. Taught in chapter 07.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CourseError

Ids = npt.NDArray[np.int64]


@dataclass
class _Order:
    """The table for contexts of one length: n-grams and contexts, sorted, with their counts."""

    grams: Ids
    counts: Ids
    contexts: Ids
    totals: Ids
    followers: Ids  # how many different tokens were seen after a context
    discount: float


class NGram:
    """Counts of a training text.

    Args:
        ids: The text as tokens.
        vocab_size: V.
        n: Length of the longest n-gram; V to the power of n must fit into 63 bits.

    Raises:
        CourseError: if it does not, or the text is shorter than n.
    """

    def __init__(self, ids: Any, vocab_size: int, n: int = 5) -> None:
        if n < 1 or n * math.log2(vocab_size) > 63:
            raise CourseError(
                f"{n}-grams of {vocab_size:,} tokens do not fit into 63 bits",
                hint="use a smaller n",
            )
        tokens = np.asarray(ids, dtype=np.int64)
        if len(tokens) < n:
            raise CourseError(f"{len(tokens)} tokens are too few for {n}-grams")
        self.n, self.vocab_size = n, vocab_size
        grams, counts = np.unique(_windows(tokens, n, vocab_size), return_counts=True)
        self.orders: list[_Order] = []
        for length in range(n, 0, -1):
            self.orders.insert(0, self._order(grams, counts))
            if length > 1:  # the next shorter n-grams, counted by their different left neighbours
                grams, counts = np.unique(grams % vocab_size ** (length - 1), return_counts=True)

    def _order(self, grams: Ids, counts: Ids) -> _Order:
        contexts, first = np.unique(grams // self.vocab_size, return_index=True)
        totals = np.add.reduceat(counts, first)
        followers = np.diff(np.append(first, len(grams)))
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        # Ney, Essen and Kneser (1994): what should be taken from every count.
        discount = once / (once + 2 * twice) if once else 0.0
        return _Order(grams, counts, contexts, totals, followers, discount)

    def log2_probabilities(self, ids: Any) -> npt.NDArray[np.float64]:
        """For every token of a text, log₂ of the probability that it had. [n] → [n].

        The first tokens have shorter contexts.
        """
        tokens = np.asarray(ids, dtype=np.int64)
        p = np.full(len(tokens), 1 / self.vocab_size)
        for length, order in enumerate(self.orders, 1):
            if len(tokens) < length:
                break
            grams = _windows(tokens, length, self.vocab_size)
            p[length - 1 :] = self._interpolate(order, grams, p[length - 1 :])
        logs: npt.NDArray[np.float64] = np.log2(p)
        return logs

    def _interpolate(
        self, order: _Order, grams: Ids, shorter: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        counts = _look_up(order.grams, order.counts, grams)
        contexts = grams // self.vocab_size
        totals = _look_up(order.contexts, order.totals, contexts)
        followers = _look_up(order.contexts, order.followers, contexts)
        known = totals > 0
        safe = np.where(known, totals, 1)
        kept = np.maximum(counts - order.discount, 0) / safe
        left = order.discount * followers / safe
        return np.where(known, kept + left * shorter, shorter)


def _windows(tokens: Ids, n: int, base: int) -> Ids:
    """Every n tokens in a row as one number, the last token its lowest digit."""
    value = np.zeros(len(tokens) - n + 1, dtype=np.int64)
    for i in range(n):
        value = value * base + tokens[i : len(tokens) - n + 1 + i]
    return value


def _look_up(keys: Ids, values: Ids, wanted: Ids) -> Ids:
    """The value of each key wanted, 0 for unknown ones. `keys` are sorted."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)
