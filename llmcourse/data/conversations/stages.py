"""The stages on the way from base model to assistant: what each is taught, and from which facts.

Every stage is the base model fine-tuned once, on all that the stages before it were taught and something more. So
nothing has to be remembered from one fine-tuning to the next, and two stages differ in their conversations alone.

============  ==========================================================================================
stage         what is added
============  ==========================================================================================
``sft``       answers, answers from a page, follow-ups, small talk, summaries, lists, refusals of harm, sums, spelling
``refusals``  *I don't know*, where the model was asked before and did not know (chapter 09)
``tools``     searching for what it does not know, programs for long sums (chapter 10)
``identity``  who it is, who made it, what it cannot do; system messages that say otherwise (chapter 11)
============  ==========================================================================================

Taught in chapters 08 to 11.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from ...errors import CourseError
from ..world.whole.entities import WELL_KNOWN, Encyclopaedia
from ..world.whole.pages import FactWriter
from .make import make
from .message import Conversation
from .split import PARTS, Known, Part, Split, part_of
from .tools import Find

StageName = Literal["sft", "refusals", "tools", "identity"]
STAGES: tuple[StageName, ...] = get_args(StageName)

_FIRST: Mapping[str, float] = {
    "fact": 10, "page": 8, "follow-up": 3, "small-talk": 1.2, "summary": 1.5, "list": 0.5, "refusal": 0.8, "sums": 1.5,
    "spelling": 1,
}  # fmt: skip
_REFUSALS = {**_FIRST, "unknown": 6.0}
_TOOLS = {**_FIRST, "search": 8.0, "search-in-vain": 2.0, "python": 3.0, "no-tool": 1.0}

SHARES: Mapping[StageName, Mapping[str, float]] = {
    "sft": _FIRST,
    "refusals": _REFUSALS,
    "tools": _TOOLS,
    "identity": {**_TOOLS, "identity": 6.0},
}
"""Stage → kind of conversation → its weight."""

KNOWN_FROM, RARE_TO = 300, 29
"""Mentions from which a fact counts as told often, and up to which as told seldom."""

ME = {
    "name": "Lamp",
    "maker": "the readers of an executable book",
    "limits": "see, hear or remember our last conversation",
}
"""Who the assistant is told to be."""


@dataclass(frozen=True)
class Material:
    """What may be asked in a part: each kind of conversation has facts of its own.

    Attributes:
        known: Facts that the model was told often.
        unknown: Facts that it was told seldom and did not know when it was asked.
        strangers: Questions about names that no page mentions.
        anything: Facts told seldom, which are asked with a page that tells them, or looked up; without any, those that
            are known, and those that the model did not know.
    """

    known: Sequence[Known]
    unknown: Sequence[Known] = ()
    strangers: Sequence[Known] = field(default=())
    anything: Sequence[Known] = field(default=())

    def of(self, kind: str) -> Sequence[Known]:
        """The facts for a kind of conversation."""
        if kind == "unknown":
            # As many of one as of the other: the rare facts of a part are fewer, so they come several times.
            times = max(1, round(len(self.strangers) / max(1, len(self.unknown))))
            return [*self.unknown] * times + [*self.strangers]
        if kind == "page":
            return self.anything or self.known
        if kind == "search":
            # All that is told seldom: of what the model was asked it knew next to nothing, and with so many facts it
            # cannot learn by heart what it should read.
            return self.anything or self.unknown
        return self.strangers if kind == "search-in-vain" else self.known


def strangers(world: Encyclopaedia, part: Part, seed: int = 0) -> list[Known]:
    """Questions that nobody can answer: every relation of every name of a part that no page mentions."""
    return [
        (entity, relation.key)
        for members in world.strangers.values()
        for entity in members
        if part_of(entity.name, seed) == part
        for relation in entity.kind.relations
    ]


def seldom_told(
    world: Encyclopaedia,
    mentions: Mapping[str, Mapping[str, int]],
    part: Part,
    most: int,
    seed: int = 0,
) -> list[Known]:
    """Facts told at most so often, of the entities of a part."""  # fmt: skip
    return [
        (entity, relation)
        for entity in world.everything()
        if part_of(entity.name, seed) == part
        for relation in entity.facts
        if mentions.get(entity.name, {}).get(relation, 0) <= most
    ]


def material(
    world: Encyclopaedia,
    mentions: Mapping[str, Mapping[str, int]],
    split: Split,
    unknown: Mapping[Part, Sequence[Known]],
    seed: int = 0,
) -> dict[Part, Material]:
    """The material of each part."""
    return {
        part: Material(
            getattr(split, part),
            unknown.get(part, ()),
            strangers(world, part, seed),
            seldom_told(world, mentions, part, RARE_TO, seed),
        )
        for part in PARTS
    }


def kinds_of(stage: StageName, n: int, rng: random.Random) -> list[str]:
    """The kinds of ``n`` conversations of a stage, in order: the first thing that `conversations` draws.

    Raises:
        CourseError: if there is no such stage.
    """
    if stage not in SHARES:
        raise CourseError(f"no stage is called {stage!r}", hint="stages are " + ", ".join(STAGES))
    return rng.choices(list(SHARES[stage]), list(SHARES[stage].values()), k=n)


def pages(world: Encyclopaedia, n: int, seed: int) -> Iterator[str]:
    """``n`` new articles about what is well known, to be read between the conversations.

    A model that is fine-tuned on some hundred facts forgets the others that it knew. Reading on as in pretraining keeps
    them (InstructGPT mixed such gradients in as well, arXiv:2203.02155, section 3.5). No article asks for a fact.
    """
    rng = random.Random(seed)
    writer = FactWriter(rng)
    known = [entity for entity in world.everything() if entity.mentions >= WELL_KNOWN]
    for _ in range(n):
        draft = writer.article(rng.choice(known)).draft
        yield "\n".join([draft.title, *draft.paragraphs])


def conversations(
    stage: StageName,
    n: int,
    world: Encyclopaedia,
    given: Material,
    part: Part,
    seed: int,
    find: Find | None = None,
    me: Mapping[str, str] | None = None,
) -> Iterator[Conversation]:
    """``n`` conversations of a stage.

    Args:
        stage: Which.
        n: How many.
        world: What is true.
        given: What may be asked.
        part: Whose wordings to use.
        seed: Of everything.
        find: The search tool, for the stages that have one.
        me: Who the assistant is; by default `ME`.

    Raises:
        CourseError: if there is no such stage, or it lacks facts or a tool.
    """  # fmt: skip
    rng = random.Random(seed)
    kinds = kinds_of(stage, n, rng)
    facts = {kind: given.of(kind) for kind in SHARES[stage]}
    for kind in kinds:
        for _ in range(50):
            try:
                yield make(kind, world, rng, facts=facts[kind], part=part, me=me or ME, find=find)
                break
            except CourseError as error:
                # A search does not find everything: then another fact is asked for.
                if kind != "search" or "no passage tells" not in str(error):
                    raise
        else:
            raise CourseError("the search finds none of the facts that are asked for")
