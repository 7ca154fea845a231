"""A text cut at its token borders, for showing each token in its own colour.

Taught in chapter 02; drawn by the tokenizer explorer.
"""

from __future__ import annotations

import builtins
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from .pretokenize import replace_lone_surrogates
from .tokenizer import AllowedSpecial, Tokenizer


@dataclass(frozen=True)
class Segment:
    r"""One token of a text.

    Args:
        id: The token's id.
        bytes: The bytes it stands for.
        text: The same as text; bytes that are only part of a character show as ``\xf0``.
        start: Index of the first character of the text that the token has a part in …
        end: … and one past the last. Tokens that share a character overlap here.
        whole: The token begins and ends where characters do.
        special: It is a special token.
    """

    id: int
    bytes: builtins.bytes
    text: str
    start: int
    end: int
    whole: bool
    special: bool


def segments(
    tokenizer: Tokenizer, text: str, allowed_special: AllowedSpecial = "all"
) -> list[Segment]:
    """The tokens of a text with the characters they cover.

    A character is one to four bytes, and a token border may lie inside it: an emoji is often cut
    over three tokens, each of them with the emoji's place in the text and `whole=False`.

    Args:
        tokenizer: Ours; for GPT-4's, `pretrained.gpt4`.
        text: Any string; lone surrogates count as U+FFFD.
        allowed_special: As in `Tokenizer.encode`.
    """
    text = replace_lone_surrogates(text)
    special_ids = set(tokenizer.special_tokens.values())
    # borders[n] is the byte at which character n begins; the last is the length of the text.
    borders = list(accumulate((len(character.encode("utf-8")) for character in text), initial=0))
    result: list[Segment] = []
    position = 0
    for token_id in tokenizer.encode(text, allowed_special):
        data = tokenizer.token_bytes(token_id)
        start = bisect_right(borders, position) - 1
        end = bisect_right(borders, position + len(data) - 1)
        result.append(
            Segment(
                id=token_id,
                bytes=data,
                text=data.decode("utf-8", "backslashreplace"),
                start=start,
                end=end,
                whole=borders[start] == position and borders[end] == position + len(data),
                special=token_id in special_ids,
            )
        )
        position += len(data)
    return result
