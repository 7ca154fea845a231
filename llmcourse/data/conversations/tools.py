"""Conversations in which a tool is called: a search for a fact, a program for a long sum.

Taught in chapter 10.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from ...errors import CourseError
from ..world.grammar import polish
from .facts import question, statement
from .message import Conversation, Message
from .message import Part as Piece
from .split import Known, Part, part_of

Passages = Callable[[str, str], Sequence[tuple[str, str]]]
"""From an entity's name and a relation: (title of a page, passage), the one that tells the fact first."""


def search(known: Known, passages: Passages, rng: random.Random, part: Part) -> Conversation:
    """A question, a search, what it found, and an answer that names its page.

    Raises:
        CourseError: if no passage tells the fact.
    """
    entity, relation = known
    found = list(passages(entity.name, relation))
    value = entity.facts[relation]
    # A page that holds "11" in "1911", or tells it of somebody else, is no source.
    told = re.compile(rf"(?<!\w){re.escape(value)}(?!\w)")
    who = entity.name.removeprefix("the ")
    telling = [title for title, text in found if told.search(text) and who in f"{title} {text}"]
    if not telling:
        raise CourseError(f"no passage tells the {relation} of {entity.name}")
    title = telling[0]
    rng.shuffle(found)
    asked, template = question(entity, relation, rng, part)
    wanted = entity.kind.relation(relation).question
    query = rng.choice((f"{entity.name} {wanted}", f"{wanted} of {entity.name}", entity.name))
    result = "\n".join(f"{head}: {text}" for head, text in found)
    said = polish(statement(entity, relation, rng)) + f' (Source: "{title}")'
    turn = Message(
        "assistant", (Piece("search", query), Piece("result", result), Piece("text", said))
    )
    about = {"kind": "search", "entity": entity.name, "relation": relation, "answer": value,
             "title": title, "template": template}  # fmt: skip
    return Conversation((Message.of("user", asked), turn), about)


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
