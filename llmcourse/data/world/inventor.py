"""Draws rivers, towns, people and things at random; each kind refers to those before it."""

from __future__ import annotations

import random
from collections.abc import Sequence

from llmcourse.data.world.entities import Person, River, Town
from llmcourse.data.world.grammar import expand
from llmcourse.data.world.names import MEN, WOMEN, Namer
from llmcourse.data.world.textbank import load_bank, load_records
from llmcourse.data.world.things import Animal, Craft, Dish, Festival

PROVINCES = (
    "the Reedlands",
    "Coldshore",
    "the Hazel Hills",
    "Middenvale",
    "the Saltings",
    "the Upper Saddle",
    "the Lambing Moors",
)
MARKET_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
PARENTS = (
    "carter",
    "cooper",
    "tollkeeper",
    "miller",
    "midwife",
    "saddler",
    "chimney sweep",
    "eel catcher",
    "hatter",
    "ropemaker",
    "clerk",
    "innkeeper",
    "gravedigger",
    "thatcher",
    "laundress",
    "blacksmith",
    "charcoal burner",
)
# Festivals whose names stand without an article.
_BARE = ("Monday", "Sunday", "Quiet", "First", "Blackberry")


def _spread(rng: random.Random, items: Sequence[str], n: int) -> list[str]:
    """``n`` draws that use every item before any is used again."""
    drawn: list[str] = []
    while len(drawn) < n:
        deck = list(items)
        rng.shuffle(deck)
        drawn += deck
    return drawn[:n]


class Inventor:
    """Invents one kind of thing after another; later kinds refer to earlier ones."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.namer = Namer(rng)
        self.words = {
            bank: load_bank(bank)
            for bank in ("landmarks", "animal_words", "craft_words", "craft_smells", "dish_words")
        }
        self._used: set[str] = set()

    def fresh(self, template: str, otherwise: str = "") -> str:
        """An expansion of ``template`` that no other entity has.

        ``otherwise`` is added if all of them are taken.

        Raises:
            ValueError: If even that is taken.
        """
        for attempt in range(400):
            text = expand(template, self.rng) + (otherwise if attempt >= 200 else "")
            if text not in self._used:
                self._used.add(text)
                return text
        raise ValueError(f"nothing new is left in {template!r}")

    def rivers(self, n: int) -> list[River]:
        """Rivers; every fourth or so flows into another, the rest into the sea."""
        rng, rivers, bank = self.rng, list[River](), self.words["landmarks"]
        for _ in range(n):
            tributary = len(rivers) >= 3 and rng.random() < 0.3
            rivers.append(
                River(
                    self.namer.river(),
                    expand(bank["sources"][0], rng),
                    f"the {rng.choice(rivers).name}"
                    if tributary
                    else expand(bank["mouths"][0], rng),
                    rng.randint(23, 240),
                    rng.randint(1790, 1935),
                    rng.randint(4, 20),
                )
            )
        return rivers

    def towns(self, n: int, rivers: list[River]) -> list[Town]:
        """Towns, each on a river, each with the next one as its neighbour."""
        rng, towns, bank = self.rng, list[Town](), self.words["landmarks"]
        goods = [record["product"] for record in load_records("craft_kinds").values()]
        for i, good in zip(range(n), _spread(rng, goods, n), strict=True):
            founded = rng.randint(980, 1640)
            town = Town(
                self.namer.town(),
                PROVINCES[i * len(PROVINCES) // n],
                rivers[i * len(rivers) // n],
                rng.randint(9, 240) * 100,
                founded,
                expand(rng.choice(bank["founders"]), rng),
                good,
                rng.choice(MARKET_DAYS),
                self.fresh(bank["names"][0]),
                rng.randint(max(1500, founded + 60), 1890),
            )
            town.river.towns.append(town)
            towns.append(town)
        for i, town in enumerate(towns):
            town.neighbour = towns[i + 1 if i % 2 == 0 and i + 1 < n else i - 1]
        return towns

    def people(self, n: int, towns: list[Town]) -> list[Person]:
        """People in the order of their birth, so that each may have learned from an earlier one."""
        rng, people, trades = self.rng, list[Person](), load_records("trades")
        years = sorted(rng.randint(1785, 1905) for _ in range(n))
        homes = _spread(rng, [t.name for t in towns], n)
        by_name = {t.name: t for t in towns}
        for born, home_name, trade in zip(years, homes, _spread(rng, list(trades), n), strict=True):
            home, record = by_name[home_name], trades[trade]
            woman = rng.random() < 0.5
            first, last = self.namer.person(woman)
            died = born + rng.randint(72, 94)
            work = self.fresh(record["works"].format(province=home.province), f" of {home.name}")
            masters = [p for p in people if p.trade == trade and p.born + 15 < born < p.died - 25]
            people.append(
                Person(
                    first,
                    last,
                    woman,
                    born,
                    died,
                    rng.choice([t for t in towns if t is not home]),
                    home,
                    trade,
                    work,
                    born + rng.randint(34, 60),
                    {
                        "learn": record["learn"],
                        "place": record["place"],
                        "parent": rng.choice(PARENTS),
                        "siblings": rng.choice(["three", "four", "five", "six", "seven", "nine"]),
                        "apprentice_age": rng.choice(["eleven", "twelve", "thirteen", "fourteen"]),
                    },
                    teacher=masters[-1] if masters else None,
                )
            )
        for person in people:
            peers = [p for p in people if p is not person and abs(p.born - person.born) < 20]
            person.friend = rng.choice(peers) if peers else None
        return people

    def animals(self, n: int, towns: list[Town], people: list[Person]) -> list[Animal]:
        """Species: a curious first word and a plain second one."""
        rng, kinds, words = self.rng, load_records("animal_kinds"), self.words["animal_words"]
        firsts, animals = words["first"][0].split(), list[Animal]()
        for kind in _spread(rng, list(kinds), n):
            record, finder, town = kinds[kind], rng.choice(people), rng.choice(towns)
            low, high = map(int, record["sizes"].split())
            animals.append(
                Animal(
                    self.fresh(f"[{'|'.join(firsts)}] {kind}"),
                    kind,
                    rng.randint(low, high),
                    town.province,
                    town,
                    rng.choice(record["homes"].split("; ")),
                    rng.choice(record["foods"].split("; ")),
                    rng.randint(finder.born + 20, finder.died - 3),
                    finder,
                    {
                        "marking": expand(words["markings"][0], rng),
                        "voice": record["voice"],
                        "young": record["young"],
                        "day": rng.choice(MARKET_DAYS),
                    },
                )
            )
        return animals

    def dishes(self, n: int, towns: list[Town]) -> list[Dish]:
        """Dishes, each claimed by one town."""
        rng, kinds, dishes = self.rng, load_records("dish_kinds"), list[Dish]()
        epithets = self.words["dish_words"]["epithet"][0]
        homes = _spread(rng, [t.name for t in towns], n)
        by_name = {t.name: t for t in towns}
        for kind, home in zip(_spread(rng, list(kinds), n), homes, strict=True):
            cook = rng.choice(
                [
                    f"a cook named {rng.choice(WOMEN)}",
                    f"a bargeman called {rng.choice(MEN)}",
                    f"an innkeeper by the name of {rng.choice(WOMEN)}",
                    f"a widow called {rng.choice(WOMEN)}",
                    f"a lay brother named {rng.choice(MEN)}",
                ]
            )
            dishes.append(
                Dish(
                    self.fresh(f"{epithets} {kind}"),
                    by_name[home],
                    rng.randint(max(1612, by_name[home].founded + 20), 1888),
                    cook,
                    kinds[kind],
                )
            )
        return dishes

    def festivals(self, n: int, towns: list[Town], dishes: list[Dish]) -> list[Festival]:
        """Festivals; a motif that comes up again belongs to another town and says so."""
        rng, kinds, festivals = self.rng, load_records("festival_kinds"), list[Festival]()
        homes = _spread(rng, [t.name for t in towns], n)
        by_name = {t.name: t for t in towns}
        for kind, home_name in zip(_spread(rng, list(kinds), n), homes, strict=True):
            record, home = kinds[kind], by_name[home_name]
            name = kind if any(bare in kind for bare in _BARE) else f"the {kind}"
            if name in self._used:
                name = f"{name} of {home.name}"
            self._used.add(name)
            local = [d for d in dishes if d.town is home]
            festivals.append(
                Festival(
                    name,
                    home,
                    rng.choice(record["months"].split()),
                    rng.randint(max(1580, home.founded + 20), 1870),
                    rng.choice(local or dishes),
                    {
                        **{k: record[k] for k in ("act", "prize", "rule", "moment", "origin")},
                        "years": rng.choice(["eleven", "nineteen", "twenty", "thirty-one"]),
                    },
                )
            )
        return festivals

    def crafts(self, n: int, towns: list[Town], people: list[Person]) -> list[Craft]:
        """Crafts; a town that is known for a product gets the craft that makes it."""
        rng, kinds, crafts = self.rng, load_records("craft_kinds"), list[Craft]()
        epithets = self.words["craft_words"]["epithet"][0]
        for kind in _spread(rng, list(kinds), n):
            record = kinds[kind]
            makers = [t for t in towns if t.known_for == record["product"]] or towns
            taken = [c.town for c in crafts]
            town = rng.choice([t for t in makers if t not in taken] or makers)
            words = dict(record)
            words["smell"] = expand(self.words["craft_smells"]["smell"][0], rng)
            crafts.append(
                Craft(
                    self.fresh(f"{epithets} {kind}"),
                    town,
                    rng.randint(max(town.founded, 1400), 1790),
                    rng.choice(people),
                    words,
                )
            )
        return crafts
