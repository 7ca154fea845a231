"""Sentences into pages that tell facts: articles, lists, quizzes, forum threads, letters, news.

Every page knows which facts it tells, so that they can be counted when the filters are through.

Taught in chapter 07.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..textbank import load_bank
from ..writing.draft import Draft
from .entities import Entity
from .kinds import KINDS
from .telling import Teller, answer, ask, fill

Told = tuple[str, str]  # an entity's name, a relation
Passage = tuple[Entity, Sequence[str]]  # an entity, and what to tell of it


@dataclass
class Leaf:
    """A page and the facts on it.

    Attributes:
        draft: Its words.
        told: What it tells; a fact that it tells twice stands here twice.
    """

    draft: Draft
    told: list[Told]


def _told(passages: Sequence[Passage]) -> list[Told]:
    return [(entity.name, relation) for entity, relations in passages for relation in relations]


def paragraphs(
    sentences: Sequence[str], rng: random.Random, low: int = 2, high: int = 4
) -> list[str]:
    """Sentences in paragraphs of two to four."""
    cuts = [0]
    while cuts[-1] < len(sentences):
        cuts.append(min(len(sentences), cuts[-1] + rng.randint(low, high)))
    return [" ".join(sentences[a:b]) for a, b in pairwise(cuts)]


class FactWriter:
    """Writes pages that tell facts."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def link(self, beat: str, **slots: str) -> str:
        """A line of the bank ``links``."""
        return fill(self.rng.choice(load_bank("whole/links")[beat]), slots, self.rng)

    def article(self, entity: Entity) -> Leaf:
        """All that is known of an entity, in an order and in words of this page alone."""
        rng = self.rng
        left = list(entity.facts)
        rng.shuffle(left)
        colour = rng.sample(Teller(entity, rng).bank["colour"], rng.randint(1, 3))
        teller, parts = Teller(entity, rng), list[str]()
        while left:
            teller.fresh = not parts or rng.random() < 0.5  # named again where a paragraph begins
            take = rng.randint(2, 4)
            said, left = teller.tell(left[:take]), left[take:]
            if colour and rng.random() < 0.6:
                said.insert(rng.randint(1, len(said)), teller.sentence(colour.pop()))
            if rng.random() < 0.08:
                said.append(self.link("between"))
            parts.append(" ".join(said))
        title = teller_title(entity, rng)
        draft = Draft("article", entity.kind.plural, title, parts, subject=entity.name)
        return Leaf(draft, [(entity.name, relation) for relation in entity.facts])

    def listing(self, passages: Sequence[Passage]) -> Leaf:
        """Several of a kind, a sentence or two for each."""
        what = passages[0][0].kind.plural
        items = [" ".join(Teller(entity, self.rng).tell(rels)) for entity, rels in passages]
        lines = [self.link("list-intro", what=what), *items, self.link("list-close")]
        title = self.rng.choice(("Some {0}", "A list of {0}", "{0} of Halvern", "A few {0}"))
        title = title.format(what).capitalize().replace("halvern", "Halvern")
        return Leaf(Draft("list", "lists", title, lines, layout="list"), _told(passages))

    def quiz(self, passages: Sequence[Passage]) -> Leaf:
        """Questions with their answers."""
        rng = self.rng
        q, a = rng.choice(
            (
                ("Question: ", " Answer: "),
                ("Q: ", " A: "),
                ("", " "),
                ("", " "),
                ("Who knows? ", " "),
            )
        )
        lines = [self.link("quiz-intro")]
        for entity, relations in passages:
            for relation in relations:
                said = answer(entity, relation, rng)
                lines.append(f"{q}{ask(entity, relation, rng)}{a}{said}")
        lines.append(self.link("quiz-close"))
        return Leaf(Draft("list", "quizzes", "A quiz", lines, layout="list"), _told(passages))

    def thread(self, passages: Sequence[Passage]) -> Leaf:
        """Questions on the forum, and what people answered."""
        rng, posts = self.rng, list[str]()
        for entity, relations in passages:
            for relation in relations:
                asked = ask(entity, relation, rng)
                intro = self.link("forum-q-intro") + " " if rng.random() < 0.5 else ""
                close = " " + self.link("forum-close") if rng.random() < 0.3 else ""
                posts += [f"{intro}{asked}", f"{answer(entity, relation, rng)}{close}"]
                if rng.random() < 0.35:
                    posts.append(self.link("forum-thanks"))
        title = ask(passages[0][0], passages[0][1][0], rng)
        return Leaf(Draft("forum", "questions", title, posts, layout="posts"), _told(passages))

    def news(self, passages: Sequence[Passage]) -> Leaf:
        """Short notes on this and that."""
        rng = self.rng
        said = [self.link("news-intro")]
        for entity, relations in passages:
            teller = Teller(entity, rng)
            note = teller.tell(relations)
            if rng.random() < 0.35:
                note.append(teller.say("colour"))
            said.append(" ".join(note))
        draft = Draft("article", "notes", "Notes of the week", paragraphs(said, rng, 1, 3))
        return Leaf(draft, _told(passages))


def teller_title(entity: Entity, rng: random.Random) -> str:
    """A heading for an article."""
    title = Teller(entity, rng).say("title").rstrip(".")
    return title[:1].upper() + title[1:]


def sorts() -> list[str]:
    """The kinds of entities, by name."""
    return list(KINDS)
