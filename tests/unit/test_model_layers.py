"""The parts of a transformer against PyTorch's own, and at the edges of the numbers."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from llmcourse.model.layers import (
    INIT_STD,
    MLP,
    Embedding,
    LayerNorm,
    Linear,
    RMSNorm,
    SwiGLU,
    gelu,
    silu,
    softmax,
)

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def randomised(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(0.3, 0.7)
    return module


# ------------------------------------------------------------------ softmax


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2])
def test_softmax_is_torchs(dim):
    x = torch.randn(3, 4, 5) * 10
    close(softmax(x, dim), F.softmax(x, dim))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(-3e38, 3e38) | st.just(-math.inf), min_size=1, max_size=8))
def test_softmax_of_anything(numbers):
    x = torch.tensor(numbers, dtype=torch.float32)
    p = softmax(x)
    if (x > -math.inf).any():
        close(p, F.softmax(x, -1))
        close(p.sum(), torch.tensor(1.0))
    else:
        assert (p == 0).all()


def test_softmax_of_huge_logits_and_forbidden_ones():
    close(softmax(torch.tensor([1e4, 1e4, -1e4])), torch.tensor([0.5, 0.5, 0.0]))
    close(softmax(torch.tensor([0.0, -math.inf, 0.0])), torch.tensor([0.5, 0.0, 0.5]))
    nothing = torch.full((2, 3), -math.inf)
    nothing[1, 0] = 7.0
    close(softmax(nothing), torch.tensor([[0.0, 0, 0], [1.0, 0, 0]]))


def test_softmax_gradient_also_where_nothing_is_allowed():
    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(softmax, (x,))
    x = torch.full((2, 3), -math.inf, requires_grad=True)
    softmax(x).sum().backward()
    assert x.grad is not None and (x.grad == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_softmax_keeps_the_type(dtype):
    x = torch.randn(5, 7).to(dtype)
    assert softmax(x).dtype == dtype
    close(softmax(x), F.softmax(x, -1), atol=1e-2, rtol=1e-2)
    assert (softmax(torch.full((3,), -math.inf, dtype=dtype)) == 0).all()


# ------------------------------------------------------------------ activations


def test_activations_are_torchs():
    x = torch.linspace(-30, 30, 2001, dtype=torch.float64)
    close(silu(x), F.silu(x))
    close(gelu(x), F.gelu(x))
    close(gelu(x, "tanh"), F.gelu(x, approximate="tanh"))
    difference = (gelu(x) - gelu(x, "tanh")).abs().max()
    assert 1e-4 < difference < 5e-4  # two different formulas, as the docstring says


@pytest.mark.parametrize("f", [silu, gelu, lambda x: gelu(x, "tanh")])
def test_gradients_of_activations(f):
    x = torch.linspace(-4, 4, 50, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(f, (x,))


# ------------------------------------------------------------------ modules


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7)])
def test_linear(bias, shape):
    ours = randomised(Linear(7, 5, bias))
    theirs = nn.Linear(7, 5, bias)
    theirs.load_state_dict(ours.state_dict())
    assert ours.weight.shape == (5, 7)
    x = torch.randn(shape)
    close(ours(x), theirs(x))
    assert repr(ours) == f"Linear(7 → 5{', bias' if bias else ''})"


def test_embedding():
    ours = Embedding(9, 4)
    ids = torch.randint(9, (2, 3, 5))
    assert torch.equal(ours(ids), F.embedding(ids, ours.weight))
    assert repr(ours) == "Embedding(9 × 4)"
    for bad in (9, -1):  # negative ids are no ids: they must not count from the end
        with pytest.raises(IndexError):
            ours(torch.tensor([bad]))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_layer_norm(bias, eps):
    ours = randomised(LayerNorm(16, eps, bias))
    theirs = nn.LayerNorm(16, eps, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 5, 16) * 4 + 100  # far from 0: the naive E[x²] − E[x]² would lose its digits
    close(ours(x), theirs(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_rms_norm(eps):
    ours = randomised(RMSNorm(16, eps))
    theirs = nn.RMSNorm(16, eps)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 5, 16) * 4 + 1
    close(ours(x), theirs(x))


@pytest.mark.parametrize("norm", [LayerNorm, RMSNorm])
def test_norms_in_other_types(norm):
    ours = randomised(norm(64))
    x = torch.randn(8, 64) * 3
    exact = ours(x)
    low = ours.bfloat16()(x.bfloat16())
    assert low.dtype == torch.bfloat16
    close(low.float(), exact, atol=0.05, rtol=0.03)
    # float16 reaches 65,504, and 300² is more: the squares must be summed in float32.
    half = norm(64).half()(
        torch.full((1, 64), 300.0).half() * torch.tensor([1.0, -1.0] * 32).half()
    )
    close(half.float().abs(), torch.ones(1, 64), atol=1e-2, rtol=0)
    double = norm(64).double()
    y = double(x.double())
    assert y.dtype == torch.float64
    close(y.square().mean(-1), torch.ones(8, dtype=torch.float64), atol=1e-5, rtol=0)
    assert torch.autograd.gradcheck(double, (x.double().requires_grad_(),))


@pytest.mark.parametrize("norm", [LayerNorm, RMSNorm])
def test_norm_of_zeros(norm):
    assert (norm(8)(torch.zeros(2, 8)) == 0).all()


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("bias", [True, False])
def test_mlp(approximate, bias):
    m = randomised(MLP(6, 10, bias, approximate))
    x = torch.randn(2, 3, 6)
    hidden = F.gelu(F.linear(x, m.w1.weight, m.w1.bias), approximate=approximate)
    close(m.inside(x), hidden)
    close(m(x), F.linear(hidden, m.w2.weight, m.w2.bias))


@pytest.mark.parametrize("bias", [True, False])
def test_swiglu(bias):
    m = randomised(SwiGLU(6, 10, bias))
    x = torch.randn(2, 3, 6)
    gate, value = (F.linear(x, w.weight, w.bias) for w in (m.w1, m.w3))
    close(m(x), F.linear(F.silu(gate) * value, m.w2.weight, m.w2.bias))
    assert (m.w1.weight.shape, m.w2.weight.shape, m.w3.weight.shape) == ((10, 6), (6, 10), (10, 6))


def test_fresh_parameters():
    torch.manual_seed(0)
    assert abs(Linear(400, 400).weight.std().item() / INIT_STD - 1) < 0.02
    assert abs(Embedding(400, 400).weight.std().item() / INIT_STD - 1) < 0.02
    assert (Linear(4, 4, True).bias == 0).all()
    assert (LayerNorm(4).weight == 1).all() and (LayerNorm(4).bias == 0).all()
