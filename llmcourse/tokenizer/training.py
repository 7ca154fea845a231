"""What the rungs of the BPE ladder share: counting pre-tokens, numbering tokens, breaking ties.

Taught in chapter 02.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Literal

from llmcourse.errors import CourseError

from .pretokenize import (
    GPT2_PATTERN,
    bytes_of_text,
    pretokens,
    replace_lone_surrogates,
    split_on_special,
    text_of_bytes,
)

Pair = tuple[bytes, bytes]

Ties = Literal["greatest", "oldest"]
"""Which of several equally frequent pairs is merged first. Any fixed rule will do; there are two:

- ``"greatest"``: the greatest pair of byte strings, (b"s", b"t") before (b"e", b"r"). It depends
  on nothing but the pairs, and is the rule of Stanford's CS336 and of this book.
- ``"oldest"``: the pair whose left token has the smallest id, then the right one. The fast
  libraries (rustbpe, Hugging Face's tokenizers) do this, because ids are what they hold.
"""


def number_of_merges(vocab_size: int, special_tokens: Sequence[str]) -> int:
    """How many merges a vocabulary has room for beside the bytes and the special tokens.

    Raises:
        CourseError: if it has no room even for those, or a special token is empty or given twice.
    """
    if len(set(special_tokens)) < len(special_tokens) or "" in special_tokens:
        raise CourseError(
            f"special tokens must be different and not empty: {list(special_tokens)}",
            hint="name each once",
        )
    smallest = 256 + len(special_tokens)
    if vocab_size < smallest:
        raise CourseError(
            f"a vocabulary of {vocab_size} cannot hold 256 bytes and "
            f"{len(special_tokens)} special tokens",
            hint=f"use a vocab_size of at least {smallest}",
        )
    return vocab_size - smallest


def number_tokens(merges: Sequence[Pair], special_tokens: Sequence[str] = ()) -> dict[int, bytes]:
    """Give every token its id: the 256 bytes, then the merges in order, then the special tokens.

    So a byte's id is its value, and special tokens come last, as for GPT-2 and GPT-4. `Tokenizer`
    accepts every other numbering too.
    """
    tokens = [bytes([b]) for b in range(256)]
    tokens += [left + right for left, right in merges]
    tokens += [name.encode("utf-8") for name in special_tokens]
    return dict(enumerate(tokens))


@dataclass(frozen=True)
class MergeComparison:
    """How alike two lists of merges are.

    Args:
        equal: The same merges in the same order.
        first_difference: Where they first differ (an index), or None if they are equal.
        shared_merges: Pairs that are in both lists, anywhere.
        shared_tokens: Tokens, left + right, that are in both, however they were made.
        length: The length of the longer list.
    """

    equal: bool
    first_difference: int | None
    shared_merges: int
    shared_tokens: int
    length: int


def compare_merges(ours: Sequence[Pair], theirs: Sequence[Pair]) -> MergeComparison:
    """Compare what two trainings learnt, for instance with different rules for ties."""
    length = max(len(ours), len(theirs))
    same = min(len(ours), len(theirs))
    differ = (i for i in range(length) if i >= same or ours[i] != theirs[i])
    first = next(differ, None)
    tokens = [{left + right for left, right in merges} for merges in (ours, theirs)]
    return MergeComparison(
        equal=first is None,
        first_difference=first,
        shared_merges=len(set(ours) & set(theirs)),
        shared_tokens=len(tokens[0] & tokens[1]),
        length=length,
    )


def count_pretokens(
    texts: Iterable[str | bytes],
    special_tokens: Sequence[str] = (),
    pattern: str = GPT2_PATTERN,
    *,
    workers: int = 1,
) -> Counter[bytes]:
    """How often each pre-token occurs in some texts; special tokens are not counted.

    Args:
        texts: Each a text on its own: no pre-token reaches from one into the next.
        special_tokens: Borders.
        pattern: The split pattern.
        workers: Processes to share the work. The counts do not depend on it. (With more than one,
            a script must guard its entry with ``if __name__ == "__main__":``.)
    """
    specials = tuple(special_tokens)
    counts: Counter[bytes] = Counter()
    for part in _map(texts, specials, pattern, workers):
        for word, n in part.items():
            counts[bytes_of_text(word)] += n
    return counts


def _count(text: str | bytes, special_tokens: tuple[str, ...], pattern: str) -> Counter[str]:
    if isinstance(text, bytes):
        text = text_of_bytes(text)
    counts: Counter[str] = Counter()
    for ordinary in split_on_special(text, special_tokens)[::2]:
        counts.update(pretokens(ordinary, pattern))
    return counts


def _map(
    texts: Iterable[str | bytes], specials: tuple[str, ...], pattern: str, workers: int
) -> Iterator[Counter[str]]:
    clean = (replace_lone_surrogates(t) if isinstance(t, str) else t for t in texts)
    if workers <= 1:
        yield from (_count(text, specials, pattern) for text in clean)
        return
    # "spawn" is the only way to start a process that is safe beside threads, on every system.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: deque[Future[Counter[str]]] = deque()
        for text in clean:
            waiting.append(pool.submit(_count, text, specials, pattern))
            if len(waiting) > 2 * workers:  # never more than a few texts in memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
