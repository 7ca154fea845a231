"""Warm-up and cosine: where it begins, turns and ends."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcourse.errors import CourseError
from llmcourse.train.schedule import warmup_cosine


def test_by_hand():
    rates = [warmup_cosine(step, 1.0, 4, 8, 0.2) for step in range(11)]
    half = 0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2
    other = 0.2 + 0.8 * (1 - math.cos(math.pi / 4)) / 2
    assert rates == pytest.approx([0, 0.25, 0.5, 0.75, 1.0, half, 0.6, other, 0.2, 0.2, 0.2])


def test_no_warm_up():
    assert warmup_cosine(0, 3e-4, 0, 10) == 3e-4
    assert warmup_cosine(10, 3e-4, 0, 10) == 0.0


def test_nothing_but_warm_up():
    assert [warmup_cosine(s, 1.0, 4, 4, 0.1) for s in range(6)] == [0, 0.25, 0.5, 0.75, 1.0, 0.1]
    assert warmup_cosine(0, 1.0, 0, 0, 0.1) == 1.0


@given(st.integers(0, 50), st.integers(1, 200), st.floats(0, 1), st.floats(0, 1))
def test_shape(warmup, rest, lr, fraction):
    total, low = warmup + rest, lr * fraction
    rates = [warmup_cosine(s, lr, warmup, total, low) for s in range(total + 3)]
    assert rates[warmup] == pytest.approx(lr) and max(rates) <= lr * (1 + 1e-12)
    assert all(a <= b for a, b in pairwise(rates[: warmup + 1]))
    down = rates[warmup:]
    assert all(a >= b - 1e-15 for a, b in pairwise(down))
    assert rates[total:] == pytest.approx([low] * 3)
    if warmup:
        assert rates[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (-1, 1.0, 2, 5, 0.0), (0, -1.0, 2, 5, 0.0), (0, 1.0, 2, 5, 2.0), (0, 1.0, 2, 5, -0.1),
        (0, math.nan, 2, 5, 0.0), (0, math.inf, 2, 5, 0.0), (0, 1.0, 6, 5, 0.0), (0, 1.0, -1, 5, 0.0),
    ],
)  # fmt: skip
def test_contradictions(arguments):
    with pytest.raises(CourseError):
        warmup_cosine(*arguments)
