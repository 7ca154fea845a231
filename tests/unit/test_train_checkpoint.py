"""Checkpoints: everything comes back, bit by bit; a wrong or broken file changes nothing."""

from __future__ import annotations

import copy
import json
import math
import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.train.checkpoint import load_checkpoint, save_checkpoint
from llmcourse.train.optim import AdamW, Muon


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def net(width=8):
    return nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.Tanh(), nn.Linear(width, 1))


def matrices(params):
    return [p for p in params if p.ndim == 2]


def train(model, optimizer, steps, first=0):
    for step in range(first, first + steps):
        x = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))

        def closure(x=x):
            optimizer.zero_grad()
            loss = (model(x) - x.sin().sum(-1, keepdim=True)).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)


OPTIMIZERS = {
    "AdamW": lambda p: AdamW(p, lr=0.01),
    "Muon": lambda p: Muon(matrices(p)),
    "torch AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "torch SGD": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "torch LBFGS": lambda p: torch.optim.LBFGS(p, max_iter=3),  # lists of tensors in its state
    "torch Adafactor": lambda p: torch.optim.Adafactor(p),
    "rate in a tensor": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01), capturable=False),
}


def same(a, b):
    """Equal in value and in kind, through any nest of dictionaries and lists."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_going_on_as_if_nothing_had_happened(kind, tmp_path):
    path = tmp_path / "new" / "folder" / "step.safetensors"
    model = net()
    optimizer = OPTIMIZERS[kind](model.parameters())
    train(model, optimizer, 5)
    save_checkpoint(path, model, optimizer, 5)
    saved = copy.deepcopy((dict(model.state_dict()), optimizer.state_dict()))
    train(model, optimizer, 5, first=5)

    torch.manual_seed(99)
    other = net()
    again = OPTIMIZERS[kind](other.parameters())
    assert load_checkpoint(path, other, again) == 5
    assert same(dict(other.state_dict()), saved[0])
    assert same(again.state_dict(), saved[1])
    train(other, again, 5, first=5)
    assert same(dict(other.state_dict()), dict(model.state_dict()))


def test_only_one_file_and_no_pickle(tmp_path):
    model = net()
    save_checkpoint(tmp_path / "a", model, AdamW(model.parameters()), 7)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    with safe_open(tmp_path / "a", framework="pt") as file:
        content = json.loads(file.metadata()["checkpoint"])
        assert content["iteration"] == 7
        assert torch.equal(file.get_tensor("model.0.weight"), model[0].weight)


def test_without_an_optimizer(tmp_path):
    path, model, other = tmp_path / "a", net(), net()
    save_checkpoint(path, model)
    assert load_checkpoint(path, other) == 0
    assert same(dict(other.state_dict()), dict(model.state_dict()))
    with pytest.raises(CourseError, match="holds no optimizer"):
        load_checkpoint(path, other, AdamW(other.parameters()))
    save_checkpoint(path, model, AdamW(model.parameters()), 3)  # over the old one
    assert load_checkpoint(str(path), other) == 3  # and an optimizer may be left out


def test_an_optimizer_that_has_not_stepped(tmp_path):
    model = net()
    save_checkpoint(tmp_path / "a", model, AdamW(model.parameters(), lr=0.5))
    optimizer = AdamW(model.parameters(), lr=0.1)
    load_checkpoint(tmp_path / "a", model, optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.5 and not optimizer.state
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)


@pytest.mark.parametrize("tied", [True, False])
def test_a_transformer(tied, tmp_path):
    config = ModelConfig(
        vocab_size=9, context_length=8, n_layers=2, n_heads=2, width=8, hidden=12, tied=tied
    )
    model, other = Transformer(config), Transformer(config)
    optimizer = AdamW(model.parameters())
    ids = torch.randint(9, (2, 8))
    model(ids).square().mean().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "a", model, optimizer, 1)
    load_checkpoint(tmp_path / "a", other, AdamW(other.parameters()))
    assert torch.equal(other(ids), model(ids))


class Tied(nn.Module):
    def __init__(self, tied=True):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        if tied:
            self.b.weight = self.a.weight
        whole = torch.arange(6.0)
        self.register_buffer("front", whole[:4])  # two views that overlap
        self.register_buffer("back", whole[2:])
        self.register_buffer("turned", torch.arange(6.0).view(2, 3).T)
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("void", torch.zeros(0, 5))


def test_tied_and_overlapping_tensors(tmp_path):
    path, model, other = tmp_path / "a", Tied(), Tied()
    with torch.no_grad():
        other.turned.zero_()
    save_checkpoint(path, model)
    with safe_open(path, framework="pt") as file:
        assert "model.b.weight" not in file.keys()  # stored once  # noqa: SIM118
    load_checkpoint(path, other)
    assert other.a.weight is other.b.weight
    assert same(dict(other.state_dict()), dict(model.state_dict()))
    untied = Tied(tied=False)
    load_checkpoint(path, untied)
    assert torch.equal(untied.a.weight, untied.b.weight)
    assert untied.a.weight.data_ptr() != untied.b.weight.data_ptr()


def test_two_tensors_do_not_go_into_one(tmp_path):
    save_checkpoint(tmp_path / "a", Tied(tied=False))
    model = Tied()
    before = copy.deepcopy(dict(model.state_dict()))
    with pytest.raises(CourseError, match=r"a.weight and b.weight differ"):
        load_checkpoint(tmp_path / "a", model)
    assert same(dict(model.state_dict()), before)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int8,
        torch.uint8,
        torch.bool,
        torch.int64,
    ],
)
def test_types_come_back(dtype, tmp_path):
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("x", (torch.randn(3, 4) * 3).to(dtype))
            self.register_buffer("one", torch.tensor(1).to(dtype))

    model, other = Holder(), Holder()
    save_checkpoint(tmp_path / "a", model)
    load_checkpoint(tmp_path / "a", other)
    assert same(dict(other.state_dict()), dict(model.state_dict()))


def test_extra_state(tmp_path):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.state = {"n": 0}

        def get_extra_state(self):
            return self.state

        def set_extra_state(self, state):
            self.state = state

    model, other = Counter(), Counter()
    model.state = {"n": 3, 5: [1.5, None, True, "x", (math.inf, torch.arange(3))], "nan": math.nan}
    save_checkpoint(tmp_path / "a", model)
    load_checkpoint(tmp_path / "a", other)
    assert same(other.state, model.state)


# ------------------------------------------------------------------ what cannot be stored


def test_states_that_cannot_be_stored(tmp_path):
    class Odd(nn.Module):
        def __init__(self, state):
            super().__init__()
            self.state = state

        def get_extra_state(self):
            return self.state

        def set_extra_state(self, state):
            pass

    for state, message in (
        ({"f": print}, "model._extra_state.f cannot be stored: it is a builtin"),
        ({(1, 2): 3}, "it is a tuple"),
        (torch.eye(3).to_sparse(), "torch.sparse_coo"),
        (torch.empty(3, device="meta"), "without memory"),
    ):
        with pytest.raises(CourseError, match=message):
            save_checkpoint(tmp_path / "a", Odd(state))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path, model = tmp_path / "a", net()
    save_checkpoint(path, model, None, 1)
    before = path.read_bytes()

    def broken(tensors, filename, metadata=None):
        filename.write_bytes(b"half of i")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", broken)
    with pytest.raises(CourseError, match="No space left"):
        save_checkpoint(path, model, None, 2)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "a", net())


# ------------------------------------------------------------------ the wrong file


def refused(path, model, optimizer, message):
    before = copy.deepcopy((dict(model.state_dict()), optimizer and optimizer.state_dict()))
    with pytest.raises(CourseError, match=message) as error:
        load_checkpoint(path, model, optimizer)
    assert "\n" not in str(error.value) and error.value.hint
    assert path.name in str(error.value)
    assert same((dict(model.state_dict()), optimizer and optimizer.state_dict()), before)


def test_files_that_are_no_checkpoints(tmp_path):
    path = tmp_path / "a"
    refused(path, net(), None, "there is no file")
    refused(tmp_path, net(), None, "there is no file")
    for content in (b"", b"hello", b"\x00" * 100, b"\xff" * 100, b'{"a": 1}'):
        path.write_bytes(content)
        refused(path, net(), None, "no checkpoint, or a damaged one")
    save_file({"x": torch.zeros(2)}, path)
    refused(path, net(), None, "no checkpoint of a training run")
    for text in ("{", "[]", '{"format": 3}', "null"):
        save_file({"x": torch.zeros(2)}, path, metadata={"checkpoint": text})
        refused(path, net(), None, "no checkpoint")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def forbidden(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    save_checkpoint(tmp_path / "a", net())
    monkeypatch.setattr("safetensors.safe_open", forbidden)
    refused(tmp_path / "a", net(), None, "Permission denied")


@pytest.mark.parametrize("iteration", ["7", 2.5, None])
def test_an_iteration_is_an_integer(iteration, tmp_path):
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path / "a", net(), None, iteration)
    save_checkpoint(tmp_path / "a", net(), None, torch.tensor(7))
    assert load_checkpoint(tmp_path / "a", net()) == 7


def test_truncated_files(tmp_path):
    model, path = net(), tmp_path / "a"
    save_checkpoint(path, model, AdamW(model.parameters()), 1)
    whole = path.read_bytes()
    for n in [*range(0, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:n])
        refused(path, net(), None, "damaged")
    path.write_bytes(whole + b"\x00")
    refused(path, net(), None, "damaged")


def test_another_models_file(tmp_path):
    path = tmp_path / "a"
    save_checkpoint(path, net())
    refused(path, net(9), None, re.escape("0.weight is [8, 6], in the model [9, 6]"))
    refused(path, nn.Sequential(*net(), nn.Linear(1, 1)), None, "has no 4.weight")
    refused(path, net()[:3], None, "has 3.weight, and the model has no such tensor")


def test_another_optimizers_state(tmp_path):
    path, model = tmp_path / "a", net()
    optimizer = AdamW(model.parameters())
    train(model, optimizer, 2)
    save_checkpoint(path, model, optimizer, 2)
    other = net()
    params = list(other.parameters())
    refused(path, other, torch.optim.SGD(params, lr=1.0), "the state of AdamW, not of SGD")
    refused(path, other, AdamW(params[:-1]), re.escape("groups of [6] parameters, this one of [5]"))
    two = [{"params": params[:2]}, {"params": params[2:]}]
    refused(path, other, AdamW(two), re.escape("groups of [6] parameters, this one of [2, 4]"))
    refused(path, other, AdamW(params[::-1]), "other shapes or another order")


def test_into_another_type(tmp_path):
    """A float32 checkpoint into a bfloat16 model: the numbers, rounded."""
    model = net()
    save_checkpoint(tmp_path / "a", model)
    other = net().bfloat16()
    load_checkpoint(tmp_path / "a", other)
    assert torch.equal(other[0].weight, model[0].weight.bfloat16())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_from_gpu_to_cpu(tmp_path):
    model = net().cuda()
    optimizer = AdamW(model.parameters())
    model(torch.randn(4, 6).cuda()).sum().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "a", model, optimizer, 1)
    other = net()
    load_checkpoint(tmp_path / "a", other, AdamW(other.parameters()))
    assert torch.equal(other[0].weight, model[0].weight.cpu())
