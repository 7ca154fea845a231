"""The BPE ladder, rung 1: byte-pair encoding as clearly as it can be said.

Begin with the 256 bytes. Count which two tokens stand side by side most often, make them one new
token, and repeat until the vocabulary is full. That is the whole algorithm.

What this rung does NOT do: remember anything. It counts every pair anew for every merge, so it
takes minutes where rung 2, `bpe_incremental`, takes a second. The merges are the same.

Taught in chapter 02. Sources: Gage 1994, "A New Algorithm for Data Compression"; Sennrich et al.
2016, "Neural Machine Translation of Rare Words with Subword Units", algorithm 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from .pretokenize import GPT2_PATTERN
from .training import Pair, Ties, count_pretokens, number_of_merges, number_tokens

Word = tuple[bytes, ...]


def train_bpe_clear(
    text: str | bytes,
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    *,
    pattern: str = GPT2_PATTERN,
    ties: Ties = "greatest",
) -> tuple[dict[int, bytes], list[Pair]]:
    """Train BPE on a text: (id → bytes, merges in the order they were made).

    Args:
        text: What to learn from.
        vocab_size: How many tokens in all: 256 bytes, the special tokens, and one per merge.
        special_tokens: Never merged, and never merged across.
        pattern: Where the text is split into pre-tokens.
        ties: Which of two equally frequent pairs goes first; see `training.Ties`.

    Raises:
        CourseError: if `vocab_size` is too small for the bytes and the special tokens.
    """
    counts = count_pretokens([text], special_tokens, pattern)
    words: dict[Word, int] = {}
    for word, n in counts.items():
        words[tuple(bytes([b]) for b in word)] = n
    age = {bytes([b]): b for b in range(256)}
    merges: list[Pair] = []

    for _ in range(number_of_merges(vocab_size, special_tokens)):
        pairs = count_pairs(words)
        if not pairs:
            break  # every word is a single token: nothing is left to learn

        if ties == "greatest":
            best = max(pairs, key=lambda p: (pairs[p], p))
        else:
            best = max(pairs, key=lambda p: (pairs[p], -age[p[0]], -age[p[1]]))

        words = {merge(old, best): n for old, n in words.items()}
        age[best[0] + best[1]] = len(age)
        merges.append(best)

    return number_tokens(merges, special_tokens), merges


def count_pairs(words: dict[Word, int]) -> Counter[Pair]:
    """How often each pair of neighbours occurs in a text of these words."""
    pairs: Counter[Pair] = Counter()
    for word, n in words.items():
        for pair in pairwise(word):
            pairs[pair] += n
    return pairs


def merge(word: Word, pair: Pair) -> Word:
    """The word with each such pair made one token, from left to right.

    >>> merge((b"a", b"a", b"a", b"b"), (b"a", b"a"))
    (b'aa', b'a', b'b')
    """
    merged: list[bytes] = []
    i = 0
    while i < len(word):
        if word[i : i + 2] == pair:
            merged.append(word[i] + word[i + 1])
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return tuple(merged)
