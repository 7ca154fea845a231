"""What test_train_distributed.py has two processes run: `two_processes.py FOLDER CHECK …`.

Each check is a function of the team and a folder of its own, called on both. What went wrong, if anything,
is written to outcomes-RANK.json. After a failure the rest is left out: the other process may be waiting.
"""

from __future__ import annotations

import copy
import json
import sys
import traceback
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.train import snapshots
from llmcourse.train.distributed import Team, accumulate, clip, join, leave, parallelise, unwrap
from llmcourse.train.loop import make_optimizers
from llmcourse.train.losses import cross_entropy
from llmcourse.train.optim import AdamW, Muon, clip_grad_norm
from llmcourse.train.sharding import is_sharded, local, rows_of, whole
from llmcourse.train.snapshots import load_snapshot, save_snapshot

CONFIG = ModelConfig(vocab_size=11, context_length=8, n_layers=2, n_heads=2, width=12, hidden=21)
ALONE = Team(0, 1, 0, torch.device("cpu"), None)
X = torch.randint(0, 11, (4, 8), generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 11, (4, 8), generator=torch.Generator().manual_seed(2))


def fresh(seed=0):
    torch.manual_seed(seed)
    return Transformer(CONFIG)


def mine(team, t):
    return t.chunk(team.world_size)[team.rank]


def same_everywhere(team, tensor):
    flat = tensor.detach().double().flatten()
    return torch.equal(team.mean(flat), flat)


def compare(plain, spread, what=lambda p: p):
    """Everything in `spread`, whole, is what it is in `plain`."""
    for (name, p), (other, q) in zip(
        plain.named_parameters(), unwrap(spread).named_parameters(), strict=True
    ):
        assert name == other
        torch.testing.assert_close(what(p), whole(what(q)), atol=1e-6, rtol=1e-5, msg=name)


# ------------------------------------------------------------------ the team


def talk(team, folder):
    x = torch.tensor([1.0, 10.0]) * (team.rank + 1)
    assert team.mean(x).tolist() == [1.5, 15.0]
    assert team.sum(x).tolist() == [3.0, 30.0]
    assert x.tolist() == [team.rank + 1, 10 * (team.rank + 1)]  # its own is as it was
    assert team.any(team.rank == 1) is True and team.any(False) is False
    assert team.gather_text(f"é{team.rank}") == ["é0", "é1"]
    assert team.gather_text("") == ["", ""]
    assert team.is_main == (team.rank == 0) and team.backend == "gloo"
    team.barrier()


def meeting_again(team, folder):
    """At the same place, where the addresses of the first meeting still lie."""
    leave(team)
    again = join("cpu", timeout_s=30)
    assert again == team and again.gather_text(str(again.rank)) == ["0", "1"]


# ------------------------------------------------------------------ the model


def rank_0_decides(team, folder):
    """Parameters and buffers, frozen ones too, come from rank 0."""
    for strategy in ("ddp", "fsdp"):
        torch.manual_seed(team.rank)
        net = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3))
        net[1].running_mean.fill_(team.rank)
        net[2].requires_grad_(False)
        assert not same_everywhere(team, net[0].weight)
        spread = unwrap(parallelise(net, team, strategy))
        torch.manual_seed(0)
        first = nn.Linear(5, 7)
        assert torch.equal(whole(spread[0].weight.detach()), first.weight)
        assert same_everywhere(team, whole(spread[2].weight.detach()))
        assert spread[1].running_mean.eq(0).all()
        assert not spread[2].weight.requires_grad and spread[0].weight.requires_grad
    blocks = parallelise(fresh(team.rank), team, "fsdp")  # part by part
    compare(fresh(0), blocks)
    frozen = parallelise(fresh(team.rank).requires_grad_(False), team, "ddp")
    assert same_everywhere(team, frozen.embedding.weight)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.middle = nn.Linear(6, 6)
        self.exit = nn.Linear(6, 11, bias=False)
        self.exit.weight = self.table.weight

    def forward(self, ids):
        return self.exit(self.middle(self.table(ids)).tanh())


def frozen_and_tied(team, folder):
    torch.manual_seed(3)
    plain = Tied()
    plain.middle.weight.requires_grad_(False)
    for strategy in ("ddp", "fsdp"):
        twin = copy.deepcopy(plain)
        spread = parallelise(copy.deepcopy(plain), team, strategy)
        for m, x, y in ((twin, X, Y), (spread, mine(team, X), mine(team, Y))):
            optimizer = AdamW([p for p in m.parameters() if p.requires_grad], lr=0.05)
            for _ in range(3):
                optimizer.zero_grad()
                cross_entropy(m(x), y).backward()
                optimizer.step()
        inner = unwrap(spread)
        assert inner.exit.weight is inner.table.weight
        assert torch.equal(whole(inner.middle.weight.detach()), plain.middle.weight)
        compare(twin, spread)


def gradients_are_the_batchs(team, folder):
    plain = fresh()
    cross_entropy(plain(X), Y).backward()
    for strategy in ("ddp", "fsdp"):
        for checkpointing in (False, True):
            m = parallelise(fresh(), team, strategy, activation_checkpointing=checkpointing)
            cross_entropy(m(mine(team, X)), mine(team, Y)).backward()
            compare(plain, m, lambda p: p.grad)


def accumulation_is_silent(team, folder):
    """Nothing is sent before the last micro-batch, and the sum is that of the whole batch."""
    plain = fresh()
    cross_entropy(plain(X), Y).backward()
    for strategy in ("ddp", "fsdp"):
        m = parallelise(fresh(), team, strategy)
        for n in range(2):
            with accumulate(m, last=n == 1):
                x, y = mine(team, X)[n : n + 1], mine(team, Y)[n : n + 1]
                (cross_entropy(m(x), y) / 2).backward()
            if n == 0 and strategy == "ddp":  # gradients of different rows are different
                assert not same_everywhere(team, m.module.embedding.weight.grad)
            if n == 0 and strategy == "fsdp":  # and parts have none yet
                assert all(is_sharded(p) and p.grad is None for p in m.parameters())
        compare(plain, m, lambda p: p.grad)


def more_processes_than_rows(team, folder):
    """A matrix of one row: rank 1 has none of it, and everything goes on."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1))
    plain = copy.deepcopy(net)
    spread = parallelise(net, team, "fsdp")
    assert rows_of(spread[1].weight) == ((0, 1), (1, 1))[team.rank]
    assert local(spread[0].weight).shape[0] == (2, 1)[team.rank]
    x = torch.arange(16.0).view(4, 4) / 10
    optimizers = []
    for m, rows in ((plain, x), (spread, mine(team, x))):
        optimizers.append(AdamW(m.parameters(), lr=0.1))
        for _ in range(2):
            optimizers[-1].zero_grad()
            m(rows).square().mean().backward()
            clip(m, 0.5, ALONE if m is plain else team)
            optimizers[-1].step()
    compare(plain, spread)
    save_snapshot(folder, 2, spread, optimizers[1:], {}, team)
    with torch.no_grad():
        for p in spread.parameters():
            local(p).zero_()
    assert load_snapshot(folder, spread, optimizers[1:], team) == (2, {})
    compare(plain, spread)


def clip_is_global(team, folder):
    for limit in (0.01, 100.0):
        plain = fresh()
        cross_entropy(plain(X), Y).backward()
        norm = clip_grad_norm(plain.parameters(), limit)
        for strategy in ("ddp", "fsdp"):
            m = parallelise(fresh(), team, strategy)
            cross_entropy(m(mine(team, X)), mine(team, Y)).backward()
            found = clip(m, limit, team)
            torch.testing.assert_close(found, norm)
            assert same_everywhere(team, found)
            compare(plain, m, lambda p: p.grad)


def muon_sees_whole_matrices(team, folder):
    plain, m = fresh(), parallelise(fresh(), team, "fsdp")
    for one, x, y in ((plain, X, Y), (m, mine(team, X), mine(team, Y))):
        optimizer = Muon([p for p in one.blocks.parameters() if p.ndim == 2], lr=0.05)
        for _ in range(3):
            one.zero_grad()
            cross_entropy(one(x), y).backward()
            optimizer.step()
    compare(plain, m)


# ------------------------------------------------------------------ snapshots


def one_full_disk_is_everybodys(team, folder):
    """Rank 1 alone cannot write: both hear of it, and the snapshot before is as it was."""
    m = parallelise(fresh(), team, "fsdp")
    optimizers = make_optimizers(m, lr=0.01)
    cross_entropy(m(mine(team, X)), mine(team, Y)).backward()
    optimizers[0].step()
    save_snapshot(folder, 1, m, optimizers, {}, team)
    team.barrier()
    before = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    write = snapshots._write_state
    if team.rank == 1:

        def full(path, shelf):
            raise OSError(28, "No space left on device")

        snapshots._write_state = full
    try:
        save_snapshot(folder, 2, m, optimizers, {}, team)
    except CourseError as error:
        assert "No space left" in str(error), error
    else:
        raise AssertionError("it was saved")
    finally:
        snapshots._write_state = write
    team.barrier()
    assert before == {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    assert load_snapshot(folder, m, optimizers, team) == (1, {})


def a_snapshot_for_any_team(team, folder):
    """Written by two under FSDP, read by one; and by two under DDP; and by one, and read by two."""

    def step(m, optimizers, x, y):
        for optimizer in optimizers:
            optimizer.zero_grad()
        cross_entropy(m(x), y).backward()
        for optimizer in optimizers:
            optimizer.step()

    def new(team, strategy, seed):
        m = parallelise(fresh(seed), team, strategy)
        return m, make_optimizers(unwrap(m), "muon", lr=0.01)

    here = (mine(team, X), mine(team, Y))
    reference = new(ALONE, "ddp", 0)
    sharded = new(team, "fsdp", 0)
    for _ in range(2):
        step(*reference, X, Y)
        step(*sharded, *here)
    save_snapshot(folder / "two", 2, *sharded, {"told by": team.rank}, team)
    matrices = [
        whole(t).numel()
        for o in sharded[1]
        for s in o.state.values()
        for t in s.values()
        if torch.is_tensor(t)
    ]
    team.barrier()
    files = [load_file(p) for p in sorted((folder / "two").rglob("optimizer-*"))]
    assert len(files) == 2  # each has its own rows, and together they have all
    assert sum(t.numel() for file in files for t in file.values()) == sum(matrices)
    single = new(ALONE, "ddp", 5)
    # Each by itself reads what both have written; their folder is swept by none.
    assert load_snapshot(folder / "two", *single, ALONE) == (2, {"told by": 0})
    team.barrier()
    copied = new(team, "ddp", 6)
    assert load_snapshot(folder / "two", *copied, team) == (2, {"told by": 0})
    save_snapshot(folder / f"one-{team.rank}", 2, *single, {}, ALONE)
    team.barrier()
    spread = new(team, "fsdp", 7)
    assert load_snapshot(folder / "one-0", *spread, team) == (2, {})
    step(*reference, X, Y)
    step(*single, X, Y)
    compare(reference[0], single[0])
    for m in (sharded, copied, spread):
        step(*m, *here)
        compare(reference[0], m[0])


def main(folder: Path, names: list[str]) -> None:
    team = join("cpu", timeout_s=60)
    outcomes = {}
    for name in names:
        try:
            own = folder / name
            own.mkdir(exist_ok=True)
            globals()[name](team, own)
            outcomes[name] = ""
        except Exception:
            outcomes[name] = traceback.format_exc()
        (folder / f"outcomes-{team.rank}.json").write_text(json.dumps(outcomes))
        if outcomes[name]:
            raise SystemExit(1)
    leave(team)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
