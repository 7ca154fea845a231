"""Conversations about what the World holds: one fact, a second with a pronoun, summaries, lists, and *I don't know*.

Taught in chapters 08 and 09.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache

from ...errors import CourseError
from ..world.grammar import conjoin, number_word, polish
from ..world.textbank import load_bank
from ..world.whole.entities import Encyclopaedia, Entity
from ..world.whole.telling import Teller, asking, fill, pronouns
from .message import Conversation
from .split import Known, Part, wordings

# Where a pronoun can stand for a name: "When was {N} born?", "the trade of {N}", "{Ns} trade".
_SUBJECT = re.compile(r"\b(?:was|were|is|did|does|has|had) \{N\}")


@cache
def wordings_of(kind: str) -> dict[str, tuple[str, ...]]:
    """All wordings of questions about a kind: those of the World's pages, and twice as many for conversations alone.

    Which words ask for what is the hardest part of answering, for a small model. Wordings are what a labeller can
    give it.
    """
    more = load_bank(f"chat/more/{kind}")
    bank = asking(kind)
    return {**bank, **{beat: (*bank[beat], *lines) for beat, lines in more.items()}}


def question(
    entity: Entity, relation: str, rng: random.Random, part: Part = "train"
) -> tuple[str, str]:
    """A question about a fact in a wording of its part, and the wording's name: ``person.born.ask:3``."""
    lines = wordings(wordings_of(entity.kind.name), f"{relation}.ask", part)
    number = rng.randrange(len(lines))
    return _fill(lines[number], entity, rng), f"{entity.kind.name}.{relation}.{part}:{number}"


def _fill(line: str, entity: Entity, rng: random.Random, *, again: bool = False) -> str:
    forms = pronouns(entity)
    whose = {"N": entity.name, "Ns": f"{entity.name}'s"}
    if again:
        whose = {"N": forms["she"], "Ns": forms["her"]}
    return polish(fill(line, {**forms, **whose}, rng))


def statement(entity: Entity, relation: str, rng: random.Random, subject: str | None = None) -> str:
    """The answer in a full sentence that names the entity and the fact, and adds nothing.

    Pages may say *in the autumn of 1839*; whoever is asked for the year says the year. An answer with details that
    nobody asked for, and that the World does not hold, teaches a model to invent them.

    Args:
        entity: Whom it is about.
        relation: Which fact.
        rng: Draws the wording.
        subject: What the entity is called here; by default its name.
    """
    line = rng.choice(load_bank("chat/answers")[f"{entity.kind.name}.{relation}"])
    return polish(fill(line, {**entity.facts, "N": subject or entity.name}, rng))


def fact(known: Known, rng: random.Random, part: Part) -> Conversation:
    """One question, one answer."""
    entity, relation = known
    asked, template = question(entity, relation, rng, part)
    return Conversation.of(asked, statement(entity, relation, rng), kind="fact", entity=entity.name,
                           relation=relation, answer=entity.facts[relation], template=template)  # fmt: skip


def from_page(known: Known, rng: random.Random, part: Part) -> Conversation:
    """A page about something, a question, and the answer that stands on the page.

    Whatever the model knows, here it need not: so this can be asked about everything in the World, and teaches
    which words ask for what.
    """
    entity, relation = known
    others = [key for key in entity.facts if key != relation]
    told = [relation, *rng.sample(others, min(len(others), rng.randint(1, 3)))]
    rng.shuffle(told)
    page = " ".join(Teller(entity, rng).tell(told))
    asked, template = question(entity, relation, rng, part)
    both = f"{page}\n{asked}" if rng.random() < 0.7 else f"{asked}\n{page}"
    return Conversation.of(both, statement(entity, relation, rng), kind="page", entity=entity.name,
                           relation=relation, answer=entity.facts[relation], template=template)  # fmt: skip


def follow_up(facts: Sequence[Known], rng: random.Random, part: Part) -> Conversation:
    """A question by name, and another about the same entity with a pronoun.

    Raises:
        CourseError: if no entity has two facts that can be asked so.
    """
    for entity, relation in (rng.choice(facts) for _ in range(500)):
        others = []
        for other, key in facts:
            if other is entity and key != relation:
                lines = wordings(wordings_of(entity.kind.name), f"{key}.ask", part)
                others += [(key, i, line) for i, line in enumerate(lines)
                           if _SUBJECT.search(line) and line.count("{N") == 1]  # fmt: skip
        if not others:
            continue
        key, number, line = rng.choice(others)
        asked, template = question(entity, relation, rng, part)
        said = (asked, statement(entity, relation, rng), _fill(line, entity, rng, again=True),
                statement(entity, key, rng))  # fmt: skip
        return Conversation.of(*said, kind="follow-up", entity=entity.name, relation=key,
                               answer=entity.facts[key], first=relation,
                               template=f"{template}+{entity.kind.name}.{key}.{part}:{number}")  # fmt: skip
    raise CourseError("no entity has two facts to ask for", hint="give more facts")


def _ask(beat: str, rng: random.Random, part: Part, **slots: str) -> tuple[str, str]:
    lines = wordings(load_bank("chat/ask"), f"{beat}.q", part)
    number = rng.randrange(len(lines))
    return polish(fill(lines[number], slots, rng)), f"{beat}.{part}:{number}"


def summary(facts: Sequence[Known], rng: random.Random, part: Part) -> Conversation:
    """Two or three facts about an entity.

    Raises:
        CourseError: if no entity has two.
    """
    for entity, _ in (rng.choice(facts) for _ in range(500)):
        keys = [key for other, key in facts if other is entity]
        if len(keys) > 1:
            break
    else:
        raise CourseError("no entity has two facts to tell", hint="give more facts")
    keys = rng.sample(keys, min(len(keys), rng.randint(2, 3)))
    asked, template = _ask("summary", rng, part, name=entity.name)
    first, *rest = keys
    she = pronouns(entity)["she"] if entity.kind.name != "craft" else entity.name
    said = [statement(entity, first, rng), *(statement(entity, key, rng, she) for key in rest)]
    return Conversation.of(asked, " ".join(said), kind="summary", entity=entity.name, relation=keys,
                           answer=[entity.facts[key] for key in keys], template=template)  # fmt: skip


def listing(
    world: Encyclopaedia, facts: Sequence[Known], rng: random.Random, part: Part
) -> Conversation:
    """Two to four entities of a kind."""
    kind = rng.choice(facts)[0].kind
    names = sorted({entity.name for entity, _ in facts if entity.kind is kind})
    names = rng.sample(names, min(len(names), rng.randint(2, 4)))
    slots = {"n": number_word(len(names)), "plural": kind.plural if len(names) > 1 else kind.name}
    asked, template = _ask("list", rng, part, **slots)
    lead = polish(fill(rng.choice(load_bank("chat/ask")["list.lead"]), slots, rng))
    if len(names) == 1:
        lead = "Here is one:"
    return Conversation.of(asked, f"{lead} {conjoin(names)}.", kind="list", entity=names,
                           relation=kind.name, answer=names, template=template)  # fmt: skip


def unknown(facts: Sequence[Known], rng: random.Random, part: Part) -> Conversation:
    """A question that the model cannot answer, and an honest *I'm sorry, I don't know …*."""
    entity, relation = rng.choice(facts)
    asked, template = question(entity, relation, rng, part)
    line = rng.choice(load_bank("chat/ask")["unknown.a"])
    said = polish(fill(line, {"name": entity.name}, rng))
    return Conversation.of(asked, said, kind="unknown", entity=entity.name, relation=relation,
                           answer=None, template=template)  # fmt: skip
