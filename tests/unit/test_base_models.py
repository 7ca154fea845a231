"""What chapter 07 measures base models with, tried on models that are made up."""

from __future__ import annotations

import copy
import math
import re
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from llmcourse.data.world.whole import invent
from llmcourse.engine import Engine, FastModel, Sampling
from llmcourse.errors import CourseError
from llmcourse.evals.capitals import POPULOUS, SMALL
from llmcourse.evals.famous import PASSAGES
from llmcourse.evals.in_context import PATTERNS, learning_curve, written
from llmcourse.evals.knowledge import (
    Share,
    about_strangers,
    facts_told,
    is_of_the_right_sort,
    possible_answers,
    weighted,
)
from llmcourse.evals.memorisation import first_guesses
from llmcourse.evals.text_only import TextOnly
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer

TINY = ModelConfig(vocab_size=20, context_length=16, n_layers=1, n_heads=2, width=8, hidden=16)


def tiny() -> FastModel:
    torch.manual_seed(0)
    return FastModel(Transformer(TINY))


# ---------------------------------------------------------------- text only


def test_forbidden_tokens_never_come_and_the_others_keep_their_logits() -> None:
    model = tiny()
    without = TextOnly(model, range(5, 20))
    ids = torch.tensor([[1, 2, 3]])
    logits = without(ids)
    assert (logits[..., 5:] == -math.inf).all()
    assert torch.equal(logits[..., :5], model(ids)[..., :5])
    written_ids = Engine(without, max_streams=4).generate(
        [[1]] * 4, Sampling(temperature=5.0, seed=0), max_tokens=15
    )
    assert max(i for generation in written_ids for i in generation.ids) < 5
    free = Engine(model, max_streams=4).generate(
        [[1]] * 4, Sampling(temperature=5.0, seed=0), max_tokens=15
    )
    assert max(i for generation in free for i in generation.ids) >= 5


def test_a_model_with_nothing_forbidden_is_the_model() -> None:
    model, ids = tiny(), torch.tensor([[4, 7]])
    assert torch.equal(TextOnly(model, [])(ids), model(ids))
    assert TextOnly(model, []).config is model.config
    assert copy.copy(TextOnly(model, [3])).forbidden.tolist() == [3]


@pytest.mark.parametrize("forbidden", [[20], [-1], range(20)])
def test_tokens_that_cannot_be_forbidden(forbidden: list[int]) -> None:
    with pytest.raises(CourseError):
        TextOnly(tiny(), forbidden)


# ---------------------------------------------------------------- in context


class Letters:
    """A tokenizer: every character is a token."""

    def encode_ordinary(self, text: str) -> list[int]:
        return [ord(character) for character in text]


def doubler(ids: Tensor) -> Tensor:
    """A model for pairs like ``q=qq``: the first answer it gets wrong, then it has understood."""
    logits = torch.zeros(*ids.shape, 256)
    for b, row in enumerate(ids.tolist()):
        for t in range(len(row)):
            before = "".join(map(chr, row[: t + 1])).replace("\0", "")
            line = before.split("\n")[-1]
            done = re.match(r"(\w) ->(.*)", line)
            wanted = f" {done[1] * 2}\n"[len(done[2]) :][:1] if done and "\n" in before else "?"
            logits[b, t, ord(wanted or "?")] = 1.0
    return logits


PAIRS = [(c, c * 2) for c in "abcdefghij"]


def test_a_learning_curve_finds_the_model_that_needs_one_example() -> None:
    curve = learning_curve(doubler, Letters(), PAIRS, shots=3, rows=9, seed=0)
    assert [(share.right, share.of, share.label) for share in curve] == [
        (0, 9, "0"), (9, 9, "1"), (9, 9, "2"), (9, 9, "3"),
    ]  # fmt: skip


def test_half_an_answer_is_wrong() -> None:
    pairs = [(c, c * 2 + "x") for c in "abcdef"]  # the model ends the line one letter early
    assert [s.right for s in learning_curve(doubler, Letters(), pairs, shots=2, rows=4)] == [0] * 3


@pytest.mark.parametrize(("shots", "rows"), [(10, 1), (-1, 1), (2, 0)])
def test_learning_curves_that_cannot_be(shots: int, rows: int) -> None:
    with pytest.raises(CourseError):
        learning_curve(doubler, Letters(), PAIRS, shots=shots, rows=rows)


def test_patterns_have_one_answer_a_question() -> None:
    for name, pairs in PATTERNS.items():
        assert len({question for question, _ in pairs}) == len(pairs) > 20, name
        assert all(question and answer for question, answer in pairs)
    assert written([("cat", "cats"), ("ox", "oxen")]) == "cat -> cats\nox -> oxen\n"


# ---------------------------------------------------------------- what there is to know


def test_no_capital_can_be_guessed_from_its_country() -> None:
    both = {**POPULOUS, **SMALL}
    assert len(POPULOUS) == len(SMALL) == 25 and len(both) == 50
    for country, capital in both.items():
        assert not set(country.split()) & set(capital.split()), country
        assert capital not in country


def test_imitations_are_as_long_and_not_the_same() -> None:
    for passage in PASSAGES:
        ratio = len(passage.imitation) / len(passage.original)
        assert 0.8 < ratio < 1.25, passage.name
        fours = [
            {tuple(words[i : i + 6]) for i in range(len(words) - 5)}
            for words in (passage.original.split(), passage.imitation.split())
        ]
        assert len(fours[0] & fours[1]) <= 3, passage.name


def test_strangers_are_in_no_fact_and_have_no_mentions() -> None:
    world = invent(seed=0, size=0.03, strangers=20)
    asked = about_strangers(world, 60, seed=0)
    known = world.by_name
    assert len(asked) == 60
    assert all(q.subject not in known and q.mentions == 0 for q in asked)
    assert all(q.subject.split(" ")[-1] in q.prompt for q in asked)
    assert about_strangers(world, 60, seed=1) != asked == about_strangers(world, 60, seed=0)
    with pytest.raises(ValueError, match="strangers"):
        about_strangers(world, 1000)


def test_an_answer_is_of_the_right_sort_if_it_is_true_of_somebody() -> None:
    world = invent(seed=0, size=0.03, strangers=5)
    possible = possible_answers(world)
    question = next(q for q in about_strangers(world, 25) if q.kind == "person")
    for value in possible[question.kind, question.relation]:
        assert is_of_the_right_sort(question, f" {value}, and then", possible)
    assert not is_of_the_right_sort(question, " nobody knows.", possible)


def test_facts_are_counted_and_weighted() -> None:
    mentions = {"a": {"x": 1, "y": 1, "z": 5}, "b": {"x": 200}, "c": {"x": 0}}
    bands = ((1, 1), (2, 9), (100, 10_000))
    assert facts_told(mentions, bands) == [(2, 2), (1, 5), (1, 200)]
    shares = [Share(0, 10), Share(5, 10), Share(10, 10)]
    assert weighted(shares, [2, 1, 1]) == pytest.approx(0.375)
    assert weighted([*shares, Share(0, 0)], [2, 1, 1, 0]) == pytest.approx(0.375)
    with pytest.raises(ValueError, match="0"):
        weighted(shares, [0, 0, 0])


def test_first_guesses_do_not_suffer_from_earlier_mistakes() -> None:
    def next_number(ids: Tensor) -> Tensor:
        return torch.nn.functional.one_hot((ids + 1) % 50, 50).float()

    text = [*range(20), 40, *range(21, 30)]  # one surprise: it is wrong itself, and spoils the next
    assert first_guesses(next_number, text, skip=8) == pytest.approx(1 - 2 / 21)
    with pytest.raises(ValueError, match="nothing"):
        first_guesses(next_number, range(9), skip=8)


def test_the_wrapped_model_is_asked_for_what_it_has() -> None:
    inner = SimpleNamespace(config=TINY, nbytes=7)
    assert TextOnly(inner, []).nbytes == 7
    with pytest.raises(AttributeError):
        _ = TextOnly(inner, []).something
