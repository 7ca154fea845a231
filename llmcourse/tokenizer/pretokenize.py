"""Cutting text into pre-tokens: the small pieces inside which byte pairs are merged.

A merge never crosses the border of a pre-token, so that " dog", "dog!" and "dog." share one token
for "dog" instead of wasting three. Where the borders lie is decided by one regular expression,
published with GPT-2 and refined for GPT-4. A *special token* such as ``<|endoftext|>`` is a border
that no expression may cross.

This file does NOT merge anything; that is the BPE ladder's work. Taught in chapter 02.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import regex

from llmcourse.errors import CourseError

GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2: a contraction; a word, number or run of signs, with the space before it; spaces."""

GPT4_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
"""GPT-4 (cl100k): also 'S as 's, digits by three at most, and line ends kept with what precedes."""

DIGITS_PATTERN = GPT2_PATTERN.replace(r" ?\p{N}+", r"\p{N}")
"""GPT-2's, but every digit is a piece of its own, without a space before it, as Llama and SmolLM2 have it:
a model that is to reckon should see 128 as 1, 2, 8 and not as one symbol among a thousand."""

# Which characters are letters (\p{L}) or numbers (\p{N}) depends on the version of Unicode, and the
# regular expressions of Python and of Rust seldom have the same. These became letters or numbers
# after Unicode 16, the version of tiktoken and rustbpe; we treat them as Unicode 16 does. A test
# compares all 1,112,064 characters with tiktoken, and says what to add when it moves on.
_NEWER_THAN_UNICODE_16 = regex.compile(
    "[\u0558\u058b-\u058c\u088f\u0c5c\u0cdc\u208f\u209d-\u209f\ua7ce-\ua7cf\ua7d2\ua7d4\ua7dd\ua7e2"
    "\ua7f1\uab6c-\uab6d\U000107bb-\U000107bf\U00010940-\U00010959\U00010ec5-\U00010ec7"
    "\U00010ed9-\U00010eee\U00011b0a\U00011db0-\U00011ddb\U00011de0-\U00011de9\U00011df1"
    "\U0001246f\U00012475-\U0001247f\U00012550-\U00012686\U00016ea0-\U00016eb8"
    "\U00016ebb-\U00016ed3\U00016ff2-\U00016ff6\U000187f8-\U000187ff\U00018cd6-\U00018cda"
    "\U00018d09-\U00018d20\U00018d80-\U00018df2\U00018e00-\U00019191\U000191a0-\U000191d2"
    "\U0001b123-\U0001b128\U0001b168\U0001d6a6\U0001df1f-\U0001df24\U0001df2b-\U0001df81"
    "\U0001df90-\U0001df96\U0001dfcd-\U0001dfff\U0001e6c0-\U0001e6de\U0001e6e0-\U0001e6e2"
    "\U0001e6e4-\U0001e6e5\U0001e6e7-\U0001e6ed\U0001e6f0-\U0001e6f4\U0001e6fe-\U0001e6ff"
    "\U0002b73a-\U0002b73f\U0002b81e\U0002cea2-\U0002cead\U000323b0-\U00033479"
    "\U0003d000-\U0003fc3f]"
)
_NO_LETTER = "\ue000"  # a private character: never a letter, a number or a space


def pretokens(text: str, pattern: str = GPT2_PATTERN) -> list[str]:
    """Split text into pre-tokens; joined again, they are the text, whatever the pattern.

    Args:
        text: Text without special tokens.
        pattern: A regular expression; what it leaves unmatched becomes pieces of its own.

    Raises:
        CourseError: if the pattern is no regular expression.
    """
    compiled = _compile(pattern)
    masked = _as_unicode_16(text)
    if masked is text and not compiled.groups:  # nearly always
        pieces: list[str] = compiled.findall(text)
        if sum(map(len, pieces)) == len(text):
            return [piece for piece in pieces if piece]
    borders, last = [], 0
    for match in compiled.finditer(masked):  # the text between two matches is a piece as well
        borders += [text[last : match.start()], text[match.start() : match.end()]]
        last = match.end()
    return [piece for piece in [*borders, text[last:]] if piece]


def split_on_special(text: str, special_tokens: Iterable[str]) -> list[str]:
    """Cut text at its special tokens: ordinary, special, ordinary, …, ordinary.

    Every second entry is a special token; the ordinary text between may be empty. Where two
    special tokens begin at the same place, the longest wins.
    """
    compiled = _special_pattern(frozenset(special_tokens))
    return list(compiled.split(text)) if compiled is not None else [text]


def replace_lone_surrogates(text: str) -> str:
    """Make a Python string valid Unicode, as tiktoken does.

    A Python string can hold halves of UTF-16 pairs, which UTF-8 cannot encode. Two halves that
    meet become the character they spell; a lone half becomes U+FFFD, the replacement character.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def text_of_bytes(data: bytes) -> str:
    """Bytes as text, losing nothing: a byte that is not UTF-8 becomes a surrogate (PEP 383)."""
    return data.decode("utf-8", "surrogateescape")


def bytes_of_text(text: str) -> bytes:
    """The inverse of `text_of_bytes`."""
    return text.encode("utf-8", "surrogateescape")


def read_text(path: str | os.PathLike[str], block: int = 1 << 20) -> Iterator[str]:
    """A file as text, a megabyte at a time, line ends untouched, invalid bytes as `text_of_bytes`.

    Raises:
        CourseError: if the file cannot be read.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    try:
        with Path(path).open("rb") as file:
            while data := file.read(block):
                yield decoder.decode(data)
    except OSError as error:
        raise CourseError(
            f"cannot read {os.fspath(path)}: {error.strerror or error}", hint="check the path"
        ) from error
    yield decoder.decode(b"", final=True)


GPT4O_PATTERN = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    )
)
"""GPT-4o (o200k): also a border inside camelCase, and combining marks count as letters."""

_GPT_PATTERNS = {
    GPT2_PATTERN,
    # as published
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # tiktoken's
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    GPT4_PATTERN,
    GPT4O_PATTERN,
}

# Places where each of these patterns has a border, whatever comes before or after:
# a space after something that is no space; a line end, or a sign other than an apostrophe (which
# may begin a contraction), after a letter or a digit.
_SAFE_CUT = regex.compile(r"(?V1)(?<=\S)(?= )|(?<=[\p{L}\p{N}])(?=[\s\p{P}--['’]])")
_NEVER = regex.compile(r"(?!)")


def stable_chunks(
    pieces: Iterable[str],
    special_tokens: Iterable[str] = (),
    pattern: str = GPT2_PATTERN,
    minimum: int = 1 << 16,
) -> Iterator[str]:
    """Re-cut a stream of text so that each chunk has the same pre-tokens alone as in the whole.

    The pieces may be cut anywhere (lines of a file, blocks of a megabyte, in the middle of a
    special token). Memory holds one chunk: at least `minimum` characters, more only where the text
    itself goes on without a safe border, such as a megabyte of letters in one word.

    Args:
        pieces: Parts of one text, in order.
        special_tokens: Never cut through one of these; before and after one is always a border.
        pattern: The split pattern. For one that is not GPT's, special tokens are the only borders.
        minimum: Characters to gather before cutting.
    """
    special_tokens = frozenset(special_tokens)
    longest = max(map(len, special_tokens), default=0)
    special = _special_pattern(special_tokens)
    safe_cut = _SAFE_CUT if pattern in _GPT_PATTERNS else _NEVER
    gathered: list[str] = []
    length, goal = 0, minimum
    for piece in pieces:
        gathered.append(piece)
        length += len(piece)
        if length < goal:
            continue
        text = "".join(gathered)
        cut = _last_safe_cut(text, safe_cut, special, longest)
        if cut:
            yield text[:cut]
        gathered, length = [text[cut:]], len(text) - cut
        goal = max(minimum, 2 * length)  # so that a text without borders is not searched n² times
    if length:
        yield "".join(gathered)


def _last_safe_cut(
    text: str, safe_cut: regex.Pattern[str], special: regex.Pattern[str] | None, longest: int
) -> int:
    """The last position where the text may be cut, or 0.

    A special token that begins before `len(text) - longest` is seen whole: its borders are known.
    """
    limit = len(text) - longest - 1
    floor = 0
    for match in special.finditer(text) if special is not None else ():
        if match.start() > limit:
            break
        floor = match.end()
    text = _as_unicode_16(text)
    high, window = limit, 1 << 12
    while high > floor:  # search backwards, a window at a time
        low = max(floor, high - window)
        cuts = [match.start() for match in safe_cut.finditer(text, low, high + 1)]
        if cuts:
            return int(cuts[-1])
        high, window = low, 2 * window
    return int(floor)


def _as_unicode_16(text: str) -> str:
    """The text itself, or where it has newer letters one of the same length without them."""
    if _NEWER_THAN_UNICODE_16.search(text):
        return str(_NEWER_THAN_UNICODE_16.sub(_NO_LETTER, text))
    return text


@lru_cache(maxsize=32)
def _compile(pattern: str) -> regex.Pattern[str]:
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise CourseError(f"the split pattern is no regular expression: {error}") from error


@lru_cache(maxsize=128)
def _special_pattern(special_tokens: frozenset[str]) -> regex.Pattern[str] | None:
    """A pattern with one group that matches any of the special tokens, longest first."""
    names = sorted((name for name in special_tokens if name), key=lambda name: (-len(name), name))
    return regex.compile("(" + "|".join(map(regex.escape, names)) + ")") if names else None
