"""What a search can find: short passages about everything in the World, the seldom mentioned too.

A card index, written once more in other words: on each card one fact about an entity, in a sentence that names it and
can be quoted, and a heading that says who it is about and what it tells (*Adry Pellimer: trade*). A search by words
needs that heading: the sentence below it may say *earned his bread as a hatter*.

Taught in chapter 10.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..world.grammar import conjoin, polish
from ..world.whole.entities import Encyclopaedia, Entity
from ..world.whole.telling import Teller

FACTS = 1
"""On a card: which sentence tells what was asked is then left to the search, and not to a very small model."""


@dataclass(frozen=True)
class Page:
    """A passage with its heading.

    Attributes:
        title: The page's.
        sentences: One for each fact.
        entity: Whom they are about.
        relations: The facts in them, in the same order.
    """

    title: str
    sentences: tuple[str, ...]
    entity: str
    relations: tuple[str, ...]

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join(self.sentences)


def card(entity: Entity, told: Sequence[str], rng: random.Random) -> Page:
    """A passage that tells some facts."""
    teller, sentences = Teller(entity, rng), []
    for key in told:
        teller.fresh = True  # by name in every sentence: each may be quoted alone
        sentences.append(polish(f"{teller.name()} {teller.predicate(key)}."))
    heading = conjoin([entity.kind.relation(key).question for key in told])
    title = polish(f"{entity.name}: {heading}")
    return Page(title, tuple(sentences), entity.name, tuple(told))


def library(world: Encyclopaedia, seed: int = 0) -> Iterator[Page]:
    """The passages, entity by entity. Every fact stands in exactly one."""
    rng = random.Random(seed)
    for entity in world.everything():
        relations = list(entity.facts)
        rng.shuffle(relations)
        for start in range(0, len(relations), FACTS):
            yield card(entity, relations[start : start + FACTS], rng)


def queries(entity: Entity, relation: str, rng: random.Random) -> list[str]:
    """Ways of searching for a fact, the first of them by name and by what is asked."""
    name, wanted = entity.name.removeprefix("the "), entity.kind.relation(relation).question
    ways = [f"{name} {wanted}", f"{wanted} of {name}"]
    rng.shuffle(ways)
    return [*ways, name]
