"""Reading exercises: what is asked stands on the page, the names on no other, and the World's are left alone."""

from __future__ import annotations

import re
from collections import Counter

from llmcourse.data.problems.reading import pages

WORDS = ["river", "stone", "warm", "slowly"]


def test_a_seed_gives_the_same():
    assert list(pages(30, WORDS, 1)) == list(pages(30, WORDS, 1)) != list(pages(30, WORDS, 2))


def test_all_sorts_come():
    assert {sort for sort, _ in pages(200, WORDS)} == {
        "passage",
        "register",
        "dictation",
        "sources",
        "errand",
    }


def test_what_answers_stands_on_the_page_before():
    """Every name and number of the last answer has been said above it."""
    for sort, text in pages(300, WORDS):
        if sort in ("passage", "sources"):
            last = text.split("\n")[-1]
            answer = re.split(r"\?(?: Answer:| A:)?", last)[-1].replace("(Source:", "")
            for word in re.findall(r"\b[A-Z][a-z]+[a-z]{3,}\b|\b\d+\b", answer):
                assert word.casefold() in text[: -len(answer)].casefold(), (word, text)


def test_taken_names_are_not_drawn():
    names = Counter(
        w for _, text in pages(200, WORDS) for w in re.findall(r"\b[A-Z][a-z]{4,}\b", text)
    )
    taken = {name for name, _ in names.most_common(400)} - {
        "Question",
        "Answer",
        "Write",
        "Repeat",
        "Again",
        "About",
    }
    fresh = " ".join(text for sort, text in pages(200, WORDS, taken=taken) if sort == "register")
    said = set(re.findall(r"^([A-Z][a-z]+): \d", fresh, re.M))
    assert said and not said & taken


def test_names_hardly_ever_come_back_on_another_page():
    seen: Counter[str] = Counter()
    for sort, text in pages(400, WORDS):
        if sort == "register":
            seen.update(set(re.findall(r"^([A-Z][a-z]{5,}): \d", text, re.M)))
    assert seen and sum(n > 1 for n in seen.values()) < 0.05 * len(seen)
