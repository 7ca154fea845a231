"""One conversation of a kind, or many of several: the same seed gives the same ones.

Taught in chapter 08.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...errors import CourseError
from ..world.whole.entities import Encyclopaedia
from . import facts as _facts
from . import sums, talk, tools
from .kinds import ALL
from .message import Conversation, check
from .spelling import spelling
from .split import PARTS, Known, Part


def make(
    kind: str,
    world: Encyclopaedia,
    rng: random.Random,
    *,
    facts: Sequence[Known] = (),
    part: Part = "train",
    me: Mapping[str, str] | None = None,
    find: tools.Find | None = None,
) -> Conversation:
    """A conversation of a kind.

    Args:
        kind: One of `kinds.ALL`.
        world: What is true.
        rng: Draws everything.
        facts: What may be asked: a part of `split.split`; of ``unknown``, what the model does not know; of ``page``,
            anything.
        part: Whose wordings, numbers and words to use.
        me: Of ``identity``: name, maker, limits.
        find: Of ``search`` and ``search-in-vain``: the tool.

    Raises:
        CourseError: if the kind or part is unknown, or something that the kind needs is missing.
    """
    if kind not in ALL:
        raise CourseError(f"unknown kind {kind!r}", hint="kinds are " + ", ".join(ALL))
    if part not in PARTS:
        raise CourseError(f"unknown part {part!r}", hint="parts are " + ", ".join(PARTS))
    needs = (
        "fact",
        "page",
        "follow-up",
        "summary",
        "list",
        "unknown",
        "search",
        "search-in-vain",
        "no-tool",
    )
    if kind in needs and not facts:
        raise CourseError(f"a conversation of kind {kind!r} needs facts to ask for")
    return check(_make(kind, world, rng, facts, part, me, find))


def _make(
    kind: str, world: Encyclopaedia, rng: random.Random, facts: Sequence[Known], part: Part,
    me: Mapping[str, str] | None, find: tools.Find | None,
) -> Conversation:  # fmt: skip
    if kind == "fact":
        return _facts.fact(rng.choice(facts), rng, part)
    if kind == "page":
        return _facts.from_page(rng.choice(facts), rng, part)
    if kind == "follow-up":
        return _facts.follow_up(facts, rng, part)
    if kind == "summary":
        return _facts.summary(facts, rng, part)
    if kind == "list":
        return _facts.listing(world, facts, rng, part)
    if kind == "unknown":
        return _facts.unknown(facts, rng, part)
    if kind == "small-talk":
        return talk.small_talk(rng, part)
    if kind == "refusal":
        return talk.refusal(world, rng, part)
    if kind == "sums":
        return sums.arithmetics(rng, part)
    if kind == "spelling":
        return spelling(rng, part)
    if kind == "python":
        return tools.python(rng, part)
    if kind == "no-tool":
        plain = _facts.fact(rng.choice(facts), rng, part)
        chosen = plain if rng.random() < 0.6 else talk.small_talk(rng, part)
        return replace(chosen, about={**chosen.about, "kind": "no-tool"})
    if kind == "identity":
        return talk.identity(me or {}, rng, part)
    if find is None:
        raise CourseError(f"a conversation of kind {kind!r} needs something to search with")
    if kind == "search-in-vain":
        return tools.search_in_vain(rng.choice(facts), find, rng, part)
    return tools.search(rng.choice(facts), find, rng, part)


def many(
    n: int, shares: Mapping[str, float], world: Encyclopaedia, seed: int, **given: Any
) -> Iterator[Conversation]:
    """``n`` conversations of several kinds.

    Args:
        n: How many.
        shares: Kind → its weight.
        world: What is true.
        seed: Of everything.
        given: As for `make`.
    """
    rng = random.Random(seed)
    for kind in rng.choices(list(shares), list(shares.values()), k=n):
        yield make(kind, world, rng, **given)
