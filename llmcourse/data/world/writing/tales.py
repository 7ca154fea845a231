"""Stories, forum threads and diaries: fixed sequences of beats about changing people and places."""

from __future__ import annotations

import random
from itertools import pairwise

from llmcourse.data.world.country import Country
from llmcourse.data.world.grammar import Scribe, Shelf
from llmcourse.data.world.inventor import MARKET_DAYS
from llmcourse.data.world.names import MEN, WOMEN, words
from llmcourse.data.world.textbank import load_bank
from llmcourse.data.world.writing.draft import Draft

_SHE = {"she": "she", "her": "her", "obj": "her", "herself": "herself", "She": "She", "Her": "Her"}
_HE = {"she": "he", "her": "his", "obj": "him", "herself": "himself", "She": "He", "Her": "His"}
# Plots whose heroes are women in every telling; the others may be anybody.
_HEROINES = ("ferry", "bell", "letter", "guest", "wall", "lamp")
_OTHER_WOMAN = ("wall",)
_OTHER_MAN = ("letter", "salt")
_MONTHS = words(
    "January February March April May June July August September October November December"
)
# The month of each diary entry, where the entries mention the season.
_SEASONS = {
    "warden": [9, 10, 11, 1, 5, 9],
    "school": [10, 10, 11, 2, 5, 7],
    "baker": [9, 10, 1, 4, 6, 9],
    "birds": [5, 6, 7, 9, 10, 11],
    "house": [3, 4, 5, 9, 11, 1],
}


def titles(bank: str) -> dict[str, str]:
    """The title of every plot of a bank; its order is the file's."""
    return dict(line.split(" ", 1) for line in load_bank(bank)["titles"])


class TaleWriter:
    """Writes what people of the country tell each other."""

    def __init__(self, country: Country, shelf: Shelf, rng: random.Random) -> None:
        self.country, self.shelf, self.rng = country, shelf, rng

    def _setting(self) -> dict[str, str]:
        """A town with all that belongs to it, and things from elsewhere to talk about."""
        rng, country = self.rng, self.country
        town = rng.choice(country.towns)
        animal, dish = rng.choice(country.animals), rng.choice(country.dishes)
        festival, craft = rng.choice(country.festivals), rng.choice(country.crafts)
        elsewhere = rng.choice([t for t in country.towns if t not in (town, town.neighbour)])
        return {
            **town.slots(),
            "animal": animal.name,
            "dish": dish.name,
            "festival": festival.name,
            "the_name": festival.name,
            "month": festival.month,
            "craft": craft.name,
            "town2": elsewhere.name,
        }

    def story(self, plot: str) -> Draft:
        """A tale in eight beats, told anew."""
        rng = self.rng
        heroine = plot in _HEROINES or rng.random() < 0.5
        woman = plot in _OTHER_WOMAN or (plot not in _OTHER_MAN and rng.random() < 0.5)
        hero, other = rng.sample(WOMEN, 2)
        if not heroine:
            hero = rng.choice(MEN)
        if not woman:
            other = rng.choice(MEN)
        setting = self._setting()
        slots = {
            **setting,
            **(_SHE if heroine else _HE),
            **{f"o{form}": word for form, word in (_SHE if woman else _HE).items()},
            "oobj": "her" if woman else "him",
            "hero": hero,
            "other": other if other != hero else "Wendelin",
        }
        scribe = Scribe(self.shelf, rng, "story", slots)
        told = [scribe.say(f"{plot}.{beat}") for beat in range(1, 9)]
        cuts = sorted({0, *rng.sample(range(1, 8), rng.randint(3, 5)), 8})
        paragraphs = [" ".join(told[a:b]) for a, b in pairwise(cuts)]
        title = f"{titles('story')[plot]}: A Story from {setting['town']}"
        return Draft("story", "stories", title, paragraphs)

    def _thread_slots(self, topic: str) -> dict[str, str]:
        """The setting of a thread, which is where the thing it asks about really is."""
        rng, country = self.rng, self.country
        slots = self._setting()
        if topic == "dish":
            return slots | rng.choice(country.dishes).slots()
        if topic == "animal":
            animal = rng.choice(country.animals)
            return slots | animal.slots() | {"finder_found": str(animal.found)}
        if topic == "festival":
            return slots | rng.choice(country.festivals).slots()
        if topic == "craft":
            return slots | rng.choice(country.crafts).slots()
        if topic == "book":
            person = rng.choice(country.people)
            return slots | person.slots() | {"person": person.name, "person_last": person.last}
        return slots

    def thread(self, topic: str) -> Draft:
        """A question on the forum, four answers, and thanks."""
        scribe = Scribe(self.shelf, self.rng, "forum", self._thread_slots(topic))
        answers = ["a", "b", "c", "d"]
        if self.rng.random() < 0.4:  # the first answer and the last have their places
            answers[1:3] = ["c", "b"]
        posts = [scribe.say(f"{topic}.{beat}") for beat in ["q", *answers, "thanks"]]
        title = scribe.fill(titles("forum")[topic])
        return Draft("forum", "threads", title, posts, layout="posts")

    def _dates(self, diarist: str, festival_month: str) -> list[str]:
        """Six dates that fit what the entries say: frost in winter, the feast on its day."""
        rng, months = self.rng, _SEASONS.get(diarist)
        if diarist == "walker":  # three weeks on foot
            days = sorted(rng.sample(range(3, 29), 6))
            return [f"{day} {_MONTHS[4]}" for day in days]
        if months is None:  # the fifth entry is written on the eve of the festival
            eve = _MONTHS.index(festival_month)
            months = [(eve - back) % 12 + 1 for back in (7, 6, 4, 2, 0, -2)]
        days = [rng.randint(1, 28) for _ in months]
        if months[0] == months[-1]:  # "a year today"
            days[-1] = days[0]
        if diarist == "house":  # "New year"
            days[-1] = 1
        return [f"{day} {_MONTHS[month - 1]}" for day, month in zip(days, months, strict=True)]

    def diary(self, diarist: str) -> Draft:
        """Six entries, over some weeks or a year."""
        rng = self.rng
        slots = self._setting() | {"market_day": rng.choice(MARKET_DAYS)}
        scribe = Scribe(self.shelf, rng, "diary", slots)
        entries = [
            f"{date}. {scribe.say(f'{diarist}.{beat}')}"
            for beat, date in enumerate(self._dates(diarist, slots["month"]), 1)
        ]
        title = f"{titles('diary')[diarist]}: a diary from {slots['town']}"
        return Draft("diary", "diaries", title, entries, layout="entries")
