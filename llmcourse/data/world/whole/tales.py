"""Pages that tell no facts: stories, diaries, letters, talk, everyday threads.

A plot is a chain of beats, each beat a handful of lines, each line with alternatives, and any line of
a beat fits any line of the next: a dozen plots make millions of tales, all of them plain English.

Taught in chapter 07.
"""

from __future__ import annotations

import random
from itertools import count, takewhile

from ..grammar import polish
from ..names import MEN, WOMEN
from ..textbank import load_bank
from ..writing.draft import Draft
from .entities import Encyclopaedia
from .pages import Leaf, paragraphs
from .telling import HE, SHE, fill

_SORTS = ("story", "diary", "letter", "talk", "thread")
_SHARES = (45, 17, 13, 13, 12)


def _beats(bank: str) -> list[str]:
    """The plots of a bank: what stands before the point in its headings."""
    return list(dict.fromkeys(beat.rsplit(".", 1)[0] for beat in load_bank(f"whole/{bank}")))


class TaleWriter:
    """Writes what the people of the World tell each other."""

    def __init__(self, world: Encyclopaedia, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        values = load_bank("whole/values")
        self.lists = {
            name: values[name][0].split("|") for name in ("thing", "weather", "weekday", "month")
        }

    def any(self) -> Leaf:
        """A tale of any sort."""
        return Leaf(getattr(self, self.rng.choices(_SORTS, _SHARES)[0])(), [])

    def slots(self) -> dict[str, str]:
        """Two characters, two towns and some things."""
        rng, known = self.rng, self.world.entities
        women = [rng.random() < 0.5 for _ in range(2)]
        hero, other = (rng.choice(WOMEN if woman else MEN) for woman in women)
        while other == hero:
            other = rng.choice(WOMEN if women[1] else MEN)
        town, town2 = (entity.name for entity in rng.sample(known["town"], 2))
        animal = rng.choice(known["animal"]).name
        thing = rng.choice(self.lists["thing"])
        theirs = SHE if women[1] else HE
        return {
            **(SHE if women[0] else HE),
            "oshe": theirs["she"], "oher": theirs["her"], "oobj": theirs["obj"],
            "hero": hero, "other": other, "town": town, "town2": town2,
            "river": rng.choice(known["river"]).name,
            "animal": animal, "animal0": animal.removeprefix("the "),
            "dish": rng.choice(known["dish"]).name,
            "festival": rng.choice(known["festival"]).name,
            "thing": thing, "thing0": thing.split(" ", 1)[1],
            "weather": rng.choice(self.lists["weather"]),
            "day": rng.choice(self.lists["weekday"]), "month": rng.choice(self.lists["month"]),
        }  # fmt: skip

    def say(self, bank: str, beat: str, slots: dict[str, str]) -> str:
        """A line of a beat."""
        return polish(fill(self.rng.choice(load_bank(f"whole/{bank}")[beat]), slots, self.rng))

    def several(self, bank: str, beat: str, n: int, slots: dict[str, str]) -> list[str]:
        """``n`` different lines of a beat."""
        lines = self.rng.sample(load_bank(f"whole/{bank}")[beat], n)
        return [polish(fill(line, slots, self.rng)) for line in lines]

    def _chain(self, bank: str, plot: str, slots: dict[str, str]) -> list[str]:
        """The beats of a plot, 1, 2, 3, …"""
        known = load_bank(f"whole/{bank}")
        numbers = takewhile(lambda n: f"{plot}.{n}" in known, count(1))
        return [self.say(bank, f"{plot}.{n}", slots) for n in numbers]

    def story(self) -> Draft:
        """A tale with a beginning, a middle and an end."""
        slots, plot = self.slots(), self.rng.choice(_beats("stories"))
        told = paragraphs(self._chain("stories", plot, slots), self.rng, 1, 3)
        return Draft("story", "stories", self.say("stories", f"{plot}.title", slots), told)

    def talk(self) -> Draft:
        """A small conversation."""
        slots, plot = self.slots(), self.rng.choice(_beats("talk"))
        title = f"{slots['hero']} and {slots['other']}"
        return Draft("story", "talk", title, self._chain("talk", plot, slots))

    def diary(self) -> Draft:
        """Some days of somebody's life."""
        rng, slots = self.rng, self.slots()
        who = rng.choice(_beats("diaries"))
        middle = self.several("diaries", f"{who}.middle", rng.randint(2, 4), slots)
        middle += self.several("diaries", f"{who}.weather", rng.randint(0, 1), slots)
        middle += self.several("diaries", f"{who}.people", rng.randint(1, 2), slots)
        rng.shuffle(middle)
        start, end = (self.say("diaries", f"{who}.{beat}", slots) for beat in ("start", "end"))
        title = self.say("diaries", f"{who}.title", slots)
        return Draft("diary", "diaries", title, [start, *middle, end], layout="entries")

    def letter(self) -> Draft:
        """A letter to a friend."""
        rng, slots = self.rng, self.slots()
        news = self.several("letters", "news", rng.randint(3, 5), slots)
        first = [self.say("letters", beat, slots) for beat in ("opening", "reason")]
        last = [self.say("letters", beat, slots) for beat in ("request", "closing")]
        lines = [f"Dear {slots['other']},", " ".join(first), *paragraphs(news, rng, 1, 3)]
        lines += [" ".join(last), self.say("letters", "signature", slots)]
        return Draft("diary", "letters", f"A letter to {slots['other']}", lines)

    def thread(self) -> Draft:
        """An everyday question, and good advice."""
        rng, slots = self.rng, self.slots()
        topic = rng.choice(_beats("forum"))
        posts = [self.say("forum", f"{topic}.q", slots)]
        posts += self.several("forum", f"{topic}.a", rng.randint(3, 5), slots)
        posts.append(self.say("forum", f"{topic}.thanks", slots))
        title = self.say("forum", f"{topic}.title", slots)
        return Draft("forum", "threads", title, posts, layout="posts")
