"""Sampling: each step alone, against transformers' processors, and the batched path against the clear one."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.engine import batch_sampling
from llmcourse.engine.sampling import (
    Sampling,
    apply_temperature,
    check_logits,
    filtered,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    next_token,
    penalise_repetition,
    probabilities,
    sample,
    settle_infinities,
    stream_seed,
    uniform,
)
from llmcourse.errors import CourseError

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": -0.1}, {"temperature": INF}, {"temperature": NAN}, {"top_k": 0}, {"top_k": 2.5},
        {"top_k": True},
        {"top_p": 0.0}, {"top_p": 1.01}, {"min_p": -0.1}, {"min_p": 1.1}, {"repetition_penalty": 0}, {"top_p": NAN},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(CourseError, match=next(iter(bad))) as error:
        Sampling(**bad)
    assert error.value.hint


def test_temperature():
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]])
    assert apply_temperature(logits, 1) is logits
    assert apply_temperature(logits, 2).tolist() == [[0.5, 1.5, 1.0], [2.5, 2.5, 0.0]]
    assert apply_temperature(logits, 0).tolist() == [[-INF, 3, -INF], [5, -INF, -INF]]  # lower id
    assert probabilities(apply_temperature(logits, 1e-300)).tolist() == [[0, 1, 0], [0.5, 0.5, 0]]


def test_top_k_keeps_exactly_k_and_the_lower_of_equal_ones():
    assert keep_top_k(torch.tensor([1.0, 2, 2, 2]), 2).tolist() == [-INF, 2, 2, -INF]
    logits = torch.randn(3, 20)
    assert keep_top_k(logits, 20) is logits and keep_top_k(logits, 99) is logits
    assert (keep_top_k(logits, 7).isfinite().sum(-1) == 7).all()


def test_top_p_keeps_the_fewest_that_have_p():
    p = torch.tensor([0.1, 0.4, 0.2, 0.3])
    for limit, kept in [
        (0.3, [1]),
        (0.4, [1]),
        (0.41, [1, 3]),
        (0.7, [1, 3]),
        (0.95, [0, 1, 2, 3]),
        (1.0, [0, 1, 2, 3]),
    ]:
        assert keep_top_p(p.log(), limit).isfinite().nonzero()[:, 0].tolist() == kept, limit
    assert keep_top_p(torch.zeros(4), 0.5).tolist() == [0, 0, -INF, -INF]


def test_min_p_is_relative_to_the_most_probable():
    p = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()
    assert keep_min_p(p, 0.49).isfinite().tolist() == [False, True, True, True]
    assert keep_min_p(p, 0) is p
    assert keep_min_p(torch.zeros(3), 1).tolist() == [0, 0, 0]


def test_repetition_makes_less_probable():
    logits = torch.tensor([[2.0, -2.0, 1.0]])
    assert penalise_repetition(logits, 2.0, torch.tensor([[0, 1, 1, 0]])).tolist() == [[1, -4, 1]]
    assert logits.tolist() == [[2, -2, 1]]


@pytest.mark.parametrize("seed", range(4))
def test_as_transformers_does(seed):
    process = pytest.importorskip("transformers").generation.logits_process
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 300, generator=generator) * 4
    ids = torch.randint(0, 300, (5, 30), generator=generator)
    ours = Sampling(0.7, 40, 0.9, 0.02, 1.3)
    theirs = process.LogitsProcessorList(
        [
            process.RepetitionPenaltyLogitsProcessor(1.3),
            process.TemperatureLogitsWarper(0.7),
            process.TopKLogitsWarper(40),
            process.TopPLogitsWarper(0.9),
            process.MinPLogitsWarper(0.02),
        ]
    )
    expected = theirs(ids, logits).double().softmax(-1)
    assert torch.allclose(filtered(logits, ours, ids), expected, atol=1e-6)
    for one, ours_alone in [
        (process.TopKLogitsWarper(7), keep_top_k(logits, 7)),
        (process.TopPLogitsWarper(0.6), keep_top_p(logits, 0.6)),
        (process.MinPLogitsWarper(0.1), keep_min_p(logits, 0.1)),
        (process.RepetitionPenaltyLogitsProcessor(0.8), penalise_repetition(logits, 0.8, ids)),
    ]:
        assert torch.equal(one(ids, logits), ours_alone)


def test_draw_points_at_a_line():
    p = torch.tensor([0.25, 0.0, 0.5, 0.25, 0.0], dtype=torch.float64)
    points = torch.tensor([0, 0.2499, 0.25, 0.5, 0.7499, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert sample(p.expand(7, 5), points).tolist() == [0, 0, 2, 2, 2, 3, 3]
    assert sample(p, torch.tensor(1.0, dtype=torch.float64)) == 3  # even where it cannot come from


def test_draws_follow_the_probabilities():
    p = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    n = 20_000
    drawn = sample(p.expand(n, 4), torch.rand(n, generator=generator, dtype=torch.float64))
    share = drawn.bincount(minlength=4) / n
    # Four standard deviations: fails once in ten thousand seeds, and the seed is fixed.
    assert (share - p).abs().max() < 4 * math.sqrt(0.25 / n)


def test_odd_logits():
    with pytest.raises(CourseError, match="NaN"):
        probabilities(torch.tensor([0.0, NAN, INF]))
    with pytest.raises(CourseError, match="−inf"):
        filtered(torch.tensor([[0.0, 1.0], [-INF, -INF]]), Sampling(top_k=1))
    with pytest.raises(CourseError, match="stream 3: NaN"):
        check_logits(torch.tensor([NAN]), "stream 3: ")
    certain = torch.tensor([[0.0, INF, -INF, INF], [1.0, 2.0, 3.0, -INF]])
    assert settle_infinities(certain).tolist() == [[-INF, 0, -INF, 0], [1, 2, 3, -INF]]
    assert probabilities(certain)[0].tolist() == [0, 0.5, 0, 0.5]
    # A penalty does not move what is certain, and greedy takes the lower id.
    assert filtered(certain, Sampling(0, repetition_penalty=2), torch.tensor([[1], [1]]))[
        0
    ].tolist() == [0, 1, 0, 0]


def test_seeds():
    a, b = Sampling(seed=1).generator(0), Sampling(seed=1).generator(0)
    assert [float(uniform(a)) for _ in range(5)] == [float(uniform(b)) for _ in range(5)]
    assert len({stream_seed(seed, stream) for seed in range(20) for stream in range(20)}) == 400
    assert stream_seed(7, 3) == 3647706739097066463  # on every machine
    assert stream_seed(None, 0) != stream_seed(None, 0)
    assert float(uniform(Sampling().generator())) != float(uniform(Sampling().generator()))


def test_next_token_takes_one_number_whatever_the_settings():
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0))
    states = []
    for sampling in (Sampling(0, seed=2), Sampling(seed=2), Sampling(0.5, 3, seed=2)):
        generator = sampling.generator()
        token = next_token(logits, sampling, generator)
        states.append(float(uniform(generator)))
        assert 0 <= token < 50
    assert len(set(states)) == 1


# ------------------------------------------------------------------ many streams at once

settings_strategy = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 1.7, 1e-20]),
    top_k=st.sampled_from([None, 1, 3, 20, 600]),
    top_p=st.sampled_from([None, 0.1, 0.5, 0.9, 1.0]),
    min_p=st.sampled_from([None, 0.0, 0.05, 0.5, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 1.3, 0.8]),
)


@settings(max_examples=150, deadline=None)
@given(
    each=st.lists(settings_strategy, min_size=1, max_size=5),
    V=st.sampled_from([1, 2, 5, 50, 700]),
    seed=st.integers(0, 10**6),
    candidates=st.sampled_from([4, 16, 512]),
    kind=st.sampled_from(["plain", "flat", "equal", "forbidden", "certain"]),
)
def test_batched_draws_are_the_clear_ones(each, V, seed, candidates, kind):
    generator = torch.Generator().manual_seed(seed)
    B = len(each)
    logits = torch.randn(B, V, generator=generator) * (0.01 if kind == "flat" else 3)
    if kind == "equal":
        logits = logits.round()
    if kind == "forbidden":
        logits[:, torch.randperm(V, generator=generator)[: V // 2]] = -INF
    if kind == "certain":
        logits[0, torch.randperm(V, generator=generator)[:2]] = INF
    seen = [torch.randint(0, V, (7,), generator=generator) for _ in each]
    uniforms = torch.rand(B, generator=generator, dtype=torch.float64)
    before = logits.clone()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_sampling, "CANDIDATES", candidates)
        ids, drawn = batch_sampling.draw(logits, each, uniforms, seen)
    assert torch.equal(logits, before)
    for row, sampling in enumerate(each):
        p = filtered(logits[row], sampling, seen[row])
        expected = int(sample(p, uniforms[row]))
        assert ids[row] == expected
        assert abs(float(drawn[row] - p[expected])) < 1e-9


def test_candidates_are_enough_for_language(monkeypatch):
    """Where the mass is in few tokens, as in language, the whole vocabulary is never sorted."""
    logits = torch.randn(4, 20_000, generator=torch.Generator().manual_seed(0))
    logits[:, :100] += 12
    monkeypatch.setattr(batch_sampling, "filtered", None)  # the clear path would fail
    uniforms = torch.tensor([0.1, 0.5, 0.9, 0.99], dtype=torch.float64)
    for sampling in (
        Sampling(top_p=0.95),
        Sampling(top_k=50),
        Sampling(min_p=0.05),
        Sampling(0.7, 50, 0.9),
    ):
        ids, _ = batch_sampling.draw(logits, [sampling] * 4, uniforms)
        assert (ids < 100).all()
