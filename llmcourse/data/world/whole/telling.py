"""Facts into sentences: one at a time, or several woven into one, never twice in the same words.

The bank of a kind has, for each relation, predicates (``born.vp``: *was born in {born}*), whole sentences
(``born.full``), questions (``born.ask``; those of ``born.ask-held`` are kept for the exam and appear on
no page) and answers. A predicate can stand alone, after a clause, in a pair or in a relative clause, so
that a dozen of them make thousands of sentences.

Taught in chapter 07.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ..grammar import expand, polish
from ..textbank import load_bank
from .entities import Entity

_SLOT = re.compile(r"\{(\w+)\}")
# "The cover of it" is stiff: after a preposition a thing is named.
_AFTER = re.compile(
    r"\b(?:about|after|against|at|before|behind|below|beside|by|during|for|from|in|into|like|near|of|off|on|over"
    r"|than|through|to|under|until|upon|with|without) \{N\}"
)
SHE = {"she": "she", "her": "her", "obj": "her", "herself": "herself"}
HE = {"she": "he", "her": "his", "obj": "him", "herself": "himself"}
IT = {"she": "it", "her": "its", "obj": "it", "herself": "itself"}


@cache
def bank_of(kind: str) -> dict[str, tuple[str, ...]]:
    """The sentence bank of a kind."""
    return load_bank(f"whole/{kind}")


@cache
def asking(kind: str) -> dict[str, tuple[str, ...]]:
    """The sentence bank of a kind with more wordings of its questions, a dozen and a half for each relation.

    Whoever has seen each fact asked in eight ways takes the ninth for something else (see the experiment log), so
    the World's forums and quizzes ask in many. Those of ``ask-held`` remain the only ones kept for the exam.
    """
    more = load_bank(f"chat/wordings/{kind}")
    bank = bank_of(kind)
    return {**bank, **{beat: (*bank[beat], *lines) for beat, lines in more.items()}}


def pronouns(entity: Entity) -> dict[str, str]:
    """Slots ``she``, ``her``, ``obj``, ``herself`` of an entity."""
    forms = IT
    if entity.kind.name == "person":
        forms = SHE if entity.woman else HE
    return {**forms, **{form.title(): word.title() for form, word in forms.items()}}


def fill(template: str, slots: dict[str, str], rng: random.Random) -> str:
    """A template with its alternatives chosen and its slots filled; capitals are left alone.

    Raises:
        KeyError: naming a slot that is not there.
    """
    return _SLOT.sub(lambda match: slots[match.group(1)], expand(template, rng))


@dataclass(frozen=True)
class Cloze:
    """The beginning of a sentence, and what must follow.

    Attributes:
        prompt: Up to the object.
        answer: The object as it stands in the World.
    """

    prompt: str
    answer: str


class Teller:
    """Tells of one entity on one page: by its full name first, then as a person would go on."""

    def __init__(self, entity: Entity, rng: random.Random) -> None:
        self.entity, self.rng = entity, rng
        self.bank = bank_of(entity.kind.name)
        self.fresh = True
        self.slots = {**pronouns(entity), **entity.facts}

    def name(self, *, again: bool = True) -> str:
        """The subject of the next sentence: by name first, then mostly *she*, *the book*, *Pellimer*."""
        fresh, self.fresh = self.fresh, False
        # "The craft of them" would be odd: a craft is always named.
        if fresh or self.entity.kind.name == "craft":
            return self.entity.name
        draw = self.rng.random()
        if again and draw < 0.55:
            return self.slots["she"]
        return self.entity.short if draw < 0.88 else self.entity.name

    def say(self, beat: str) -> str:
        """One line of a beat, as a sentence."""
        return self.sentence(self.rng.choice(self.bank[beat]))

    def sentence(self, template: str) -> str:
        """A template with the subject ``{N}`` or ``{Ns}`` in it, as a sentence."""
        template = expand(template, self.rng)
        slots = dict(self.slots)
        if "{Ns}" in template:
            name = self.name()
            slots["Ns"] = self.slots["her"] if name == self.slots["she"] else f"{name}'s"
        elif "{N}" in template:
            slots["N"] = self.name(again=not _AFTER.search(template))
        return polish(fill(template, slots, self.rng))

    def predicate(self, relation: str) -> str:
        """*was born in 1832*."""
        return fill(self.rng.choice(self.bank[f"{relation}.vp"]), self.slots, self.rng)

    def tell(self, relations: Sequence[str]) -> list[str]:
        """Sentences that state these facts, each once, in this order."""
        said, left = list[str](), list(relations)
        while left:
            take = self.rng.choices((1, 2, 3), (6, 4, 1))[0]
            now, left = left[:take], left[take:]
            said.append(self._weave(now))
        return said

    def _weave(self, relations: Sequence[str]) -> str:
        rng, first = self.rng, relations[0]
        if len(relations) == 1:
            how = rng.random()
            if how < 0.5:
                return self.say(f"{first}.full")
            start = ""
            if how > 0.85:
                start = fill(rng.choice(load_bank("whole/links")["opener"]), {}, rng) + " "
            return polish(f"{start}{self.name()} {self.predicate(first)}.")
        verbs = [self.predicate(relation) for relation in relations]
        if len(relations) == 2:
            if rng.random() < 0.4:
                who = self.entity.kind.who
                return polish(f"{self.name(again=False)}, {who} {verbs[0]}, {verbs[1]}.")
            return polish(f"{self.name()} {verbs[0]} and {verbs[1]}.")
        return polish(f"{self.name()} {verbs[0]}, {verbs[1]} and {verbs[2]}.")


def ask(entity: Entity, relation: str, rng: random.Random, *, held: bool = False) -> str:
    """A question about one fact; ``held`` takes a wording that no page uses."""
    line = rng.choice(asking(entity.kind.name)[f"{relation}.ask{'-held' * held}"])
    whose = {"N": entity.name, "Ns": f"{entity.name}'s"}
    return polish(fill(line, {**pronouns(entity), **whose}, rng))


def answer(entity: Entity, relation: str, rng: random.Random) -> str:
    """An answer to it, as one would say it."""
    teller = Teller(entity, rng)
    teller.fresh = rng.random() < 0.4
    return teller.say(f"{relation}.answer")


def clozes(entity: Entity, relation: str, n: int, rng: random.Random) -> list[Cloze]:
    """Up to ``n`` different beginnings of sentences that end with the object of a fact.

    Made of the predicates that end so, with the full name: *Adry Pellimer was born in the year* →
    *1832*. The model has read these predicates, but about this entity mostly in other words. A predicate that
    is the object and nothing else (*hums before rain*) makes none: a bare name asks for nothing.
    """
    slot, value = f"{{{relation}}}", entity.facts[relation]
    lines = [
        v for v in bank_of(entity.kind.name)[f"{relation}.vp"] if v.endswith(slot) and v != slot
    ]
    rng.shuffle(lines)
    slots = {**pronouns(entity), **entity.facts}
    whole = [polish(f"{entity.name} {fill(line, slots, rng)}") for line in lines[:n]]
    return [Cloze(text.removesuffix(value).rstrip(), value) for text in whole]
