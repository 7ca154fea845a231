"""What is found in towns: animals, dishes, festivals and crafts, with their facts and their words."""

from __future__ import annotations

from dataclasses import dataclass

from llmcourse.data.world.entities import Person, Town, sentence_case
from llmcourse.data.world.grammar import number_word
from llmcourse.data.world.model import Fact


@dataclass
class Animal:
    """A species that exists only here."""

    name: str
    kind: str
    size: int
    province: str
    town: Town
    homes: str
    food: str
    found: int
    finder: Person
    words: dict[str, str]  # markings, voice, young

    def slots(self) -> dict[str, str]:
        """Words for the bank ``animal``."""
        return {
            **self.town.slots(),
            **self.words,
            "name": self.name,
            "animal": self.name,
            "kind": self.kind,
            "size": str(self.size),
            "size_word": number_word(self.size),
            "province": self.province,
            "homes": self.homes,
            "food": self.food,
            "found": str(self.found),
            "finder": self.finder.name,
            "finder_trade": self.finder.trade,
        }

    def facts(self) -> list[Fact]:
        """What a field guide would say."""
        return [
            Fact(self.name, "is a kind of", self.kind),
            Fact(self.name, "length in inches", str(self.size)),
            Fact(self.name, "lives in", self.homes),
            Fact(self.name, "eats", self.food),
            Fact(self.name, "described by", self.finder.name),
            Fact(self.name, "described in", str(self.found)),
        ]


@dataclass
class Dish:
    """Something to eat, and the town that claims it."""

    name: str
    town: Town
    since: int
    cook: str
    words: dict[str, str]  # main, second, vessel, method, hours, mistake, side

    def slots(self) -> dict[str, str]:
        """Words for the bank ``dish``."""
        words = self.words
        return {
            **self.town.slots(),
            **words,
            "name": self.name,
            "dish": self.name,
            "since": str(self.since),
            "cook": self.cook,
            "mistake_cap": sentence_case(words["mistake"]),
        }

    def facts(self) -> list[Fact]:
        """What goes in and where it comes from."""
        return [
            Fact(self.name, "comes from", self.town.name),
            Fact(self.name, "main ingredient", self.words["main"]),
            Fact(self.name, "second ingredient", self.words["second"]),
            Fact(self.name, "first made in", str(self.since)),
        ]


@dataclass
class Festival:
    """A feast; ``name`` carries its article when it has one (*the Long Table*)."""

    name: str
    town: Town
    month: str
    since: int
    dish: Dish
    words: dict[str, str]  # act, prize, rule, moment, origin

    def slots(self) -> dict[str, str]:
        """Words for the bank ``festival``."""
        return {
            **self.town.slots(),
            **self.words,
            "name": self.name,
            "the_name": self.name,
            "festival": self.name,
            "festival_month": self.month,
            "month": self.month,
            "since": str(self.since),
            "dish": self.dish.name,
        }

    def facts(self) -> list[Fact]:
        """Where, when and why."""
        return [
            Fact(self.name, "held in", self.town.name),
            Fact(self.name, "month", self.month),
            Fact(self.name, "first held in", str(self.since)),
            Fact(self.name, "remembers", self.words["origin"]),
            Fact(self.name, "prize", self.words["prize"]),
            Fact(self.name, "eaten there", self.dish.name),
        ]


@dataclass
class Craft:
    """Something made by hand in one town."""

    name: str
    town: Town
    since: int
    master: Person
    words: dict[str, str]  # product, material, tool, first, second, last, fault, use

    def slots(self) -> dict[str, str]:
        """Words for the bank ``craft``, with verbs that agree with the craft's name."""
        plural = self.name.endswith("s") and not self.name.endswith("ss")
        return {
            **self.town.slots(),
            **self.words,
            "name": self.name,
            "craft": self.name,
            "is": "are" if plural else "is",
            "it": "they" if plural else "it",
            "comes": "come" if plural else "comes",
            "since": str(self.since),
            "master": self.master.name,
            "master_trade": self.master.trade,
        }

    def facts(self) -> list[Fact]:
        """What it is made of, where, since when, and the name that goes with it."""
        return [
            Fact(self.name, "made in", self.town.name),
            Fact(self.name, "made of", self.words["material"]),
            Fact(self.name, "made with", self.words["tool"]),
            Fact(self.name, "practised since", str(self.since)),
            Fact(self.name, "greatest master", self.master.name),
        ]
