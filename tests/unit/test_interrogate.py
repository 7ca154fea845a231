"""Interrogation: known is what is right often enough, agreement is about the same words, and numbers are exact."""

from __future__ import annotations

import math

import pytest

from llmcourse.data.world.whole import invent
from llmcourse.errors import CourseError
from llmcourse.evals.interrogate import (
    agreement,
    honesty,
    interrogate,
    matches,
    refuses,
    tells,
)
from llmcourse.tokenizer import Tokenizer

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|search_start|>", "<|search_end|>", "<|python_start|>",
           "<|python_end|>", "<|result_start|>", "<|result_end|>", "<|think_start|>", "<|think_end|>"]  # fmt: skip


@pytest.fixture
def tokenizer():
    return Tokenizer({i: bytes([i]) for i in range(256)}, [], SPECIAL)


@pytest.mark.parametrize(
    ("answer", "text", "exact", "fuzzy"),
    [
        ("1832", "She was born in 1832.", True, True),
        ("1832", "She was born in 1833.", False, False),
        ("11", "in 1911", False, False),
        ("the Paper Staircase", "known for the Paper Staircase.", True, True),
        ("the Paper Staircase", "known for the Paper Stairscase.", False, True),
        ("baker", "She was a banker.", False, True),
        ("hatter", "She was a miller.", False, False),
    ],
)
def test_matching(answer, text, exact, fuzzy):
    assert matches(answer, text) == exact
    assert matches(answer, text, fuzzy=True) == fuzzy


def test_agreement():
    assert agreement(["A cat.", "a  cat.", "A dog and a hen."]) == pytest.approx(2 / 3)
    assert agreement(["born in 1832", "born in 1833", "born in 1834"]) == pytest.approx(1 / 3)
    assert agreement(["x"]) == 1
    with pytest.raises(ValueError):
        agreement([])


def test_refusals_are_recognised():
    for text in (
        "I'm sorry, I don't know anything about her.",
        "I do not know.",
        "I have never heard of it.",
    ):
        assert refuses(text)
    assert not refuses("She was born in 1832.") and not refuses("Nobody knows I am here.")


def test_a_model_that_knows_half(tokenizer):
    world = invent(1, 0.1)
    facts = [(e, "born") for e in world.entities["person"][:10]]
    end = [tokenizer.special_tokens["<|im_end|>"]]

    def sample(prompts, samples, max_tokens):
        said = []
        for i, (entity, relation) in enumerate(facts):
            right = f"It was {entity.facts[relation]}."
            wrong = [f"It was {1000 + k}." for k in range(samples)]
            texts = [right] * samples if i % 2 else wrong
            said.append([tokenizer.encode_ordinary(text) + end for text in texts])
        assert len(prompts) == len(facts)
        return said

    found = interrogate(facts, tokenizer, sample, samples=4)
    assert [f.known() for f in found] == [False, True] * 5
    assert [f.agreement for f in found] == [0.25, 1.0] * 5
    assert all(f.fact[0].name in f.asked for f in found)
    with pytest.raises(CourseError):
        interrogate(facts, tokenizer, sample, samples=0)


def test_honesty():
    no, yes = "I don't know.", "In 1832."
    found = honesty([False, False, False, True, True], [no, no, yes, no, yes])
    assert (found.refused_unknown, found.unknown, found.refused_known, found.known) == (2, 3, 1, 2)
    assert found.precision == pytest.approx(2 / 3) and found.recall == pytest.approx(2 / 3)
    assert math.isnan(honesty([True], [yes]).precision) and math.isnan(
        honesty([True], [yes]).recall
    )


def test_a_name_does_not_tell_what_it_names() -> None:
    assert not tells("The bell crab is a bird.", "crab", "the bell crab")
    assert tells("The bell crab is a crab.", "crab", "the bell crab")
    assert not tells("It was first described in 1919.", "9", "the bell crab")
