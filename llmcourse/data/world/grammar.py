"""From a line of a bank to a sentence: alternatives, slots, pronouns, a/an.

``[one|another]`` picks an alternative (they nest), ``{slot}`` is filled in, ``a(n)`` becomes *a* or
*an* by the sound that follows. ``{N}`` and ``{Ns}`` name the page's subject as a person would: by
name where a paragraph begins, then mostly by pronoun.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from llmcourse.data.world.names import words
from llmcourse.data.world.textbank import load_bank

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"\b([Aa])\(n\) (?=[\"'(]?(\w+))")
_SUBJECT = re.compile(r"\{Ns?\}")
_START = re.compile(r"(^|(?<=[.!?] ))([a-zéöåü])")
_WORDS = words(
    "no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)


def number_word(n: int) -> str:
    """``7`` → ``"seven"``; figures above twenty, with a comma from a thousand on."""
    return _WORDS[n] if 0 < n < len(_WORDS) else f"{n:,}"


def a_or_an(word: str) -> str:
    """The indefinite article by sound: *an hour*, *a useful* thing, *an eel*, *an 80-year-old*."""
    low = word.lower()
    if low.startswith(("hour", "honest", "heir", "honour")):
        return "an"
    if low.startswith(("use", "uni", "eu", "one", "once", "ewe")) and not low.startswith("unin"):
        return "a"
    return "an" if low[0] in "aeiouéöåü8" or low in ("11", "18") else "a"


def conjoin(items: list[str], word: str = "and") -> str:
    """``["a", "b", "c"]`` → ``"a, b and c"``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"


def expand(template: str, rng: random.Random) -> str:
    """Choose among the ``[alternatives|of]`` a template, innermost first."""
    while "[" in template:
        template = _CHOICE.sub(lambda m: rng.choice(m.group(1).split("|")), template)
    return template


def polish(text: str) -> str:
    """Settle a/an, capitals at sentence starts and spaces."""
    text = _ARTICLE.sub(lambda m: m.group(1) + a_or_an(m.group(2))[1:] + " ", text)
    text = _START.sub(lambda m: m.group(2).upper(), " ".join(text.split()))
    return text.replace(" ,", ",").replace(" .", ".")


class Shelf:
    """Hands out the lines of a beat in a shuffled order, so that a World uses all of them evenly."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._bags: dict[tuple[str, str], list[str]] = {}

    def take(self, bank: str, beat: str, avoid: set[str]) -> str:
        """A line of ``beat`` that is not in ``avoid``, if there is one left.

        Raises:
            KeyError: If the bank has no such beat.
        """
        lines = load_bank(bank)[beat]
        bag = self._bags.setdefault((bank, beat), [])
        for _ in range(2):
            for position in range(len(bag) - 1, -1, -1):
                if bag[position] not in avoid:
                    return bag.pop(position)
            fresh = list(lines)
            self._rng.shuffle(fresh)
            bag[:0] = fresh
        return bag.pop()


class Scribe:
    """Writes one page: knows its slots, its subject, and what it has said already."""

    def __init__(
        self, shelf: Shelf, rng: random.Random, bank: str, slots: Mapping[str, str]
    ) -> None:
        self.shelf, self.rng, self.bank = shelf, rng, bank
        self.slots = dict(slots)
        self._said: set[str] = set()
        self._fresh = True

    def _name_subject(self, match: re.Match[str]) -> str:
        possessive = match.group(0) == "{Ns}"
        by_name = self._fresh or self.rng.random() < 0.25
        self._fresh = False
        if by_name:
            return "{short}'s" if possessive else "{short}"
        return "{her}" if possessive else "{she}"

    def fill(self, template: str, **extra: str) -> str:
        """One template, filled.

        Raises:
            KeyError: If the template names a slot that this page does not have.
        """
        text = _SUBJECT.sub(self._name_subject, expand(template, self.rng))
        if "{full}" in text or "{short}" in text:
            self._fresh = False
        while "{" in text:  # slots may hold slots
            text = expand(text.format_map({**self.slots, **extra}), self.rng)
        return polish(text)

    def say(self, beat: str, bank: str | None = None, **extra: str) -> str:
        """One sentence (or a few) of a beat, not said on this page before."""
        template = self.shelf.take(bank or self.bank, beat, self._said)
        self._said.add(template)
        return self.fill(template, **extra)

    def paragraph(self, *beats: str) -> str:
        """A paragraph of several beats.

        ``"?beat"`` is said half of the time, and ``"bank:beat"`` comes from another bank.
        """
        self._fresh = True
        said = []
        for beat in beats:
            if not beat.startswith("?") or self.rng.random() < 0.5:
                bank, _, name = beat.lstrip("?").rpartition(":")
                said.append(self.say(name, bank or None))
        return " ".join(said)
