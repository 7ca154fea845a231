"""Which numbers to compute in, the scaling of float16's loss, and whether to compile."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from llmcourse.errors import CourseError
from llmcourse.train import compiling, precision
from llmcourse.train.compiling import CPU_WORTH, wants_compile
from llmcourse.train.precision import LossScaler, Precision, choose

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("capability", "setting", "name"),
    [
        ((9, 0), "auto", "bf16"), ((8, 0), "auto", "bf16"), ((7, 5), "auto", "fp16"), ((7, 0), "auto", "fp16"),
        ((9, 0), "fp16", "fp16"), ((7, 5), "fp32", "fp32"),
    ],
)  # fmt: skip
def test_gpus(monkeypatch, capability, setting, name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose(CUDA, setting) == Precision(name, "cuda")


def test_an_old_gpu_does_not_multiply_bf16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(CourseError, match="take fp16"):
        choose(CUDA, "bf16")


def test_processors():
    assert choose(CPU).name == "fp32"
    assert choose(CPU, "bf16").dtype == torch.bfloat16
    with pytest.raises(CourseError, match="fp16 does not train on cpu"):
        choose(CPU, "fp16")
    with pytest.raises(CourseError, match="no precision is called 'int8'"):
        choose(CPU, "int8")


@pytest.mark.parametrize(("has", "name"), [(True, "bf16"), (False, "fp32")])
def test_native_is_what_the_processor_multiplies(monkeypatch, has, name):
    monkeypatch.setattr(precision, "multiplies_bf16", lambda: has)
    assert choose(CPU, "native").name == name
    assert choose(CPU, "auto").name == "fp32"


def test_autocast_computes_in_it():
    layer, x = nn.Linear(4, 4), torch.ones(1, 4)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with Precision(name, "cpu").autocast():
            assert layer(x).dtype == dtype
    assert layer.weight.dtype == torch.float32


# ------------------------------------------------------------------ float16's loss


def test_scaled_and_unscaled_is_unchanged():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    scaler = LossScaler(enabled=True)
    ((weight**2).sum() * scaler.scale).backward()
    assert weight.grad.tolist() == [2 * 65536, 4 * 65536]
    scaler.unscale([weight, nn.Parameter(torch.ones(1))])  # one without a gradient
    assert weight.grad.tolist() == [2, 4]


def test_the_factor_is_torchs():
    """Good steps, overflows, and 2,000 good ones in a row, by torch's scaler and by ours."""
    weight = nn.Parameter(torch.ones(1))
    theirs = torch.amp.GradScaler("cpu")
    ours = LossScaler(enabled=True)
    optimizer = torch.optim.SGD([weight], lr=0.0)
    pattern = [1.0] * 5 + [math.inf, 1.0, math.nan] + [1.0] * 2001 + [math.inf]
    for value in pattern:
        theirs.scale(weight.sum()).backward()
        weight.grad.fill_(value)
        theirs.step(optimizer)
        theirs.update()
        optimizer.zero_grad()
        assert ours.update(value) == math.isfinite(value)
        assert ours.scale == theirs.get_scale()
    assert ours.scale != 65536


def test_a_gradient_that_really_is_infinite():
    scaler = LossScaler(enabled=True)
    with pytest.raises(CourseError, match="however the loss is scaled"):
        for _ in range(50):
            scaler.update(math.inf)


def test_it_goes_on():
    scaler = LossScaler(enabled=True)
    for value in (math.inf, 1.0, 1.0):
        scaler.update(value)
    other = LossScaler(enabled=True)
    other.load_state_dict(scaler.state_dict())
    assert (other.scale, other.good) == (32768, 2)


def test_without_fp16_there_is_nothing_to_do():
    scaler = LossScaler(enabled=False)
    weight = nn.Parameter(torch.ones(1))
    weight.sum().backward()
    scaler.unscale([weight])
    assert scaler.scale == 1 and weight.grad.item() == 1
    assert scaler.update(math.inf)  # the loop itself looks at the length
    scaler.load_state_dict({"scale": 512.0, "good": 3})
    assert scaler.scale == 1


# ------------------------------------------------------------------ compiling


def test_compiling_where_it_wins(monkeypatch):
    monkeypatch.setattr(compiling, "why_not", lambda device: "")
    assert wants_compile(CPU, "auto", CPU_WORTH) and not wants_compile(CPU, "auto", CPU_WORTH / 2)
    assert wants_compile(CUDA) and not wants_compile(CUDA, "no")
    assert wants_compile(CPU, "yes") and not wants_compile(torch.device("mps"), "auto", 1e20)


def test_without_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    assert not wants_compile(CPU, "auto", 1e20)
    with pytest.raises(CourseError, match=r"no C\+\+ compiler"):
        wants_compile(CPU, "yes")


def test_a_compiler_that_does_not_work(monkeypatch):
    def broken(function):
        raise RuntimeError("Python.h: No such file\nor directory")

    monkeypatch.setattr(compiling, "compiler", lambda: "g++")
    monkeypatch.setattr(compiling.torch, "compile", broken)
    assert not wants_compile(CPU, "auto", 1e20)
    with pytest.raises(CourseError, match=r"Python.h: No such file or directory"):
        wants_compile(CPU, "yes")
