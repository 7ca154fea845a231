"""Pages in other languages about the same towns, and pages that mix two languages."""

from __future__ import annotations

import random

from llmcourse.data.world.country import Country
from llmcourse.data.world.entities import Person
from llmcourse.data.world.grammar import Shelf
from llmcourse.data.world.inventor import MARKET_DAYS
from llmcourse.data.world.textbank import load_bank
from llmcourse.data.world.writing.draft import Draft

# ISO 639-1 codes, and the single-byte encoding that pages of the language still come in, if any.
LANGUAGES: dict[str, str | None] = {
    "de": "iso-8859-1",
    "fr": "windows-1252",
    "es": "iso-8859-1",
    "it": None,
    "pt": "windows-1252",
    "nl": None,
    "sv": "iso-8859-1",
    "pl": None,
    "cs": None,
    "fi": "iso-8859-1",
    "tr": None,
    "ru": None,
    "ja": None,
    "zh": None,
}


class ForeignWriter:
    """Writes travellers' accounts in fourteen languages."""

    def __init__(self, country: Country, shelf: Shelf, rng: random.Random) -> None:
        self.country, self.shelf, self.rng = country, shelf, rng

    def _slots(self, person: Person) -> dict[str, str]:
        """A town where somebody known was born; the market day is put into words later."""
        town = person.birthplace
        return {
            "town": town.name,
            "town2": (town.neighbour or town).name,
            "river": town.river.name,
            "population": str(town.population),
            "founded": str(town.founded),
            "day": town.market_day,
            "person": person.name,
            "born": str(person.born),
        }

    def _sentences(self, language: str, slots: dict[str, str], beats: list[str]) -> list[str]:
        bank, said, lines = f"foreign/{language}", set[str](), list[str]()
        days = load_bank(bank)["days"][0].split()
        day = days[MARKET_DAYS.index(slots["day"])].replace("_", " ")
        for beat in beats:
            line = self.shelf.take(bank, beat, said)
            said.add(line)
            line = line.format_map(slots | {"day": day})
            lines.append(line[:1].upper() + line[1:])
        return lines

    def page(self, language: str) -> Draft:
        """A page of nine sentences in ``language``."""
        slots = self._slots(self.rng.choice(self.country.people))
        lines = self._sentences(language, slots, ["lead", *["body"] * 7, "close"])
        space = "" if language in ("ja", "zh") else " "
        paragraphs = [space.join(lines[i : i + 3]) for i in range(0, len(lines), 3)]
        return Draft("foreign", language, slots["town"], paragraphs, language=language)

    def mixed(self, language: str, share: int) -> Draft:
        """Nine sentences about a town in English, ``share`` of them told in ``language`` as well."""
        slots = self._slots(self.rng.choice(self.country.people))
        english = self._sentences("en", slots, ["lead", *["body"] * 7, "close"])
        other = self._sentences(language, slots, ["body"] * share)
        paragraphs = [" ".join(english[i : i + 3]) for i in range(0, len(english), 3)]
        for number, line in enumerate(other):
            paragraphs[number % 3] += f" {line}"
        title = f"{slots['town']}, in two languages"
        return Draft("mixed", "two-languages", title, paragraphs)
