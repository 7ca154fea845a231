"""AdamW and clipping against PyTorch's; Muon against PyTorch's and against what it is meant to do."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig, named
from llmcourse.model.transformer import Transformer, meta_model
from llmcourse.train.optim import (
    AdamW,
    Muon,
    clip_grad_norm,
    matrices_and_rest,
    orthogonalised,
    parameter_groups,
)

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def net():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))


def train(model, optimizer, steps, first=0):
    for step in range(first, first + steps):
        g = torch.Generator().manual_seed(step)
        x = torch.randn(16, 6, generator=g)
        optimizer.zero_grad()
        (model(x) - x.sin().sum(-1, keepdim=True)).square().mean().backward()
        if step % 7 == 3:
            model[0].bias.grad = None  # as if it had taken no part in this step
        optimizer.step()


# ------------------------------------------------------------------ AdamW

SETTINGS = [
    {},
    {"lr": 0.02},
    {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.3},
    {"lr": 0.01, "betas": (0.0, 0.5), "weight_decay": 0.0},
    {"lr": 0.0},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_adamw_is_torchs(settings):
    ours = net()
    theirs = copy.deepcopy(ours)
    a = AdamW(ours.parameters(), **settings)
    b = torch.optim.AdamW(theirs.parameters(), foreach=False, **settings)
    before = copy.deepcopy(ours)
    train(ours, a, 100)
    train(theirs, b, 100)
    for p, q, start in zip(
        ours.parameters(), theirs.parameters(), before.parameters(), strict=True
    ):
        close(p, q, atol=1e-5, rtol=1e-4)
        assert torch.equal(p, start) == (settings.get("lr") == 0.0)
    assert a.defaults == {key: b.defaults[key] for key in a.defaults}


def test_adamw_step_by_step_in_float64():
    """No rounding to hide behind, and the first steps, where the corrections matter most."""
    ours = net().double()
    theirs = copy.deepcopy(ours)
    a, b = AdamW(ours.parameters(), lr=0.1), torch.optim.AdamW(theirs.parameters(), lr=0.1)
    for _ in range(5):
        for model, optimizer in ((ours, a), (theirs, b)):
            optimizer.zero_grad()
            model(torch.ones(2, 6, dtype=torch.float64)).square().sum().backward()
            optimizer.step()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            close(p, q, atol=1e-12, rtol=1e-12)


def test_adamw_groups():
    ours = net()
    theirs = copy.deepcopy(ours)

    def groups(model):
        return [
            {"params": model[0].parameters(), "lr": 0.05, "weight_decay": 0.5},
            {"params": [*model[2].parameters()], "betas": (0.5, 0.6)},
            {"params": model[4].parameters(), "eps": 0.1},
        ]

    train(ours, AdamW(groups(ours), lr=0.01), 30)
    train(theirs, torch.optim.AdamW(groups(theirs), lr=0.01), 30)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p, q, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("make", [AdamW, lambda p: Muon([q for q in p if q.ndim == 2])])
def test_saved_and_loaded(make):
    """Ten steps, saved, ten more: the same as twenty in one go."""
    model = net()
    optimizer = make(model.parameters())
    train(model, optimizer, 10)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    train(model, optimizer, 10, first=10)

    other = net()
    other.load_state_dict(saved[0])
    again = make(other.parameters())
    again.load_state_dict(saved[1])
    train(other, again, 10, first=10)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_parameter_without_gradient_is_left_alone():
    p, q = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = AdamW([p, q], lr=0.1)
    p.grad = torch.ones(3)
    optimizer.step()
    assert (q == 1).all() and q not in optimizer.state and (p < 1).all()


def test_first_step_is_as_long_as_the_rate():
    p = nn.Parameter(torch.zeros(4))
    p.grad = torch.tensor([1e-3, 1.0, 1e3, -5.0])
    AdamW([p], lr=0.01, weight_decay=0.0).step()
    close(p.detach(), torch.tensor([-0.01, -0.01, -0.01, 0.01]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("make", [AdamW, Muon])
def test_closure(make):
    p = nn.Parameter(torch.eye(3))
    optimizer = make([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert first == 3.0 and optimizer.step(closure) < first


def test_bfloat16_parameters():
    p = nn.Parameter(torch.ones(4, 4, dtype=torch.bfloat16))
    for make in (AdamW, Muon):
        p.grad = torch.randn(4, 4).bfloat16()
        make([p], lr=0.1).step()
        assert p.dtype == torch.bfloat16 and p.isfinite().all()


def test_sparse_gradients_are_refused():
    table = nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(CourseError, match=r"\[5, 2\] has a sparse gradient"):
        AdamW(table.parameters()).step()


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": -1}, {"lr": math.nan}, {"lr": math.inf}, {"eps": -1e-8}, {"weight_decay": -0.1},
        {"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"betas": (0.9, math.nan)},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(settings):
    with pytest.raises(CourseError, match=next(iter(settings))):
        AdamW([nn.Parameter(torch.ones(2))], **settings)
    with pytest.raises(CourseError, match=next(iter(settings))):  # in a group as well
        AdamW([{"params": [nn.Parameter(torch.ones(2))], **settings}])


# ------------------------------------------------------------------ Muon


@pytest.mark.parametrize("shape", [(8, 8), (4, 20), (20, 4), (1, 5), (5, 1), (64, 48)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_orthogonalised(shape, scale):
    """The singular directions stay, the singular values all become about 1."""
    g = torch.randn(shape) * scale
    o = orthogonalised(g)
    assert o.shape == g.shape and o.dtype == g.dtype
    u, s, vh = torch.linalg.svd(g, full_matrices=False)
    values = u.T @ o @ vh.T  # O in G's own directions: diagonal if the directions stayed
    diagonal = values.diagonal()
    close(values, torch.diag(diagonal), atol=1e-3, rtol=0)
    strong = s > 0.02 * s.norm()  # five steps cannot lift what is nearly nothing
    assert (diagonal[strong] > 0.6).all() and (diagonal < 1.3).all()


def test_orthogonalising_narrows_the_spread():
    g = torch.randn(32, 32) @ torch.diag(torch.logspace(0, -1.5, 32)) @ torch.randn(32, 32)
    before, after = (torch.linalg.svdvals(x) for x in (g, orthogonalised(g)))
    assert before[0] / before[10] > 3 and after[0] / after[10] < 1.8


def test_the_published_polynomial():
    """On a multiple of the identity every step is the polynomial itself."""
    s = 1 / math.sqrt(6)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    close(orthogonalised(7 * torch.eye(6)), s * torch.eye(6), atol=1e-5, rtol=1e-5)
    close(orthogonalised(torch.eye(6), steps=0), torch.eye(6) / math.sqrt(6))


def test_nothing_stays_nothing():
    assert (orthogonalised(torch.zeros(3, 4)) == 0).all()


def test_size_and_transposition_do_not_matter():
    g = torch.randn(6, 9)
    close(orthogonalised(g * 123.0), orthogonalised(g), atol=1e-5, rtol=1e-4)
    close(orthogonalised(g.T), orthogonalised(g).T, atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("match", [True, False])
def test_muon_is_torchs(shape, nesterov, match):
    """Torch iterates in bfloat16 and we, on a CPU, in float32: two digits, not more."""
    start = torch.randn(shape)
    moved = []
    for kind in (Muon, torch.optim.Muon):
        p = nn.Parameter(start.clone())
        extra = {"match_adamw": match}
        if kind is not Muon:
            extra = {"adjust_lr_fn": "match_rms_adamw" if match else "original"}
        optimizer = kind([p], lr=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.2, **extra)
        for step in range(5):
            p.grad = torch.randn(shape, generator=torch.Generator().manual_seed(step))
            optimizer.step()
        moved.append(p.detach() - start)
    assert (moved[0] - moved[1]).norm() < 0.03 * moved[1].norm()


def test_first_step_of_muon():
    for shape, match, scale in (
        ((4, 16), False, 1.0), ((16, 4), False, 2.0), ((16, 4), True, 0.8), ((4, 16), True, 0.8),
    ):  # fmt: skip
        p = nn.Parameter(torch.ones(shape))
        p.grad = torch.randn(shape)
        Muon([p], lr=0.5, weight_decay=0.1, match_adamw=match).step()
        expected = torch.ones(shape) * (1 - 0.5 * 0.1) - 0.5 * scale * orthogonalised(p.grad)
        close(p.detach(), expected, atol=1e-4, rtol=1e-4)


def test_matched_steps_are_as_large_as_adamws():
    p = nn.Parameter(torch.zeros(64, 256))
    p.grad = torch.randn(64, 256)
    Muon([p], lr=1.0, match_adamw=True).step()
    assert 0.1 < p.detach().square().mean().sqrt() < 0.3  # AdamW's are measured at 0.2 – 0.4


def test_muon_moves_weak_directions_too():
    """A loss whose slope is a hundred times steeper in one direction than in the others."""
    target = torch.eye(8)
    steep = torch.diag(torch.tensor([10.0] + [1.0] * 7))
    p = nn.Parameter(torch.zeros(8, 8))
    optimizer = Muon([p], lr=0.02, momentum=0.0, nesterov=False)
    descent = nn.Parameter(torch.zeros(8, 8))
    for _ in range(60):
        for q in (p, descent):
            q.grad = None
            (steep @ (q - target)).square().sum().backward()
        optimizer.step()
        with torch.no_grad():  # the steepest direction sets how long a plain step may be
            descent -= 0.004 * descent.grad
    assert (p - target).abs().max() < 0.3
    assert (descent - target).abs().max() > 0.5


@pytest.mark.parametrize(
    "settings", [{"lr": -1}, {"weight_decay": -1}, {"momentum": 1.0}, {"ns_steps": -1}]
)
def test_muon_settings(settings):
    with pytest.raises(CourseError, match=next(iter(settings))):
        Muon([nn.Parameter(torch.ones(2, 2))], **settings)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_muon_wants_matrices(shape):
    with pytest.raises(CourseError, match="Muon moves matrices"):
        Muon([nn.Parameter(torch.ones(shape))])


# ------------------------------------------------------------------ who gets what


@pytest.mark.parametrize("name", ["gpt2", "smollm2-135m", "llama-3.1-8b"])
def test_parameter_groups(name):
    model = meta_model(named(name))
    decayed, plain = parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    names = {p: n for n, p in model.named_parameters()}
    assert all(p.ndim == 2 for p in decayed["params"])
    assert all("norm" in names[p] or names[p].endswith("bias") for p in plain["params"])
    assert len(decayed["params"]) + len(plain["params"]) == len(names)


def test_frozen_parameters_are_left_out():
    model = net()
    model[0].requires_grad_(False)
    assert sum(len(g["params"]) for g in parameter_groups(model, 0.1)) == 4
    model.requires_grad_(False)
    assert parameter_groups(model, 0.1) == [] and matrices_and_rest(model, 0.1) == ([], [])


def test_matrices_and_rest():
    config = ModelConfig(
        vocab_size=9, context_length=8, n_layers=2, n_heads=2, width=8, hidden=12,
        position="learned", norm="layer", mlp="gelu", bias=True, tied=False,
    )  # fmt: skip
    model = Transformer(config)
    names = {p: n for n, p in model.named_parameters()}
    matrices, rest = matrices_and_rest(model, 0.3)
    inside = {names[p] for group in matrices for p in group["params"]}
    outside = {names[p]: group["weight_decay"] for group in rest for p in group["params"]}
    assert inside == {
        n for n in names.values() if n.startswith("blocks") and model.get_parameter(n).ndim == 2
    }
    assert inside | set(outside) == set(names.values()) and not inside & set(outside)
    assert (
        outside["embedding.weight"] == outside["head.weight"] == outside["positions.weight"] == 0.3
    )
    assert outside["norm.weight"] == outside["blocks.0.attention.q.bias"] == 0.0


# ------------------------------------------------------------------ clipping


def with_grads(*grads):
    params = []
    for g in grads:
        p = nn.Parameter(torch.zeros(3) if g is None else torch.zeros_like(g))
        p.grad = None if g is None else g.clone()
        params.append(p)
    return params


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1.0, 100.0, math.inf])
def test_clipping_is_torchs(max_norm):
    grads = [torch.randn(4, 5), None, torch.randn(7) * 3, torch.tensor(2.0)]
    ours, theirs = with_grads(*grads), with_grads(*grads)
    kept = ours[0].grad
    norm = clip_grad_norm((p for p in ours), max_norm)  # a generator will do
    close(norm, nn.utils.clip_grad_norm_(theirs, max_norm))
    for p, q in zip(ours, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            close(p.grad, q.grad)
    assert ours[0].grad is kept  # in place
    assert clip_grad_norm(ours, math.inf) <= max_norm * 1.0001


def test_short_gradients_are_left_alone():
    (p,) = with_grads(torch.tensor([0.3, 0.4]))
    close(clip_grad_norm(p, 1.0), torch.tensor(0.5))  # one tensor will do
    assert torch.equal(p.grad, torch.tensor([0.3, 0.4]))


def test_nothing_to_clip():
    assert clip_grad_norm([], 1.0) == 0 and clip_grad_norm(with_grads(None), 1.0) == 0
    (p,) = with_grads(torch.zeros(3))
    assert clip_grad_norm([p], 1.0) == 0 and (p.grad == 0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_length_that_is_no_number_changes_nothing(bad):
    grads = [torch.ones(3), torch.tensor([1.0, bad])]
    params = with_grads(*grads)
    assert not clip_grad_norm(params, 1.0).isfinite()
    assert (params[0].grad == 1).all() and params[1].grad[0] == 1


def test_half_precision_does_not_overflow():
    (p,) = with_grads(torch.full((1000,), 300.0, dtype=torch.float16))
    norm = clip_grad_norm([p], 1.0)
    assert norm.dtype == torch.float32
    close(norm, torch.tensor(300.0 * math.sqrt(1000)), rtol=1e-3, atol=0)
    assert p.grad.dtype == torch.float16


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_impossible_limits(bad):
    with pytest.raises(CourseError, match="cannot be clipped"):
        clip_grad_norm(with_grads(torch.ones(2)), bad)
