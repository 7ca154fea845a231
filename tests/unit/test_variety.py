"""Variety: forms that are filled in are told from text."""

from __future__ import annotations

import pytest

from llmcourse.data.variety import mould, variety


def test_names_and_numbers_are_taken_out() -> None:
    small = {"in", "the", "was"}
    assert mould("Adry Pellimer was born in 1832.", small) == "# was born in #."
    assert mould("In 1832 the Lossel froze.", small) == "in # the # froze."
    assert mould("The people of Corissen like geese.", small) == "the people of # like geese."


def test_a_form_is_seen_to_be_one() -> None:
    form = [f"Person{i} was born in {1800 + i} in Town{i}." for i in range(200)]
    free = [
        f"{'very ' * (i % 40)}odd things happen on street {'a' * (i + 1)} again."
        for i in range(200)
    ]
    filled, written = variety(form), variety(free)
    assert filled.top == 1 and filled.moulds == 1
    assert written.top < 0.1 and written.moulds > 100


def test_distinct_n_grams() -> None:
    same = variety(["The cat sat on the mat. " * 50])
    assert same.distinct[1] == pytest.approx(5 / 300)
    assert same.distinct[1] <= same.distinct[2] <= same.distinct[4] < 0.05
    assert variety(["One two three four five six."]).distinct[2] == 1.0


def test_the_number_of_words_is_fixed() -> None:
    assert variety(["Here are some words again. " * 100] * 10, words=120).words == 120
    with pytest.raises(ValueError, match="no sentence"):
        variety([])
