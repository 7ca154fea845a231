"""One text, four ways to write it as a sequence of symbols: bits, bytes, characters, tokens.

A language model reads one sequence of symbols from a fixed set. The larger the set, the shorter the
sequence; a tokenizer is a choice on that curve. Taught in chapter 02 (video 00:07:47).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

UNICODE_CHARACTERS = 0x110000 - 0x800
"""1,112,064: all code points but the 2,048 surrogates, which are halves and no characters."""


class Encoder(Protocol):
    """What `symbol_table` needs of a tokenizer; ours and `tiktoken.Encoding` have it."""

    @property
    def n_vocab(self) -> int: ...

    def encode(self, text: str, /) -> Sequence[int]: ...


def to_bytes(text: str) -> list[int]:
    """The UTF-8 bytes of a text, as numbers from 0 to 255.

    >>> to_bytes("hé")
    [104, 195, 169]
    """
    return list(text.encode("utf-8"))


def to_bits(text: str) -> str:
    """The UTF-8 bits of a text, eight for each byte, the highest first.

    >>> to_bits("h")
    '01101000'
    """
    return "".join(f"{byte:08b}" for byte in to_bytes(text))


def to_characters(text: str) -> list[str]:
    """The characters (Unicode code points) of a text.

    What looks like one sign may be several: 👩‍💻 is a woman, an invisible joiner and a computer.

    >>> to_characters("hé")
    ['h', 'é']
    """
    return list(text)


@dataclass(frozen=True)
class SymbolRow:
    """One way of writing a text.

    Args:
        name: Its name.
        symbols: How many different symbols there could be.
        length: How many the text takes.
    """

    name: str
    symbols: int
    length: int


def symbol_table(text: str, tokenizers: Mapping[str, Encoder] | None = None) -> list[SymbolRow]:
    """Symbols against length: the text as bits, bytes, characters, and with each tokenizer."""
    rows = [
        SymbolRow("bits", 2, len(to_bits(text))),
        SymbolRow("bytes", 256, len(to_bytes(text))),
        SymbolRow("characters", UNICODE_CHARACTERS, len(to_characters(text))),
    ]
    for name, tokenizer in (tokenizers or {}).items():
        rows.append(SymbolRow(name, tokenizer.n_vocab, len(tokenizer.encode(text))))
    return rows
