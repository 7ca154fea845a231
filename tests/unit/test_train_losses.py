"""Cross-entropy: PyTorch's numbers, also where exp overflows, and the gradient the book tells of."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.errors import CourseError
from llmcourse.train.losses import cross_entropy, log_probabilities, perplexity

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def theirs(logits, targets, ignore_index=-100):
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=ignore_index)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    lead=st.lists(st.integers(1, 4), min_size=1, max_size=3), V=st.integers(1, 20),
    scale=st.sampled_from([0.0, 1.0, 100.0, 1e4, 1e30]), seed=st.integers(0, 99),
)  # fmt: skip
def test_value_and_gradient_are_torchs(lead, V, scale, seed):
    g = torch.Generator().manual_seed(seed)
    base = torch.randn(*lead, V, generator=g) * scale
    targets = torch.randint(V, lead, generator=g)
    grads, values = [], []
    for f in (cross_entropy, theirs):
        logits = base.clone().requires_grad_()
        loss = f(logits, targets)
        loss.backward()
        values.append(loss.detach())
        grads.append(logits.grad)
    close(values[0], values[1], rtol=1e-5, atol=1e-5)
    close(grads[0], grads[1], rtol=1e-5, atol=1e-6)
    close(
        log_probabilities(base, targets),
        F.log_softmax(base, -1).gather(-1, targets[..., None])[..., 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_one_pair_without_leading_dimensions():
    logits, target = torch.randn(7), torch.tensor(3)
    close(cross_entropy(logits, target), F.cross_entropy(logits, target))
    assert log_probabilities(logits, target).shape == ()


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4, 1e5])
def test_an_offset_changes_nothing(offset):
    """All logits far out: the naive log-sum-exp overflows, and its digits are gone."""
    logits = torch.randint(-64, 65, (50, 11)) / 32  # exact in float32 even with the offset
    targets = torch.randint(11, (50,))
    exact = cross_entropy(logits.double(), targets).float()
    close(cross_entropy(logits + offset, targets), exact, rtol=1e-6, atol=1e-6)


def test_extremes():
    logits = torch.tensor([[1e4, -1e4], [1e4, -1e4]])
    close(cross_entropy(logits, torch.tensor([0, 0])), torch.tensor(0.0))
    close(cross_entropy(logits, torch.tensor([1, 1])), torch.tensor(2e4))
    assert cross_entropy(torch.tensor([[0.0, -math.inf]]), torch.tensor([0])) == 0
    assert cross_entropy(torch.tensor([[0.0, -math.inf]]), torch.tensor([1])) == math.inf


def test_a_large_vocabulary():
    logits = torch.randn(3, 200_000)
    targets = torch.tensor([0, 199_999, 77])
    close(cross_entropy(logits, targets), F.cross_entropy(logits.double(), targets).float())
    flat = torch.zeros(2, 100_277)
    close(cross_entropy(flat, torch.tensor([1, 2])), torch.tensor(math.log(100_277)))


def test_gradient_is_probability_less_one_at_the_target():
    logits = torch.randn(4, 6, requires_grad=True)
    targets = torch.tensor([2, 0, 5, 5])
    cross_entropy(logits, targets).backward()
    expected = (torch.softmax(logits.detach(), -1) - F.one_hot(targets, 6)) / 4
    close(logits.grad, expected)
    double = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: cross_entropy(x, torch.tensor([0, 4, -100])), (double,)
    )


@pytest.mark.parametrize("ignore_index", [-100, 3, 0])
def test_ignored_targets(ignore_index):
    logits = torch.randn(5, 4, 7, requires_grad=True)
    targets = torch.randint(7, (5, 4))
    targets[1] = ignore_index
    targets[0, 2] = ignore_index
    loss = cross_entropy(logits, targets, ignore_index)
    close(loss, theirs(logits, targets, ignore_index))
    loss.backward()
    assert (logits.grad[1] == 0).all() and (logits.grad[0, 2] == 0).all()
    close(logits.grad.abs().sum(-1) > 0, targets != ignore_index)


def test_nothing_counts():
    logits = torch.randn(3, 4, requires_grad=True)
    nothing = cross_entropy(logits, torch.full((3,), -100))
    assert nothing.isnan() and theirs(logits, torch.full((3,), -100)).isnan()
    assert cross_entropy(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)).isnan()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_full(dtype):
    logits = (torch.randn(6, 300) * 5).to(dtype)
    targets = torch.randint(300, (6,))
    loss = cross_entropy(logits, targets)
    assert loss.dtype == torch.float32
    close(loss, F.cross_entropy(logits.float(), targets))


def test_targets_of_other_integer_types():
    logits = torch.randn(4, 6)
    targets = torch.tensor([0, 1, 2, 3])
    for dtype in (torch.int32, torch.uint8, torch.int16):
        close(cross_entropy(logits, targets.to(dtype)), cross_entropy(logits, targets))


def test_perplexity():
    close(perplexity(torch.zeros(5, 8), torch.arange(5)), torch.tensor(8.0))
    sure = torch.tensor([[50.0, 0.0]])
    close(perplexity(sure, torch.tensor([0])), torch.tensor(1.0))
    logits, targets = torch.randn(5, 8), torch.tensor([0, 1, -1, 3, -1])
    close(perplexity(logits, targets, -1), theirs(logits, targets, -1).exp())


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.long), r"\[2, 3\] and targets \[3\]"),
        (torch.zeros(2, 3), torch.zeros(2, 1, dtype=torch.long), "do not belong together"),
        (torch.tensor(1.0), torch.tensor(0), "do not belong together"),
        (torch.zeros(2, 3), torch.zeros(2), "targets torch.float32"),
        (
            torch.zeros(2, 3, dtype=torch.long),
            torch.zeros(2, dtype=torch.long),
            "logits are torch.int64",
        ),
        (torch.zeros(2, 3), torch.tensor([0, 3]), "the target 3 is none of 3 symbols"),
        (torch.zeros(2, 3), torch.tensor([-1, 0]), "the target -1 is none"),
    ],
)
def test_errors(logits, targets, message):
    with pytest.raises(CourseError, match=message):
        cross_entropy(logits, targets)
