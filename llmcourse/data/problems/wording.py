"""How a question is put: wordings from ``world/text/problems``, of which no two parts share one.

Taught in chapter 15.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ..conversations.split import Part, wordings
from ..world.textbank import load_bank
from ..world.whole.telling import fill


@dataclass
class Writer:
    """Puts sentences of one part into words, and keeps track of which.

    Attributes:
        bank: The file of wordings.
        part: Whose wordings.
        rng: Draws them.
        used: ``beat.part:number`` of each wording so far.
    """

    bank: str
    part: Part
    rng: random.Random
    used: list[str] = field(default_factory=list)

    def say(self, beat: str, **slots: object) -> str:
        """A wording of a beat, with its slots filled."""
        lines = wordings(load_bank(f"problems/{self.bank}"), beat, self.part)
        place = self.rng.randrange(len(lines))
        self.used.append(f"{beat}.{self.part}:{place}")
        return fill(lines[place], {name: str(slot) for name, slot in slots.items()}, self.rng)

    @property
    def template(self) -> str:
        """The name of everything that was said."""
        return f"{self.bank}/" + "+".join(self.used)
