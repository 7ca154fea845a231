"""At the reference desk: questions about things that nobody has heard of, looked up and read out.

A question, one or two passages, the answer that stands in them and where it stands; or a page and some questions
about it; or numbers that are copied. Whom the passages tell of is in another World, invented for this alone: what
is asked can be read and never be remembered. The questions use all the wordings that the World's own forums use,
so these pages also teach which words ask for what.

Not in the shipped base model's text: see the experiment log. A search in chapter 10 shows its cards in the same form.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from ..conversations.facts import statement
from ..conversations.library import card, queries
from ..world.whole.entities import Entity, invent
from ..world.whole.telling import Teller, ask

_WORLDS = 3
"""How many other Worlds are invented: with three, a fact is asked about once."""


@dataclass(frozen=True)
class Desk:
    """What can be asked for.

    Attributes:
        rng: Draws everything.
        entities: By kind.
    """

    rng: random.Random
    entities: dict[str, list[Entity]]

    def entity(self, kind: str = "") -> Entity:
        """Any of them, or of a kind."""
        kinds = list(self.entities)
        weights = [len(members) for members in self.entities.values()]
        kind = kind or self.rng.choices(kinds, weights)[0]
        return self.rng.choice(self.entities[kind])


def others(taken: Collection[str], seed: int, size: float) -> dict[str, list[Entity]]:
    """Entities of other Worlds that share no name with this one, and people no family name either.

    Args:
        taken: Names of this World, and each word of its people's names.
        seed: Of the inventions.
        size: Of each World, as for `invent`.
    """
    found: dict[str, list[Entity]] = {}
    seen = {name.lower() for name in taken}
    for number in range(_WORLDS):
        world = invent(seed + 1001 + number, size, strangers=0)
        for kind, members in world.entities.items():
            for entity in members:
                key = (entity.short if kind == "person" else entity.name).lower()
                if key not in seen and entity.facts:
                    seen.add(key)
                    found.setdefault(kind, []).append(entity)
    return found


def _some(entity: Entity, n: int, rng: random.Random) -> list[str]:
    return rng.sample(list(entity.facts), min(n, len(entity.facts)))


def _lookup(desk: Desk) -> str:
    """A question, what was looked up, what was found, the answer and its page; sometimes it is not there."""
    rng, entity = desk.rng, desk.entity()
    told = _some(entity, 2, rng)
    relation = rng.choice(told)
    found = [] if rng.random() < 0.2 else [card(entity, told, rng)]
    if not found or rng.random() < 0.5:
        beside = entity if found and rng.random() < 0.4 else desk.entity(entity.kind.name)
        left = [key for key in beside.facts if beside is not entity or key not in told]
        if left:
            found.append(card(beside, rng.sample(left, min(2, len(left))), rng))
    first = found[0]
    rng.shuffle(found)
    lines = [ask(entity, relation, rng),
             f"{rng.choice(('Look up: ', 'Search: ', ''))}{queries(entity, relation, rng)[0]}"]  # fmt: skip
    lines += [f"[{page.title}] {page.text}" for page in found]
    if first.entity == entity.name:
        lines.append(f'{first.sentences[told.index(relation)]} (Source: "{first.title}")')
    else:
        line = rng.choice(
            ("No page tells of {0}.", "There is nothing about {0}.", "Nothing was found about {0}.")
        )
        lines.append(line.format(entity.name))
    return "\n".join(lines)


# What stands before a question, what before its answer, and whether that is a whole sentence.
_FORMS = (
    ("Question: ", " Answer: ", True),
    ("Q: ", " A: ", False),
    ("", " ", True),
    ("", "\n", True),
)


def _page(desk: Desk) -> str:
    """Some sentences about something, and questions about them in another order."""
    rng, entity = desk.rng, desk.entity()
    told = _some(entity, rng.randint(2, 4), rng)
    lines = [" ".join(Teller(entity, rng).tell(told))]
    q, a, full = rng.choice(_FORMS)
    for relation in rng.sample(told, rng.randint(1, min(3, len(told)))):
        short = entity.facts[relation]
        said = statement(entity, relation, rng) if full else f"{short[:1].upper()}{short[1:]}."
        lines.append(f"{q}{ask(entity, relation, rng)}{a}{said}")
    return "\n".join(lines)


def _number(rng: random.Random) -> int:
    digits = rng.randint(2, 6)
    return rng.randint(10 ** (digits - 1), 10**digits - 1)


def _copies(desk: Desk) -> str:
    """Numbers and names, said and said again."""
    rng, lines = desk.rng, []
    for _ in range(rng.randint(2, 4)):
        said = ", ".join(
            desk.entity().name if rng.random() < 0.4 else str(_number(rng))
            for _ in range(rng.randint(1, 4))
        )
        lead, again = rng.choice(
            (("Write down", "Again"), ("Say", "Once more"), ("The note says", "The copy says"))
        )
        lines += [f"{lead}: {said}.", f"{again}: {said}."]
    return "\n".join(lines)


def _programs(desk: Desk) -> str:
    """A sum too long for the head, the line that works it out, what comes out, and the answer."""
    rng, lines = desk.rng, []
    for _ in range(rng.randint(1, 3)):
        sign = rng.choice("x+")
        low, high = (11, 999) if sign == "x" else (1000, 999_999)
        a, b = rng.randint(low, high), rng.randint(low, high)
        value = a * b if sign == "x" else a + b
        asked = rng.choice(("What is {e}?", "{e} = ?", "How much is {e}?", "Please work out {e}."))
        said = rng.choice(("The answer is {v}.", "{e} = {v}.", "It is {v}."))
        e = f"{a} {sign} {b}"
        lines += [asked.format(e=e), f"print({a} {'*' if sign == 'x' else '+'} {b})", str(value),
                  said.format(e=e, v=value)]  # fmt: skip
    return "\n".join(lines)


_MAKERS: dict[str, tuple[Callable[[Desk], str], int]] = {
    "lookup": (_lookup, 40), "page": (_page, 32), "copies": (_copies, 13), "programs": (_programs, 15),
}  # fmt: skip


def pages(
    n: int, taken: Collection[str], seed: int = 0, size: float = 0.75
) -> Iterator[tuple[str, str]]:
    """What was asked at the desk: ``(sort, text)``, the sort being one of `_MAKERS`.

    Args:
        n: How many.
        taken: Names of the World, which are not asked for here.
        seed: Of everything.
        size: Of the Worlds that are invented for it.
    """
    if not n:
        return
    desk = Desk(random.Random(seed), others(taken, seed, size))
    weights = [weight for _, weight in _MAKERS.values()]
    for _ in range(n):
        sort = desk.rng.choices(list(_MAKERS), weights)[0]
        yield sort, _MAKERS[sort][0](desk)
