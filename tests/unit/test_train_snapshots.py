"""Snapshots: whole or not there, whatever dies when; damage is noticed; everything comes back."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import warnings

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import nn

from llmcourse.assets import sha256_of
from llmcourse.errors import CourseError
from llmcourse.model import weights
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.train import snapshots
from llmcourse.train.distributed import Team, parallelise
from llmcourse.train.loop import make_optimizers
from llmcourse.train.losses import cross_entropy
from llmcourse.train.optim import AdamW
from llmcourse.train.rows import Rows, RowShelf
from llmcourse.train.snapshot_files import snapshots_in
from llmcourse.train.snapshots import load_snapshot, save_snapshot

CONFIG = ModelConfig(vocab_size=11, context_length=8, n_layers=2, n_heads=2, width=12, hidden=20)
ALONE = Team(0, 1, 0, torch.device("cpu"), None)
EXTRA = {"position": 7, "seen": [1, 2.5, None, "é"], "rng": "00ff"}


def fresh(kind="adamw", seed=0):
    torch.manual_seed(seed)
    m = Transformer(CONFIG)
    return m, make_optimizers(m, kind, lr=0.01)


def train(m, optimizers, steps, first=0):
    losses = []
    for step in range(first, first + steps):
        ids = torch.randint(0, 11, (4, 9), generator=torch.Generator().manual_seed(step))
        for optimizer in optimizers:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = 0.01 / (1 + step)  # a schedule: settings are part of the state
        loss = cross_entropy(m(ids[:, :-1]), ids[:, 1:])
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return losses


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def three(tmp_path):
    """Snapshots of steps 1, 2 and 3, and their run."""
    m, optimizers = fresh()
    for step in range(3):
        train(m, optimizers, 1, step)
        save_snapshot(tmp_path, step + 1, m, optimizers, {"step": step + 1}, ALONE, keep=3)
    return tmp_path, m, optimizers


# ------------------------------------------------------------------ there and back

OPTIMIZERS = {
    "adamw": lambda m: make_optimizers(m, "adamw", lr=0.01),
    "muon": lambda m: make_optimizers(m, "muon", lr=0.01),
    "torch AdamW": lambda m: [torch.optim.AdamW(m.parameters(), lr=0.01, amsgrad=True)],
    "torch SGD": lambda m: [torch.optim.SGD(m.parameters(), lr=0.01, momentum=0.9)],
    "torch Adafactor": lambda m: [torch.optim.Adafactor(m.parameters(), lr=0.01)],
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_going_on_as_if_nothing_had_happened(tmp_path, kind):
    """Bit for bit: losses, weights and the whole state of the optimizers."""
    runs = []
    for interrupted in (False, True):
        m, _ = fresh()
        optimizers = OPTIMIZERS[kind](m)
        losses = train(m, optimizers, 3)
        if interrupted:
            save_snapshot(tmp_path, 3, m, optimizers, EXTRA, ALONE)
            m, _ = fresh(seed=1)
            optimizers = OPTIMIZERS[kind](m)
            assert load_snapshot(tmp_path, m, optimizers, ALONE) == (3, EXTRA)
        losses += train(m, optimizers, 3, first=3)
        runs.append((losses, list(m.parameters()), [o.state_dict() for o in optimizers]))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(a, b) for a, b in zip(runs[0][1], runs[1][1], strict=True))
    for a, b in zip(runs[0][2], runs[1][2], strict=True):
        assert a["param_groups"] == b["param_groups"]
        for i, entries in a["state"].items():
            assert {k: type(v) for k, v in entries.items()} == {
                k: type(v) for k, v in b["state"][i].items()
            }
            for key, value in entries.items():
                assert torch.equal(torch.as_tensor(value), torch.as_tensor(b["state"][i][key]))


def test_any_module_with_its_buffers(tmp_path):
    def net():
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 4, bias=False))

    m = net()
    m[2].weight = nn.Parameter(m[0].weight.detach().T.contiguous())
    m(torch.randn(8, 4))
    save_snapshot(tmp_path, 1, m, [], {}, ALONE)
    other = net()
    assert load_snapshot(tmp_path, other, [], ALONE) == (1, {})
    for name, tensor in m.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    assert other[1].num_batches_tracked == 1


def test_tied_tensors_stay_tied(tmp_path):
    def net():
        m = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
        m[1].weight = m[0].weight
        return m

    a, b = net(), net()
    optimizers = [[AdamW(m.parameters(), lr=0.1)] for m in (a, b)]
    a(torch.tensor([1])).sum().backward()
    optimizers[0][0].step()
    save_snapshot(tmp_path, 1, a, optimizers[0], {}, ALONE)
    load_snapshot(tmp_path, b, optimizers[1], ALONE)
    assert b[1].weight is b[0].weight and torch.equal(a[0].weight, b[0].weight)


def test_weights_alone(three):
    folder, m, _ = three
    other, _ = fresh(seed=1)
    assert load_snapshot(folder, other, [], ALONE) == (3, {"step": 3})
    assert torch.equal(m.embedding.weight, other.embedding.weight)


def test_a_compiled_model_has_the_same_names(tmp_path):
    m, _ = fresh()
    save_snapshot(tmp_path, 1, torch.compile(m), [], {}, ALONE)
    assert set(load_file(tmp_path / "step-00000001" / "model.safetensors")) == set(m.state_dict())


def test_the_dtype_and_place_of_the_model_remain(tmp_path):
    m, _ = fresh()
    save_snapshot(tmp_path, 1, m, [], {}, ALONE)
    half = Transformer(CONFIG).to(torch.bfloat16)
    load_snapshot(tmp_path, half, [], ALONE)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half.embedding.weight, m.embedding.weight.to(torch.bfloat16))


def test_no_snapshot_yet(tmp_path):
    assert load_snapshot(tmp_path / "nothing", *fresh(), ALONE) is None
    (tmp_path / "step-7").mkdir()  # not one of ours
    (tmp_path / "step-00000009").touch()
    assert load_snapshot(tmp_path, *fresh(), ALONE) is None


# ------------------------------------------------------------------ what is on the disk


def test_a_snapshot_is_a_model_like_any_release(three):
    folder, m, _ = three
    loaded = weights.load(folder / "step-00000003")
    assert loaded.config == CONFIG
    for name, tensor in m.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])


def test_files(three, tmp_path_factory):
    folder, m, optimizers = three
    beside = tmp_path_factory.mktemp("beside") / "to ken.json"
    beside.write_text("{}")
    path = save_snapshot(folder, 4, m, optimizers, {}, ALONE, beside=[beside])
    assert names(path) == [
        "SHA256SUMS", "config.json", "model.safetensors", "optimizer-00000.safetensors", "snapshot.json",
        "to ken.json",
    ]  # fmt: skip
    lines = (path / "SHA256SUMS").read_text().splitlines()
    assert lines == [f"{sha256_of(path / n)}  {n}" for n in names(path)[1:]]
    assert load_snapshot(folder, *fresh(), ALONE) == (4, {})


def test_opening_one_imports_no_pickle_machinery(three, monkeypatch):
    """Neither `torch.load` nor any unpickler is reached."""
    import pickle

    folder, *_ = three

    def refuse(*args, **kwargs):
        raise AssertionError("a pickle is being read")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    assert load_snapshot(folder, *fresh(), ALONE) == (3, {"step": 3})


def test_rotation(tmp_path):
    m, optimizers = fresh()
    for step in (5, 10, 15, 20, 25):
        save_snapshot(tmp_path, step, m, optimizers, {}, ALONE, keep=2, milestones=[10, 99])
    assert names(tmp_path) == ["step-00000010", "step-00000020", "step-00000025"]
    # Gone back to 10: what comes later is replaced when its step comes again, and not counted before.
    save_snapshot(tmp_path, 15, m, optimizers, {}, ALONE, keep=1)
    assert names(tmp_path) == ["step-00000015", "step-00000020", "step-00000025"]


def test_the_same_step_again_replaces(three):
    folder, m, optimizers = three
    save_snapshot(folder, 3, m, optimizers, {"again": True}, ALONE, keep=3)
    assert names(folder) == ["step-00000001", "step-00000002", "step-00000003"]
    assert load_snapshot(folder, *fresh(), ALONE) == (3, {"again": True})


def test_steps_are_ordered_as_numbers(tmp_path):
    for name in ("step-100000000", "step-00000002", "step-99999999"):
        (tmp_path / name).mkdir()
    assert [p.name for p in snapshots_in(tmp_path)] == [
        "step-00000002", "step-99999999", "step-100000000",
    ]  # fmt: skip


@pytest.mark.parametrize(("step", "keep"), [(-1, 1), (1, 0), (1, -2)])
def test_numbers_that_make_no_sense(tmp_path, step, keep):
    with pytest.raises(CourseError, match="keep ≥ 1"):
        save_snapshot(tmp_path / "run", step, *fresh(), {}, ALONE, keep=keep)
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------ damage


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "flipped": flip,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "optimizer-00000.safetensors", "snapshot.json", "config.json", "SHA256SUMS"],
)  # fmt: skip
def test_a_damaged_one_is_passed_over(three, name, how):
    folder, *_ = three
    path = folder / "step-00000003" / name
    DAMAGE[how](path)
    with pytest.warns(UserWarning) as caught:
        assert load_snapshot(folder, *fresh(), ALONE) == (2, {"step": 2})
    message = str(caught[0].message)
    assert str(path if name != "SHA256SUMS" else path.parent) in message
    assert message.endswith(f"{folder / 'step-00000002'} is used instead")


def test_two_damaged_ones_are_passed_over(three):
    folder, *_ = three
    flip(folder / "step-00000003" / "model.safetensors")
    flip(folder / "step-00000002" / "snapshot.json")
    with pytest.warns(
        UserWarning, match=r"step-00000003.*; .*step-00000002.*; .*01 is used instead"
    ):
        assert load_snapshot(folder, *fresh(), ALONE) == (1, {"step": 1})


def test_a_whole_one_gives_no_warning(three):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_snapshot(three[0], *fresh(), ALONE)


def test_none_is_whole(three):
    folder, *_ = three
    for path in folder.iterdir():
        flip(path / "model.safetensors")
    m, optimizers = fresh(seed=1)
    before = [p.clone() for p in m.parameters()]
    with pytest.raises(CourseError, match=r"no snapshot .* is whole.*01.model\.safetensors"):
        load_snapshot(folder, m, optimizers, ALONE)
    assert all(torch.equal(a, b) for a, b in zip(before, m.parameters(), strict=True))
    assert not optimizers[0].state


def test_sums_that_point_elsewhere(three, tmp_path_factory):
    folder, *_ = three
    outside = tmp_path_factory.mktemp("outside") / "file"
    outside.touch()
    sums = folder / "step-00000003" / "SHA256SUMS"
    sums.write_text(sums.read_text() + f"{sha256_of(outside)}  {outside}\n")
    with pytest.warns(UserWarning, match=r"SHA256SUMS is damaged"):
        assert load_snapshot(folder, *fresh(), ALONE) == (2, {"step": 2})


def test_damage_is_mended_by_going_on(three):
    folder, *_ = three
    flip(folder / "step-00000003" / "model.safetensors")
    m, optimizers = fresh()
    with pytest.warns(UserWarning):
        load_snapshot(folder, m, optimizers, ALONE)
    train(m, optimizers, 1, 2)
    save_snapshot(folder, 3, m, optimizers, {"mended": True}, ALONE)
    assert load_snapshot(folder, *fresh(), ALONE) == (3, {"mended": True})


# ------------------------------------------------------------------ interruptions


def test_a_full_disk(three):
    """The system refuses to write more than 5,000 bytes to a file; the weights need more."""
    resource = pytest.importorskip("resource")
    folder, m, optimizers = three
    before = content(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        with pytest.raises(CourseError, match=r"model\.safetensors.*disk full"):
            save_snapshot(folder, 4, m, optimizers, {}, ALONE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert content(folder) == before and len(names(folder)) == 3


@pytest.mark.parametrize("where", ["write_sums", "publish", "_write_state", "_write_weights"])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_an_error_anywhere_leaves_nothing(three, monkeypatch, where, error):
    folder, m, optimizers = three
    before = content(folder)

    def fail(*args):
        raise error

    monkeypatch.setattr(snapshots, where, fail)
    expected = CourseError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        save_snapshot(folder, 4, m, optimizers, {}, ALONE)
    assert content(folder) == before and len(names(folder)) == 3


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CourseError, match=r"NotADirectory|FileExists"):
        save_snapshot(tmp_path / "file", 1, *fresh(), {}, ALONE)


@pytest.mark.parametrize("extra", [{"a": {1, 2}}, {"a": torch.ones(1)}, {("a", 1): 2}])
def test_extra_must_be_json(three, extra):
    folder, m, optimizers = three
    before = content(folder)
    with pytest.raises(CourseError):
        save_snapshot(folder, 4, m, optimizers, extra, ALONE)
    assert content(folder) == before


KILLED = """
import os, sys
from pathlib import Path
import torch
from llmcourse.train import snapshot_files, snapshots
from llmcourse.train.team import Team

where, count = sys.argv[2], int(sys.argv[3])
calls = 0
def dying(path, *args):
    global calls
    calls += 1
    if calls == count:
        os._exit(9)
    return real(path, *args)
real = getattr(Path, where)
model = torch.nn.Linear(3, 3)
team = Team(0, 1, 0, torch.device("cpu"), None)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
folder = Path(sys.argv[1])
snapshots.save_snapshot(folder, 1, model, [optimizer], {"first": 1}, team, keep=1)
snapshots.save_snapshot(folder, 2, model, [optimizer], {"first": 2}, team, keep=1)
setattr(Path, where, dying)
snapshots.save_snapshot(folder, 2, model, [optimizer], {"second": 2}, team, keep=1)
"""


@pytest.mark.slow
def test_killed_at_any_rename(tmp_path):
    """Dying before each of the renames in turn: one of the two is whole afterwards, and nothing is lost."""
    outcomes = []
    for count in range(1, 9):
        folder = tmp_path / str(count)
        died = subprocess.run(
            [sys.executable, "-c", KILLED, folder, "rename", str(count)], capture_output=True
        )
        model = nn.Linear(3, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = load_snapshot(folder, model, [optimizer], ALONE)
        assert found in ((2, {"first": 2}), (2, {"second": 2})), (count, names(folder))
        assert names(folder) == ["step-00000002"]
        outcomes.append((died.returncode, "second" in found[1]))
        if died.returncode == 0:
            break
    assert outcomes[0] == (9, False) and outcomes[-1] == (0, True)
    assert (9, True) in outcomes  # after it had taken its place, and before the old one was removed


def test_what_a_killed_run_left_is_cleared_away(three):
    folder, *_ = three
    left = folder / ".step-00000007.partial"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    (folder / "step-00000002").rename(folder / "step-00000002.replaced")  # died in between
    assert load_snapshot(folder, *fresh(), ALONE) == (3, {"step": 3})
    assert names(folder) == ["step-00000001", "step-00000002", "step-00000003"]


# ------------------------------------------------------------------ another run's


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 16, "head_dim": 8}, r"embedding\.weight is \[11, 12\], in the model \[11, 16\]"),
        ({"n_layers": 3}, r"has no blocks\.2"),
        ({"n_layers": 1}, r"has blocks\.1.*which the model has not"),
        ({"tied": False}, r"has no head\.weight"),
    ],
)
def test_another_model(three, change, message):
    folder, *_ = three
    m = Transformer(CONFIG.model_copy(update=change))
    before = [p.clone() for p in m.parameters()]
    with pytest.raises(CourseError, match=message):
        load_snapshot(folder, m, make_optimizers(m, lr=0.01), ALONE)
    assert all(torch.equal(a, b) for a, b in zip(before, m.parameters(), strict=True))


@pytest.mark.parametrize(
    ("optimizers", "message"),
    [
        (OPTIMIZERS["muon"], r"state of AdamW, not of Muon and AdamW"),
        (OPTIMIZERS["torch SGD"], r"state of AdamW, not of SGD"),
        (lambda m: [AdamW(m.parameters())], r"other parameters, or in other groups"),
        (lambda m: [AdamW(m.blocks.parameters())], r"other parameters, or in other groups"),
    ],
)
def test_other_optimizers(three, optimizers, message):
    folder, *_ = three
    m, _ = fresh(seed=1)
    before = [p.clone() for p in m.parameters()]
    with pytest.raises(CourseError, match=message):
        load_snapshot(folder, m, optimizers(m), ALONE)
    assert all(torch.equal(a, b) for a, b in zip(before, m.parameters(), strict=True))


def test_another_format(three):
    folder, *_ = three
    path = folder / "step-00000003"
    stored = json.loads((path / "snapshot.json").read_text())
    (path / "snapshot.json").write_text(json.dumps({**stored, "format": "another"}))
    (path / "SHA256SUMS").unlink()
    from llmcourse.train.snapshot_files import write_sums

    write_sums(path, {})
    with pytest.raises(CourseError, match=r"snapshot\.json is not a"):
        load_snapshot(folder, *fresh(), ALONE)


def test_an_optimizer_of_another_model(tmp_path):
    m, _ = fresh()
    with pytest.raises(CourseError, match=r"none of the model's.*parallelise"):
        save_snapshot(tmp_path, 1, m, fresh()[1], {}, ALONE)


# ------------------------------------------------------------------ rows in files


def rows_as(world, tensor):
    """The file that each of `world` processes would write."""
    each = -(-tensor.shape[0] // world)
    for rank in range(world):
        first = min(rank * each, tensor.shape[0])
        part = tensor[first : first + each].contiguous()
        yield {"t": part}, {"rows": json.dumps({"t": [first, tensor.shape[0]]})}


@pytest.mark.parametrize("world", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("shape", [(7,), (10, 3), (1, 2), (4, 2, 2)])
def test_rows_from_any_number_of_files(tmp_path, world, shape):
    tensor = torch.randn(shape)
    paths = []
    for n, (tensors, metadata) in enumerate(rows_as(world, tensor)):
        paths.append(tmp_path / f"{n}.safetensors")
        save_file(tensors, paths[-1], metadata)
    rows = Rows(paths[::-1])  # in any order
    assert rows.shape("t") == shape and "t" in rows and "u" not in rows and list(rows) == ["t"]
    for first in range(shape[0] + 1):
        for last in range(first, shape[0] + 1):
            assert torch.equal(rows.read("t", first, last), tensor[first:last])


def test_missing_rows(tmp_path):
    files = list(rows_as(3, torch.randn(9, 2)))
    for n in (0, 2):
        save_file(files[n][0], tmp_path / f"{n}.safetensors", files[n][1])
    rows = Rows(sorted(tmp_path.iterdir()))
    assert rows.read("t", 0, 3).shape == (3, 2)
    with pytest.raises(CourseError, match="rows 3 to 9 of t are in no file"):
        rows.read("t", 0, 9)
    with pytest.raises(CourseError, match="rows 4 to 5"):
        rows.read("t", 4, 5)


def test_rows_in_what_is_no_file(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(CourseError, match=r"bad\.safetensors cannot be read"):
        Rows([tmp_path / "bad.safetensors"])
    with pytest.raises(CourseError, match="none cannot be read"):
        Rows([tmp_path / "none"])
    with pytest.raises(CourseError, match="t is in no file"):
        Rows([]).shape("t")


def test_only_the_main_process_keeps_what_all_have():
    for keeps in (True, False):
        shelf = RowShelf(keeps)
        assert shelf.put({"m": torch.ones(2)}, "x") == {"dict": [["m", {"tensor": "x.m"}]]}
        assert set(shelf.tensors) == ({"x.m"} if keeps else set())


# ------------------------------------------------------------------ sharded, on a team of one


@pytest.fixture(scope="module")
def to_itself():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield Team(0, 1, 0, torch.device("cpu"), "gloo")
    dist.destroy_process_group()


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize(("written", "read"), [("fsdp", None), (None, "fsdp"), ("fsdp", "ddp")])
def test_between_strategies(tmp_path, to_itself, kind, written, read):
    def run(strategy, seed):
        torch.manual_seed(seed)
        m = Transformer(CONFIG)
        team = to_itself if strategy else ALONE
        m = parallelise(m, team, strategy or "ddp")
        return m, make_optimizers(m, kind, lr=0.01), team

    reference, optimizers = fresh(kind)
    train(reference, optimizers, 4)
    m, optimizers, team = run(written, 0)
    train(m, optimizers, 2)
    save_snapshot(tmp_path, 2, m, optimizers, EXTRA, team)
    m, optimizers, team = run(read, 1)
    assert load_snapshot(tmp_path, m, optimizers, team) == (2, EXTRA)
    train(m, optimizers, 2, first=2)
    save_snapshot(tmp_path, 4, m, optimizers, {}, team)
    stored = load_file(tmp_path / "step-00000004" / "model.safetensors")
    for name, tensor in reference.state_dict().items():
        torch.testing.assert_close(stored[name], tensor)


def test_after_an_evaluation(tmp_path, to_itself):
    """A forward pass leaves whole matrices about; they are neither taken for parameters nor left stale."""
    ids = torch.arange(8)[None]

    def run(seed):
        m = parallelise(fresh(seed=seed)[0], to_itself, "fsdp")
        optimizers = make_optimizers(m, lr=0.01)
        m(ids)
        return m, optimizers

    m, optimizers = run(0)
    save_snapshot(tmp_path, 1, m, optimizers, {}, to_itself)
    other, others = run(1)
    load_snapshot(tmp_path, other, others, to_itself)
    assert torch.equal(m(ids), other(ids))
