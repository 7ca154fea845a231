"""Whom does a model say that it is? Asked many times, its answers are a distribution.

Answers are read with patterns: the first of some known names in it, or what the answer does instead of naming one of
them. Patterns know no *not*: "I am not ChatGPT" counts as ChatGPT. Whoever wants to be sure reads the answers.

Taught in chapter 11.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..data.conversations.message import CALLS, Conversation, Message
from ..data.conversations.split import Part, wordings
from ..data.conversations.talk import ASKED, identity
from ..data.world.textbank import load_bank
from ..errors import CourseError
from ..tokenizer import Tokenizer
from ..tokenizer.chat import parse_answer, render_prompt
from .assistant import Generate, ask
from .interrogate import refuses
from .knowledge import Share

Sample = Callable[[Sequence[Sequence[int]], int, int], Sequence[Sequence[Sequence[int]]]]
"""Prompts as ids, draws of each, a number of tokens → for each prompt the ids of its answers: `assistant.sampler`."""

COMPANIES: Mapping[str, str] = {
    "Hugging Face": r"hugging\s?face|smol\s?lm",
    "OpenAI": r"open\s?ai|chat\s?gpt|\bgpt-?\d",
    "Google": r"google|deepmind|\bbard\b|\bgemini\b",
    "Meta": r"meta ai|\bmeta\b|facebook|\bllama\b",
    "Microsoft": r"microsoft|\bbing\b|\bcopilot\b|cortana",
    "Anthropic": r"anthropic|\bclaude\b",
    "another company": r"\bibm\b|watson|amazon|alexa|apple|\bsiri\b|alibaba|\bqwen\b|mistral|deepseek|nvidia|samsung",
}
"""Makers of assistants, and what they and their assistants are called."""

SOMEBODY = "somebody else"
UNKNOWING = "does not know"
CALLING = "looks it up"
NOBODY = "names nobody"
REST = (SOMEBODY, UNKNOWING, CALLING, NOBODY)
"""What an answer does that has none of the known names."""

_ARE_NO_NAMES = r"(?!(?:I|AI|A\.I\.|Artificial|LLM|LLMs|English|Python)\b)"
_NAMES = re.compile(
    r"\b(?:(?:I am|I'm|name is|call me)(?: the| a| an)?"
    r"|(?:made|built|created|developed|trained|designed|written|programmed) by(?: [a-z]+){0,6})"
    rf" {_ARE_NO_NAMES}[A-Z]\w*"
)


def askings(
    about: Sequence[str] = ("name", "maker"), part: Part = "held", system: str | None = None
) -> list[Conversation]:
    """Questions for who an assistant is, each the beginning of a conversation; by default such as no training has.

    Args:
        about: Of ``name``, ``maker``, ``nature``, ``limits``.
        part: Whose wordings. Those of ``train`` have alternatives in brackets: the first of each is taken.
        system: A system message to put before each.

    Raises:
        CourseError: if nothing is asked about one of them.
    """
    bank = load_bank("chat/identity")
    found = []
    for key in about:
        if key not in ASKED:
            raise CourseError(f"nobody asks an assistant for its {key!r}", hint=", ".join(ASKED))
        for line in wordings(bank, f"{key}.q", part):
            text = re.sub(r"\[([^|\]]*)[^\]]*\]", r"\1", line)
            found.append(Conversation.of(text, system=system, kind="identity", relation=key))
    return found


def answers(
    conversations: Sequence[Conversation],
    tokenizer: Tokenizer,
    sample: Sample,
    *,
    draws: int = 5,
    max_tokens: int = 32,
) -> list[list[Message]]:
    """Several answers to each question.

    Args:
        conversations: Each ends with a user's message.
        tokenizer: The model's; it has the protocol's special tokens.
        sample: How to draw answers.
        draws: How many of each.
        max_tokens: Of an answer.

    Returns:
        For each conversation, its answers.
    """
    prompts = [render_prompt(conversation, tokenizer) for conversation in conversations]
    return [
        [parse_answer(list(ids), tokenizer).message for ids in drawn]
        for drawn in sample(prompts, draws, max_tokens)
    ]


def named(answer: Message, names: Mapping[str, str]) -> str:
    """Who is named first in an answer: one of `names`, or one of `REST`.

    Args:
        answer: What a model said.
        names: Label → a regular expression; capitals do not matter.
    """
    found = {
        label: match.start()
        for label, pattern in names.items()
        if (match := re.search(pattern, answer.text, re.IGNORECASE))
    }
    if found:
        return min(found, key=lambda label: found[label])
    if any(part.kind in CALLS for part in answer.parts):
        return CALLING
    if refuses(answer.text):
        return UNKNOWING
    return SOMEBODY if _NAMES.search(answer.text) else NOBODY


def tally(answers: Iterable[Message], names: Mapping[str, str]) -> dict[str, int]:
    """How often each was named: all labels of `names` and of `REST`, in this order, zeros too."""
    counted = Counter(named(answer, names) for answer in answers)
    return {label: counted[label] for label in (*names, *REST)}


def says(answers: Iterable[Message], what: str) -> Share:
    """In how many answers a piece of text stands, word for word."""
    texts = [answer.text for answer in answers]
    whole = re.compile(rf"(?<!\w){re.escape(what)}(?!\w)")
    return Share(sum(bool(whole.search(text)) for text in texts), len(texts), what)


def report(
    tokenizer: Tokenizer, generate: Generate, me: Mapping[str, str], *, n: int = 400, seed: int = 0
) -> dict[str, Any]:
    """Measure an assistant that was told who it is: likeliest answers, in wordings that no training has.

    Args:
        tokenizer: The model's.
        generate: Of `assistant.generator`.
        me: Who it should be: ``name``, ``maker``, ``limits``.
        n: Conversations in all.
        seed: Of the conversations.

    Returns:
        For JSON: ``told`` → what was asked → how many were right, of how many. Told by ``data``: no system message;
        ``silent``: one that says nothing of it; ``system``: one with another name and maker, drawn anew each time.
    """
    rng = random.Random(seed)
    replies = ask([identity(me, rng, "held") for _ in range(n)], tokenizer, generate)
    found: dict[str, Any] = {"seed": seed}
    for told in ("data", "silent", "system"):
        mine = [reply for reply in replies if reply.asked.about["told"] == told]
        groups = {"all": mine}
        for key in ASKED:
            groups[key] = [reply for reply in mine if reply.asked.about["relation"] == key]
        found[told] = {
            key: _row(sum(bool(reply.right) for reply in some), len(some))
            for key, some in groups.items()
        }
    return found


def _row(right: int, of: int) -> dict[str, Any]:
    share = Share(right, of)
    return {"right": right, "of": of, "share": share.value if of else None}
