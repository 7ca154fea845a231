"""A tokenizer: text to token ids and back, whatever vocabulary it is given.

It works with our own vocabularies, with GPT-2's files and with GPT-4's ranks. Every byte string can
be encoded and every encoding decodes to the very same bytes.

Taught in chapter 02.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from llmcourse.errors import CourseError

from . import files
from .merging import Lookup, merge, merge_lookup, rank_lookup
from .pretokenize import (
    GPT2_PATTERN,
    bytes_of_text,
    pretokens,
    replace_lone_surrogates,
    split_on_special,
    stable_chunks,
    text_of_bytes,
)
from .training import Pair

if TYPE_CHECKING:
    import tiktoken

AllowedSpecial = Literal["all", "none"] | Collection[str]

CACHED_PIECES = 1 << 16  # words remembered with their ids: most of a text is the same few words
CACHED_LENGTH = 64


class Tokenizer:
    """Byte-level BPE.

    Two ways of saying what merges: `merges`, pairs in the order they were learnt (GPT-2), or none
    at all, and two tokens merge if together they spell a token of the vocabulary, the smallest id
    first (`from_ranks`; tiktoken). For a vocabulary made by training the two are the same.

    Args:
        vocab: Token id → bytes. Any ids will do.
        merges: Pairs of byte strings, earliest first; they and their results are in `vocab`.
        special_tokens: Names such as ``"<|endoftext|>"``, or a mapping name → id. A name without an
            id has the one it has in `vocab`, or else the next id after the greatest.
        pattern: Where text is split into pre-tokens.

    Raises:
        CourseError: if the parts do not fit together.
    """

    def __init__(
        self,
        vocab: Mapping[int, bytes],
        merges: Sequence[Pair] | None,
        special_tokens: Sequence[str] | Mapping[str, int] | None = None,
        *,
        pattern: str = GPT2_PATTERN,
    ) -> None:
        self.pattern = pattern
        self.merges = None if merges is None else [(bytes(a), bytes(b)) for a, b in merges]
        self._special = _special_ids(vocab, special_tokens or ())
        self._bytes = {int(i): bytes(token) for i, token in vocab.items()}
        self._bytes |= {i: name.encode("utf-8") for name, i in self._special.items()}
        special_ids = set(self._special.values())
        self._id = {token: i for i, token in self._bytes.items() if i not in special_ids}
        needed = {t for left, right in self.merges or () for t in (left, right, left + right)}
        for name, i in self._special.items():  # a special token that is an ordinary one as well
            if len(token := name.encode("utf-8")) == 1 or token in needed:
                self._id.setdefault(token, i)
        self._byte_ids = [self._id.get(bytes([b]), -1) for b in range(256)]
        self._lookup: Lookup = (
            rank_lookup(self._id, self._bytes)
            if self.merges is None
            else merge_lookup(self.merges, self._id)
        )
        self._cache: dict[str, tuple[int, ...]] = {}

    # ---------------------------------------------------------------- what is in the vocabulary

    @property
    def vocab(self) -> dict[int, bytes]:
        """Token id → bytes, special tokens included. A copy."""
        return dict(self._bytes)

    @property
    def special_tokens(self) -> dict[str, int]:
        """Name → id of the special tokens. A copy."""
        return dict(self._special)

    @property
    def n_vocab(self) -> int:
        """The greatest id plus one: how many rows an embedding table needs. 100,277 for GPT-4."""
        return max(self._bytes, default=-1) + 1

    def __len__(self) -> int:
        """How many tokens there are. Less than `n_vocab` where ids were left out."""
        return len(self._bytes)

    def __repr__(self) -> str:
        return f"Tokenizer({len(self):,} tokens, {len(self._special)} of them special)"

    def __reduce__(self) -> tuple[Any, ...]:  # so that it can be sent to another process
        return _from_parts, (self._bytes, self.merges, self._special, self.pattern)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes a token stands for.

        Raises:
            CourseError: if there is no such token.
        """
        try:
            return self._bytes[token_id]
        except KeyError:
            raise CourseError(
                f"no token has the id {token_id}",
                hint=f"this vocabulary has {len(self)} tokens, ids below {self.n_vocab}",
            ) from None

    # ---------------------------------------------------------------- text → ids

    def encode(self, text: str, allowed_special: AllowedSpecial = "all") -> list[int]:
        """Token ids of a text.

        Args:
            text: Any string; lone surrogates become U+FFFD, as in tiktoken.
            allowed_special: Special tokens that count as such: ``"all"``, ``"none"``, or a set of
                names. Others are ordinary text: what a user typed must not end the document.

        Raises:
            CourseError: if a byte of the text is not in the vocabulary.
            ValueError: if `allowed_special` names a token that is not special.
        """
        return self._encode_clean(replace_lone_surrogates(text), self._allowed(allowed_special))

    def encode_ordinary(self, text: str) -> list[int]:
        """Token ids of a text in which special tokens are plain text."""
        return self.encode(text, "none")

    def encode_bytes(self, data: bytes, allowed_special: AllowedSpecial = "all") -> list[int]:
        """Token ids of any bytes, UTF-8 or not; `decode_bytes` gives the very same bytes back."""
        return self._encode_clean(text_of_bytes(data), self._allowed(allowed_special))

    def encode_batch(
        self, texts: Iterable[str], allowed_special: AllowedSpecial = "all"
    ) -> list[list[int]]:
        """`encode` for each text."""
        return [self.encode(text, allowed_special) for text in texts]

    def encode_iterable(
        self, pieces: Iterable[str], allowed_special: AllowedSpecial = "all"
    ) -> Iterator[int]:
        """Token ids of one long text that comes in pieces, such as an open file.

        The ids are those of the whole text, wherever it was cut, and memory holds one chunk of it
        (see `stable_chunks`).
        """
        names = self._allowed(allowed_special)
        for chunk in stable_chunks(pieces, names, self.pattern):
            yield from self._encode_clean(replace_lone_surrogates(chunk), names)

    def _encode_clean(self, text: str, allowed: Collection[str]) -> list[int]:
        ids: list[int] = []
        for i, part in enumerate(split_on_special(text, allowed)):
            if i % 2:
                ids.append(self._special[part])
            else:
                for piece in pretokens(part, self.pattern):
                    ids += self._cache.get(piece) or self._encode_piece(piece)
        return ids

    def _encode_piece(self, piece: str) -> Sequence[int]:
        data = bytes_of_text(piece)
        if self.merges is None and data in self._id:
            return (self._id[data],)  # as tiktoken: a piece that is a token needs no merging
        ids = [self._byte_ids[b] for b in data]
        if -1 in ids:
            missing = data[ids.index(-1)]
            raise CourseError(
                f"the vocabulary has no token for the byte {missing} in {piece[:20]!r}",
                hint="a byte-level vocabulary needs all 256 bytes",
            )
        ids = merge(ids, self._lookup)
        if len(data) <= CACHED_LENGTH:
            if len(self._cache) >= CACHED_PIECES:
                self._cache.clear()
            self._cache[piece] = tuple(ids)
        return ids

    def _allowed(self, allowed_special: AllowedSpecial) -> frozenset[str]:
        if isinstance(allowed_special, str):
            if allowed_special not in ("all", "none"):
                raise ValueError('allowed_special must be "all", "none" or a set of names')
            return frozenset(self._special if allowed_special == "all" else ())
        names = frozenset(allowed_special)
        if unknown := sorted(names - self._special.keys()):
            raise ValueError(f"not special tokens of this tokenizer: {', '.join(unknown)}")
        return names

    # ---------------------------------------------------------------- ids → text

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some tokens.

        Raises:
            CourseError: if an id is not in the vocabulary.
        """
        return b"".join([self.token_bytes(int(i)) for i in ids])

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some tokens; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    # ---------------------------------------------------------------- files and other libraries

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write ``tokenizer.json`` into a folder, all at once or not at all.

        Raises:
            CourseError: if the folder cannot be written.
        """
        files.save(directory, self._bytes, self.merges, self._special, self.pattern)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Tokenizer:
        """Read what `save` wrote.

        Raises:
            CourseError: if the file is missing, cut short or altered; the message names it.
        """
        vocab, merges, special, pattern = files.load(directory)
        return cls(vocab, merges, special, pattern=pattern)

    @classmethod
    def from_files(
        cls,
        vocab_path: str | os.PathLike[str],
        merges_path: str | os.PathLike[str],
        special_tokens: Sequence[str] | Mapping[str, int] | None = None,
        *,
        pattern: str = GPT2_PATTERN,
    ) -> Tokenizer:
        """From GPT-2's ``vocab.json`` and ``merges.txt``, as many releases have them.

        Raises:
            CourseError: if a file is missing or is not what its name says.
        """
        vocab, merges = files.load_gpt2(vocab_path, merges_path)
        return cls(vocab, merges, special_tokens, pattern=pattern)

    @classmethod
    def from_ranks(
        cls,
        ranks: Mapping[bytes, int],
        pattern: str,
        special_tokens: Sequence[str] | Mapping[str, int] | None = None,
    ) -> Tokenizer:
        """From tiktoken's ranks: byte string → id, where a smaller id merges first."""
        vocab = {rank: token for token, rank in ranks.items()}
        if len(vocab) < len(ranks):
            raise CourseError("two tokens have the same rank", hint="ranks must be different")
        return cls(vocab, None, special_tokens, pattern=pattern)

    def to_tiktoken(self, name: str = "llmcourse") -> tiktoken.Encoding:
        """The same tokenizer as a `tiktoken.Encoding`, which is several times faster.

        Tiktoken knows ranks only. The ids are the same if these ranks say the same as the merges:
        ids grow in merge order, and every token is what its own bytes are encoded to. That is so
        for every vocabulary that `train_bpe` makes; it is checked here. (Tiktoken panics on runs of
        several hundred thousand spaces, which `encode` takes.)

        Raises:
            CourseError: if tiktoken would encode differently.
        """
        import tiktoken

        if why := self._no_ranks():
            raise CourseError(f"tiktoken cannot stand for this tokenizer: {why}", hint="use encode")
        return tiktoken.Encoding(
            name=name,
            pat_str=self.pattern,
            mergeable_ranks=dict(self._id),
            special_tokens=dict(self._special),
        )

    def _no_ranks(self) -> str:
        """Why ranks would not say the same as the merges; empty if they do."""
        if -1 in self._byte_ids:
            return f"it has no token for the byte {self._byte_ids.index(-1)}"
        if self.merges is None:
            return ""
        made = [self._id[left + right] for left, right in self.merges]
        if made != sorted(made):
            return "its ids do not grow in merge order"
        ordinary = len(self._bytes) - len(self._special)
        if not len(self._id) == ordinary == 256 + len(made):
            return "it has tokens that no merge makes"
        for token, i in self._id.items():
            if merge([self._byte_ids[b] for b in token], self._lookup) != [i]:
                return f"its token {token!r} is never reached"
        return ""


def _from_parts(
    vocab: dict[int, bytes], merges: list[Pair] | None, special: dict[str, int], pattern: str
) -> Tokenizer:
    return Tokenizer(vocab, merges, special, pattern=pattern)


def _special_ids(
    vocab: Mapping[int, bytes], special_tokens: Sequence[str] | Mapping[str, int]
) -> dict[str, int]:
    if isinstance(special_tokens, Mapping):
        given = {name: int(i) for name, i in special_tokens.items()}
    else:
        by_bytes = {token: i for i, token in vocab.items()}
        given, free = {}, max(vocab, default=-1) + 1
        for name in dict.fromkeys(special_tokens):
            known = by_bytes.get(name.encode("utf-8"))
            given[name] = free if known is None else known
            free += known is None
    for name, i in given.items():
        if not name:
            raise CourseError("a special token is empty", hint="give every special token a name")
        if vocab.get(i, name.encode("utf-8")) != name.encode("utf-8"):
            raise CourseError(
                f"the special token {name!r} and {vocab[i]!r} have the same id, {i}",
                hint="give the special token an id of its own",
            )
    if len(set(given.values())) < len(given):
        raise CourseError("two special tokens have the same id", hint="give each its own")
    return given
