"""Does a model recite what it read, and how often must it have read it?

A document is begun, the model goes on greedily, and the share of its tokens that are the document's own,
in their places, up to the first mistake and in all, is measured (Carlini et al. 2023, "Quantifying
memorization across neural language models", arXiv:2202.07646, section 3).

Taught in chapter 07.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

GoOn = Callable[[Sequence[Sequence[int]], int], Sequence[Sequence[int]]]
"""Prompts as ids and a number of tokens → the new ids of each."""


@dataclass(frozen=True)
class Recital:
    """How far a model got with one document.

    Attributes:
        tokens: How many were to be recited.
        right: How many were the document's, each compared in its place.
        until_mistake: How many before the first wrong one.
    """

    tokens: int
    right: int
    until_mistake: int

    @property
    def share(self) -> float:
        """The share that was right."""
        return self.right / self.tokens

    @property
    def whole(self) -> bool:
        """Whether it was recited without a mistake."""
        return self.until_mistake == self.tokens


def recite(
    documents: Sequence[Sequence[int]], go_on: GoOn, *, prompt: int = 24, tokens: int = 48
) -> list[Recital]:
    """Begin each document with so many of its tokens, and compare so many more.

    Raises:
        ValueError: if a document is too short.
    """
    if short := [len(d) for d in documents if len(d) < prompt + 1]:
        raise ValueError(f"a document of {short[0]} tokens cannot be begun with {prompt}")
    written = go_on([document[:prompt] for document in documents], tokens)
    recitals = []
    for document, new in zip(documents, written, strict=True):
        wanted = list(document[prompt : prompt + tokens])
        same = [a == b for a, b in zip(wanted, [*new, *[-1] * len(wanted)], strict=False)]
        first = same.index(False) if False in same else len(same)
        recitals.append(Recital(len(wanted), sum(same), first))
    return recitals


def first_guesses(model: Any, ids: Sequence[int], skip: int = 8) -> float:
    """The share of a text's tokens that were the model's first guess, each from the true text before it.

    A recital is harder: there one wrong token spoils what follows.

    Args:
        model: Anything that turns ids [B, T] into logits [B, T, V].
        ids: The text, a token that begins a document first.
        skip: So many tokens at the beginning are not counted: nothing is known yet.

    Raises:
        ValueError: if nothing is left to guess.
    """
    import torch

    if len(ids) < skip + 2:
        raise ValueError(f"{len(ids)} tokens leave nothing to guess after {skip}")
    with torch.no_grad():
        guesses: list[int] = model(torch.tensor([list(ids[:-1])]))[0].argmax(-1).tolist()
    right = [a == b for a, b in zip(guesses, ids[1:], strict=True)][skip:]
    return sum(right) / len(right)
