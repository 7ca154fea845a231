"""What a model knows of the World, against how often it read it.

A *cloze* is a sentence that breaks off before a fact: ``Adry Pellimer was born in the year``. The model
goes on greedily, and knows the fact if it writes ``1832``. Since the World counts its mentions, the share of
facts known can be drawn against the number of times they were read. Chance is measured beside it: how often one
would be right by always giving the relation's most frequent answer.

Taught in chapter 07.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..data.world.whole import Encyclopaedia, Entity
from ..data.world.whole.telling import clozes

Continue = Callable[[Sequence[str], int], Sequence[str]]
"""Prompts and a number of tokens → what the model writes after each."""

BANDS = ((1, 1), (2, 3), (4, 9), (10, 29), (30, 99), (100, 10_000))
"""Numbers of mentions that are looked at together."""


@dataclass(frozen=True)
class Question:
    """A cloze about a fact whose mentions were counted.

    Attributes:
        subject: The entity.
        kind: Its kind.
        relation: What is asked.
        prompt: The beginning of the sentence.
        answer: How it must go on.
        mentions: How often the fact was told in the training text.
    """

    subject: str
    kind: str
    relation: str
    prompt: str
    answer: str
    mentions: int


@dataclass(frozen=True)
class Share:
    """So many of so many, with an interval.

    Attributes:
        right: How many.
        of: Of how many.
        label: What of.
    """

    right: int
    of: int
    label: str = ""

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.right / self.of if self.of else math.nan

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Wilson's interval (1927): by default 95 %."""
        if not self.of:
            return 0.0, 1.0
        n, p = self.of, self.value
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


def questions(
    world: Encyclopaedia,
    mentions: Mapping[str, Mapping[str, int]],
    *,
    per_band: int = 200,
    bands: Sequence[tuple[int, int]] = BANDS,
    seed: int = 0,
) -> list[Question]:
    """Clozes about facts of every band of mentions, drawn at random within the band.

    Args:
        world: The facts.
        mentions: How often each was told, as `read_mentions` reads it.
        per_band: At most so many facts of a band.
        bands: Least and greatest number of mentions.
        seed: Of the draw and the wordings.
    """
    rng = random.Random(seed)
    drawn: list[Question] = []
    everything = [(entity, relation) for entity in world.everything() for relation in entity.facts]
    for low, high in bands:
        members = [
            (entity, relation)
            for entity, relation in everything
            if low <= mentions.get(entity.name, {}).get(relation, 0) <= high
        ]
        for entity, relation in rng.sample(members, min(per_band, len(members))):
            for cloze in clozes(entity, relation, 1, rng):
                told = mentions[entity.name][relation]
                drawn.append(
                    Question(
                        entity.name, entity.kind.name, relation, cloze.prompt, cloze.answer, told
                    )
                )
    return drawn


def answered(
    asked: Sequence[Question],
    go_on: Continue,
    possible: Mapping[tuple[str, str], set[str]] | None = None,
    max_tokens: int = 24,
) -> list[bool]:
    """Whether each cloze is completed with its answer.

    Args:
        asked: The clozes.
        go_on: What answers them.
        possible: Of `possible_answers`: the answer may come a little later in the sentence, see `names_the_answer`.
            Without it, it has to come at once, to the letter.
        max_tokens: How long an answer may be.
    """
    texts = go_on([question.prompt for question in asked], max_tokens)
    if possible is None:
        return [is_right(q.answer, text) for q, text in zip(asked, texts, strict=True)]
    return [names_the_answer(q, text, possible) for q, text in zip(asked, texts, strict=True)]


def is_right(answer: str, text: str) -> bool:
    """Whether a continuation begins with an answer: the words, and then no further letter or digit.

    ``1832`` is right for ``" 1832 and"``, and neither for ``" 18325"`` nor for ``" 1,832"``.
    """
    text = text.lstrip()
    rest = text[len(answer) :]
    return text.startswith(answer) and not rest[:1].isalnum()


_SENTENCE_END = re.compile(r"[.!?](?:\s|$)|\n")


def names_the_answer(
    question: Question, text: str, possible: Mapping[tuple[str, str], set[str]]
) -> bool:
    """Whether, of all that could be an answer, the right one is what a continuation's sentence names first.

    ``was buried in`` may go on with ``" 1893"`` or with ``" the spring of 1893"``: who writes the second knows the
    year no less. What counts is the first year in the sentence, so that one who lists many years gains nothing.

    Args:
        question: What was asked.
        text: What was written after its prompt.
        possible: Of `possible_answers`.
    """
    end = _SENTENCE_END.search(text)
    sentence = text[: end.start()] if end else text
    values = possible[question.kind, question.relation]
    found = [(place, -len(v)) for v in values if (place := _place(v, sentence)) >= 0]
    right = _place(question.answer, sentence)
    return right >= 0 and min(found) == (right, -len(question.answer))


def _place(value: str, sentence: str) -> int:
    """Where a value stands in a sentence, as words of its own; -1 if nowhere."""
    if value not in sentence:
        return -1
    found = re.search(rf"(?<!\w){re.escape(value)}(?!\w|[.,]\d)", sentence)
    return found.start() if found else -1


def by_mentions(
    asked: Sequence[Question], right: Sequence[bool], bands: Sequence[tuple[int, int]] = BANDS
) -> list[Share]:
    """The share of facts known in each band."""
    shares = []
    for low, high in bands:
        inside = [ok for q, ok in zip(asked, right, strict=True) if low <= q.mentions <= high]
        label = str(low) if low == high else f"{low}–{high}" if high < 10_000 else f"{low}+"
        shares.append(Share(sum(inside), len(inside), label))
    return shares


def by_guessing(world: Encyclopaedia, asked: Sequence[Question]) -> Share:
    """How many would be right by always giving the most frequent answer to such a question."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for entity in world.everything():
        for relation, value in entity.facts.items():
            counts.setdefault((entity.kind.name, relation), Counter())[value] += 1
    best = {key: counter.most_common(1)[0][0] for key, counter in counts.items()}
    return Share(sum(best[q.kind, q.relation] == q.answer for q in asked), len(asked), "guessing")


def facts_told(
    mentions: Mapping[str, Mapping[str, int]], bands: Sequence[tuple[int, int]] = BANDS
) -> list[tuple[int, int]]:
    """For each band, how many facts it has, and how many times these were told altogether."""
    times = [n for facts in mentions.values() for n in facts.values()]
    inside = [[n for n in times if low <= n <= high] for low, high in bands]
    return [(len(some), sum(some)) for some in inside]


def weighted(shares: Sequence[Share], weights: Sequence[float]) -> float:
    """The share of all, from the shares of parts that are as large as their weights.

    Raises:
        ValueError: if there are not as many of each, or all weights are 0.
    """
    total = sum(weights)
    if not total:
        raise ValueError("the weights are all 0")
    return sum(s.value * w for s, w in zip(shares, weights, strict=True) if w) / total


def about_strangers(world: Encyclopaedia, number: int = 100, seed: int = 0) -> list[Question]:
    """Clozes about names that occur nowhere: their right answer is that nobody knows.

    The answer that a question carries is that of another entity of the kind, and means nothing; it was mentioned 0
    times.

    Raises:
        ValueError: if there are fewer strangers.
    """
    rng = random.Random(seed)
    everybody = [stranger for some in world.strangers.values() for stranger in some]
    if len(everybody) < number:
        raise ValueError(f"there are {len(everybody)} strangers, not {number}")
    asked: list[Question] = []
    for who in rng.sample(everybody, len(everybody)):
        facts = rng.choice(world.entities[who.kind.name]).facts
        relation = rng.choice(list(facts))
        guise = Entity(who.kind, who.name, who.short, who.woman, 0, facts)
        for cloze in clozes(guise, relation, 1, rng):
            asked.append(Question(who.name, who.kind.name, relation, cloze.prompt, cloze.answer, 0))
        if len(asked) == number:
            return asked
    raise ValueError(f"only {len(asked)} of {number} questions can be asked")


def possible_answers(world: Encyclopaedia) -> dict[tuple[str, str], set[str]]:
    """For each kind and relation, all that is true of some entity."""
    values: dict[tuple[str, str], set[str]] = {}
    for entity in world.everything():
        for relation, value in entity.facts.items():
            values.setdefault((entity.kind.name, relation), set()).add(value)
    return values


def is_of_the_right_sort(
    question: Question, text: str, possible: Mapping[tuple[str, str], set[str]]
) -> bool:
    """Whether a continuation begins with something that could be an answer: a year where a year is asked for."""
    return any(is_right(value, text) for value in possible[question.kind, question.relation])
