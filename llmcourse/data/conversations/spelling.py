"""Spelling and counting letters, in conversation.

Taught in chapters 08 and 13.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from ...errors import CourseError
from ..problems import letters
from .message import Conversation
from .split import Part, part_of

# Words of any English text; the ones of a part are its own.
WORDS = tuple(
    """
    apple basket bread bridge butter candle carpet castle cheese cherry church corner cousin dinner
    doctor evening family farmer feather finger flower forest friend garden grandmother hammer
    harbour harvest honey island kettle kitchen ladder lantern letter market meadow mirror morning
    mountain neighbour onion orchard paper pepper picture pillow pocket potato rabbit ribbon river
    saddle sailor school silver sister soldier spoon stable stone street summer supper table teacher
    thunder tower village wagon water weather weaver window winter wood yellow autumn barrel blanket
    bottle button chimney coffee cottage cupboard daughter donkey engine fiddle fountain hedge
    herring journey kingdom lemon miller needle parcel pigeon plough pudding quarrel sparrow
    squirrel station sugar swallow tailor thimble ticket traveller turnip valley velvet violin
    walnut whistle
    """.split()  # noqa: SIM905 (a page of words is read more easily than a list)
)


def spelling(rng: random.Random, part: Part, words: Sequence[str] = WORDS) -> Conversation:
    """A word spelled, or its letters counted, with the way to the answer.

    Raises:
        CourseError: if no word belongs to this part.
    """
    own = [word for word in words if part_of(word) == part]
    if not own:
        raise CourseError(f"there is no word for the part {part!r}", hint="give more words")
    word = rng.choice(own)
    make = rng.choice((letters.spell, letters.length, letters.nth, letters.occurrences))
    problem = make(word, rng)
    return Conversation.of(problem.question, problem.worked, kind="spelling", entity=word,
                           relation=problem.kind, answer=problem.answer,
                           template=f"{problem.kind}.{part}")  # fmt: skip
