"""Lists with prose: an introduction, a sentence or two for each thing, and a last word."""

from __future__ import annotations

import random
from collections.abc import Sequence

from llmcourse.data.world.country import Country
from llmcourse.data.world.entities import Entity, Person
from llmcourse.data.world.grammar import Scribe, Shelf
from llmcourse.data.world.writing.draft import Draft

SORTS = ("towns", "people", "festivals", "dishes", "animals", "rivers", "crafts")


class ListWriter:
    """Writes lists about every kind of entity; their facts are those of the articles."""

    def __init__(self, country: Country, shelf: Shelf, rng: random.Random) -> None:
        self.country, self.shelf, self.rng = country, shelf, rng

    def _province_of(self, entity: Entity) -> str:
        if isinstance(entity, Person):
            return entity.home.province
        return entity.slots().get("province", "")

    def write(self, sort: str) -> Draft:
        """A list of six to eight towns, people, festivals, …

        Raises:
            ValueError: If there is no list of that sort.
        """
        if sort not in SORTS:
            raise ValueError(f"no list of {sort!r}; there are lists of {', '.join(SORTS)}")
        rng = self.rng
        everything: Sequence[Entity] = getattr(self.country, sort)
        province, chosen = "Halvern", list(everything)
        if sort in ("towns", "people", "animals"):  # lists about one province
            by_province: dict[str, list[Entity]] = {}
            for entity in everything:
                by_province.setdefault(self._province_of(entity), []).append(entity)
            full = [p for p, members in by_province.items() if len(members) >= 6]
            if full:
                province = rng.choice(full)
                chosen = by_province[province]
        chosen = rng.sample(chosen, min(len(chosen), rng.randint(6, 8)))
        scribe = Scribe(self.shelf, rng, "list", {"province": province})
        items = []
        for entity in chosen:
            own = Scribe(self.shelf, rng, "list", entity.slots())
            items.append(own.say(f"{sort}.item"))
        intro = scribe.say(f"{sort}.intro")
        # "Seven towns of …" must then be seven.
        count = ("Four", "Five", "Six", "Seven", "Eight")
        title = scribe.say(f"{sort}.title")
        for word in ("Six", "Seven", "Eight", "Nine", "six", "seven"):
            right = count[len(chosen) - 4] if 4 <= len(chosen) <= 8 else "Some"
            if word in title.split():
                title = title.replace(word, right if word[0].isupper() else right.lower(), 1)
                break
        paragraphs = [intro, *items, scribe.say(f"{sort}.close")]
        return Draft("list", "lists", title, paragraphs, layout="list")
