"""A model for a team: what can be seen with one process, and (slow) with two.

FSDP's own code also runs on a team of one that talks to itself over gloo: parameters are real DTensors.
What takes two is in `two_processes.py`, which both are told to run.
"""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.train.distributed import (
    Team,
    accumulate,
    clip,
    join,
    leave,
    parallelise,
    put_away,
    unwrap,
)
from llmcourse.train.losses import cross_entropy
from llmcourse.train.meeting import name_of_meeting
from llmcourse.train.optim import AdamW, Muon, clip_grad_norm, matrices_and_rest
from llmcourse.train.sharding import is_sharded, local, whole
from llmcourse.train.team import LONGEST_TEXT

CONFIG = ModelConfig(vocab_size=11, context_length=8, n_layers=2, n_heads=2, width=12, hidden=20)
ALONE = Team(0, 1, 0, torch.device("cpu"), None)
X = torch.randint(0, 11, (4, 8), generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 11, (4, 8), generator=torch.Generator().manual_seed(2))


def model():
    torch.manual_seed(0)
    return Transformer(CONFIG)


def gradients(m):
    return {n: whole(p.grad) for n, p in m.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module")
def to_itself():
    """A team of one that has a process group, so that DDP and FSDP are not skipped."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield Team(0, 1, 0, torch.device("cpu"), "gloo")
    dist.destroy_process_group()


# ------------------------------------------------------------------ a team of one


def test_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    team = join("cpu")
    assert team == ALONE and team.is_main
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    for y in (team.mean(x), team.sum(x)):
        assert torch.equal(y, x) and y is not x and not y.requires_grad
    assert team.any(True) is True and team.any(False) is False
    assert team.gather_text("grüß dich") == ["grüß dich"]
    team.barrier()
    leave(team)


def test_a_long_text_is_cut_between_letters():
    (text,) = ALONE.gather_text("ü" * LONGEST_TEXT)
    assert text == "ü" * (LONGEST_TEXT // 2)
    assert ALONE.gather_text("a" + "ü" * LONGEST_TEXT)[0] == "a" + "ü" * (LONGEST_TEXT // 2 - 1)


def test_torchrun_with_one_process_is_alone(monkeypatch):
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    assert join("cpu") == ALONE


@pytest.mark.parametrize(
    ("rank", "size"), [("2", "2"), ("-1", "2"), ("one", "2"), ("0", "0"), ("0", "")]
)
def test_an_environment_that_makes_no_sense(monkeypatch, rank, size):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(CourseError, match=r"RANK=.*torchrun"):
        join("cpu")


def test_nobody_to_meet(monkeypatch):
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CourseError, match=r"process 1 of 2 cannot reach the others.*torchrun"):
        join("cpu")
    with pytest.raises(CourseError, match="no device 'tpu'"):
        join("tpu")


# ------------------------------------------------------------------ meeting


def meet(store, ranks, size, timeout_s=10.0):
    """What each of some processes, threads here, finds out about the meeting."""
    with ThreadPoolExecutor(size) as pool:
        told = [pool.submit(name_of_meeting, store, rank, size, timeout_s) for rank in ranks]
        return [each.result() for each in told]


def test_a_meeting_is_of_the_living():
    """Three meet at a place where others have met, and where a dead one has just said hello."""
    store = dist.HashStore()
    earlier = set(meet(store, range(3), 3))
    store.set("hello/1", "a word of a process that died before it was welcomed")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(name_of_meeting, store, 0, 3, 10.0)
        while not store.check(["welcome/a word of a process that died before it was welcomed"]):
            time.sleep(0.01)
        later = {*meet(store, [2, 1], 3), first.result()}
    assert len(earlier) == len(later) == 1 and earlier != later


def test_somebody_does_not_come():
    store = dist.HashStore()
    meet(store, range(3), 3)
    with pytest.raises(CourseError, match=r"process 1, 2 has not come within 0\.1 s.*rdzv"):
        name_of_meeting(store, 0, 3, 0.1)
    with pytest.raises(CourseError, match=r"process 0 has not come"):
        name_of_meeting(store, 1, 3, 0.1)


# ------------------------------------------------------------------ one process


def test_one_process_keeps_its_model():
    m = model()
    assert parallelise(m, ALONE, "fsdp") is m and parallelise(m, ALONE, "ddp") is m
    assert not any(is_sharded(p) for p in m.parameters())
    with pytest.raises(CourseError, match=r"'zero'.*ddp, fsdp"):
        parallelise(m, ALONE, "zero")


def test_activation_checkpointing_gives_the_same_gradients():
    plain, thrifty = model(), model()
    names = list(thrifty.state_dict())
    parallelise(thrifty, ALONE, activation_checkpointing=True)
    assert list(thrifty.state_dict()) == names
    kept = []
    for m in (plain, thrifty, copy.deepcopy(thrifty)):
        bytes_ = []

        def pack(t, bytes_=bytes_):
            bytes_.append(t.numel() * t.element_size())
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            loss = cross_entropy(m(X), Y)
        loss.backward()
        kept.append(sum(bytes_))
    for name, g in gradients(plain).items():
        assert torch.equal(g, gradients(thrifty)[name])
    assert kept[1] < kept[0] / 2  # what is inside the blocks is not kept
    assert kept[1] == kept[2]


def test_a_copy_of_a_checkpointed_model_is_its_own():
    m = parallelise(model(), ALONE, activation_checkpointing=True)
    twin = copy.deepcopy(m)
    with torch.no_grad():
        for p in m.blocks.parameters():
            p.zero_()
    assert not torch.equal(twin(X), m(X))


def test_any_module_can_be_checkpointed():
    net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    twin = copy.deepcopy(net)
    parallelise(net, ALONE, activation_checkpointing=True)
    parallelise(twin, ALONE, activation_checkpointing=True, parts=[twin[0], twin[1]])
    x = torch.randn(4, 8)
    for m in (net, twin):
        m(x).sum().backward()
    assert torch.equal(net[0].weight.grad, twin[0].weight.grad)


def test_accumulate_changes_nothing_for_one_process():
    m = model()
    for last in (False, True):
        with accumulate(m, last):
            (cross_entropy(m(X), Y) / 2).backward()
    once = model()
    cross_entropy(once(X), Y).backward()
    for name, g in gradients(once).items():
        torch.testing.assert_close(g, gradients(m)[name])


def test_clip_is_clip_grad_norm_for_one_process():
    a, b = model(), model()
    for m in (a, b):
        cross_entropy(m(X), Y).backward()
    assert clip(a, 0.1, ALONE) == clip_grad_norm(b.parameters(), 0.1)
    for name, g in gradients(a).items():
        assert torch.equal(g, gradients(b)[name])


def test_unwrap():
    m = model()
    assert unwrap(m) is m
    assert unwrap(torch.compile(m)) is m  # compiled when it is first called, which it is not


# ------------------------------------------------------------------ a team of one that talks to itself


def test_ddp_keeps_names_and_model(to_itself):
    m = model()
    wrapped = parallelise(m, to_itself, "ddp")
    assert wrapped is not m and unwrap(wrapped) is m and unwrap(torch.compile(wrapped)) is m
    # Muon must know tables from matrices under the wrapper's names, too.
    for a, b in zip(matrices_and_rest(m, 0.1), matrices_and_rest(wrapped, 0.1), strict=True):
        assert [[p.shape for p in g["params"]] for g in a] == [
            [p.shape for p in g["params"]] for g in b
        ]


def test_ddp_without_anything_to_train(to_itself):
    m = model().requires_grad_(False)
    assert parallelise(m, to_itself, "ddp") is m


def test_fsdp_shards_block_by_block(to_itself):
    m = parallelise(model(), to_itself, "fsdp")
    assert isinstance(m, Transformer) and all(is_sharded(p) for p in m.parameters())
    groups = [name for name, part in m.named_modules() if hasattr(part, "unshard")]
    assert groups == ["", "blocks.0", "blocks.1"]
    assert list(m.state_dict()) == list(model().state_dict())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_fsdp_gives_the_same_gradients(to_itself, checkpointing):
    plain = model()
    sharded = parallelise(model(), to_itself, "fsdp", activation_checkpointing=checkpointing)
    for m in (plain, sharded):
        cross_entropy(m(X), Y).backward()
    for name, g in gradients(plain).items():
        torch.testing.assert_close(g, gradients(sharded)[name])


def test_fsdp_computes_in_bfloat16_and_keeps_float32(to_itself):
    m = parallelise(model(), to_itself, "fsdp", precision=torch.bfloat16)
    logits = m(X)
    assert logits.dtype == torch.bfloat16
    cross_entropy(logits.float(), Y).backward()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in m.parameters())
    exact = model()
    torch.testing.assert_close(logits.float(), exact(X), atol=0.02, rtol=0)


def test_fsdp_lets_go_after_an_evaluation(to_itself):
    """Without a backward pass nothing else would: the optimizer's parameters would be others."""
    m = parallelise(model(), to_itself, "fsdp")
    before = list(m.parameters())
    with torch.no_grad():
        m(X)
    assert all(a is b for a, b in zip(before, m.parameters(), strict=True))
    m(X)  # a backward pass may follow: the outermost matrices stay
    assert not all(is_sharded(p) for p in m.parameters())
    put_away(m)
    assert all(is_sharded(p) for p in m.parameters())


class Tied(nn.Module):
    """Embedding and exit are one tensor with two names; the list's last part has it, too."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.blocks = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 11, bias=False)])
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("shift", torch.zeros(11))
        self.blocks[1].weight = self.table.weight

    def forward(self, ids):
        return self.blocks[1](self.blocks[0](self.table(ids)).tanh()) * self.scale + self.shift


def test_fsdp_with_tied_and_frozen_parameters(to_itself):
    torch.manual_seed(0)
    plain = Tied()
    plain.blocks[0].requires_grad_(False)
    sharded = parallelise(copy.deepcopy(plain), to_itself, "fsdp")
    assert sharded.blocks[1].weight is sharded.table.weight  # still one
    assert not sharded.blocks[0].weight.requires_grad
    groups = [name for name, part in sharded.named_modules() if hasattr(part, "unshard")]
    assert groups == ["", "blocks.0"]  # a part that shares a tensor with others stays with them
    for m in (plain, sharded):
        cross_entropy(m(X), Y).backward()
    assert gradients(plain).keys() == gradients(sharded).keys() == {"table.weight", "scale"}
    for name, g in gradients(plain).items():
        torch.testing.assert_close(g, gradients(sharded)[name])


def test_fsdp_refuses_a_parameter_without_rows(to_itself):
    net = nn.Linear(2, 2)
    net.temperature = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(CourseError, match=r"temperature.*vector"):
        parallelise(net, to_itself, "fsdp")


@pytest.mark.parametrize("limit", [0.05, 1e9, 0.0])
def test_clip_with_sharded_gradients(to_itself, limit):
    plain, sharded = model(), parallelise(model(), to_itself, "fsdp")
    norms = []
    for m in (plain, sharded):
        cross_entropy(m(X), Y).backward()
        norms.append(clip(m.parameters() if m is plain else m, limit, to_itself))
    torch.testing.assert_close(norms[0], norms[1])
    for name, g in gradients(plain).items():
        torch.testing.assert_close(g, gradients(sharded)[name])


def test_clip_leaves_what_is_no_number(to_itself):
    m = parallelise(model(), to_itself, "fsdp")
    cross_entropy(m(X), Y).backward()
    gradient = m.blocks[0].mlp.w1.weight.grad
    local(gradient)[0, 0] = torch.inf
    before = whole(gradient).clone()
    assert clip(m, 1.0, to_itself).isinf()
    assert torch.equal(whole(gradient), before)
    for bad in (-1.0, float("nan")):
        with pytest.raises(CourseError, match="clipped"):
            clip(m, bad, to_itself)


@pytest.mark.parametrize("kind", ["AdamW", "Muon"])
def test_optimizers_move_sharded_parameters(to_itself, kind):
    results = []
    for strategy in (None, "fsdp"):
        m = model() if strategy is None else parallelise(model(), to_itself, strategy)
        params = [p for p in m.blocks.parameters() if p.ndim == 2]
        optimizer = AdamW(params, lr=0.01) if kind == "AdamW" else Muon(params, lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            cross_entropy(m(X), Y).backward()
            optimizer.step()
        states = [t for s in optimizer.state.values() for t in s.values() if torch.is_tensor(t)]
        assert all(is_sharded(t) == (strategy is not None) for t in states if t.ndim)
        results.append([whole(p.detach()) for p in params])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


# ------------------------------------------------------------------ two processes

PROGRAM = Path(__file__).with_name("two_processes.py")
CHECKS = [
    "talk", "meeting_again", "rank_0_decides", "frozen_and_tied", "gradients_are_the_batchs",
    "accumulation_is_silent", "more_processes_than_rows", "clip_is_global", "muon_sees_whole_matrices",
    "one_full_disk_is_everybodys", "a_snapshot_for_any_team",
]  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What each check had to say on both processes; they are started once for all."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    common = {
        **os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROGRAM.parents[2]),
    }  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, PROGRAM, folder, *CHECKS],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=120)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    found = []
    for rank in range(2):
        path = folder / f"outcomes-{rank}.json"
        found.append(json.loads(path.read_text()) if path.exists() else {})
    return found, said


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_two_processes(outcomes, check):
    found, said = outcomes
    for rank in range(2):
        assert found[rank].get(check, f"did not get there:\n{said[rank]}") == "", f"rank {rank}"
