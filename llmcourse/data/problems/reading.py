"""Reading exercises: pages on which what nobody can guess stands twice.

A model learns to look back only where looking back pays: where a name, a number or a word that nothing
predicts comes a second time. Everyday text has enough of that for a model that reads billions of words; ours
reads millions, so these pages are dense with it. All names on them are made up on the spot and stand on no
other page: what is asked for can be read, and not remembered.

Taught in chapter 07; the reason is in Chan et al. (2022), arXiv:2205.05055: models learn from their context
when what they read is bursty and full of rare words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence

_STARTS = ("B", "Br", "C", "D", "Dr", "F", "G", "Gl", "H", "J", "K", "L", "M", "N", "P", "Qu", "R", "S", "St", "T",
           "Tr", "V", "W", "Z")  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_MIDDLES = ("b", "d", "g", "l", "ll", "m", "n", "nd", "r", "rr", "rv", "s", "st", "t", "v", "z")
_ENDS = ("", "k", "l", "m", "n", "ng", "r", "rt", "s", "sh", "th", "x")
_THINGS = (
    "goat",
    "boat",
    "mule",
    "bell",
    "cart",
    "mill",
    "dog",
    "garden",
    "horse",
    "bakery",
    "ladder",
    "cat",
)
_COLOURS = ("red", "blue", "green", "white", "black", "yellow", "brown", "grey")

# A statement, questions about it, and what answers them: {n} and {m} are names, {x} is a number, {t} a thing.
_FACTS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("{n} was born in {x}.", ("When was {n} born?", "In which year was {n} born?"), "{x}"),
    ("{n} lives in {m}.", ("Where does {n} live?", "What is the home of {n}?"), "{m}"),
    ("The {t} of {n} is called {m}.", ("What is the {t} of {n} called?", "What is the name of {n}'s {t}?"), "{m}"),
    ("{n} has a {c} {t}.", ("What does {n} have?",), "a {c} {t}"),
    ("The {t} of {n} is {c}.", ("What colour is the {t} of {n}?",), "{c}"),
    ("{n} learned everything from {m}.", ("Who taught {n}?", "Whose pupil was {n}?"), "{m}"),
    ("{n} paid {x} pence for a {t}.", ("How many pence did {n} pay?", "What did the {t} of {n} cost?"), "{x}"),
    ("{n} is a friend of {m}.", ("Who is the friend of {n}?",), "{m}"),
    ("{n} works in the house of {m}.", ("Where does {n} work?",), "in the house of {m}"),
    ("The key of {n} has the number {x}.", ("Which number has the key of {n}?",), "{x}"),
    ("{n} is known for a song about {m}.", ("What is {n} known for?",), "a song about {m}"),
    ("The people of {n} speak of {m} in winter.", ("Of whom do the people of {n} speak?",), "{m}"),
)  # fmt: skip
_FORMS = ("{q} {a}", "Question: {q} Answer: {a}", "Q: {q} A: {a}", "{q}\n{a}")


class _Page:
    """Draws what stands on one page; no name twice."""

    def __init__(self, rng: random.Random, taken: Collection[str]) -> None:
        self.rng, self.taken = rng, set(taken)

    def name(self) -> str:
        """*Drounda*, or *Ella Drounda*."""
        rng = self.rng
        while True:
            word = rng.choice(_STARTS) + rng.choice(_VOWELS)
            for _ in range(rng.choice((0, 1, 1, 2))):
                word += rng.choice(_MIDDLES) + rng.choice(_VOWELS)
            word += rng.choice(_ENDS)
            if len(word) > 3 and word not in self.taken:
                self.taken.add(word)
                return word if rng.random() < 0.7 else f"{word} {self.name()}"

    def number(self) -> str:
        return str(self.rng.choice((self.rng.randint(2, 99), self.rng.randint(1000, 1999))))

    def fact(self) -> tuple[str, str, str]:
        """A statement, a question, an answer: in short, or by the statement itself."""
        statement, questions, answer = self.rng.choice(_FACTS)
        slots = {"n": self.name(), "m": self.name(), "x": self.number(),
                 "t": self.rng.choice(_THINGS), "c": self.rng.choice(_COLOURS)}  # fmt: skip
        said = statement.format(**slots)
        short = answer.format(**slots)
        return (
            said,
            self.rng.choice(questions).format(**slots),
            said if self.rng.random() < 0.6 else f"{short[0].upper()}{short[1:]}.",
        )


def _passage(page: _Page, vocabulary: Sequence[str]) -> str:
    """Some statements, then questions about them in another order."""
    rng = page.rng
    facts = [page.fact() for _ in range(rng.randint(2, 5))]
    told = " ".join(statement for statement, _, _ in facts)
    rng.shuffle(facts)
    form = rng.choice(_FORMS)
    return "\n".join([told, *(form.format(q=q, a=a) for _, q, a in facts)])


def _register(page: _Page, vocabulary: Sequence[str]) -> str:
    """Names and numbers, and some of them asked for."""
    rng = page.rng
    entries = [(page.name(), page.number()) for _ in range(rng.randint(3, 7))]
    lead = rng.choice(("From the register.", "Who holds which number:", "The list of the keys."))
    lines = [lead, *(f"{name}: {number}" for name, number in entries)]
    for name, number in rng.sample(entries, rng.randint(2, len(entries))):
        lines.append(
            rng.choice(
                (
                    f"What stands beside {name}? {number}",
                    f"Look up {name}: {number}",
                    f"Who has the number {number}? {name}",
                )
            )
        )
    return "\n".join(lines)


def _dictation(page: _Page, vocabulary: Sequence[str]) -> str:
    """Words in no order, said again and again."""
    rng = page.rng
    lines = []
    for _ in range(rng.randint(2, 4)):
        words = [
            page.name() if rng.random() < 0.3 else rng.choice(vocabulary)
            for _ in range(rng.randint(2, 9))
        ]
        said = rng.choice((" ", ", ")).join(words)
        lead = rng.choice(("Say", "Repeat", "Write down", "Read aloud", "The words are"))
        again = rng.choice(("Once more", "Again", "And again", "You said", "The copy"))
        lines += [f"{lead}: {said}.", *(f"{again}: {said}." for _ in range(rng.randint(1, 4)))]
    return "\n".join(lines)


def _sources(page: _Page, vocabulary: Sequence[str]) -> str:
    """Short pages with titles, as a search shows them, and an answer that names where it stands."""
    rng = page.rng
    entries = []
    for _ in range(rng.randint(2, 4)):
        title = f"{rng.choice(('About', 'Notes on', 'The story of', 'A day with'))} {page.name()}"
        entries.append((title, page.fact()))
    lines = [f"{title}: {fact[0]}" for title, fact in entries]
    title, (statement, question, _) = rng.choice(entries)
    lines.append(f'{question} {statement} (Source: "{title}")')
    return "\n".join(lines)


def _errand(page: _Page, vocabulary: Sequence[str]) -> str:
    """Somebody is told something and says it to somebody else."""
    rng = page.rng
    lines = []
    for _ in range(rng.randint(2, 3)):
        sender, bearer, taker = page.name(), page.name(), page.name()
        statement, question, answer = page.fact()
        word = statement[:-1]
        lines += [
            f'{sender} said to {bearer}: "Tell {taker} this: {word}." So {bearer} went to {taker} and said: '
            f'"{word}."',
            rng.choice(
                (
                    f"Who went to {taker}? {bearer}",
                    f"Who sent {bearer}? {sender}",
                    f"{question} {answer}",
                )
            ),
        ]
    return "\n".join(lines)


_MAKERS: dict[str, tuple[Callable[[_Page, Sequence[str]], str], int]] = {
    "passage": (_passage, 35), "register": (_register, 15), "dictation": (_dictation, 25),
    "sources": (_sources, 15), "errand": (_errand, 10),
}  # fmt: skip


def pages(
    n: int, vocabulary: Sequence[str], seed: int = 0, taken: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Reading exercises: ``(sort, text)``, the sort being one of `_MAKERS`.

    Args:
        n: How many.
        vocabulary: Words for dictations.
        seed: Of everything.
        taken: Words that must not be drawn as names: those of the World.
    """
    rng = random.Random(seed)
    makers = tuple(_MAKERS)
    weights = [weight for _, weight in _MAKERS.values()]
    for _ in range(n):
        sort = rng.choices(makers, weights)[0]
        yield sort, _MAKERS[sort][0](_Page(rng, taken), vocabulary)
