"""At the reference desk: questions about things that nobody has heard of, looked up and read out.

A question, what was looked up, the card that was found, its sentence and where it stands; or a page and some questions
about it; or numbers that are copied. Whom the passages tell of is in another World, invented for this alone: what
is asked can be read and never be remembered. The questions use all the wordings that the World's own forums use,
so these pages also teach which words ask for what.

Half of what the base model reads last (`data.mid`). A search in chapter 10 shows its cards in the same form.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from ..conversations.facts import statement
from ..conversations.library import card, queries
from ..world.whole.entities import Entity, invent
from ..world.whole.telling import Teller, ask

_WORLDS = 3
"""How many other Worlds are invented: with three, a fact is asked about once."""


@dataclass(frozen=True)
class Desk:
    """What can be asked for.

    Attributes:
        rng: Draws everything.
        entities: By kind.
    """

    rng: random.Random
    entities: dict[str, list[Entity]]

    def entity(self, kind: str = "") -> Entity:
        """Any of them, or of a kind."""
        kinds = list(self.entities)
        weights = [len(members) for members in self.entities.values()]
        kind = kind or self.rng.choices(kinds, weights)[0]
        return self.rng.choice(self.entities[kind])


def others(taken: Collection[str], seed: int, size: float) -> dict[str, list[Entity]]:
    """Entities of other Worlds that share no name with this one, and people no family name either.

    Args:
        taken: Names of this World, and each word of its people's names.
        seed: Of the inventions.
        size: Of each World, as for `invent`.
    """
    found: dict[str, list[Entity]] = {}
    seen = {name.lower() for name in taken}
    for number in range(_WORLDS):
        world = invent(seed + 1001 + number, size, strangers=0)
        for kind, members in world.entities.items():
            for entity in members:
                key = (entity.short if kind == "person" else entity.name).lower()
                if key not in seen and entity.facts:
                    seen.add(key)
                    found.setdefault(kind, []).append(entity)
    return found


@dataclass(frozen=True)
class Asked:
    """A page of the desk, in pieces.

    Attributes:
        sort: One of `SORTS`.
        pieces: Text, and whether it follows from what stands before it. What does not (what is asked, what a card
            tells, what a sum comes to) can only be guessed: who trains on it teaches to invent.
        last: Which piece is the last answer.
        key: What must stand in the first line of an answer that is right.
    """

    sort: str
    pieces: tuple[tuple[str, bool], ...]
    last: int
    key: str

    @property
    def text(self) -> str:
        """The page."""
        return "".join(text for text, _ in self.pieces)

    @property
    def prompt(self) -> str:
        """All up to the last answer."""
        return "".join(text for text, _ in self.pieces[: self.last])


Pieces = list[tuple[str, bool]]
Read = tuple[Pieces, int, str]  # pieces, where the last answer is, what must stand in it


def _some(entity: Entity, n: int, rng: random.Random) -> list[str]:
    return rng.sample(list(entity.facts), min(n, len(entity.facts)))


def _lookup(desk: Desk) -> Read:
    """A question, what was looked up, the card that was found, its sentence and its heading; or that there is none."""
    rng, entity = desk.rng, desk.entity()
    relation = rng.choice(list(entity.facts))
    query = f" {queries(entity, relation, rng)[0]}\n"
    found = card(entity, [relation], rng)
    shown, said = f"[{found.title}] {found.text}\n", f'{found.text} (Source: "{found.title}")'
    if rng.random() < 0.15:
        shown, said = "nothing found\n", rng.choice(_IN_VAIN).format(entity.name)
    before = f"{ask(entity, relation, rng)}\n{rng.choice(('Look up:', 'Search:'))}"
    return [(before, False), (query, True), (shown, False), (f"{said}\n", True)], 3, said


_IN_VAIN = ("No page tells of {0}.", "There is nothing about {0}.", "Nothing was found about {0}.")

# What stands before a question, what before its answer, and whether that is a whole sentence.
_FORMS = (
    ("Question: ", " Answer: ", True),
    ("Q: ", " A: ", False),
    ("", " ", True),
    ("", "\n", True),
)


def _page(desk: Desk) -> Read:
    """Some sentences about something, and questions about them in another order."""
    rng, entity = desk.rng, desk.entity()
    told = _some(entity, rng.randint(2, 4), rng)
    pieces = [(" ".join(Teller(entity, rng).tell(told)) + "\n", False)]
    q, a, full = rng.choice(_FORMS)
    key = ""
    for relation in rng.sample(told, rng.randint(1, min(3, len(told)))):
        key = entity.facts[relation]
        said = statement(entity, relation, rng) if full else f"{key[:1].upper()}{key[1:]}."
        key = key if full else said
        pieces += [(f"{q}{ask(entity, relation, rng)}{a.rstrip(' ')}", False),
                   (f"{' ' * a.endswith(' ')}{said}\n", True)]  # fmt: skip
    return pieces, len(pieces) - 1, key


def _number(rng: random.Random) -> int:
    digits = rng.randint(2, 6)
    return rng.randint(10 ** (digits - 1), 10**digits - 1)


def _copies(desk: Desk) -> Read:
    """Numbers and names, said and said again."""
    rng, said = desk.rng, ""
    pieces: Pieces = []
    for _ in range(rng.randint(2, 4)):
        said = ", ".join(
            desk.entity().name if rng.random() < 0.4 else str(_number(rng))
            for _ in range(rng.randint(1, 4))
        )
        lead, again = rng.choice(
            (("Write down", "Again"), ("Say", "Once more"), ("The note says", "The copy says"))
        )
        pieces += [(f"{lead}: {said}.\n{again}:", False), (f" {said}.\n", True)]
    return pieces, len(pieces) - 1, f"{said}."


def _programs(desk: Desk) -> Read:
    """A sum too long for the head, the line that works it out, what comes out, and the answer."""
    rng, program = desk.rng, ""
    pieces: Pieces = []
    for _ in range(rng.randint(1, 3)):
        sign = rng.choice("x+")
        low, high = (11, 999) if sign == "x" else (1000, 999_999)
        a, b = rng.randint(low, high), rng.randint(low, high)
        value = a * b if sign == "x" else a + b
        asked = rng.choice(("What is {e}?", "{e} = ?", "How much is {e}?", "Please work out {e}."))
        said = rng.choice(("The answer is {v}.", "{e} = {v}.", "It is {v}."))
        e = f"{a} {sign} {b}"
        program = f"print({a} {'*' if sign == 'x' else '+'} {b})"
        pieces += [(f"{asked.format(e=e)}\n", False), (f"{program}\n", True), (f"{value}\n", False),
                   (f"{said.format(e=e, v=value)}\n", True)]  # fmt: skip
    return pieces, len(pieces) - 3, program


_MAKERS: dict[str, tuple[Callable[[Desk], Read], int]] = {
    "lookup": (_lookup, 40), "page": (_page, 30), "copies": (_copies, 15), "programs": (_programs, 15),
}  # fmt: skip


SORTS = tuple(_MAKERS)
"""Cards looked up, pages with questions, rows of names and numbers said again, sums written as programs."""


def asked(n: int, taken: Collection[str], seed: int = 0, size: float = 0.75) -> Iterator[Asked]:
    """What is asked at the desk.

    Args:
        n: How many.
        taken: Names of the World, which are not asked for here.
        seed: Of everything.
        size: Of the Worlds that are invented for it.
    """
    if not n:
        return
    desk = Desk(random.Random(seed), others(taken, seed, size))
    weights = [weight for _, weight in _MAKERS.values()]
    for _ in range(n):
        sort = desk.rng.choices(list(_MAKERS), weights)[0]
        pieces, last, key = _MAKERS[sort][0](desk)
        yield Asked(sort, tuple(pieces), last, key)


def pages(
    n: int, taken: Collection[str], seed: int = 0, size: float = 0.75
) -> Iterator[tuple[str, str]]:
    """The same as pages to read: ``(sort, text)``."""
    for one in asked(n, taken, seed, size):
        yield one.sort, one.text
