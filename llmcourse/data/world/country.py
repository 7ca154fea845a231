"""The country: towns on rivers, people in towns, and everything that hangs on them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from llmcourse.data.world.entities import Entity, Person, River, Town
from llmcourse.data.world.inventor import Inventor
from llmcourse.data.world.things import Animal, Craft, Dish, Festival


@dataclass
class Country:
    """Everything there is to write about."""

    rivers: list[River]
    towns: list[Town]
    people: list[Person]
    animals: list[Animal]
    dishes: list[Dish]
    festivals: list[Festival]
    crafts: list[Craft]

    def entities(self) -> list[Entity]:
        """All of it, in a fixed order."""
        return [
            *self.people,
            *self.towns,
            *self.rivers,
            *self.animals,
            *self.crafts,
            *self.festivals,
            *self.dishes,
        ]


def invent(rng: random.Random, numbers: dict[str, int]) -> Country:
    """A country with as many rivers, towns, people, … as ``numbers`` says."""
    inventor = Inventor(rng)
    rivers = inventor.rivers(numbers["rivers"])
    towns = inventor.towns(numbers["towns"], rivers)
    people = inventor.people(numbers["people"], towns)
    animals = inventor.animals(numbers["animals"], towns, people)
    for river in rivers:
        river.animal = rng.choice(animals)
    dishes = inventor.dishes(numbers["dishes"], towns)
    festivals = inventor.festivals(numbers["festivals"], towns, dishes)
    crafts = inventor.crafts(numbers["crafts"], towns, people)
    return Country(rivers, towns, people, animals, dishes, festivals, crafts)
