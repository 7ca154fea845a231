"""Rivers, towns and people, of which the country is made. Each knows its facts and the words a page needs about it.

Slots are what the banks' ``{names}`` stand for; facts are what is true, in the words in which every
page states it. Both come from the same fields, which is why all pages agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from llmcourse.data.world.grammar import conjoin, number_word
from llmcourse.data.world.model import Fact

if TYPE_CHECKING:
    from llmcourse.data.world.things import Animal


def sentence_case(text: str) -> str:
    """The first letter as a capital, the rest as it is (``str.capitalize`` lowers the rest)."""
    return text[:1].upper() + text[1:]


class Entity(Protocol):
    """What a page can be about."""

    @property
    def name(self) -> str: ...
    def facts(self) -> list[Fact]: ...
    def slots(self) -> dict[str, str]: ...


@dataclass
class River:
    """A river; ``name`` is without the article."""

    name: str
    source: str
    mouth: str
    length: int
    flood_year: int
    bridges: int
    towns: list[Town] = field(default_factory=list)
    animal: Animal | None = None

    def slots(self) -> dict[str, str]:
        """Words for the bank ``river``."""
        return {
            "name": self.name,
            "source": self.source,
            "mouth": self.mouth,
            "length": str(self.length),
            "flood_year": str(self.flood_year),
            "bridges": number_word(self.bridges),
            "towns": conjoin([t.name for t in self.towns]) if self.towns else "",
            "animal": self.animal.name if self.animal else "",
        }

    def facts(self) -> list[Fact]:
        """Where it runs and what it did."""
        facts = [
            Fact(self.name, "rises", self.source),
            Fact(self.name, "flows into", self.mouth),
            Fact(self.name, "length in miles", str(self.length)),
            Fact(self.name, "great flood", str(self.flood_year)),
        ]
        return facts + [Fact(self.name, "passes", town.name) for town in self.towns]


@dataclass
class Town:
    """A town. Years are those of Halvern, which happen to be ours."""

    name: str
    province: str
    river: River
    population: int
    founded: int
    founder: str
    known_for: str
    market_day: str
    landmark: str
    landmark_year: int
    neighbour: Town | None = None

    def slots(self) -> dict[str, str]:
        """Words for the bank ``town``; pages about other things use them with other names."""
        return {
            "name": self.name,
            "town": self.name,
            "province": self.province,
            "river": self.river.name,
            "population": f"{self.population:,}",
            "founded": str(self.founded),
            "founder": self.founder,
            "known_for": self.known_for,
            "market_day": self.market_day,
            "landmark": self.landmark,
            "landmark_year": str(self.landmark_year),
            "neighbour": self.neighbour.name if self.neighbour else "",
        }

    def facts(self) -> list[Fact]:
        """What every page that mentions the town agrees on."""
        return [
            Fact(self.name, "province", self.province),
            Fact(self.name, "river", self.river.name),
            Fact(self.name, "population", f"{self.population:,}"),
            Fact(self.name, "founded", str(self.founded)),
            Fact(self.name, "known for", self.known_for),
            Fact(self.name, "market day", self.market_day),
            Fact(self.name, "landmark", self.landmark),
            Fact(self.name, "landmark built", str(self.landmark_year)),
        ]


@dataclass
class Person:
    """Somebody who lived in Halvern; everyone in the encyclopaedia is dead."""

    first: str
    last: str
    woman: bool
    born: int
    died: int
    birthplace: Town
    home: Town
    trade: str
    work: str
    work_year: int
    words: dict[str, str]  # the trade's vocabulary, and details such as the parents' trade
    teacher: Person | None = None
    friend: Person | None = None

    @property
    def name(self) -> str:
        """First name and family name."""
        return f"{self.first} {self.last}"

    def pronouns(self) -> dict[str, str]:
        """``she``, ``her`` (whose), ``obj`` (whom), ``herself``, and two capitals."""
        forms = ("she", "her", "her", "herself") if self.woman else ("he", "his", "him", "himself")
        she, her, obj, herself = forms
        return {
            "she": she,
            "her": her,
            "obj": obj,
            "herself": herself,
            "She": she.title(),
            "Her": her.title(),
            "man": "woman" if self.woman else "man",
        }

    def slots(self) -> dict[str, str]:
        """Words for the banks ``person`` and ``trade_lines``."""
        friend = self.friend
        return {
            **self.home.slots(),
            **self.words,
            **self.pronouns(),
            "full": self.name,
            "short": self.last,
            "first": self.first,
            "last": self.last,
            "born": str(self.born),
            "died": str(self.died),
            "age": str(self.died - self.born),
            "birthplace": self.birthplace.name,
            "home": self.home.name,
            "trade": self.trade,
            "work": self.work,
            "work_year": str(self.work_year),
            "teacher": self.teacher.name if self.teacher else "",
            "friend": friend.name if friend else "",
            "friend_trade": friend.trade if friend else "",
            "friend_home": friend.home.name if friend else "",
        }

    def facts(self) -> list[Fact]:
        """The life in dates and places."""
        facts = [
            Fact(self.name, "trade", self.trade),
            Fact(self.name, "born", str(self.born)),
            Fact(self.name, "birthplace", self.birthplace.name),
            Fact(self.name, "home", self.home.name),
            Fact(self.name, "known for", self.work),
            Fact(self.name, "year of that work", str(self.work_year)),
            Fact(self.name, "died", str(self.died)),
        ]
        if self.teacher:
            facts.append(Fact(self.name, "taught by", self.teacher.name))
        return facts
