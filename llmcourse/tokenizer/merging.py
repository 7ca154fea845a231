"""Encoding one pre-token: apply the merges, earliest first, until none applies.

Two ways with the same result. `merge_short` is what one would write first; every merge looks at the
whole piece again, which is quickest for a word and hopeless for ten megabytes without a space.
`merge_long` visits only what changes, so its time grows with the length and not with its square.

Taught in chapter 02.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise

from llmcourse.errors import CourseError

from .training import Pair

Lookup = Callable[[tuple[int, int]], "tuple[int, int] | None"]
"""A pair of token ids → (rank, id of the merged token), or None. Lower ranks merge first."""

LONG = 64
"""From this many bytes on, `merge_long` is the quicker."""


def merge(ids: Sequence[int], lookup: Lookup) -> list[int]:
    """Apply byte-pair merges to a piece given as byte-token ids."""
    return merge_short(ids, lookup) if len(ids) < LONG else merge_long(ids, lookup)


def merge_short(ids: Sequence[int], lookup: Lookup) -> list[int]:
    """Find the pair with the lowest rank (the first of several), merge it, look again."""
    ids = list(ids)
    found = [lookup(pair) for pair in pairwise(ids)]
    while best := min((f for f in found if f is not None), default=None):
        i = found.index(best)
        ids[i : i + 2] = [best[1]]
        del found[i]
        if i > 0:
            found[i - 1] = lookup((ids[i - 1], ids[i]))
        if i < len(found):
            found[i] = lookup((ids[i], ids[i + 1]))
    return ids


def merge_long(ids: Sequence[int], lookup: Lookup) -> list[int]:
    """The same, for any length: a linked list of tokens, and for each rank the places waiting.

    About 80 bytes of memory per byte of text. All places of one rank are merged from left to right
    before the next rank is taken from the heap.
    """
    token = array("q", ids)  # -1 where a token was merged into the one before it
    size = len(token)
    before = array("i", range(-1, size - 1))
    after = array("i", range(1, size + 1))
    waiting: dict[int, array[int]] = {}
    ranks: list[int] = []  # a heap of the keys of `waiting`

    def wait(i: int, j: int, rank: int = -1) -> bool:
        """Let the pair at places i and j wait for its turn. Is that now, before `rank` goes on?"""
        found = lookup((token[i], token[j]))
        if found is None:
            return False
        if found[0] not in waiting:
            waiting[found[0]] = array("i")
            heappush(ranks, found[0])
        waiting[found[0]].append(i)
        return found[0] <= rank

    for i in range(size - 1):
        wait(i, i + 1)
    while ranks:
        rank = heappop(ranks)
        places = array("i", sorted(waiting.pop(rank)))
        for i in places:
            j = after[i]
            if token[i] < 0 or j >= size:
                continue
            found = lookup((token[i], token[j]))
            if found is None or found[0] != rank:
                continue  # an earlier merge took one of the two
            h, k = before[i], after[j]
            token[i], token[j], after[i] = found[1], -1, k
            sooner = h >= 0 and wait(h, i, rank)
            if k < size:
                before[k] = i
                sooner = wait(i, k, rank) or sooner
            if sooner:  # only with merges that no training makes: the new pair comes first
                rest = places[bisect_left(places, i) + 1 :]
                if rank in waiting:
                    waiting[rank].extend(rest)
                elif rest:
                    waiting[rank] = rest
                    heappush(ranks, rank)
                break
    return [t for t in token if t >= 0]


def merge_lookup(merges: Sequence[Pair], id_of: Mapping[bytes, int]) -> Lookup:
    """Pairs merge as listed, the first of the list first (GPT-2's way).

    Raises:
        CourseError: if a merge has a token that the vocabulary has not.
    """
    table: dict[tuple[int, int], tuple[int, int]] = {}
    for rank, (left, right) in enumerate(merges):
        try:
            pair, merged = (id_of[left], id_of[right]), id_of[left + right]
        except KeyError as missing:
            raise CourseError(
                f"merge {rank} is {left!r} + {right!r}, but {missing} is not in the vocabulary",
                hint="vocabulary and merges must come from the same training",
            ) from None
        table.setdefault(pair, (rank, merged))
    return table.get


def rank_lookup(id_of: Mapping[bytes, int], bytes_of: Mapping[int, bytes]) -> Lookup:
    """Two tokens merge if together they spell a token, the smallest id first (tiktoken's way)."""

    def lookup(pair: tuple[int, int]) -> tuple[int, int] | None:
        merged = id_of.get(bytes_of[pair[0]] + bytes_of[pair[1]])
        return None if merged is None else (merged, merged)

    return lookup
