"""Draws the entities of the World: names, facts, and how often each is to be mentioned.

Ranks follow Zipf's law, as on the web: the entity of rank r is mentioned in proportion to 1 / r^a, a
few of them hundreds of times, thousands of them once or twice. Every rank has all kinds of entities.

Taught in chapter 07.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ..grammar import expand
from ..model import Fact
from ..names import (
    MEN,
    RIVER_ENDS,
    RIVER_STARTS,
    SURNAME_ENDS,
    SURNAME_STARTS,
    TOWN_ENDS,
    TOWN_STARTS,
    WOMEN,
)
from ..textbank import load_bank
from .kinds import KINDS, Kind

ZIPF, MOST = 1.3, 250
WELL_KNOWN = 100
"""Mentions from which an entity counts as well known: pages on such things keep to such things."""


@dataclass
class Entity:
    """Something of the World.

    Attributes:
        kind: Its kind.
        name: Its name, with the article it carries in a sentence (*the Lossel*).
        short: How it is named again: by the family name, as *the book*, or as before.
        woman: Of persons.
        mentions: How often each of its facts is meant to be told.
        facts: Relation → what is true, as it stands in a sentence.
    """

    kind: Kind
    name: str
    short: str
    woman: bool = False
    mentions: int = 1
    facts: dict[str, str] = field(default_factory=dict)

    def triples(self) -> list[Fact]:
        """Its facts."""
        return [Fact(self.name, key, value) for key, value in self.facts.items()]


@dataclass
class Encyclopaedia:
    """All there is, and names that are not.

    Attributes:
        seed: From which it was drawn.
        entities: By kind, each in the order of its rank.
        strangers: For every kind, names of the same make that no page mentions.
    """

    seed: int
    entities: dict[str, list[Entity]]
    strangers: dict[str, list[Entity]]

    def everything(self) -> list[Entity]:
        """All entities, kind by kind."""
        return [entity for members in self.entities.values() for entity in members]

    def names(self) -> set[str]:
        """Every name and every word of it, of those who are in the World and of those who are kept out of it."""
        strangers = [entity for members in self.strangers.values() for entity in members]
        names = [entity.name for entity in [*self.everything(), *strangers]]
        return {*names, *(word for name in names for word in name.split())}

    @property
    def by_name(self) -> dict[str, Entity]:
        """Entities by their names."""
        return {entity.name: entity for entity in self.everything()}


def invent(seed: int = 0, size: float = 1.0, strangers: int = 120) -> Encyclopaedia:
    """An encyclopaedia. The same arguments give the same one.

    Args:
        seed: Any integer.
        size: Share of the full number of entities (about 5,000 at 1).
        strangers: How many names of each kind are kept out of it.

    Raises:
        ValueError: if there are not enough names.
    """
    rng = random.Random(seed)
    names = _Names(rng)
    entities: dict[str, list[Entity]] = {}
    unknown: dict[str, list[Entity]] = {}
    for kind in KINDS.values():
        drawn = [names.draw(kind) for _ in range(max(12, round(kind.count * size)) + strangers)]
        entities[kind.name], unknown[kind.name] = drawn[strangers:], drawn[:strangers]
    world = Encyclopaedia(seed, entities, unknown)
    _rank(world, rng)
    _Author(world, rng).write()
    return world


def _rank(world: Encyclopaedia, rng: random.Random) -> None:
    """Give every entity its number of mentions; all kinds are spread evenly over the ranks."""
    places = [
        ((place + rng.random()) / len(members), entity)
        for members in world.entities.values()
        for place, entity in enumerate(members)
    ]
    ranked = [entity for _, entity in sorted(places, key=lambda pair: pair[0])]
    total = len(ranked)
    for rank, entity in enumerate(ranked, 1):
        entity.mentions = max(1, min(MOST, round((total / rank) ** ZIPF)))


class _Names:
    """Draws names, none of them twice in the whole World."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.taken: set[str] = set()
        bank = {beat: lines[0].split("|") for beat, lines in load_bank("whole/names").items()}
        surnames = [start + end for start in [*SURNAME_STARTS, *bank["surname.more"][0].split()]
                    for end in SURNAME_ENDS]  # fmt: skip
        self.surnames = sorted({name for name in surnames if name.isascii()})
        rng.shuffle(self.surnames)
        pick = rng.choice

        def pair(kind: str, article: str = "") -> str:
            return article + pick(bank[f"{kind}.first"]) + " " + pick(bank[f"{kind}.last"])

        def book() -> str:
            whose, what = pick(bank["book.whose"]), pick(bank["book.what"])
            if rng.random() < 0.3:
                return f"{pick(bank['book.count'])} a{'n' * (whose[0] in 'AEIO')} {whose}"
            return f"The {whose}'s {what}"

        self.make: dict[str, Callable[[], str]] = {
            "town": lambda: pick(TOWN_STARTS) + pick([e for e in TOWN_ENDS if e.isascii()]),
            "river": lambda: "the " + pick(RIVER_STARTS) + pick(RIVER_ENDS),
            "animal": lambda: f"the {pick(bank['animal.first'])} {pick(bank['animal.sort'])}",
            "dish": lambda: pair("dish"),
            "festival": lambda: (
                name if (name := pair("festival")).endswith(("day",)) else f"the {name}"
            ),
            "craft": lambda: pair("craft"),
            "inn": lambda: pair("inn", "the "),
            "ship": lambda: pair("ship", "the "),
            "book": book,
        }
        self.parts = bank

    def draw(self, kind: Kind) -> Entity:
        """A new entity without facts."""
        if kind.name == "person":
            if not self.surnames:
                raise ValueError("no family names are left; add syllables to names.txt")
            woman, last = self.rng.random() < 0.5, self.surnames.pop()
            first = self.rng.choice(WOMEN if woman else MEN)
            return Entity(kind, f"{first} {last}", last, woman)
        for _ in range(20_000):
            name = self.make[kind.name]()
            if name.lower() not in self.taken:
                self.taken.add(name.lower())
                return Entity(kind, name, kind.again or name)
        raise ValueError(f"no names are left for a {kind.name}; add parts to names.txt")


class _Author:
    """Decides what is true."""

    def __init__(self, world: Encyclopaedia, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.values = {beat: lines[0] for beat, lines in load_bank("whole/values").items()}
        self.parts = {b: lines[0].split("|") for b, lines in load_bank("whole/names").items()}
        # Much-mentioned things are a little more likely to be somebody's birthplace, port, …
        self.weights = {
            kind: [entity.mentions**0.2 for entity in members]
            for kind, members in world.entities.items()
        }
        self.lives: dict[str, int] = {}  # person → year of birth
        self.once: set[str] = set()

    def write(self) -> None:
        """Fill in the facts of every entity."""
        for person in self.world.entities["person"]:
            self.lives[person.name] = self.rng.randint(1785, 1905)
        for entity in self.world.everything():
            for relation in entity.kind.relations:
                value = self._value(entity, relation.source)
                if value is not None:
                    entity.facts[relation.key] = value
        for members in self.world.entities.values():  # told in no order in particular
            for entity in members:
                items = list(entity.facts.items())
                self.rng.shuffle(items)
                entity.facts = dict(items)

    def _value(self, entity: Entity, source: str) -> str | None:
        rng, (sort, *numbers) = self.rng, source.split(":")
        if sort == "values":
            return self._listed(numbers[0])
        if sort == "year":
            if entity.kind.name == "person":
                return str(self.lives[entity.name])
            return str(rng.randint(int(numbers[0]), int(numbers[1])))
        if sort == "number":
            return str(rng.randint(int(numbers[0]), int(numbers[1])))
        if sort == "life":
            whose = entity.name if numbers[0] == "self" else entity.facts[numbers[0]]
            return str(self.lives[whose] + rng.randint(int(numbers[1]), int(numbers[2])))
        if sort == "population":
            return f"{rng.randint(9, 240) * 100:,}"
        if sort == "sort":
            return entity.name.rsplit(" ", 1)[1]
        if sort == "made":  # painted baskets
            return f"{self._listed('made')} {entity.name.rsplit(' ', 1)[1]}"
        if sort == "elder":
            return self._elder(entity)
        if sort in ("work", "landmark"):
            return self._single(sort)
        if sort == "song":
            return f"{rng.choice(self.parts['song.whose'])} {rng.choice(self.parts['song.what'])}"
        linked = rng.choices(self.world.entities[sort], self.weights[sort])[0]
        return linked.name

    def _listed(self, name: str) -> str:
        """A value of a list, whose alternatives may hold alternatives."""
        return expand(f"[{self.values[name]}]", self.rng)

    def _single(self, sort: str) -> str:
        """*the Crooked Tower*: one for each, as long as there are enough."""
        first, last = self.parts[f"{sort}.first"], self.parts[f"{sort}.last"]
        for _ in range(300):
            value = f"the {self.rng.choice(first)} {self.rng.choice(last)}"
            if value not in self.once:
                break
        self.once.add(value)
        return value

    def _elder(self, pupil: Entity) -> str | None:
        """A person who was 15 to 50 years older, if there is one."""
        born, people = self.lives[pupil.name], self.world.entities["person"]
        for _ in range(100):
            other = self.rng.choices(people, self.weights["person"])[0]
            if 15 <= born - self.lives[other.name] <= 50:
                return other.name
        return None
