"""What an assistant does with tools: does it call one where it should, read what comes, and say where that stands?

    engine = Engine(found.model, found.tokenizer, max_streams=64)
    replies = use_tools(questions, engine, [library_search(world), PythonTool()], world)
    rates(replies)["cited rightly"].value

Without tools the same questions are asked closed-book, and judged in the same way. This file makes no call itself:
that is `engine.tools`. Taught in chapter 10.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from ..data.conversations import Conversation, Message, Part
from ..data.conversations.library import library
from ..data.conversations.make import make
from ..data.conversations.split import Known, Split
from ..data.conversations.stages import RARE_TO, seldom_told, strangers
from ..data.conversations.tools import python, source
from ..data.world.whole import Encyclopaedia, Entity
from ..engine import Engine, Sampling
from ..engine.tools import (
    Budget,
    Passage,
    SearchIndex,
    SearchTool,
    Tool,
    ToolCall,
    generate_with_tools,
)
from ..errors import CourseError
from ..tokenizer import Tokenizer
from ..tokenizer.chat import render, render_prompt
from .assistant_report import HELD, NOBODY, RARE, RESERVED, quiz
from .interrogate import matches, refuses, tells
from .knowledge import Share

PRODUCTS, NEEDLESS = "long products", "no tool needed"

COURSE_BUDGET = Budget(max_calls=2, max_call_tokens=64, max_result_tokens=128)
"""Of a turn in a context of 256 tokens: a question, two searches with their cards and an answer have room."""

CARD = 240
"""Characters of the card that a search shows. The best one alone: nothing beside it can be mistaken for it."""

Outcome = Literal["right", "not looked up", "not found", "misread"]

_CITED = re.compile(r'\s*\(Source: "(?P<title>.+?)"\)')


@dataclass(frozen=True)
class ToolReply:
    """What came back to one prompt.

    Attributes:
        asked: The conversation, with the answer that was hoped for.
        message: The assistant's turn: what it wrote, and what it was shown.
        calls: The calls that it made itself.
        ended: It ended its turn by itself.
        right: What it says has the answer in it; None where no single answer is right.
        found: Something that it was shown has the answer in it.
        cited: The title of the page that it names as its source.
        cited_right: … which it was shown, which is about the right thing, and which tells what was asked.
    """

    asked: Conversation
    message: Message
    calls: tuple[ToolCall, ...]
    ended: bool
    right: bool | None
    found: bool
    cited: str | None
    cited_right: bool

    @property
    def said(self) -> str:
        """What is said aloud, without the source."""
        return _CITED.sub("", self.message.text)

    @property
    def refused(self) -> bool:
        """It says that it does not know."""
        return refuses(self.said)

    @property
    def conversation(self) -> Conversation:
        """The question and this answer."""
        return Conversation((*self.asked.prompt.messages, self.message), self.asked.about)

    def called(self, tool: str) -> bool:
        """Whether it called this tool."""
        return any(call.tool == tool for call in self.calls)

    @property
    def outcome(self) -> Outcome:
        """How it ended, where there was one right answer: if not well, at which step it went wrong."""
        if self.right:
            return "right"
        if not any(part.kind == "result" for part in self.message.parts):
            return "not looked up"
        return "misread" if self.found else "not found"


def use_tools(
    conversations: Sequence[Conversation],
    engine: Engine,
    tools: Sequence[Tool],
    world: Encyclopaedia,
    *,
    budget: Budget = COURSE_BUDGET,
    max_tokens: int = 96,
    begun: Sequence[Sequence[Part]] | None = None,
) -> list[ToolReply]:
    """Put the prompt of each conversation to a model that may call tools, and look at what it does.

    Args:
        conversations: Each ends with an answer, which the model does not see. Of its ``about``: ``answer`` has to be in
            the model's own, ``entity`` and ``relation`` say what a source has to tell.
        engine: With a tokenizer that has the protocol's special tokens.
        tools: What can be called; none: closed-book.
        world: What is true, to judge sources.
        budget: Of each turn.
        max_tokens: That the model may write in each turn.
        begun: For each conversation, parts that the answer begins with, whatever the model would have written: a
            call and its result, say.

    Raises:
        CourseError: if a conversation ends with a question, the tokenizer lacks a special token, or there are not as
            many beginnings as conversations.
    """
    if not hasattr(engine.tokenizer, "special_tokens"):
        raise CourseError(
            "tools need a tokenizer with special tokens", hint="Engine(model, tokenizer)"
        )
    tokenizer = cast(Tokenizer, engine.tokenizer)
    first = [tuple(parts) for parts in begun] if begun is not None else [()] * len(conversations)
    if len(first) != len(conversations):
        raise CourseError(f"{len(first)} beginnings for {len(conversations)} conversations")
    prompts = [
        _prompt(conversation.prompt, parts, tokenizer)
        for conversation, parts in zip(conversations, first, strict=True)
    ]
    turns = generate_with_tools(
        engine, prompts, tools, Sampling(temperature=0), budget, max_tokens=max_tokens
    )
    entities, replies = world.by_name, []
    for conversation, parts, turn in zip(conversations, first, turns, strict=True):
        message = Message("assistant", (*parts, *turn.parts))
        ended = turn.stopped == "stop_token" and not turn.open_call
        replies.append(judge(conversation, message, turn.calls, ended, entities))
    return replies


def judge(
    asked: Conversation,
    message: Message,
    calls: Sequence[ToolCall],
    ended: bool,
    entities: Mapping[str, Entity],
) -> ToolReply:
    """Compare an answer with what was hoped for, and its source with what the model was shown.

    Args:
        asked: The conversation, with the answer that was hoped for.
        message: What the model said.
        calls: Which calls it made.
        ended: Whether it ended its turn.
        entities: By name: what is true.
    """
    results = [part.text for part in message.parts if part.kind == "result"]
    hoped, relation = asked.about.get("answer"), asked.about.get("relation")
    entity = entities.get(str(asked.about.get("entity")))
    cited = _CITED.search(message.text)
    title = cited["title"] if cited else None
    right, found, cited_right = None, False, False
    if isinstance(hoped, str) and relation is not None:
        name = "" if entity is None else entity.name
        right = tells(_CITED.sub("", message.text), hoped, name)
        if entity is None:
            found = any(matches(hoped, result) for result in results)
        else:
            lines = [line for result in results for line in result.splitlines()]
            telling = {source(entity, relation, line) for line in lines} - {None}
            found, cited_right = bool(telling), title in telling
    return ToolReply(asked, message, tuple(calls), ended, right, found, title, cited_right)


def _prompt(asked: Conversation, begun: tuple[Part, ...], tokenizer: Tokenizer) -> list[int]:
    """Ids to go on from: the question, the assistant's header, and what its turn begins with."""
    if not begun:
        return render_prompt(asked, tokenizer)
    ids = render(Conversation((*asked.messages, Message("assistant", begun))), tokenizer).ids
    return ids[: len(ids) - 1 - len(tokenizer.encode_ordinary("\n"))]  # without the end of the turn


def rates(replies: Sequence[ToolReply]) -> dict[str, Share]:
    """Shares, each with its interval.

    Returns:
        ``right``, of those that can be judged; ``refused``, ``searched`` and ``ran Python``, of all; ``cited`` and
        ``cited rightly``, of the right ones.
    """
    judged = [reply for reply in replies if reply.right is not None]
    good = [reply for reply in judged if reply.right]
    n = len(replies)
    return {
        "right": Share(len(good), len(judged)),
        "refused": Share(sum(reply.refused for reply in replies), n),
        "searched": Share(sum(reply.called("search") for reply in replies), n),
        "ran Python": Share(sum(reply.called("python") for reply in replies), n),
        "cited": Share(sum(reply.cited is not None for reply in good), len(good)),
        "cited rightly": Share(sum(reply.cited_right for reply in good), len(good)),
    }


def library_search(world: Encyclopaedia, seed: int = 0) -> SearchTool:
    """The search tool of the course's assistants, as they were trained with it.

    Raises:
        CourseError: if bm25s is missing.
    """
    index = SearchIndex.build(Passage(page.title, page.text) for page in library(world, seed))
    return SearchTool(index, k=1, every_word=True, max_characters=CARD)


def products(n: int, seed: int = 0) -> list[Conversation]:
    """Questions for the product of two numbers of three digits, in numbers and wordings that only tests use."""
    rng, asked = random.Random(seed), list[Conversation]()
    while len(asked) < n:
        conversation = python(rng, "held")
        if conversation.about["relation"] == "x":
            asked.append(conversation)
    return asked


def needless(
    n: int, world: Encyclopaedia, facts: Sequence[Known], seed: int = 0
) -> list[Conversation]:
    """What needs no tool: questions for facts told often, and small talk, in wordings that only tests use."""
    rng = random.Random(seed)
    return [make("no-tool", world, rng, facts=facts, part="held") for _ in range(n)]


def report(
    engine: Engine,
    tools: Sequence[Tool],
    world: Encyclopaedia,
    mentions: Mapping[str, Mapping[str, int]],
    parts: Split,
    *,
    n: int = 300,
    split_seed: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure an assistant that may use tools.

    Args:
        engine: With the assistant's model and tokenizer.
        tools: What it can call.
        world: What is true.
        mentions: How often each fact was told in pretraining.
        parts: The facts, as they were dealt out for fine-tuning.
        n: Questions of each sort.
        split_seed: Of the split.
        seed: Of the questions.

    Returns:
        For JSON: for each sort of question the `rates`, and of rare facts how many had which `outcome`.
    """
    known = [*parts.reserved, *parts.held]
    piles = {
        RESERVED: quiz(parts.reserved, n, world, seed + 1),
        HELD: quiz(parts.held, n, world, seed + 2),
        RARE: quiz(seldom_told(world, mentions, "held", RARE_TO, split_seed), n, world, seed + 3),
        NOBODY: quiz(strangers(world, "held", split_seed), n, world, seed + 4, kind="unknown"),
        PRODUCTS: products(n, seed + 5),
        NEEDLESS: needless(n, world, known, seed + 6),
    }
    found: dict[str, Any] = {"seed": seed}
    for name, asked in piles.items():
        replies = use_tools(asked, engine, tools, world)
        found[name] = {
            what: {"right": share.right, "of": share.of, "share": share.value}
            for what, share in rates(replies).items()
            if share.of
        }
        if name == RARE:
            outcomes = [reply.outcome for reply in replies]
            found["outcomes"] = {what: outcomes.count(what) for what in dict.fromkeys(outcomes)}
    return found
