"""Bits per byte: against the definition, whatever the windows; odd input."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmcourse.engine.fast import FastModel
from llmcourse.errors import CourseError
from llmcourse.evals.bits_per_byte import bits_per_byte, score, windows
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer


class Bytes:
    special_tokens: ClassVar = {"<|endoftext|>": 256}

    def encode_ordinary(self, text):
        return list(text.encode())


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=260, context_length=32, n_layers=2, n_heads=2, width=16, hidden=32
    )
    made = Transformer(config).eval()
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(5)
    return made


TEXT = "Naïve café: a text of more than thirty-two bytes, which is read in windows."


@torch.no_grad()
def by_definition(model, text, context, stride):
    """One prediction at a time, with the context that its window gives it."""
    ids, bits, i = [256, *text.encode()], 0.0, 0
    for first, end, counted in windows(len(ids) - 1, context, stride):
        for i in range(counted, end):
            logits = model(torch.tensor([ids[first : i + 1]]))[0, -1]
            bits -= float(logits.log_softmax(-1)[ids[i + 1]]) / math.log(2)
    assert i == len(ids) - 2
    return bits / len(text.encode())


@pytest.mark.parametrize(
    "context, stride, batch", [(32, 16, None), (32, 32, 2), (10, 1, 7), (1, 1, 3), (20, 13, 1)]
)
def test_as_defined(model, context, stride, batch):
    got = bits_per_byte(model, Bytes(), TEXT, context=context, stride=stride, batch=batch)
    assert got == pytest.approx(by_definition(model, TEXT, context, stride), rel=1e-5)


def test_several_texts_and_the_fast_model(model):
    texts = [TEXT, "", "x", TEXT[:40]]
    result = score(model, Bytes(), texts)
    alone = [score(model, Bytes(), text) for text in texts if text]
    assert result.bits == pytest.approx(sum(s.bits for s in alone), rel=1e-6)
    assert (result.bytes, result.tokens) == (
        sum(s.bytes for s in alone),
        sum(s.tokens for s in alone),
    )
    assert result.perplexity == pytest.approx(2 ** (result.bits / result.tokens))
    assert score(FastModel(model), Bytes(), texts).bits == pytest.approx(result.bits, rel=1e-5)
    assert bits_per_byte(FastModel(model, "int8"), Bytes(), texts) == pytest.approx(
        result.bits_per_byte, rel=0.02
    )


def test_knowing_nothing_costs_log2_v():
    def know_nothing(ids):
        return torch.zeros(*ids.shape, 260)

    know_nothing.config = SimpleNamespace(vocab_size=260, context_length=8)
    assert bits_per_byte(know_nothing, Bytes(), TEXT) == pytest.approx(math.log2(260))


@given(n=st.integers(0, 300), context=st.integers(1, 40), data=st.data())
def test_windows_count_every_prediction_once(n, context, data):
    stride = data.draw(st.integers(1, context))
    covered = []
    for first, end, counted in windows(n, context, stride):
        assert 0 <= first <= counted < end <= n and end - first <= context
        # As much context as the window has room for.
        assert first == 0 or end - first == context
        covered += range(counted, end)
    assert covered == list(range(n))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"context": 33}, "context 33"), ({"context": 0}, "context 0"), ({"stride": 33}, "stride 33"),
        ({"stride": 0}, "stride 0"), ({"batch": 0}, "batch"), ({"texts": []}, "no text"),
        ({"texts": ["", ""]}, "no text"),
    ],
)  # fmt: skip
def test_refusals(model, options, message):
    with pytest.raises(CourseError, match=message):
        score(model, Bytes(), **{"texts": TEXT, **options})


def test_a_start_token_is_needed(model):
    bare = SimpleNamespace(special_tokens={}, encode_ordinary=Bytes().encode_ordinary)
    with pytest.raises(CourseError, match="start"):
        score(model, bare, TEXT)
    assert score(model, bare, TEXT, start=256).bits == pytest.approx(
        score(model, Bytes(), TEXT).bits
    )


def test_nan_is_no_score():
    def broken(ids):
        return torch.full((*ids.shape, 260), torch.nan)

    broken.config = SimpleNamespace(vocab_size=260, context_length=8)
    with pytest.raises(CourseError, match="nan"):
        score(broken, Bytes(), TEXT)
