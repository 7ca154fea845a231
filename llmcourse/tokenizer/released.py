"""How released models cut text before byte pairs are merged.

A release names its way of cutting: GGUF files by a word (``smollm``), Hugging Face's
``tokenizer.json`` by a small program of steps. Each is one regular expression here, sometimes with
Unicode normalisation before it. A way that is not in this list is refused: a tokenizer that is
nearly right gives a model words it has never seen. Taught in chapter 04 (weights on disk).
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmcourse.errors import CourseError

from .files import from_printable
from .merging import merge
from .pretokenize import GPT2_PATTERN, bytes_of_text, split_on_special
from .tokenizer import Tokenizer
from .training import Pair

SMOLLM_PATTERN = r"'(?:[sdmt]|ll|ve|re)|\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"
"""SmolLM: every digit is a piece, and then GPT-2's pattern on what lies between. White space before
a digit stands at the end of what lies between, so that it is taken whole: hence the (?!…)."""

_AFTER_GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_PATTERN = _AFTER_GPT4.replace("DIGITS", "{1,3}")
"""Llama 3: GPT-4's, with digits by three."""
QWEN2_PATTERN = _AFTER_GPT4.replace("DIGITS", "")
"""Qwen2: the same with digits one by one."""


@dataclass(frozen=True)
class Cutting:
    """How text is cut.

    Args:
        pattern: The regular expression.
        nfc: Whether the text is first brought to Unicode's composed form (é as one character).
        whole_first: Whether a piece that is a token needs no merging (tiktoken's way).
    """

    pattern: str
    nfc: bool = False
    whole_first: bool = False


CUTTINGS = {
    "gpt-2": Cutting(GPT2_PATTERN),
    # What converters wrote before each tokenizer had a name of its own, GPT-2's among them.
    "default": Cutting(GPT2_PATTERN),
    "smollm": Cutting(SMOLLM_PATTERN),
    "qwen2": Cutting(QWEN2_PATTERN, nfc=True),
    "llama-bpe": Cutting(LLAMA3_PATTERN, whole_first=True),
}
"""By the name that GGUF files use."""


class ReleasedTokenizer(Tokenizer):
    """A tokenizer that loses something, as its release does.

    Two kinds of loss exist. Qwen2 brings text to Unicode's composed form before cutting it, so that
    "e" and an accent come back as "é". SmolLM2's vocabulary lacks 21 of the 256 bytes (six control
    characters, and the first bytes of characters in Unicode's far planes): a byte without a token
    is left out, and its neighbours merge as if it had never been there.

    Args:
        vocab: Token id → bytes.
        merges: Pairs, earliest first.
        special_tokens: Name → id.
        cutting: How text is cut.
    """

    def __init__(
        self,
        vocab: Mapping[int, bytes],
        merges: Sequence[Pair],
        special_tokens: Mapping[str, int],
        cutting: Cutting,
    ) -> None:
        super().__init__(vocab, merges, special_tokens, pattern=cutting.pattern)
        self.cutting = cutting
        self.missing_bytes = bytes(b for b in range(256) if self._byte_ids[b] < 0)

    def _encode_clean(self, text: str, allowed: Collection[str]) -> list[int]:
        if not self.cutting.nfc:
            return super()._encode_clean(text, allowed)
        ids: list[int] = []
        for i, part in enumerate(split_on_special(text, allowed)):
            if i % 2:
                ids.append(self._special[part])
            else:
                ids += super()._encode_clean(unicodedata.normalize("NFC", part), ())
        return ids

    def _encode_piece(self, piece: str) -> Sequence[int]:
        data = bytes_of_text(piece)
        kept = data.translate(None, self.missing_bytes)
        if len(kept) == len(data):
            return super()._encode_piece(piece)
        return merge([self._byte_ids[b] for b in kept], self._lookup)

    def __reduce__(self) -> tuple[Any, ...]:
        return ReleasedTokenizer, (self._bytes, self.merges, self._special, self.cutting)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write Hugging Face's ``tokenizer.json``; `load_tokenizer` reads it.

        Raises:
            CourseError: if the folder cannot be written.
        """
        from .huggingface import save_huggingface

        save_huggingface(self, directory)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Tokenizer:
        """Read what `save` wrote."""
        from .huggingface import load_tokenizer

        return load_tokenizer(directory)


def assemble(
    vocab: Mapping[int, bytes],
    merges: Sequence[Pair],
    special_tokens: Mapping[str, int],
    cutting: Cutting,
    where: str,
) -> Tokenizer:
    """A tokenizer from a release's parts; a plain `Tokenizer` where that loses nothing.

    Raises:
        CourseError: if the parts do not fit together; the message begins with `where`.
    """
    try:
        if cutting.whole_first:
            ordinary = {i: t for i, t in vocab.items() if i not in set(special_tokens.values())}
            _check_ranks(ordinary, merges)
            return Tokenizer(vocab, None, special_tokens, pattern=cutting.pattern)
        tokenizer = ReleasedTokenizer(vocab, merges, special_tokens, cutting)
        if cutting.nfc or tokenizer.missing_bytes:
            return tokenizer
        return Tokenizer(vocab, merges, special_tokens, pattern=cutting.pattern)
    except CourseError as error:
        raise CourseError(f"{where}: {error.message}", hint=error.hint) from error


def as_bytes(text: str) -> bytes:
    """A token in GPT-2's printable alphabet, or else as it is: added tokens are plain text."""
    try:
        return from_printable(text)
    except KeyError:
        return text.encode("utf-8")


def parse_merges(lines: Sequence[Any], bytes_of: Mapping[str, bytes], where: str) -> list[Pair]:
    """Merges, "left right" or [left, right], as pairs of byte strings.

    Args:
        lines: As in the file.
        bytes_of: The vocabulary's tokens, text → bytes.
        where: The file, for the message.

    Raises:
        CourseError: naming the first that is no merge of two tokens of the vocabulary.
    """
    merges: list[Pair] = []
    for number, line in enumerate(lines):
        pair = line.split(" ") if isinstance(line, str) else line
        try:
            left, right = pair
            merges.append((bytes_of[left], bytes_of[right]))
        except (KeyError, TypeError, ValueError):
            raise CourseError(
                f"{where}: merge {number} is {str(line)[:60]!r}, not two tokens of the vocabulary",
                hint="get the file again",
            ) from None
    return merges


def _check_ranks(vocab: Mapping[int, bytes], merges: Sequence[Pair]) -> None:
    """Whether "two tokens merge if together they spell one, the smallest id first" says the same.

    It does if the merges are all the ways in which tokens are made of two, in the order of their
    ids: so Llama 3's were made from tiktoken's ranks.
    """
    id_of = {token: i for i, token in vocab.items()}
    made = [id_of.get(left + right, -1) for left, right in merges]
    ways = sum(
        token[:cut] in id_of and token[cut:] in id_of
        for token in id_of
        for cut in range(1, len(token))
    )
    if made != sorted(made) or -1 in made or len(set(merges)) != ways:
        raise CourseError(
            "its merges are not in the order of its ids, as a tokenizer that takes whole tokens "
            "first must have them",
            hint="take another release",
        )
