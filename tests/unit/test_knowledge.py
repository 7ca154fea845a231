"""Knowledge, recitals and compressors, measured on models that are made up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from llmcourse.data.world.whole import invent
from llmcourse.evals.compressors import compressed_bits_per_byte
from llmcourse.evals.knowledge import (
    Question,
    Share,
    answered,
    by_guessing,
    by_mentions,
    is_right,
    names_the_answer,
    questions,
)
from llmcourse.evals.memorisation import recite


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (" 1832 and so", True),
        ("1832.", True),
        (" 1832", True),
        (" 18325", False),
        (" 1,832", False),
        (" the year 1832", False),
        ("", False),
    ],
)
def test_an_answer_is_right_to_the_letter(text: str, right: bool) -> None:
    assert is_right("1832", text) is right


def test_a_name_is_not_the_beginning_of_a_longer_one() -> None:
    assert not is_right("Tar", " Tarolt")
    assert is_right("Adry Pell", " Adry Pell's house")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (" 1832.", True),
        (" the spring of 1832, on a farm", True),
        (" 1831, or 1832", False),  # the first year counts
        (" winter. He died in 1832", False),  # another sentence
        (" winter\n1832", False),
        (" 18325", False),
        (" 1,832", False),
        (" nobody knows", False),
    ],
)
def test_an_answer_may_come_a_little_later(text: str, right: bool) -> None:
    question = Question("Adry", "person", "born", "Adry was born in", "1832", 3)
    possible = {("person", "born"): {"1831", "1832", "1833"}}
    assert names_the_answer(question, text, possible) is right


def test_of_two_answers_at_one_place_the_longer_counts() -> None:
    question = Question("Tarn", "town", "product", "Tarn makes", "fine lace", 3)
    possible = {("town", "product"): {"fine lace", "fine lace collars"}}
    assert names_the_answer(question, " fine lace.", possible)
    assert not names_the_answer(question, " fine lace collars.", possible)


def test_wilsons_interval() -> None:
    low, high = Share(8, 10).interval()
    assert (low, high) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert Share(0, 0).interval() == (0.0, 1.0) and math.isnan(Share(0, 0).value)
    assert Share(0, 20).interval()[0] == 0.0


def test_questions_are_drawn_by_band_and_keep_to_it() -> None:
    world = invent(seed=0, size=0.03, strangers=2)
    mentions = {e.name: dict.fromkeys(e.facts, e.mentions) for e in world.everything()}
    asked = questions(world, mentions, per_band=15, bands=((1, 1), (100, 10_000)), seed=0)
    ones = [q for q in asked if q.mentions == 1]
    assert len(ones) == 15 and len(asked) == 30
    assert all(q.mentions >= 100 for q in asked if q not in ones)
    assert questions(world, mentions, per_band=25, seed=1) != questions(
        world, mentions, per_band=25, seed=2
    )


def test_a_model_that_knows_the_frequent_facts_is_seen_to() -> None:
    asked = [Question("a", "town", "river", f"p{n}", "x", n) for n in (1, 2, 5, 20, 50, 200)]

    def go_on(prompts: Sequence[str], max_tokens: int) -> list[str]:
        return [" x, and" if int(p[1:]) >= 20 else " y" for p in prompts]

    right = answered(asked, go_on)
    assert [share.value for share in by_mentions(asked, right)] == [0, 0, 0, 1, 1, 1]


def test_guessing_is_the_most_frequent_answer() -> None:
    world = invent(seed=0, size=0.1, strangers=2)
    days = [
        Question(t.name, "town", "market_day", "p", t.facts["market_day"], 1)
        for t in world.entities["town"]
    ]
    guess = by_guessing(world, days)
    counts = [sum(q.answer == day for q in days) for day in {q.answer for q in days}]
    assert guess.right == max(counts)


def test_recitals_count_places() -> None:
    document = list(range(100, 140))
    (perfect,) = recite([document], lambda p, n: [document[10 : 10 + n]], prompt=10, tokens=20)
    assert perfect.whole and perfect.share == 1
    wrong = [*document[10:15], 0, *document[16:25]]  # one mistake, and it stops early
    (partly,) = recite([document], lambda p, n: [wrong], prompt=10, tokens=20)
    assert (partly.until_mistake, partly.right, partly.tokens) == (5, 14, 20)
    with pytest.raises(ValueError, match="cannot be begun"):
        recite([[1, 2]], lambda p, n: [[]], prompt=10)


def test_compressors_agree_with_themselves() -> None:
    dull = compressed_bits_per_byte("abc " * 5000)
    assert max(dull.values()) < 0.2
    lively = compressed_bits_per_byte("".join(chr(33 + i * i * 7919 % 90) for i in range(5000)))
    assert min(lively.values()) > dull["gzip -9"]
    with pytest.raises(ValueError, match="nothing"):
        compressed_bits_per_byte("")
