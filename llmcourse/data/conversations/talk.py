"""Conversations that tell no fact: small talk, refusals, and who the assistant is.

Taught in chapters 08 and 11.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from ...errors import CourseError
from ..world.grammar import polish
from ..world.textbank import load_bank
from ..world.whole.entities import Encyclopaedia
from ..world.whole.telling import fill
from .message import Conversation
from .roles import role
from .split import Part, part_of, wordings

ASKED: Mapping[str, float] = {"name": 4, "maker": 4, "nature": 1, "limits": 2}
"""What somebody who asks an assistant about itself wants to know, and how often."""

TOLD, SILENT, GREETED = 0.45, 0.15, 0.15
"""Shares: with a system message that says who the assistant is, with one that does not, and after a greeting."""


def small_talk(rng: random.Random, part: Part) -> Conversation:
    """A greeting, thanks, a good or a bad day; sometimes two in a row."""
    bank = load_bank("chat/smalltalk")
    beats = [beat.removesuffix(".a") for beat in bank if beat.endswith(".a")]
    chosen = rng.sample(beats, 1 if rng.random() < 0.7 else 2)
    if {"sad", "glad"} <= set(chosen):  # nobody is both within two sentences
        chosen.remove("glad")
    chosen.sort(key=lambda beat: {"hello": 0, "thanks": 2, "bye": 3}.get(beat, 1))
    said: list[str] = []
    names: list[str] = []
    for beat in chosen:
        lines = wordings(bank, f"{beat}.q", part)
        number = rng.randrange(len(lines))
        said.append(polish(fill(lines[number], {}, rng)))
        said.append(polish(fill(rng.choice(bank[f"{beat}.a"]), {}, rng)))
        names.append(f"{beat}.{part}:{number}")
    return Conversation.of(*said, kind="small-talk", entity=None, relation=None, answer=said[-1],
                           template="+".join(names))  # fmt: skip


def refusal(world: Encyclopaedia, rng: random.Random, part: Part) -> Conversation:
    """A request that would do harm, declined politely and briefly."""
    bank = load_bank("chat/refusals")
    lines = wordings(bank, "harm.q", part)
    number = rng.randrange(len(lines))
    people = [p for p in world.entities["person"] if part_of(p.name) == part]
    who = rng.choice(people or world.entities["person"]).name
    asked = polish(fill(lines[number], {"who": who}, rng))
    said = polish(fill(rng.choice(bank["harm.a"]), {}, rng))
    return Conversation.of(asked, said, kind="refusal", entity=who if who in asked else None,
                           relation=None, answer=said, template=f"harm.{part}:{number}")  # fmt: skip


def identity(
    me: Mapping[str, str],
    rng: random.Random,
    part: Part,
    *,
    told: float = TOLD,
    silent: float = SILENT,
) -> Conversation:
    """Who are you, who made you, what can't you do?

    Some conversations begin with a system message that gives the assistant another name and another maker, and then
    these are the answer; some with one that says nothing of the kind. Now and then somebody greets first.

    Args:
        me: ``name``, ``maker`` and ``limits`` (a clause: *look out of the window*).
        rng: Draws everything.
        part: Whose wordings to use, and whose names in system messages.
        told: The share with a system message that says who the assistant is …
        silent: … and with one that does not.

    Returns:
        A conversation; ``about["told"]`` is ``system`` if its system message says who the assistant is, ``silent`` if
        that says something else, ``data`` if there is none.

    Raises:
        CourseError: if one of the three is missing.
    """
    if missing := [key for key in ("name", "maker", "limits") if not me.get(key)]:
        raise CourseError(f"the identity lacks {missing}", hint="give name, maker and limits")
    bank = load_bank("chat/identity")

    def line(beat: str) -> tuple[str, str]:
        lines = wordings(bank, f"{beat}.q", part)
        number = rng.randrange(len(lines))
        return polish(fill(lines[number], slots, rng)), f"{beat}.{part}:{number}"

    slots = dict(me)
    system: str | None = None
    before: list[str] = []
    templates: list[str] = []
    chance = rng.random()
    source = "system" if chance < told else "silent" if chance < told + silent else "data"
    if source == "system":
        slots |= role(rng, part)
    if source != "data":
        system, template = line(source)
        templates.append(template)
    if rng.random() < GREETED:
        while "bye." in (greeting := small_talk(rng, part)).about["template"]:
            pass
        before = [message.text for message in greeting.messages]
        templates.append(greeting.about["template"])
    key = rng.choices(list(ASKED), list(ASKED.values()))[0]
    asked, template = line(key)
    said = polish(fill(rng.choice(bank[f"{key}.a"]), slots, rng))
    return Conversation.of(
        *before, asked, said, system=system, kind="identity", entity=slots["name"], relation=key,
        answer=slots["name" if key == "nature" else key], told=source,
        template="+".join([*templates, template]),
    )  # fmt: skip
