"""Two answers compared: the log-odds are those of plain forward passes, orders are both there, intervals are sane."""

from __future__ import annotations

import random

import pytest
import torch

from llmcourse.engine import FastModel
from llmcourse.errors import CourseError
from llmcourse.evals.either_or import EitherOr, both_orders, group_interval, log_odds
from llmcourse.evals.equally_easy import LARGER, SORTS, questions, trap, traps
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.tokenizer import Tokenizer

WORDS = Tokenizer({i: bytes([i]) for i in range(256)}, [])


def prompt(question: str) -> list[int]:
    return WORDS.encode(f"<{question}>")


def small() -> Transformer:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=256, context_length=96, n_layers=2, n_heads=2, width=32, hidden=64
    )
    model = Transformer(config).eval()
    for parameter in model.parameters():
        parameter.data *= 4  # so that it has opinions
    return model


def test_odds_are_those_of_plain_passes():
    model = small()
    asked = [
        *both_orders("Larger, {a} or {b}?", "It is", "9.9", "9.11"),
        EitherOr("Yes or no?", "Well,", "yes", "no"),
        EitherOr("Which is it?", "It is", "9.1", "9.11"),
    ]
    found = log_odds(FastModel(model), WORDS, prompt, asked, rows=3)
    for one, odds in zip(asked, found, strict=True):
        a, b = (f"<{one.question}>{one.start} {x}.".encode() for x in (one.right, one.wrong))
        place = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
        with torch.no_grad():
            logits = model(torch.tensor([list(a[:place])]))[0, -1]
        assert odds == pytest.approx(float(logits[a[place]] - logits[b[place]]), abs=1e-4)
    assert log_odds(FastModel(model), WORDS, prompt, []) == []


def test_what_cannot_be_compared_is_an_error():
    model = small()
    with pytest.raises(CourseError, match="cannot be told apart"):
        log_odds(FastModel(model), WORDS, prompt, [EitherOr("Which?", "", "9.9", "9.9")])


def test_traps_are_traps_and_the_famous_one_comes_first():
    rng = random.Random(0)
    for w, a, b in [trap(rng) for _ in range(200)] + traps(15):
        assert float(f"{w}.{a}") > float(f"{w}.{b}") and a < b and 11 <= b <= 99 and b % 10
    assert traps(15)[0] == (9, 9, 11) and len(set(traps(15))) == 15
    assert len(set(LARGER)) == 8


@pytest.mark.parametrize("sort", SORTS)
def test_every_sort_has_right_answers_in_both_orders(sort):
    asked = questions(sort, 12)
    named = asked[0].first is not None
    assert len(asked) == (24 if named else 12)
    assert sum(one.first is True for one in asked) == (12 if named else 0)
    for one in asked:
        assert one.right != one.wrong
        if named:
            assert one.right in one.question and one.wrong in one.question
        if sort[:2] in ("90", "9."):
            assert float(one.right) > float(one.wrong)
        if sort == "longer word":
            assert len(one.right) > len(one.wrong)
        if sort == "order of the alphabet":
            assert one.right < one.wrong
        if sort == "sum of two digits":
            x, y = one.start.rstrip(" =").split(" + ")
            assert int(x) + int(y) == int(one.right)
    assert asked == questions(sort, 12) != questions(sort, 12, seed=1)


def test_intervals_by_group_are_wider_than_by_value():
    rng = random.Random(0)
    groups = [[float(rng.random() < 0.5)] * 16 for _ in range(20)]
    low, high = group_interval(groups)
    alone_low, alone_high = group_interval([[x] for group in groups for x in group])
    assert low < sum(map(sum, groups)) / 320 < high
    assert high - low > 2 * (alone_high - alone_low)
    with pytest.raises(CourseError, match="two groups"):
        group_interval([[1.0]])
