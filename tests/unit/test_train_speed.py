"""The fast ways to a training step give the plain ways' numbers."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from llmcourse.model.attention import attend, causal_mask
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.train import optim, speed
from llmcourse.train.compiling import why_not
from llmcourse.train.losses import cross_entropy
from llmcourse.train.optim import AdamW
from llmcourse.train.threads import wait_asleep

close = torch.testing.assert_close
CPU = torch.device("cpu")
SMALL = ModelConfig(
    vocab_size=50, context_length=24, n_layers=2, n_heads=4, n_kv_heads=2, width=32, hidden=48
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def batch(rows=3, T=24):
    ids = torch.randint(0, 50, (rows, T + 1))
    return ids[:, :-1], ids[:, 1:].clone()


def loss_and_gradients(model, loss_of, x, y, dtype=torch.float32):
    model.zero_grad()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        loss = loss_of(model, x, y)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in model.parameters()]


# ------------------------------------------------------------------ the loss


def test_the_loss_is_cross_entropy():
    model, (x, y) = Transformer(SMALL), batch()
    y[0, :5] = -100
    close(speed.next_token_loss(model, x, y), cross_entropy(model(x), y))


def test_prepared_without_compiling_changes_nothing():
    model, (x, y) = Transformer(SMALL), batch()
    before = speed.next_token_loss(model, x, y)
    assert torch.equal(speed.prepare(model, CPU)(model, x, y), before)
    assert all(block.attention.attend is attend for block in model.blocks)


@pytest.mark.parametrize(
    ("device", "dtype", "compiled", "expected"),
    [
        ("cpu", torch.bfloat16, True, speed.blocked_attention),
        ("cpu", torch.bfloat16, False, attend),  # slower, if it is not compiled
        ("cpu", torch.float32, True, attend),
        ("cuda", torch.bfloat16, True, attend),
    ],
)
def test_who_attends_in_blocks(monkeypatch, device, dtype, compiled, expected):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    model = nn.ModuleDict({"inside": Transformer(SMALL)})  # as wrapped as one likes
    speed.prepare(model, torch.device(device), dtype, compiled)
    assert {block.attention.attend for block in model["inside"].blocks} == {expected}
    speed.prepare(model, CPU)  # and back
    assert {block.attention.attend for block in model["inside"].blocks} == {attend}


def test_any_module_can_be_prepared():
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.Embedding(50, 50)

        def forward(self, ids):
            return self.rows(ids)

    model, (x, y) = Table(), batch()
    loss_of = speed.prepare(model, CPU, torch.bfloat16)
    close(loss_of(model, x, y), cross_entropy(model(x), y))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_is_the_same(dtype):
    if obstacle := why_not(CPU):
        pytest.skip(obstacle)
    torch.compiler.reset()
    model, (x, y) = Transformer(SMALL.model_copy(update={"n_layers": 1})), batch()
    loss, gradients = loss_and_gradients(model, speed.next_token_loss, x, y)
    compiled = speed.prepare(model, CPU, dtype, compiled=True)
    fast_loss, fast_gradients = loss_and_gradients(model, compiled, x, y, dtype)
    exact = dtype == torch.float32
    close(fast_loss, loss, atol=1e-5 if exact else 2e-3, rtol=0)
    for fast, slow in zip(fast_gradients, gradients, strict=True):
        error = (fast - slow).norm() / slow.norm()
        assert error < (1e-5 if exact else 0.03)
    # Not copied: the compiled function sees what the optimizer does to the parameters.
    with torch.no_grad():
        model.embedding.weight.mul_(3)
    again, _ = loss_and_gradients(model, compiled, x, y, dtype)
    assert abs(again - fast_loss) > 0.01


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A compiler that trips over empty libraries and, if told so, always fails."""
    from torch._dynamo.exc import BackendCompilerFailed
    from torch._functorch import config

    class Compiler:
        def __init__(self):
            self.calls, self.broken, self.both_passes = 0, False, []
            (tmp_path / "ab").mkdir()
            self.library = tmp_path / "ab" / "cab.main.so"

        def __call__(self, function, **_):
            def compiled(*arguments):
                self.calls += 1
                self.both_passes.append(config.force_non_lazy_backward_lowering)
                if self.broken or (self.library.exists() and not self.library.read_bytes()):
                    raise BackendCompilerFailed(print, RuntimeError("file too short"), None)
                return function(*arguments)

            return compiled

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    fake = Compiler()
    monkeypatch.setattr(torch, "compile", fake)
    return fake


def test_what_a_killed_compilation_leaves_is_removed(compiler, recwarn):
    compiler.library.write_bytes(b"")
    whole = compiler.library.with_name("whole.so")
    whole.write_bytes(b"ELF")
    model, (x, y) = Transformer(SMALL), batch()
    loss_of = speed.prepare(model, CPU, torch.bfloat16, compiled=True)
    loss_of(model, x, y)
    loss_of(model, x, y)
    assert compiler.calls == 3 and not recwarn.list
    assert whole.exists() and not compiler.library.exists()
    assert {block.attention.attend for block in model.blocks} == {speed.blocked_attention}


def test_a_compiler_that_fails(compiler):
    compiler.broken = True
    model, (x, y) = Transformer(SMALL), batch()
    loss_of = speed.prepare(model, CPU, torch.bfloat16, compiled=True)
    with pytest.warns(UserWarning, match=r"not compiled.*too short"):
        loss = loss_of(model, x, y)
    assert torch.equal(loss, speed.next_token_loss(model, x, y))
    assert {block.attention.attend for block in model.blocks} == {attend}
    loss_of(model, x, y)
    assert compiler.calls == 2  # it is not tried at every step


def test_failures_on_the_way_back_come_at_once(compiler):
    """Both passes are compiled by the first call, where a failure can be dealt with."""
    model, (x, y) = Transformer(SMALL), batch()
    loss_of = speed.prepare(model, CPU, compiled=True)
    loss_of(model, x, y)
    loss_of(model, x, y)
    assert compiler.both_passes == [True, False]


# ------------------------------------------------------------------ attention in blocks


@pytest.mark.parametrize("T", [1, 7, 8, 9, 30])
@pytest.mark.parametrize("block", [1, 8, 64])
def test_blocked_attention(T, block):
    q, k, v = (torch.randn(2, 3, T, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    g = torch.randn(2, 3, T, 4, dtype=torch.float64)
    ours, theirs = speed.blocked_attention(q, k, v, block=block), attend(q, k, v)
    close(ours, theirs, atol=1e-6, rtol=1e-6)
    for a, b in zip(
        torch.autograd.grad(ours, (q, k, v), g), torch.autograd.grad(theirs, (q, k, v), g), strict=True
    ):  # fmt: skip
        close(a, b, atol=1e-6, rtol=1e-5)


def test_blocks_do_not_see_the_future():
    q, k, v = (torch.randn(1, 1, 20, 4) for _ in range(3))
    before = speed.blocked_attention(q, k, v, block=8)
    k[..., 13:, :], v[..., 13:, :] = 9.0, -9.0
    after = speed.blocked_attention(q, k, v, block=8)
    assert torch.equal(before[..., :13, :], after[..., :13, :])
    assert not torch.equal(before[..., 13:, :], after[..., 13:, :])


def test_blocks_keep_the_type():
    q, k, v = (torch.randn(2, 2, 20, 8).bfloat16() for _ in range(3))
    ours = speed.blocked_attention(q, k, v, block=8)
    assert ours.dtype == torch.bfloat16
    close(ours.float(), attend(q.float(), k.float(), v.float()), atol=0.03, rtol=0.03)


def test_masks_and_caches_are_left_to_torch():
    q, k, v = (torch.randn(1, 2, 6, 4) for _ in range(3))
    mask = causal_mask(6) & ~torch.eye(6, dtype=torch.bool).roll(1, 0)
    close(speed.blocked_attention(q, k, v, mask), attend(q, k, v, mask))
    last = q[..., -1:, :]
    close(speed.blocked_attention(last, k, v), attend(last, k, v))  # one query, all keys


def test_a_model_in_blocks_is_the_same_model():
    model, (x, _) = Transformer(SMALL).double(), batch()
    before = model(x)
    for block in model.blocks:
        block.attention.attend = speed.blocked_attention
    close(model(x), before, atol=1e-6, rtol=1e-6)
    copy.deepcopy(model)


# ------------------------------------------------------------------ AdamW in one pass


def both_ways(monkeypatch, params, settings, steps=30):
    """The parameters after training in one pass, and after the same in a plain loop."""
    results = []
    for fast in (True, False):
        if not fast:
            monkeypatch.setattr(optim, "can_step_in_one_pass", lambda *_: False)
        mine = [nn.Parameter(p.clone()) for p in params]
        optimizer = AdamW(mine, **settings)
        chance = torch.Generator().manual_seed(1)
        for step in range(steps):
            for i, p in enumerate(mine):
                g = torch.randn(p.shape, generator=chance, dtype=torch.float64).to(p.dtype)
                p.grad = None if (step + i) % 5 == 4 else g  # counts of steps come to differ
            optimizer.step()
        results.append((mine, optimizer))
    return results


@pytest.mark.parametrize(
    "settings",
    [{}, {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.3}, {"lr": 0.0}],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_pass_is_the_loop(monkeypatch, settings, dtype):
    params = [torch.randn(s, dtype=dtype) for s in ((5, 7), (64,), (1,), (3, 3))]
    (fast, a), (slow, b) = both_ways(monkeypatch, params, settings)
    tolerance = {"atol": 1e-6, "rtol": 1e-5} if dtype == torch.float32 else {}
    for p, q in zip(fast, slow, strict=True):
        close(p, q, **tolerance)
        assert a.state[p]["step"] == b.state[q]["step"] > 0
        close(a.state[p]["m"], b.state[q]["m"], **tolerance)
        close(a.state[p]["v"], b.state[q]["v"], **tolerance)


def test_one_pass_is_taken(monkeypatch):
    taken = []
    monkeypatch.setattr(optim, "step_in_one_pass", lambda params, *_: taken.extend(params))
    plain, short = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    turned = nn.Parameter(torch.ones(3, 2).T)
    for p in (plain, short, turned):
        p.grad = torch.ones_like(p)
    AdamW([plain, short, turned], lr=0.1).step()
    assert len(taken) == 1 and taken[0] is plain
    assert (short < 1).all() and (turned < 1).all()  # the loop has moved these


@pytest.mark.parametrize("which", ["parameter", "gradient"])
def test_matrices_that_lie_across_in_memory(monkeypatch, which):
    """The kernel walks straight through memory: two tensors in different orders must not reach it."""
    w, g = torch.randn(4, 6), torch.randn(4, 6)
    ends = []
    for across in (False, True):
        p = nn.Parameter((w.T.contiguous().T if across and which == "parameter" else w).clone())
        p.grad = g.T.contiguous().T if across and which == "gradient" else g.clone()
        AdamW([p], lr=0.1).step()
        ends.append(p.detach())
    close(ends[0], ends[1])


# ------------------------------------------------------------------ the machine


def test_multiplies_bf16_is_an_answer():
    assert speed.multiplies_bf16() in (True, False)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True), ({"amx_bf16": True}, True),
        ({"avx2": True, "avx512_bf16": False}, False), ({}, False),
    ],
)  # fmt: skip
def test_who_multiplies_bf16(monkeypatch, features, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)
    assert speed.multiplies_bf16() is expected


def test_threads_sleep_unless_told_otherwise():
    environment = {}
    wait_asleep(environment)
    assert environment == {"OMP_WAIT_POLICY": "passive"}
    environment["OMP_WAIT_POLICY"] = "active"
    assert wait_asleep(environment) is False  # torch is there already
    assert environment == {"OMP_WAIT_POLICY": "active"}


def test_in_time():
    code = (
        "from llmcourse.train.threads import wait_asleep; import os, sys;"
        "assert wait_asleep() and 'torch' not in sys.modules; print(os.environ['OMP_WAIT_POLICY'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() in ("passive", "active", "PASSIVE", "ACTIVE")
