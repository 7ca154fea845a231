"""Which letters a token's vector tells of, though nobody ever showed the model the token's letters.

A *linear probe*: for each letter of the alphabet, the weights of a sum over the vector's numbers that should be high if
the letter is in the token, found by least squares on some tokens and tried on others (Kaushal and Mahowald,
2022, "What do tokens know about their characters and how do they know it?", arXiv:2206.02608).

Taught in chapter 13.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..data.conversations.split import part_of
from ..data.problems.letter_tasks import ALPHABET
from ..errors import CourseError

if TYPE_CHECKING:
    from torch import Tensor

    from ..tokenizer import Tokenizer

_WORD = re.compile(r" ?[A-Za-z]{3,}")


def word_tokens(tokenizer: Tokenizer) -> list[tuple[int, str]]:
    """Ids of the tokens of three or more plain letters, with these letters in small."""
    found = []
    for i, token in tokenizer.vocab.items():
        text = token.decode("utf-8", "replace")
        if _WORD.fullmatch(text):
            found.append((i, text.strip().lower()))
    return found


def letter_probe(
    vectors: Tensor, tokenizer: Tokenizer, every: int = 1, strength: float = 0.3
) -> tuple[Tensor, Tensor]:
    """How strongly each letter is read out of the vectors of tokens that the probe was not made from.

    Args:
        vectors: The embedding [V, C].
        tokenizer: Its tokens. Those that differ in capitals or the space alone are on the same side.
        every: Take each so-manieth token only.
        strength: Of the pull of the weights towards 0 (ridge).

    Returns:
        For N other tokens the sums [N, 26] and whether the letters are in them [N, 26].

    Raises:
        CourseError: if there are too few tokens.
    """
    import torch

    rows = word_tokens(tokenizer)[::every]
    made_from = [row for row in rows if part_of(row[1]) == "train"]
    tried_on = [row for row in rows if part_of(row[1]) != "train"]
    if not made_from or not tried_on:
        raise CourseError(f"{len(rows)} tokens are too few to probe", hint="a larger vocabulary")

    def look(some: list[tuple[int, str]]) -> tuple[Tensor, Tensor]:
        x = torch.nn.functional.normalize(vectors[[i for i, _ in some]].float(), dim=-1)
        there = [[letter in text for letter in ALPHABET] for _, text in some]
        return x - centre, torch.tensor(there, dtype=torch.float32)

    centre = torch.zeros(vectors.shape[1])
    centre = look(made_from)[0].mean(0)
    x, y = look(made_from)
    weights = torch.linalg.solve(x.T @ x + strength * torch.eye(x.shape[1]), x.T @ (y - y.mean(0)))
    x, y = look(tried_on)
    return x @ weights, y.bool()
