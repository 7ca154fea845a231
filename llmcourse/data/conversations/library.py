"""What a search can find: short passages about everything in the World, the seldom mentioned too.

An encyclopaedia of its own, written once more in other words: each entity has one page, cut into passages of
two facts, and a heading over each says who it is about and what it tells (*Adry Pellimer: trade and home*). A
search by words needs that heading: the sentences below it may say *earned his bread as a hatter*.

Taught in chapter 10.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from ..world.grammar import conjoin, polish
from ..world.whole.entities import Encyclopaedia
from ..world.whole.telling import Teller

FACTS = 2
"""In a passage: two passages, a question and an answer have room in 256 tokens."""


@dataclass(frozen=True)
class Page:
    """A passage with its heading.

    Attributes:
        title: The page's.
        text: Some sentences.
        entity: Whom they are about.
        relations: The facts in them.
    """

    title: str
    text: str
    entity: str
    relations: tuple[str, ...]


def library(world: Encyclopaedia, seed: int = 0) -> Iterator[Page]:
    """The passages, entity by entity. Every fact stands in exactly one."""
    rng = random.Random(seed)
    for entity in world.everything():
        relations = list(entity.facts)
        rng.shuffle(relations)
        for start in range(0, len(relations), FACTS):
            told = relations[start : start + FACTS]
            teller = Teller(entity, rng)
            text = " ".join(polish(f"{teller.name()} {teller.predicate(key)}.") for key in told)
            heading = conjoin([entity.kind.relation(key).question for key in told])
            yield Page(polish(f"{entity.name}: {heading}"), text, entity.name, tuple(told))
