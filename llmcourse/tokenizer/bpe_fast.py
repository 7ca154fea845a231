"""The BPE ladder, rung 3: the same merges from a library written in Rust.

What it adds to rung 2 is compiled code and all processor cores, in the splitting as in the merging.
Two libraries are known here: ``rustbpe``, and Hugging Face's ``tokenizers``.

What it does NOT do:

- break ties as we do. When two pairs are equally frequent, both libraries take the one with the
  *oldest* tokens; rungs 1 and 2 take the *greatest* byte strings, unless told ``ties="oldest"``.
  Then all rungs give equal merges; `training.compare_merges` shows how little the rule changes.
- learn from bytes that are not UTF-8, which a Rust string cannot hold, or from a line of a million
  spaces, on which its regular expressions overflow.

Taught in chapter 02.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from llmcourse.errors import CourseError

from .merging import merge
from .pretokenize import (
    GPT2_PATTERN,
    read_text,
    replace_lone_surrogates,
    split_on_special,
    stable_chunks,
)
from .training import Pair, count_pretokens, number_of_merges, number_tokens

Engine = Literal["rustbpe", "tokenizers"]


def train_bpe_fast(
    path: str | os.PathLike[str],
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    *,
    pattern: str = GPT2_PATTERN,
    engine: Engine = "rustbpe",
) -> tuple[dict[int, bytes], list[Pair]]:
    """Train BPE on a file: equal to ``train_bpe(..., ties="oldest")``.

    Args:
        path: A UTF-8 text file; it is read a megabyte at a time.
        vocab_size: How many tokens in all: 256 bytes, the special tokens, and one per merge.
        special_tokens: Never merged, and never merged across.
        pattern: Where the text is split into pre-tokens.
        engine: The library that does it.

    Raises:
        CourseError: if the file cannot be read or is not UTF-8, `vocab_size` is too small, or the
            library is not installed.
    """
    chunks = stable_chunks(read_text(path), special_tokens, pattern, minimum=1 << 20)
    return _train(_utf8_only(chunks, path), vocab_size, special_tokens, pattern, engine)


def train_bpe_fast_from_text(
    text: str | Iterable[str],
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    *,
    pattern: str = GPT2_PATTERN,
    engine: Engine = "rustbpe",
) -> tuple[dict[int, bytes], list[Pair]]:
    """As `train_bpe_fast`, from a text in memory or an iterable whose items are texts on their own.

    Raises:
        CourseError: if `vocab_size` is too small or the library is not installed.
    """
    texts = [text] if isinstance(text, str) else text
    clean = map(replace_lone_surrogates, texts)
    return _train(clean, vocab_size, special_tokens, pattern, engine)


def _train(
    texts: Iterable[str],
    vocab_size: int,
    special_tokens: Sequence[str],
    pattern: str,
    engine: Engine,
) -> tuple[dict[int, bytes], list[Pair]]:
    number = number_of_merges(vocab_size, special_tokens)
    ordinary = (part for text in texts for part in split_on_special(text, special_tokens)[::2])
    if engine == "rustbpe":
        merges = _with_rustbpe(ordinary, number, pattern)
    elif engine == "tokenizers":
        merges = _with_tokenizers(ordinary, number, pattern)
    else:
        raise ValueError(f"engine must be 'rustbpe' or 'tokenizers', not {engine!r}")
    return number_tokens(merges, special_tokens), merges


def _with_rustbpe(texts: Iterable[str], number: int, pattern: str) -> list[Pair]:
    try:
        import rustbpe
    except ImportError as error:
        raise CourseError("rustbpe is not installed", hint="pip install rustbpe") from error
    trainer = rustbpe.Tokenizer()
    try:
        trainer.train_from_iterator(iter(texts), 256 + number, buffer_size=16, pattern=pattern)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how a Rust program that gave up looks here
            raise
        raise CourseError(
            f"rustbpe gave up: {error}",
            hint="a run of spaces may be too long for it; train_bpe has no such limit",
        ) from None
    return pairs_of_tokens([bytes(token) for token, _ in trainer.get_mergeable_ranks()])


def _with_tokenizers(texts: Iterable[str], number: int, pattern: str) -> list[Pair]:
    """It merges characters, not bytes: byte b goes in as chr(b), so that ids keep their order."""
    try:
        from tokenizers import Tokenizer, models, trainers
    except ImportError as error:
        raise CourseError("tokenizers is not installed", hint="pip install tokenizers") from error
    counts = count_pretokens(texts, (), pattern)
    words = (word.decode("latin-1") for word, n in counts.items() for _ in range(n))
    trainer = trainers.BpeTrainer(
        vocab_size=256 + number, initial_alphabet=list(map(chr, range(256))), show_progress=False
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.train_from_iterator(words, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left.encode("latin-1"), right.encode("latin-1")) for left, right in merges]


def pairs_of_tokens(tokens: Sequence[bytes]) -> list[Pair]:
    """The pairs that were merged, from the tokens in the order they were made.

    Encode each token with the merges made before it: two tokens come out, and they are its pair. It
    is the only one, for BPE always splits the same bytes in the same way.

    Raises:
        CourseError: if a token does not come out as two, so that no merge can have made it.
    """
    merges: dict[tuple[int, int], tuple[int, int]] = {}
    pairs: list[Pair] = []
    for new_id, token in enumerate(tokens[256:], start=256):
        parts = merge(list(token), merges.get)
        if len(parts) != 2:
            raise CourseError(
                f"token {new_id} ({token!r}) is not made of two earlier tokens",
                hint="give the tokens in the order they were made, the 256 bytes first",
            )
        left, right = parts
        pairs.append((tokens[left], tokens[right]))
        merges[left, right] = (new_id, new_id)
    return pairs


def _utf8_only(chunks: Iterable[str], path: str | os.PathLike[str]) -> Iterator[str]:
    for chunk in chunks:
        try:
            chunk.encode("utf-8")
        except UnicodeEncodeError as error:
            raise CourseError(
                f"{os.fspath(path)} is not UTF-8, and the library learns from UTF-8 only",
                hint="use train_bpe, which learns from any bytes",
            ) from error
        yield chunk
