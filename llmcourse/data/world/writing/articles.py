"""Encyclopaedia articles: a plan of paragraphs for each kind of entity, told in varying order."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from llmcourse.data.world.country import Country
from llmcourse.data.world.entities import Entity, Person, River, Town, sentence_case
from llmcourse.data.world.grammar import Scribe, Shelf
from llmcourse.data.world.things import Animal, Craft, Dish, Festival
from llmcourse.data.world.writing.draft import Draft
from llmcourse.data.world.writing.plans import (
    ANIMAL,
    CRAFT,
    DISH,
    FESTIVAL,
    PERSON,
    RIVER,
    TOWN,
    Plan,
)


def _draft(section: str, entity: Entity, title: str, scribe: Scribe, plan: Plan) -> Draft:
    paragraphs = [
        scribe.paragraph(*[scribe.rng.choice(beat.split("/")) for beat in beats]) for beats in plan
    ]
    return Draft("article", section, title, paragraphs, subject=entity.name)


def _without(plan: Plan, beats: set[str]) -> Plan:
    kept = [[beat for beat in part if beat.lstrip("?") not in beats] for part in plan]
    return [part for part in kept if part]


class ArticleWriter:
    """Writes the article about any entity of a country."""

    def __init__(self, country: Country, shelf: Shelf, rng: random.Random) -> None:
        self.country, self.shelf, self.rng = country, shelf, rng
        self._writers: dict[type, Callable[..., Draft]] = {
            Person: self.person,
            Town: self.town,
            River: self.river,
            Animal: self.animal,
            Craft: self.craft,
            Festival: self.festival,
            Dish: self.dish,
        }

    def write(self, entity: Entity) -> Draft:
        """The article about ``entity``."""
        return self._writers[type(entity)](entity)

    def _scribe(self, bank: str, slots: Mapping[str, str], **extra: str) -> Scribe:
        return Scribe(self.shelf, self.rng, bank, {**slots, **extra})

    def _someone(self, town: Town | None = None) -> dict[str, str]:
        """A person to mention: one who lived in ``town``, if anybody did."""
        people = self.country.people
        person = self.rng.choice([p for p in people if p.home is town] or people)
        return {"person": person.name, "person_trade": person.trade}

    def person(self, person: Person) -> Draft:
        """A life."""
        here = [d for d in self.country.dishes if d.town is person.home]
        scribe = self._scribe(
            "person",
            person.slots(),
            dish=self.rng.choice(here or self.country.dishes).name,
            festival=self.rng.choice(self.country.festivals).name,
            animal=self.rng.choice(self.country.animals).name,
        )
        names = {
            "main": f"trade_lines:{person.trade}.main",
            "detail": f"trade_lines:{person.trade}.detail",
            "?detail": f"?trade_lines:{person.trade}.detail",
            "learning": "learning" if person.teacher else "learning-alone",
        }
        plan = [[names.get(beat, beat) for beat in part] for part in self.rng.choice(PERSON)]
        if person.friend is None:
            plan = _without(plan, {"friend"})
        return _draft("people", person, person.name, scribe, plan)

    def town(self, town: Town) -> Draft:
        """A place."""
        people = [p for p in self.country.people if p.home is town]
        dishes = [d for d in self.country.dishes if d.town is town]
        feasts = [f for f in self.country.festivals if f.town is town]
        extra: dict[str, str] = {}
        missing: set[str] = set()
        if people:
            child = self.rng.choice(people)
            extra |= {"child": child.name, "child_trade": child.trade}
        else:
            missing.add("people")
        if dishes:
            dish = self.rng.choice(dishes).name
            extra["dish"] = dish
        else:
            missing.add("food")
        if feasts:
            extra |= {"festival": feasts[0].name, "festival_month": feasts[0].month}
        else:
            missing.add("festival")
        plan = _without(self.rng.choice(TOWN), missing)
        scribe = self._scribe("town", town.slots(), **extra)
        return _draft("towns", town, town.name, scribe, plan)

    def river(self, river: River) -> Draft:
        """A river."""
        town = self.rng.choice(river.towns or self.country.towns)
        plan = self.rng.choice(RIVER)
        if not river.towns:
            plan = _without(plan, {"towns"})
        scribe = self._scribe("river", river.slots(), town=town.name, **self._someone(town))
        return _draft("rivers", river, f"The River {river.name}", scribe, plan)

    def animal(self, animal: Animal) -> Draft:
        """A species."""
        title = sentence_case(animal.name)
        scribe = self._scribe("animal", animal.slots())
        return _draft("animals", animal, title, scribe, self.rng.choice(ANIMAL))

    def craft(self, craft: Craft) -> Draft:
        """A craft."""
        title = sentence_case(craft.name)
        scribe = self._scribe("craft", craft.slots())
        return _draft("crafts", craft, title, scribe, self.rng.choice(CRAFT))

    def festival(self, festival: Festival) -> Draft:
        """A feast."""
        title = sentence_case(festival.name)
        scribe = self._scribe("festival", festival.slots(), **self._someone(festival.town))
        return _draft("festivals", festival, title, scribe, self.rng.choice(FESTIVAL))

    def dish(self, dish: Dish) -> Draft:
        """Something to eat."""
        feasts = [f for f in self.country.festivals if f.dish is dish]
        plan = self.rng.choice(DISH)
        extra = self._someone()
        if feasts:
            extra["festival"] = self.rng.choice(feasts).name
        else:
            plan = _without(plan, {"festival"})
        scribe = self._scribe("dish", dish.slots(), **extra)
        return _draft("dishes", dish, sentence_case(dish.name), scribe, plan)
