"""Conversations in which a tool is called: a search for a fact, a program for a long sum.

Taught in chapter 10.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from ...errors import CourseError
from ..world.grammar import polish
from ..world.textbank import load_bank
from ..world.whole.entities import Entity
from ..world.whole.telling import fill
from .facts import question
from .library import queries
from .message import Conversation, Message
from .message import Part as Piece
from .split import Known, Part, part_of

Find = Callable[[str], str]
"""What a search tool shows for a query: a line ``[title] text`` for each passage."""

_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")
_LINE = re.compile(r"^\[(?P<title>.+?)\] (?P<text>.*)$", re.MULTILINE)


def search(known: Known, find: Find, rng: random.Random, part: Part) -> Conversation:
    """A question, a search, what it found, and an answer that names its page.

    Raises:
        CourseError: if no query finds a passage that tells the fact.
    """
    entity, relation = known
    asked, template = question(entity, relation, rng, part)
    for query in queries(entity, relation, rng):
        result = find(query)
        title, said = source(entity, relation, result), quote(entity, relation, result)
        if title is not None and said is not None:
            break
    else:
        raise CourseError(f"no passage tells the {relation} of {entity.name}")
    said = f'{said} (Source: "{title}")'
    turn = Message(
        "assistant", (Piece("search", query), Piece("result", result), Piece("text", said))
    )
    about = {"kind": "search", "entity": entity.name, "relation": relation,
             "answer": entity.facts[relation], "title": title, "template": template}  # fmt: skip
    return Conversation((Message.of("user", asked), turn), about)


def search_in_vain(known: Known, find: Find, rng: random.Random, part: Part) -> Conversation:
    """A question about somebody whom no page knows: a search, and *I don't know*."""
    entity, relation = known
    asked, template = question(entity, relation, rng, part)
    query = next(iter(queries(entity, relation, rng)))
    line = rng.choice(load_bank("chat/ask")["vain.a"])
    said = polish(fill(line, {"name": entity.name}, rng))
    turn = Message(
        "assistant", (Piece("search", query), Piece("result", find(query)), Piece("text", said))
    )
    about = {"kind": "search-in-vain", "entity": entity.name, "relation": relation, "answer": None,
             "template": template}  # fmt: skip
    return Conversation((Message.of("user", asked), turn), about)


def source(entity: Entity, relation: str, result: str) -> str | None:
    """The title of the first passage in a result that tells a fact: None if none does.

    A page that holds "11" in "1911", or tells it of somebody else, is no source.
    """
    who = _name(entity)
    for line in _LINE.finditer(result):
        if who.search(line[0]) and _tells(entity, relation, line["text"]):
            return line["title"]
    return None


def quote(entity: Entity, relation: str, result: str) -> str | None:
    """The first sentence in a result that names the entity and tells a fact of it, word by word: None if none does.

    A model that quotes need not rewrite, and whoever doubts it finds its words on the page.
    """
    who = _name(entity)
    for line in _LINE.finditer(result):
        for sentence in _SENTENCE_END.split(line["text"]):
            if who.search(sentence) and _tells(entity, relation, sentence):
                return sentence
    return None


def _name(entity: Entity) -> re.Pattern[str]:
    return re.compile(re.escape(entity.name.removeprefix("the ")), re.IGNORECASE)


def _tells(entity: Entity, relation: str, text: str) -> bool:
    told = rf"(?<!\w){re.escape(entity.facts[relation])}(?!\w)"
    # That the bell crab is a crab is not told by its name.
    return re.search(told, _name(entity).sub("", text)) is not None


_TRAIN = ("What is {e}?", "Please work out {e}.", "How much is {e}?", "Calculate {e} for me.",
          "I need to know {e}.", "Can you tell me what {e} is?", "{e} = ?")  # fmt: skip
_WORDS: dict[Part, tuple[str, ...]] = {
    "train": _TRAIN,
    "validation": ("What do I get for {e}?", "Find the value of {e}."),
    "held": ("What does {e} come to?", "My task is {e}. What is the result?"),
}


def python(rng: random.Random, part: Part) -> Conversation:
    """A product or sum of long numbers, worked out by a program."""
    while True:
        sign = rng.choice("x+")
        low, high = (100, 999) if sign == "x" else (10_000, 999_999)
        a, b = rng.randint(low, high), rng.randint(low, high)
        if part_of(f"{a} {sign} {b}") == part:
            break
    value = a * b if sign == "x" else a + b
    number = rng.randrange(len(_WORDS[part]))
    asked = _WORDS[part][number].format(e=f"{a} {sign} {b}")
    code = f"print({a} {'*' if sign == 'x' else '+'} {b})"
    said = rng.choice((f"The answer is {value}.", f"{a} {sign} {b} = {value}.", f"It is {value}."))
    turn = Message(
        "assistant", (Piece("python", code), Piece("result", str(value)), Piece("text", said))
    )
    about = {"kind": "python", "entity": None, "relation": sign, "answer": str(value),
             "question": f"{a} {sign} {b}", "template": f"python.{part}:{number}"}  # fmt: skip
    return Conversation((Message.of("user", asked), turn), about)
