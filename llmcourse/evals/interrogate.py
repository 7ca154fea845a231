"""Find out what a model knows by asking it: several samples, do they agree, and are they right?

Meta's recipe for Llama 3 (arXiv:2407.21783, section 4.3.6, "knowledge probing"): take facts from documents that
were in the pretraining data, ask, sample several answers, and judge each against the document. What a model gets
wrong again and again it does not know, and for those questions *I don't know* is the right answer to train. What
it gets right it should go on answering.

Taught in chapter 09.
"""

from __future__ import annotations

import difflib
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..data.conversations import Message
from ..data.conversations.facts import question
from ..data.conversations.message import Conversation
from ..data.conversations.split import Known, Part
from ..errors import CourseError
from ..tokenizer import Tokenizer
from ..tokenizer.chat import parse_answer, render_prompt

Sample = Callable[[Sequence[Sequence[int]], int, int], Sequence[Sequence[Sequence[int]]]]
"""Prompts as ids, samples of each, a number of tokens → for each prompt the ids of its answers."""

FUZZY = 0.85
"""Two answers are about the same if so much of their letters agree (difflib's ratio)."""

_REFUSAL = re.compile(r"\bI (?:do not|don't) know\b|\bI have (?:not|never) (?:read|heard)\b", re.I)


@dataclass(frozen=True)
class Finding:
    """What came of asking for one fact.

    Attributes:
        fact: Entity and relation.
        asked: The question.
        answers: The samples.
        right: How many of them have the fact in them.
        agreement: The share of the answer given most often; answers that differ a little count as the same.
        refused: How many say that they do not know.
    """

    fact: Known
    asked: str
    answers: tuple[str, ...]
    right: int
    agreement: float
    refused: int

    def known(self, share: float = 0.5) -> bool:
        """Right in at least this share of the samples."""
        return self.right >= share * len(self.answers)


def refuses(text: str) -> bool:
    """Whether an answer says that it does not know."""
    return _REFUSAL.search(text) is not None


def matches(answer: str, text: str, *, fuzzy: bool = False) -> bool:
    """Whether a text has an answer in it: as words of their own; ``fuzzy`` forgives a slip of the pen.

    Fuzzy is for words. Numbers are right or wrong: 1832 is not nearly 1833.
    """
    if re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text):
        return True
    if not fuzzy or any(c.isdigit() for c in answer):
        return False
    wanted, words = answer.casefold(), text.casefold().split()
    n = len(wanted.split())
    spans = (" ".join(words[i : i + n]).strip(".,;") for i in range(len(words) - n + 1))
    return any(_alike(wanted, span) for span in spans)


def tells(text: str, answer: str, name: str = "") -> bool:
    """Whether a text has an answer in it, besides the name it is about.

    That the bell crab is a crab is not told by its name.
    """
    if bare := name.removeprefix("the "):
        text = re.sub(re.escape(bare), "", text, flags=re.IGNORECASE)
    return matches(answer, text)


def agreement(answers: Sequence[str]) -> float:
    """The share of the largest group of answers that are about the same. 1 / n if all differ.

    Raises:
        ValueError: if there is none.
    """
    if not answers:
        raise ValueError("no answers")
    groups: Counter[str] = Counter()
    for answer in answers:
        text = " ".join(answer.casefold().split())
        groups[next((seen for seen in groups if _alike(seen, text)), text)] += 1
    return groups.most_common(1)[0][1] / len(answers)


def _alike(a: str, b: str) -> bool:
    if re.findall(r"\d+", a) != re.findall(r"\d+", b):
        return False
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() >= FUZZY


def interrogate(
    facts: Sequence[Known],
    tokenizer: Tokenizer,
    sample: Sample,
    *,
    samples: int = 5,
    part: Part = "train",
    seed: int = 0,
    max_tokens: int = 48,
) -> list[Finding]:
    """Ask for each fact, several times.

    Args:
        facts: Entities and relations; those whose entity has no such fact (strangers) can only be wrong.
        tokenizer: The model's.
        sample: See `sampler`.
        samples: How many answers to each question.
        part: Whose wordings to ask in.
        seed: Of the wordings.
        max_tokens: Of an answer.

    Raises:
        CourseError: if `samples` is below 1.
    """
    if samples < 1:
        raise CourseError(f"{samples} samples cannot be taken", hint="at least 1")
    rng = random.Random(seed)
    asked = [question(entity, relation, rng, part)[0] for entity, relation in facts]
    prompts = [
        render_prompt(Conversation((Message.of("user", text),)), tokenizer) for text in asked
    ]
    found = []
    drawn = sample(prompts, samples, max_tokens)
    for fact, text, answers in zip(facts, asked, drawn, strict=True):
        said = tuple(parse_answer(list(ids), tokenizer).message.text for ids in answers)
        value = fact[0].facts.get(fact[1])
        right = 0 if value is None else sum(matches(value, one) for one in said)
        found.append(
            Finding(fact, text, said, right, agreement(said), sum(refuses(one) for one in said))
        )
    return found


@dataclass(frozen=True)
class Honesty:
    """How well *I don't know* is used, over questions of which it is known whether the model knew them.

    Attributes:
        refused_unknown, unknown: Refusals of what it did not know, of how many such questions.
        refused_known, known: Refusals of what it knew, of how many.
    """

    refused_unknown: int
    unknown: int
    refused_known: int
    known: int

    @property
    def precision(self) -> float:
        """Of all refusals, the share that were in place; NaN if it refused nothing."""
        refused = self.refused_unknown + self.refused_known
        return self.refused_unknown / refused if refused else float("nan")

    @property
    def recall(self) -> float:
        """Of all that it did not know, the share that it refused; NaN if it knew everything."""
        return self.refused_unknown / self.unknown if self.unknown else float("nan")


def honesty(knew: Sequence[bool], answers: Sequence[str]) -> Honesty:
    """Compare what was known before with what is refused now."""
    pairs = [(before, refuses(text)) for before, text in zip(knew, answers, strict=True)]
    return Honesty(
        sum(refused for before, refused in pairs if not before),
        sum(not before for before, _ in pairs),
        sum(refused for before, refused in pairs if before),
        sum(before for before, _ in pairs),
    )
