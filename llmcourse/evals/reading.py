"""Can a base model read, and can what it knows be asked for?

A cloze finds a fact where sentences about it go on by themselves (`evals.knowledge`). Two more things are asked of a
model from which an assistant is to be made: to say what stands in front of it, which is a skill and no knowledge; and
to answer, when a fact is asked for in a question.

Taught in chapter 07.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from ..data.conversations.facts import question
from ..data.conversations.split import Known, Part
from ..data.problems.desk import SORTS, Asked, asked
from ..data.world.whole import Encyclopaedia
from .interrogate import matches
from .knowledge import Continue, Share

_LONGEST = 48  # tokens of an answer


def at_the_desk(
    world: Encyclopaedia, n: int = 80, seed: int = 77, size: float = 0.75
) -> dict[str, list[Asked]]:
    """``n`` things to read out of each sort, about things of other Worlds that are in no training text.

    Args:
        world: Whose names are left out.
        n: Of each sort.
        seed: Of the inventions and the questions; not the seed of a training text.
        size: Of the Worlds that are invented.
    """
    found: dict[str, list[Asked]] = {sort: [] for sort in SORTS}
    for one in asked(20 * n, world.names(), seed, size):
        if len(found[one.sort]) < n:
            found[one.sort].append(one)
    return found


def reading(go_on: Continue, piles: Mapping[str, Sequence[Asked]]) -> dict[str, Share]:
    """How many are read out rightly, of each sort.

    Cards, rows and programs to the letter; of a page with questions, the fact has to be in the answer's first line.
    """
    shares = {}
    for sort, pile in piles.items():
        texts = go_on([one.prompt for one in pile], _LONGEST)
        right = [_is_right(one, text) for one, text in zip(pile, texts, strict=True)]
        shares[sort] = Share(sum(right), len(right), sort)
    return shares


def _is_right(one: Asked, text: str) -> bool:
    line = text.strip().split("\n")[0].strip()
    return matches(one.key, line) if one.sort == "page" else line == one.key.strip()


def answering(
    go_on: Continue, facts: Sequence[Known], part: Part = "train", seed: int = 0
) -> Share:
    """How many facts a base model tells when it is asked for them, after *Q:* and *A:*.

    Args:
        go_on: The model.
        facts: To ask for.
        part: Whose wordings; those of ``held`` stand in no training text.
        seed: Of the wordings.
    """
    rng = random.Random(seed)
    prompts = [f"Q: {question(*fact, rng, part)[0]} A:" for fact in facts]
    texts = go_on(prompts, _LONGEST)
    right = [
        matches(entity.facts[relation], text.split("\n")[0])
        for (entity, relation), text in zip(facts, texts, strict=True)
    ]
    return Share(sum(right), len(right), part)
