"""Small questions that look equally easy to a person, each with a right and a wrong answer.

Numbers and words are drawn with a seed; facts are few and known to every child.

Taught in chapter 14.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ..data.problems import spelling
from .either_or import EitherOr, both_orders

LARGER = (
    "Which number is larger, {a} or {b}?",
    "Which is bigger, {a} or {b}?",
    "{a} or {b}: which is the larger number?",
    "Which of these two numbers is greater: {a} or {b}?",
    "Is {a} or {b} larger?",
    "Compare {a} and {b}. Which one is more?",
    "I have the numbers {a} and {b}. Which one is the larger?",
    "What is the larger of {a} and {b}?",
)
"""Eight ways to ask for the larger of two numbers."""

LATER = (
    "Which verse comes later, {a} or {b}?",
    "Of the verses {a} and {b}, which one comes after the other?",
    "Which section of the book comes later, {a} or {b}?",
)

_ANIMALS = ("elephant", "horse", "goat", "cat", "mouse", "ant")
_CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Russia": "Moscow",
}  # fmt: skip
_OPPOSITES = {
    "hot": "cold", "large": "small", "up": "down", "old": "young", "day": "night", "open": "closed",
}  # fmt: skip
_MONTHS = ("January", "February", "March", "April", "May", "June", "July")


def trap(rng: random.Random) -> tuple[int, int, int]:
    """W, a and b of two numbers w.a and w.b, where b has two digits and the first is below a: 9, 9 and 11."""
    a = rng.randint(2, 9)
    return rng.randint(1, 9), a, 10 * rng.randint(1, a - 1) + rng.randint(1, 9)


def traps(n: int, seed: int = 0) -> list[tuple[int, int, int]]:
    """The first is (9, 9, 11); the others are drawn, and no two are the same."""
    rng, found = random.Random(seed), [(9, 9, 11)]
    while len(found) < n:
        drawn = trap(rng)
        if drawn not in found:
            found.append(drawn)
    return found


def _numbers(
    write: Callable[[int, int, int], tuple[str, str]], forms: tuple[str, ...], start: str
) -> _Maker:
    def make(rng: random.Random) -> tuple[str, str, str, str]:
        return rng.choice(forms), start, *write(*trap(rng))

    return make


def _from(pairs: dict[str, str], what: str) -> _Maker:
    def make(rng: random.Random) -> tuple[str, str, str, str]:
        asked, other = rng.sample(list(pairs), 2)
        of = f"{what} of {asked}"
        return f"What is the {of}?", f"The {of} is", pairs[asked], pairs[other]

    return make


def _animal(rng: random.Random) -> tuple[str, str, str, str]:
    large, small = sorted(rng.sample(range(len(_ANIMALS)), 2))
    form = "Which animal is larger, the {a} or the {b}?"
    return form, "The larger animal is the", _ANIMALS[large], _ANIMALS[small]


def _month(rng: random.Random) -> tuple[str, str, str, str]:
    place = rng.randrange(len(_MONTHS) - 1)
    other = rng.choice([m for n, m in enumerate(_MONTHS) if n not in (place, place + 1)])
    start = f"The month after {_MONTHS[place]} is"
    return f"Which month comes after {_MONTHS[place]}?", start, _MONTHS[place + 1], other


def _sum(rng: random.Random) -> tuple[str, str, str, str]:
    x, y = rng.randint(2, 9), rng.randint(2, 9)
    wrong = x + y + rng.choice((-1, 1))
    return f"What is {x} + {y}?", f"{x} + {y} =", str(x + y), str(wrong)


def _first_letter(rng: random.Random) -> tuple[str, str, str, str]:
    word = rng.choice([word for word in spelling.words(6) if word[0] not in word[1:]])
    other = rng.choice(word[1:])
    return f"What is the first letter of {word}?", f"The first letter of {word} is", word[0], other


def _longer(rng: random.Random) -> tuple[str, str, str, str]:
    long, short = rng.choice(spelling.words(8)), rng.choice(spelling.words(4))
    return "Which word has more letters, {a} or {b}?", "The longer word is", long, short


def _letter(rng: random.Random) -> tuple[str, str, str, str]:
    some = spelling.words(5)
    while True:
        letter, has, lacks = rng.choice("aeiorst"), rng.choice(some), rng.choice(some)
        if letter in has and letter not in lacks and has[0] != lacks[0]:
            form = f"Which word has the letter {letter} in it, {{a}} or {{b}}?"
            return form, f"The word with the letter {letter} is", has, lacks


def _alphabet(rng: random.Random) -> tuple[str, str, str, str]:
    while True:
        first, second = sorted(rng.sample(spelling.words(5), 2))
        if first[0] != second[0]:
            form = "Which word comes first in the alphabet, {a} or {b}?"
            return form, "The word that comes first is", first, second


_Maker = Callable[[random.Random], tuple[str, str, str, str]]
LARGER_IS = "The larger number is"
SORTS: dict[str, _Maker] = {
    "capital city": _from(_CAPITALS, "capital"),
    "opposite": _from(_OPPOSITES, "opposite"),
    "next month": _month,
    "sum of two digits": _sum,
    "first letter": _first_letter,
    "larger animal": _animal,
    "longer word": _longer,
    "letter in a word": _letter,
    "order of the alphabet": _alphabet,
    "90 or 11": _numbers(lambda w, a, b: (f"{a}0", f"{b}"), LARGER, LARGER_IS),
    "9.9 or 9.1": _numbers(lambda w, a, b: (f"{w}.{a}", f"{w}.{b // 10}"), LARGER, LARGER_IS),
    "9.90 or 9.11": _numbers(lambda w, a, b: (f"{w}.{a}0", f"{w}.{b}"), LARGER, LARGER_IS),
    "9.9 or 9.11": _numbers(lambda w, a, b: (f"{w}.{a}", f"{w}.{b}"), LARGER, LARGER_IS),
    "verse 9.9 or 9.11": _numbers(
        lambda w, a, b: (f"{w}.{b}", f"{w}.{a}"), LATER, "The later one is"
    ),
}
"""What can be asked: each makes a question, the answer's beginning, how it goes on rightly, and wrongly."""


def questions(sort: str, n: int, seed: int = 0) -> list[EitherOr]:
    """So many different questions of a sort; those that name both answers in both orders, 2 n."""
    rng = random.Random(f"{sort}\n{seed}")
    drawn: dict[tuple[str, str, str, str], None] = {}
    for _ in range(100 * n):  # of some sorts there are not many
        drawn[SORTS[sort](rng)] = None
        if len(drawn) == n:
            break
    return [one for made in drawn for one in both_orders(*made, sort)]
