"""Dirt that is made from good pages, or from nothing: duplicates, spam, thin pages, blocked pages."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from llmcourse.data.world.country import Country
from llmcourse.data.world.grammar import Scribe, Shelf, expand
from llmcourse.data.world.textbank import load_bank
from llmcourse.data.world.writing.draft import Draft, jaccard, shingles
from llmcourse.data.world.writing.tales import titles

# A copy this similar is merged by 14 bands of 8 hashes with a probability of 1 - (1 - 0.92^8)^14,
# which is 0.9999.
NEAR = 0.92
SYNONYMS = {
    "often": "frequently",
    "small": "little",
    "large": "big",
    "evening": "night",
    "people": "folk",
    "always": "invariably",
    "old": "ancient",
    "never": "not once",
    "several": "a few",
    "children": "youngsters",
    "because": "since",
    "house": "home",
    "whole": "entire",
    "asked": "enquired",
}
ENDINGS = (
    "This text was last looked at in spring.",
    "Taken from an older edition, with thanks.",
    "There is more to be said, but not here.",
    "Our readers voted this page of the month.",
)
SPAM = ("keyword", "ellipsis", "lorem", "repeat", "symbols", "listing", "braces")


def exact_copy(draft: Draft) -> Draft:
    """The same words under the same heading."""
    return replace(draft, kind="exact-duplicate", subject=None)


def _substitute(text: str, rng: random.Random) -> str:
    places = [m for m in re.finditer(r"\b[a-z]+\b", text) if m.group(0) in SYNONYMS]
    for match in sorted(rng.sample(places, min(len(places), 2)), key=lambda m: -m.start()):
        text = text[: match.start()] + SYNONYMS[match.group(0)] + text[match.end() :]
    return text


def _new_ending(text: str, rng: random.Random) -> str:
    return f"{text} {rng.choice(ENDINGS)}"


def _other_date(text: str, rng: random.Random) -> str:
    """One number changed by a little, and a note that something was changed."""
    numbers = list(re.finditer(r"\b\d{1,4}\b(?![.\d])", text))
    if numbers:
        match = rng.choice(numbers)
        text = text[: match.start()] + str(int(match.group(0)) + 1) + text[match.end() :]
    return f"{text} Corrected edition."


def near_copy(draft: Draft, rng: random.Random) -> Draft | None:
    """A copy with a word, a date or the ending changed; none if the page is too short for that."""
    for edit in rng.sample([_substitute, _new_ending, _other_date], 3):
        text = edit(draft.text, rng)
        if NEAR <= jaccard(shingles(text), shingles(draft.text)) < 1:
            return replace(draft, kind="near-duplicate", paragraphs=text.split("\n"), subject=None)
    return None


class DirtWriter:
    """Writes what nobody will miss."""

    def __init__(self, country: Country, shelf: Shelf, rng: random.Random) -> None:
        self.country, self.shelf, self.rng = country, shelf, rng

    def _town(self) -> str:
        return self.rng.choice(self.country.towns).name

    def spam(self, sort: str) -> Draft:
        """Bad text of one of the sorts of :data:`SPAM`, for a good host."""
        rng, bank = self.rng, load_bank("spam")
        town, words = self._town(), bank["words"][0].split()
        word = rng.choice(words)
        lines: list[str]
        if sort == "keyword":  # the same few words again and again
            terms = [line.format(word=word, town=town) for line in bank["keyword"]]
            lines = [", ".join(rng.choices(terms, k=5)) for _ in range(8)]
        elif sort == "ellipsis":  # every line breaks off
            lines = [line.format(word=word, town=town) for line in bank["ellipsis"]]
            rng.shuffle(lines)
        elif sort == "lorem":
            lines = [line.format(word=word, town=town) for line in bank["lorem"]]
        elif sort == "repeat":  # one line, copied
            lines = [line.format(word=word, town=town) for line in bank["repeat"]] * 9
        elif sort == "symbols":  # hardly a word among the signs
            lines = [
                rng.choice(bank["symbols"]).format(
                    word=rng.choice(words),
                    town=self._town(),
                    a=rng.randint(1, 999) / 100,
                    b=rng.randint(10, 99),
                    c=rng.randint(1000, 9999),
                )
                for _ in range(14)
            ]
        elif sort == "listing":  # short lines, and no sentence anywhere
            lines = [
                rng.choice(bank["listing"]).format(
                    word=rng.choice(words), word2=rng.choice(words), town=self._town()
                )
                for _ in range(60)
            ]
            lines = list(dict.fromkeys(lines))
        else:  # a script has leaked into the text
            lines = [line.format(word=word, town=town) for line in bank["braces"]]
        title = f"{word.title()} {town}: cheap {word} in {town}"
        return Draft("spam", "offers", title, lines)

    def blocked(self, topic: str) -> Draft:
        """A good-looking page for a host on the block list."""
        rng = self.rng
        town = rng.choice(self.country.towns)
        slots = {
            **town.slots(),
            "town2": rng.choice([t for t in self.country.towns if t is not town]).name,
            "dish": rng.choice(self.country.dishes).name,
            "month": rng.choice(["January", "March", "June", "October", "December"]),
            "market_street": expand("[Mill|Salt|Weaver|Hat|Bridge] Street", rng),
        }
        scribe = Scribe(self.shelf, rng, "blocked", slots)
        lines = [scribe.say(f"{topic}.{beat}") for beat in ["lead", *["body"] * 6, "close"]]
        paragraphs = [" ".join(lines[i : i + 2]) for i in range(0, len(lines), 2)]
        title = titles("blocked")[topic].format(town=town.name)
        return Draft("blocked", topic, title, paragraphs)

    def thin(self) -> Draft:
        """A few words and a menu."""
        town = self._town()
        line = self.shelf.take("spam", "thin", set()).format(town=town)
        return Draft("thin", "pages", f"{town}: page {self.rng.randint(2, 99)}", [line])

    def private(self) -> Draft:
        """What robots.txt forbids to read."""
        line = self.shelf.take("spam", "private", set()).format(town=self._town())
        return Draft("private", "private", "Not for visitors", [line])
