"""What there is in the World, and what there is to know about each kind of thing.

Taught in chapter 07.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """Something that can be known of an entity.

    Attributes:
        key: Its name; also the slot and the beats of the sentence bank (``{born}``, ``== born.vp``).
        source: Where its values come from: another kind (``town``: linked by name), ``values:NAME`` (a
            list of the bank ``values``), ``landmark`` and the like (made of two parts), ``year:A:B``,
            ``number:A:B``, or ``life:KEY:A:B``, a year in the life of the person named under KEY.
        question: Three words for a table: *year of birth*.
    """

    key: str
    source: str
    question: str


@dataclass(frozen=True)
class Kind:
    """A sort of entity.

    Attributes:
        name: In the singular …
        plural: … and in the plural.
        again: What one calls it when one has named it once (*the book*); nothing: by name.
        count: How many there are in a whole World.
        relations: What can be known.
    """

    name: str
    plural: str
    again: str
    count: int
    relations: tuple[Relation, ...]

    @property
    def who(self) -> str:
        """The relative pronoun."""
        return "who" if self.name == "person" else "which"

    def relation(self, key: str) -> Relation:
        """The relation of this name.

        Raises:
            KeyError: if there is none.
        """
        for relation in self.relations:
            if relation.key == key:
                return relation
        raise KeyError(f"a {self.name} has no {key}")


def _kind(name: str, plural: str, again: str, count: int, *relations: tuple[str, str, str]) -> Kind:
    return Kind(name, plural, again, count, tuple(Relation(*r) for r in relations))


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind(
            "person", "people", "", 1400,
            ("trade", "values:trade", "trade"),
            ("born", "year:1785:1905", "year of birth"),
            ("died", "life:self:58:93", "year of death"),
            ("birthplace", "town", "birthplace"),
            ("home", "town", "home"),
            ("work", "work", "best-known work"),
            ("teacher", "elder", "teacher"),
            ("instrument", "values:instrument", "instrument"),
        ),
        _kind(
            "town", "towns", "", 420,
            ("province", "values:province", "province"),
            ("river", "river", "river"),
            ("population", "population", "population"),
            ("founded", "year:980:1640", "year of foundation"),
            ("founder", "values:founder", "founder"),
            ("product", "values:product", "product"),
            ("market_day", "values:weekday", "market day"),
            ("landmark", "landmark", "landmark"),
        ),
        _kind(
            "river", "rivers", "the river", 140,
            ("source", "values:source", "source"),
            ("mouth", "values:mouth", "mouth"),
            ("length", "number:23:240", "length in miles"),
            ("bridges", "values:rooms", "number of bridges"),
            ("flood", "year:1790:1935", "year of the great flood"),
            ("fish", "values:fish", "fish"),
            ("town", "town", "largest town"),
        ),
        _kind(
            "animal", "animals", "the animal", 560,
            ("sort", "sort", "sort of animal"),
            ("size", "number:2:48", "length in inches"),
            ("habitat", "values:habitat", "habitat"),
            ("food", "values:food", "food"),
            ("province", "values:province", "province"),
            ("finder", "person", "who described it"),
            ("found", "life:finder:20:55", "year it was described"),
            ("voice", "values:voice", "voice"),
        ),
        _kind(
            "dish", "dishes", "the dish", 500,
            ("town", "town", "town"),
            ("main", "values:main", "main ingredient"),
            ("second", "values:second", "second ingredient"),
            ("cook", "person", "first cook"),
            ("since", "life:cook:20:55", "year it was first made"),
            ("side", "values:side", "side dish"),
            ("day", "values:weekday", "day it is eaten"),
            ("vessel", "values:vessel", "vessel"),
        ),
        _kind(
            "festival", "festivals", "the festival", 440,
            ("town", "town", "town"),
            ("month", "values:month", "month"),
            ("since", "year:1580:1870", "year it was first held"),
            ("act", "values:act", "custom"),
            ("prize", "values:prize", "prize"),
            ("dish", "dish", "dish"),
            ("origin", "values:origin", "origin"),
            ("days", "values:days", "how long it lasts"),
        ),
        _kind(
            "craft", "crafts", "", 400,
            ("town", "town", "town"),
            ("product", "made", "product"),
            ("material", "values:material", "material"),
            ("tool", "values:tool", "tool"),
            ("since", "year:1400:1790", "since when"),
            ("master", "person", "greatest master"),
            ("years", "values:years", "length of an apprenticeship"),
        ),
        _kind(
            "inn", "inns", "the inn", 420,
            ("town", "town", "town"),
            ("opened", "year:1610:1900", "year it opened"),
            ("keeper", "person", "innkeeper"),
            ("dish", "dish", "dish"),
            ("rooms", "values:rooms", "number of rooms"),
            ("guest", "values:guest", "animal of the house"),
            ("song", "song", "song"),
        ),
        _kind(
            "ship", "ships", "the ship", 380,
            ("captain", "person", "captain"),
            ("built", "life:captain:15:40", "year it was built"),
            ("port", "town", "home port"),
            ("cargo", "values:cargo", "cargo"),
            ("river", "river", "river"),
            ("figurehead", "values:figurehead", "figurehead"),
            ("crew", "values:rooms", "size of the crew"),
        ),
        _kind(
            "book", "books", "the book", 420,
            ("author", "person", "author"),
            ("year", "life:author:22:57", "year it was printed"),
            ("subject", "values:subject", "subject"),
            ("town", "town", "town of printing"),
            ("cover", "values:cover", "colour of the cover"),
            ("pages", "number:64:620", "number of pages"),
            ("owner", "person", "first owner"),
        ),
    )
}  # fmt: skip
