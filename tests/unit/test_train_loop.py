"""The training loop: it learns, it says what it did, and it stops when the numbers do."""

from __future__ import annotations

import copy
import math
import time

import numpy as np
import pytest
import torch
from torch import nn

from llmcourse.data.batches import get_batch
from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.train.loop import History, fit, make_optimizers
from llmcourse.train.losses import cross_entropy
from llmcourse.train.optim import AdamW, Muon
from llmcourse.train.schedule import warmup_cosine

CONFIG = ModelConfig(
    vocab_size=8, context_length=16, n_layers=2, n_heads=2, width=16, hidden=32, position="learned"
)
STREAM = np.array([0, 1, 2, 3, 4, 5, 6, 7] * 20, dtype=np.uint16)  # what comes next is certain


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def batches(step):
    return get_batch(STREAM, 8, 8, generator=torch.Generator().manual_seed(step))


@pytest.mark.parametrize(("optimizer", "lr"), [("adamw", 1e-2), ("muon", 3e-2)])
def test_it_learns_what_comes_next(optimizer, lr):
    model = Transformer(CONFIG)
    history = fit(model, batches, steps=80, lr=lr, optimizer=optimizer, progress=False)
    assert history.loss[0] == pytest.approx(math.log(8), abs=0.1)  # no opinion yet
    assert history.loss[-1] < 0.1
    assert model(torch.tensor([[3, 4, 5]]))[0, -1].argmax() == 6


def test_history():
    model = Transformer(CONFIG)
    history = fit(model, batches, steps=20, lr=1e-2, warmup_steps=5, min_lr=1e-4, progress=False)
    assert len(history.loss) == len(history.lr) == len(history.grad_norm) == 20
    assert history.lr == [warmup_cosine(s + 1, 1e-2, 5, 20, 1e-4) for s in range(20)]
    assert history.lr[0] == pytest.approx(2e-3) and history.lr[-1] == pytest.approx(1e-4)
    assert history.tokens == 20 * 8 * 8 and history.seconds > 0
    assert history.tokens_per_second == pytest.approx(history.tokens / history.seconds)
    assert all(0 < n < 100 for n in history.grad_norm)
    assert History().tokens_per_second == 0


def test_it_is_the_loop_written_out():
    """Twelve steps by `fit`, and by hand with PyTorch's own parts: the same weights."""
    model = Transformer(CONFIG)
    twin = copy.deepcopy(model)
    history = fit(model, batches, steps=12, lr=5e-3, clip=0.3, progress=False)

    decayed = [p for p in twin.parameters() if p.ndim >= 2]
    others = [p for p in twin.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.95),
    )
    losses = []
    for step in range(12):
        x, y = batches(step)
        loss = nn.functional.cross_entropy(twin(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 0.3)
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step + 1, 5e-3, 1, 12, 5e-4)
        optimizer.step()
        losses.append(loss.item())
    assert history.loss == pytest.approx(losses, rel=1e-4)
    assert max(history.grad_norm) > 0.3  # clipping had something to do
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-4, rtol=1e-3)


def test_on_step_and_time():
    seen = []

    def on_step(step, history):
        assert len(history.loss) == step + 1
        seen.append(step)
        time.sleep(0.05)

    history = fit(Transformer(CONFIG), batches, steps=5, on_step=on_step, progress=False)
    assert seen == [0, 1, 2, 3, 4]
    one = fit(Transformer(CONFIG), batches, steps=5, progress=False)
    assert history.seconds < one.seconds + 0.2  # five sleeps of 0.05 s are not training


def test_batches_may_be_arrays():
    def arrays(step):
        return tuple(t.numpy() for t in batches(step))

    runs = []
    for source in (batches, arrays):
        torch.manual_seed(1)
        runs.append(fit(Transformer(CONFIG), source, steps=3, progress=False).loss)
    assert runs[0] == runs[1]


def test_ignored_targets_teach_nothing():
    def half(step):
        x, y = batches(step)
        return x, y.masked_fill(y >= 4, -100)

    model = Transformer(CONFIG)
    fit(model, half, steps=60, lr=1e-2, progress=False)
    assert model(torch.tensor([[0, 1, 2]]))[0, -1].argmax() == 3
    assert model(torch.tensor([[3, 4, 5]]))[0, -1].softmax(-1)[6] < 0.5


def test_the_mode_is_given_back():
    model = Transformer(CONFIG).eval()
    modes = []
    fit(model, batches, steps=2, on_step=lambda s, h: modes.append(model.training), progress=False)
    assert modes == [True, True] and not model.training
    assert all(p.grad is None for p in model.parameters())


def test_frozen_parameters_stay():
    model = Transformer(CONFIG)
    model.embedding.requires_grad_(False)
    before = model.embedding.weight.clone()
    fit(model, batches, steps=3, progress=False)
    assert torch.equal(model.embedding.weight, before)
    model.requires_grad_(False)
    with pytest.raises(CourseError, match="nothing to train"):
        fit(model, batches, steps=3, progress=False)


def test_a_progress_bar_only_on_a_terminal(capsys):
    fit(Transformer(CONFIG), batches, steps=2)
    fit(Transformer(CONFIG), batches, steps=2, progress=False)
    assert capsys.readouterr() == ("", "")  # pytest's capture is no terminal


# ------------------------------------------------------------------ when numbers go wrong


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number(bad):
    model = Transformer(CONFIG)
    weights = {}

    def poison(step, history):
        if step == 2:
            weights.update(copy.deepcopy(model.state_dict()))
            with torch.no_grad():
                model.norm.weight[0] = bad

    with pytest.raises(CourseError, match="the loss is nan at step 3"):
        fit(model, batches, steps=10, on_step=poison, progress=False)
    weights.pop("norm.weight")
    assert all(torch.equal(model.state_dict()[name], value) for name, value in weights.items())


def test_no_target_at_all():
    def nothing(step):
        x, y = batches(step)
        return x, torch.full_like(y, -100) if step == 1 else y

    with pytest.raises(CourseError, match="the loss is nan at step 1"):
        fit(Transformer(CONFIG), nothing, steps=3, progress=False)


def test_a_gradient_that_is_no_number():
    class Spiky(nn.Module):
        """A finite loss with an infinite slope: √x at 0."""

        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(8))

        def forward(self, ids):
            return self.w.sqrt().expand(*ids.shape, 8)

    model = Spiky()
    with pytest.raises(CourseError, match=r"the length of the gradient is (inf|nan) at step 0"):
        fit(model, batches, steps=3, progress=False)
    assert (model.w == 0).all() and model.w.grad is None


@pytest.mark.parametrize(
    "settings",
    [{"steps": 0}, {"steps": 5, "lr": -1.0}, {"steps": 5, "warmup_steps": 9}, {"steps": 5, "min_lr": 1.0},
     {"steps": 5, "optimizer": "sgd"}, {"steps": 5, "clip": -1.0}, {"steps": 5, "betas": (0.9, 1.0)}],
)  # fmt: skip
def test_settings_that_make_no_sense(settings):
    model = Transformer(CONFIG)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CourseError):
        fit(model, batches, progress=False, **settings)
    assert all(torch.equal(model.state_dict()[n], value) for n, value in before.items())


# ------------------------------------------------------------------ which optimizers


def test_optimizers():
    model = Transformer(CONFIG)
    (adamw,) = make_optimizers(model, lr=0.1, betas=(0.5, 0.6), weight_decay=0.7)
    assert isinstance(adamw, AdamW)
    assert [g["weight_decay"] for g in adamw.param_groups] == [0.7, 0.0]
    assert adamw.defaults["betas"] == (0.5, 0.6) and adamw.defaults["lr"] == 0.1
    muon, rest = make_optimizers(model, "muon")
    assert isinstance(muon, Muon) and isinstance(rest, AdamW)
    assert all(g["match_adamw"] for g in muon.param_groups)
    held = [p for o in (muon, rest) for g in o.param_groups for p in g["params"]]
    assert len(held) == len(set(held)) == len(list(model.parameters()))
    assert len(make_optimizers(nn.Linear(2, 2, bias=False), "muon")) == 1
    assert len(make_optimizers(nn.LayerNorm(2), "muon")) == 1


def test_one_step_raises_the_right_tokens_probability():
    """What the video says of a step: the token that came becomes likelier, the others less so."""
    model = Transformer(CONFIG)
    x, y = torch.tensor([[1, 2, 3]]), torch.tensor([[-100, -100, 4]])
    before = model(x)[0, -1].softmax(-1)
    first = cross_entropy(model(x), y)
    fit(model, lambda step: (x, y), steps=1, lr=1e-3, weight_decay=0.0, progress=False)
    after = model(x)[0, -1].softmax(-1)
    assert after[4] > before[4] and after.sum() - after[4] < before.sum() - before[4]
    assert cross_entropy(model(x), y) < first
