"""A problem: a question, the way to its answer, and the answer.

Taught in chapter 12.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something to be worked out.

    Attributes:
        kind: What sort it is, for example ``sum``.
        question: In words.
        steps: The way to the answer, each step small enough to be taken in one breath.
        answer: As it is to be written.
        level: How hard, from 1; what it means depends on the kind.
        template: Which wording the question has, where that is kept track of.
        given: What the question is about, its numbers or its word, where that is kept track of.
    """

    kind: str
    question: str
    steps: tuple[str, ...]
    answer: str
    level: int = 1
    template: str = ""
    given: tuple[str, ...] = ()

    @property
    def worked(self) -> str:
        """The solution with its steps."""
        return " ".join((*self.steps, f"The answer is {self.answer}."))

    @property
    def direct(self) -> str:
        """The answer alone."""
        return f"The answer is {self.answer}."
