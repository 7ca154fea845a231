"""Other names and other makers, for system messages that say who the assistant is.

Nobody bears them. They are put together from syllables and dealt out to the parts by a hash, so that a test's names
and makers occur in no training: whoever answers with them has read them in the system message.

Taught in chapter 11.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ..world.names import (
    MEN,
    SURNAME_ENDS,
    SURNAME_STARTS,
    TOWN_ENDS,
    TOWN_STARTS,
    WOMEN,
    words,
)
from .split import Part, part_of

STARTS = words(
    "Al Bel Bri Cal Cor Da Del Do El Em Fa Fen Fi Ga Gi Hal Hel Ja Ka Kel La Li Lo Lu Ma Mi Mo Na Ne Ni No "
    "Nu Or Pa Per Pi Qui Ra Ri Ro Sa Sel So Ta Te Ti To Tu Ul Va Ve Vi Wen Ya Yo Za Ze Zo"
)
ENDS = words(
    "ba bo da dex do dra ka ko la len lo lux ma mi mo na nex ni no nor ra rin ris ro sa sol ta tik to tor va vi "
    "vo wen wick zar"
)
TRADES = words(
    "bakers boatmen builders clerks coopers engineers farmers fishermen gardeners glaziers masons millers "
    "pilots potters printers sailors schoolteachers students surveyors tailors watchmakers weavers"
)
HOUSES = words("Company Foundation Institute Laboratory Library School Society Workshop")


def role(rng: random.Random, part: Part) -> dict[str, str]:
    """A ``name`` and a ``maker`` for an assistant: of a part, and of no other."""
    return {"name": _of(part, _name, rng), "maker": _of(part, _maker, rng)}


def _of(part: Part, draw: Callable[[random.Random], str], rng: random.Random) -> str:
    while part_of(drawn := draw(rng)) != part:
        pass
    return drawn


def _name(rng: random.Random) -> str:
    return rng.choice(STARTS) + rng.choice(ENDS)


def _maker(rng: random.Random) -> str:
    surname = _plain(SURNAME_STARTS, SURNAME_ENDS, rng)
    shape = rng.randrange(3)
    if shape == 0:
        return f"the {rng.choice(TRADES)} of {_plain(TOWN_STARTS, TOWN_ENDS, rng)}"
    if shape == 1:
        return f"the {surname} {rng.choice(HOUSES)}"
    return f"{rng.choice(WOMEN + MEN)} {surname}"


def _plain(starts: list[str], ends: list[str], rng: random.Random) -> str:
    """A word without accents: one token less to copy."""
    return rng.choice(starts) + rng.choice([end for end in ends if end.isascii()])
