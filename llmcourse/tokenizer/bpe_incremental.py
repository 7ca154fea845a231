"""The BPE ladder, rung 2: the same merges, hundreds of times faster, still in plain Python.

What it adds to rung 1 is memory. A merge changes only the places where the pair stands, so:

- an *index* says for each pair at which places it occurs: only those are visited;
- the *counts* are corrected there, where an old pair goes and a new one comes;
- a *heap* has the most frequent pair on top, so that no list of all pairs is searched.

What it does NOT do: leave Python. Rung 3, `bpe_fast`, is a library written in Rust.

Taught in chapter 02.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from tqdm import tqdm

from .pretokenize import GPT2_PATTERN, bytes_of_text, read_text, stable_chunks
from .training import Pair, Ties, count_pretokens, number_of_merges, number_tokens


def train_bpe(
    path: str | os.PathLike[str],
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    *,
    pattern: str = GPT2_PATTERN,
    ties: Ties = "greatest",
    workers: int = 1,
    progress: bool = False,
) -> tuple[dict[int, bytes], list[Pair]]:
    """Train byte-pair encoding on a file: (id → bytes, merges in the order they were made).

    The file is read a megabyte at a time, so that it may be larger than memory; bytes that are not
    UTF-8 are learnt from like any others. Ids: bytes, merges, special tokens, in this order.

    Args:
        path: A text file.
        vocab_size: How many tokens in all: 256 bytes, the special tokens, and one per merge. Fewer
            come back only if the text has nothing left to merge.
        special_tokens: Never merged, and never merged across, such as ``["<|endoftext|>"]``.
        pattern: Where the text is split into pre-tokens; GPT-2's by default.
        ties: Which of two equally frequent pairs goes first; see `training.Ties`.
        workers: Processes that split the text. The result does not depend on it.
        progress: Show a bar.

    Raises:
        CourseError: if the file cannot be read or `vocab_size` is too small.
    """
    number = number_of_merges(vocab_size, special_tokens)
    chunks = stable_chunks(read_text(path), special_tokens, pattern, minimum=1 << 20)
    texts = map(bytes_of_text, chunks)
    counts = count_pretokens(texts, special_tokens, pattern, workers=workers)
    merges = learn_merges(counts, number, ties=ties, progress=progress)
    return number_tokens(merges, special_tokens), merges


def train_bpe_from_text(
    text: str | bytes | Iterable[str | bytes],
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    *,
    pattern: str = GPT2_PATTERN,
    ties: Ties = "greatest",
    workers: int = 1,
    progress: bool = False,
) -> tuple[dict[int, bytes], list[Pair]]:
    """As `train_bpe`, from text in memory, or from an iterable whose items are texts on their own.

    Raises:
        CourseError: if `vocab_size` is too small.
    """
    number = number_of_merges(vocab_size, special_tokens)
    texts = [text] if isinstance(text, (str, bytes)) else text
    counts = count_pretokens(texts, special_tokens, pattern, workers=workers)
    merges = learn_merges(counts, number, ties=ties, progress=progress)
    return number_tokens(merges, special_tokens), merges


def learn_merges(
    words: Mapping[bytes, int], number: int, *, ties: Ties = "greatest", progress: bool = False
) -> list[Pair]:
    """The merges that BPE makes, from the pre-tokens and how often each occurs.

    Args:
        words: Pre-token → how often it occurs.
        number: How many merges to make, at most.
        ties: Which of two equally frequent pairs goes first.
        progress: Show a bar.
    """
    # Every different word once, laid end to end. A place holds a token and knows its neighbours;
    # -1 is the end of a word, and in `token` a place whose token was merged into the one before.
    token: list[int] = []
    weight: list[int] = []  # how often the place's word occurs in the text
    before: list[int] = []
    after: list[int] = []
    for word, n in words.items():
        start, end = len(token), len(token) + len(word)
        token += word
        weight += [n] * len(word)
        before += [-1, *range(start, end - 1)] if word else []
        after += [*range(start + 1, end), -1] if word else []

    counts: dict[tuple[int, int], int] = defaultdict(int)
    places: dict[tuple[int, int], list[int]] = defaultdict(list)  # where the pair's left token is
    for i, j in enumerate(after):
        if j >= 0:
            pair = token[i], token[j]
            counts[pair] += weight[i]
            places[pair].append(i)

    spelling = [bytes([b]) for b in range(256)]
    order = [_order(spelling[b], b, ties) for b in range(256)]  # what a heap entry is sorted by

    # A heap gives its smallest entry first, so counts go in with a minus. A pair's count only falls
    # once it is in the heap: entries may be too high, never too low, and are corrected on top.
    heap = [(-n, order[left], order[right], (left, right)) for (left, right), n in counts.items()]
    heapify(heap)
    merges: list[Pair] = []
    bar = tqdm(total=number, desc="merges", disable=None if progress else True)

    while heap and len(merges) < number:
        minus_n, _, _, pair = heappop(heap)
        left, right = pair
        if counts[pair] != -minus_n:
            if counts[pair]:
                heappush(heap, (-counts[pair], order[left], order[right], pair))
            continue
        new = len(spelling)
        spelling.append(spelling[left] + spelling[right])
        order.append(_order(spelling[new], new, ties))
        merges.append((spelling[left], spelling[right]))
        bar.update()

        fresh: set[tuple[int, int]] = set()
        for i in places.pop(pair):  # in rising order, so "aaa" becomes "aa" + "a"
            j = after[i]
            if token[i] != left or j < 0 or token[j] != right:
                continue  # no longer there: an earlier merge took one of the two
            h, k, n = before[i], after[j], weight[i]
            if h >= 0:
                counts[token[h], left] -= n
                counts[token[h], new] += n
                places[token[h], new].append(h)
                fresh.add((token[h], new))
            if k >= 0:
                counts[right, token[k]] -= n
                counts[new, token[k]] += n
                places[new, token[k]].append(i)
                fresh.add((new, token[k]))
                before[k] = i
            token[i], token[j], after[i] = new, -1, k
        del counts[pair]
        for left, right in fresh:
            if n := counts[left, right]:  # 0 for "a" + "aa" in "aaaa", which came and went
                heappush(heap, (-n, order[left], order[right], (left, right)))

    bar.close()
    return merges


def _order(spelling: bytes, new_id: int, ties: Ties) -> int | str:
    """What sorts tokens as `ties` wants them: the preferred one first.

    "oldest" is the id itself. "greatest" is the spelling turned round: each byte b as 255 - b, and
    a sign greater than all of them at the end, so that "ab", the greater, comes before "a".
    """
    if ties == "oldest":
        return new_id
    return bytes(255 - b for b in spelling).decode("latin-1") + "\u0100"
