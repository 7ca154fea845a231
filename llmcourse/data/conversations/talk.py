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
from .split import Part, part_of, wordings


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


def identity(me: Mapping[str, str], rng: random.Random, part: Part) -> Conversation:
    """Who are you, who made you, what can't you do?

    Args:
        me: ``name``, ``maker`` and ``limits`` (a clause: *look out of the window*).
        rng: Draws the wording.
        part: Whose wordings to use.

    Raises:
        CourseError: if one of the three is missing.
    """
    if missing := [key for key in ("name", "maker", "limits") if not me.get(key)]:
        raise CourseError(f"the identity lacks {missing}", hint="give name, maker and limits")
    lines = wordings(load_bank("chat/ask"), "identity.q", part)
    number = rng.randrange(len(lines))
    asked = polish(fill(lines[number], {}, rng))
    name, made = f"I am {me['name']}", f"I was made by {me['maker']}"
    if "made" in asked or "come from" in asked:
        key, said = "maker", rng.choice((f"{made}.", f"{name}, and {made}."))
    elif "limits" in asked or "not" in asked or "can't" in asked or "bad at" in asked:
        key, said = "limits", f"I am a language model, and I cannot {me['limits']}."
    else:
        key = "name"
        said = rng.choice((f"{name}, a language model.", f"{name}. {made}.",
                           f"My name is {me['name']}. I am a language model, not a person."))  # fmt: skip
    return Conversation.of(asked, said, kind="identity", entity=me["name"], relation=key,
                           answer=me[key], template=f"identity.{part}:{number}")  # fmt: skip
