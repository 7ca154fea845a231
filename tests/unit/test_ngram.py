"""The 5-gram model: what it counts, and that its probabilities are some."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from llmcourse.errors import CourseError
from llmcourse.evals.ngram import NGram


def text(n: int = 3000, V: int = 7, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ids = [0, 1]
    for _ in range(n):  # mostly determined by the last two
        ids.append(int((2 * ids[-1] + ids[-2] + (rng.random() < 0.2) * rng.integers(V)) % V))
    return np.array(ids)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_probabilities_of_all_next_tokens_add_up_to_1(n: int) -> None:
    V = 7
    model = NGram(text(400), V, n=n)
    for context in ([3, 5, 1], [0, 0, 0], [6, 2, 6]):
        total = sum(2 ** model.log2_probabilities([*context, w])[-1] for w in range(V))
        assert total == pytest.approx(1, abs=1e-9)


def reference(train: list[int], V: int, context: tuple[int, ...], w: int, n: int) -> float:
    """Interpolated Kneser-Ney, written out with dictionaries."""

    def grams(k: int) -> Counter[tuple[int, ...]]:
        return Counter(tuple(train[i : i + k]) for i in range(len(train) - k + 1))

    tables = {n: grams(n)}
    for k in range(n - 1, 0, -1):
        tables[k] = Counter(g[1:] for g in tables[k + 1])
    p = 1 / V
    for k in range(1, n + 1):
        table = tables[k]
        once = sum(c == 1 for c in table.values())
        twice = sum(c == 2 for c in table.values())
        d = once / (once + 2 * twice) if once else 0.0
        h = context[len(context) - (k - 1) :] if k > 1 else ()
        total = sum(c for g, c in table.items() if g[:-1] == h)
        if total:
            followers = sum(g[:-1] == h for g in table)
            p = max(table[(*h, w)] - d, 0) / total + d * followers / total * p
    return p


def test_it_is_kneser_and_neys() -> None:
    train = text(300, V=5, seed=1) % 5
    model = NGram(train, 5, n=3)
    for context in ((1, 2), (4, 4), (0, 3)):
        for w in range(5):
            ours = 2 ** model.log2_probabilities([*context, w])[-1]
            assert ours == pytest.approx(reference(train.tolist(), 5, context, w, 3), rel=1e-9)


def test_a_longer_context_predicts_better() -> None:
    train, held = text(6000), text(1000, seed=5)
    bits = [-NGram(train, 7, n=n).log2_probabilities(held).mean() for n in (1, 2, 3)]
    # Two tokens decide what comes next, one alone says nothing.
    assert bits[2] < min(bits[0], bits[1]) - 0.5
    assert max(bits[:2]) <= math.log2(7) + 0.1


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CourseError, match="63 bits"):
        NGram([1, 2, 3, 4, 5, 6], 50_257, n=5)
    with pytest.raises(CourseError, match="too few"):
        NGram([1, 2], 10, n=5)
