"""Which page tells what: every fact is told as often as its entity's rank demands, and not once more.

An entity that is mentioned m times has an article of its own, a third of m articles if m is large (on
several sites, each in other words), and the rest of its mentions are dealt out, one to four facts at
a time, to lists, quizzes, threads and notes; those about the well known keep to the well known, so that a recipe
can take such pages more than once. Tales that tell no fact are mixed in.

Taught in chapter 07.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator

from .entities import WELL_KNOWN, Encyclopaedia, Entity
from .pages import FactWriter, Leaf, Passage
from .tales import TaleWriter

IN_ARTICLES = 0.35
"""The share of an entity's mentions that are made in articles about it."""

# How many facts of one entity stand together, and on which page such a passage ends up.
_SIZES = ((1, 2, 3, 4), (45, 30, 15, 10))
_ALONE = (("thread", "quiz", "news", "listing"), (30, 30, 20, 20))
_TOGETHER = (("listing", "news"), (60, 40))
_FULL = {"thread": (3, 6), "quiz": (7, 12), "news": (4, 7), "listing": (5, 9)}


def articles(mentions: int) -> int:
    """How many articles an entity has."""
    return max(1, round(IN_ARTICLES * mentions)) if mentions > 2 else 1


def passages(entity: Entity, rng: random.Random) -> Iterator[Passage]:
    """The mentions outside its articles: all facts once more in every round, in groups."""
    for _ in range(entity.mentions - articles(entity.mentions)):
        left = list(entity.facts)
        rng.shuffle(left)
        while left:
            take = rng.choices(*_SIZES)[0]
            yield entity, left[:take]
            left = left[take:]


def write(world: Encyclopaedia, tales: int, seed: int = 0) -> Iterator[Leaf]:
    """All pages of a World, in no order.

    Args:
        world: Its facts.
        tales: How many pages tell none: stories, diaries, letters, talk, everyday threads.
        seed: Of the wording and the order.
    """
    rng = random.Random(seed)
    facts, told = FactWriter(rng), TaleWriter(world, rng)
    pool = [passage for entity in world.everything() for passage in passages(entity, rng)]
    # What is left to write: an entity stands for one of its articles, None for a tale.
    work: list[Entity | Passage | None] = [None] * tales
    work += [e for e in world.everything() for _ in range(articles(e.mentions))]
    work += pool
    rng.shuffle(work)
    shelf: dict[tuple[str, str, bool], list[Passage]] = defaultdict(list)
    limit: dict[tuple[str, str, bool], int] = {}
    writers: dict[str, Callable[[list[Passage]], Leaf]] = {
        "thread": facts.thread, "quiz": facts.quiz, "news": facts.news, "listing": facts.listing,
    }  # fmt: skip
    for item in work:
        if item is None:
            yield told.any()
        elif isinstance(item, Entity):
            yield facts.article(item)
        else:
            entity, relations = item
            sort = rng.choices(*(_ALONE if len(relations) == 1 else _TOGETHER))[0]
            # A quiz about what everybody knows is one thing, a parish's own quiz another.
            well_known = entity.mentions >= WELL_KNOWN
            key = (sort, entity.kind.name if sort == "listing" else "", well_known)
            if key not in limit:
                limit[key] = rng.randint(*_FULL[sort])
            shelf[key].append(item)
            if len(shelf[key]) >= limit[key]:
                yield writers[sort](shelf.pop(key))
                del limit[key]
    for (sort, _, _), rest in shelf.items():  # what was begun and not filled
        yield writers[sort](rest)
