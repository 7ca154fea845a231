"""Learning from examples that stand in the prompt, while no parameter changes.

``cat -> cats``, ``box -> boxes``, ``leaf ->``: from the examples a model can tell what is wanted (Brown et al. 2020,
"Language models are few-shot learners", arXiv:2005.14165). How the share of right answers depends on the number of
examples is a *learning curve*; it needs one pass over each row of examples, since every position of a row is
predicted from what stands before it: the fourth pair is a question with three examples.

Taught in chapter 07.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import CourseError
from .knowledge import Share

Pair = tuple[str, str]


def _pairs(text: str) -> tuple[Pair, ...]:
    return tuple((a, b) for a, b in (pair.split("=") for pair in text.split()))


PATTERNS: dict[str, tuple[Pair, ...]] = {
    "plural": _pairs(
        "cat=cats child=children city=cities leaf=leaves mouse=mice box=boxes woman=women foot=feet baby=babies "
        "knife=knives tooth=teeth goose=geese church=churches lady=ladies wolf=wolves bus=buses tree=trees man=men "
        "story=stories glass=glasses half=halves day=days fly=flies dish=dishes person=people shelf=shelves"
    ),
    "past tense": _pairs(
        "go=went see=saw take=took walk=walked eat=ate write=wrote run=ran come=came give=gave think=thought "
        "bring=brought speak=spoke drive=drove sing=sang play=played buy=bought know=knew find=found teach=taught "
        "begin=began swim=swam fall=fell break=broke choose=chose grow=grew sleep=slept jump=jumped make=made"
    ),
    "opposite": _pairs(
        "hot=cold big=small up=down open=closed day=night fast=slow young=old happy=sad rich=poor left=right "
        "black=white high=low early=late strong=weak light=dark wet=dry hard=soft long=short full=empty good=bad "
        "loud=quiet thick=thin true=false inside=outside first=last buy=sell win=lose love=hate north=south"
    ),
    "French": _pairs(
        "water=eau house=maison dog=chien cat=chat book=livre red=rouge bread=pain sun=soleil night=nuit "
        "woman=femme man=homme tree=arbre milk=lait school=école hand=main friend=ami king=roi sea=mer black=noir "
        "white=blanc green=vert moon=lune city=ville bird=oiseau fish=poisson apple=pomme cheese=fromage wine=vin"
    ),
}
"""Pairs of which the second follows from the first by a rule that the examples show."""


@dataclass(frozen=True)
class _Row:
    """A row of pairs as ids, and where the answers stand in it."""

    ids: list[int]
    answers: list[tuple[int, int]]


def written(pairs: Sequence[Pair]) -> str:
    """Pairs as a prompt, a line each."""
    return "".join(f"{question} -> {answer}\n" for question, answer in pairs)


def learning_curve(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], *, shots: int = 8, rows: int = 24, seed: int = 0
) -> list[Share]:  # fmt: skip
    """How many answers are right after 0, 1, … examples.

    An answer is right if each of its tokens, and then the end of the line, is the likeliest: what a model that goes
    on greedily would write.

    Args:
        model: Anything that turns ids [B, T] into logits [B, T, V].
        tokenizer: Its own.
        pairs: From which the examples and the question are drawn.
        shots: The greatest number of examples.
        rows: So many times; each draws its own examples and its own question for every number of them.
        seed: Of the draw.

    Raises:
        CourseError: if there are not enough pairs, or a number is below its least.
    """
    if shots < 0 or rows < 1 or len(pairs) <= shots:
        raise CourseError(
            f"{shots} examples and a question, {rows} times, from {len(pairs)} pairs",
            hint="0 or more examples, 1 or more rows, and more pairs than examples",
        )
    rng = random.Random(seed)
    drawn = [_row(tokenizer, rng.sample(list(pairs), shots + 1)) for _ in range(rows)]
    right = [0] * (shots + 1)
    for begin in range(0, rows, 8):
        some = drawn[begin : begin + 8]
        longest = max(len(row.ids) for row in some)
        padded = torch.tensor([row.ids + [0] * (longest - len(row.ids)) for row in some])
        with torch.no_grad():
            guesses = model(padded).argmax(-1).tolist()  # [B, T]: what should follow each token
        for row, guess in zip(some, guesses, strict=True):
            for n, (first, end) in enumerate(row.answers):
                right[n] += guess[first - 1 : end - 1] == row.ids[first:end]
    return [Share(count, rows, str(n)) for n, count in enumerate(right)]


def _row(tokenizer: Any, pairs: Sequence[Pair]) -> _Row:
    ids: list[int] = []
    answers = []
    for question, answer in pairs:
        ids += tokenizer.encode_ordinary(f"{question} ->")
        first = len(ids)
        ids += tokenizer.encode_ordinary(f" {answer}\n")
        answers.append((first, len(ids)))
    return _Row(ids, answers)
