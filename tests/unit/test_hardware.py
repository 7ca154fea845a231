"""What cards can do, as their makers say; what this processor can do, as measured."""

from __future__ import annotations

import time

import pytest

from llmcourse.errors import CourseError
from llmcourse.train.hardware import GPUS, cpu_peak, gpu_named, recognise


def test_the_figures_are_for_dense_matrices():
    """The H100's datasheet prints 1,979 TFLOP/s "with sparsity"; half of it is what training can use."""
    assert GPUS["h100"].bf16 == pytest.approx(1979e12 / 2)
    assert GPUS["a100-80"].bf16 == 312e12
    assert GPUS["h200"].memory > GPUS["h100"].memory


@pytest.mark.parametrize("name", GPUS)
def test_every_card_is_described_plausibly(name):
    gpu = GPUS[name]
    assert gpu.name == name
    assert gpu.source
    assert 16e9 <= gpu.memory <= 200e9
    assert gpu.fp32 < gpu.fp16 <= 3e15
    assert gpu.bf16 in (None, gpu.fp16)
    # A matrix product must reuse each number it loads over a hundred times to keep the units busy.
    assert 100 < gpu.fp16 / gpu.bandwidth < 1000


def test_a_card_without_bfloat16_trains_in_float16():
    assert GPUS["t4"].precision == "fp16"
    assert GPUS["l4"].precision == "bf16"
    with pytest.raises(CourseError, match=r"V100.*bf16.*fp16"):
        GPUS["v100"].peak("bf16")
    assert GPUS["v100"].peak("fp16") == 125e12


def test_an_unknown_card():
    assert gpu_named("h100") is GPUS["h100"]
    with pytest.raises(CourseError, match=r"'h1000'.*known: a100-40, a100-80"):
        gpu_named("h1000")


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA A100-SXM4-80GB", "a100-80"),
        ("NVIDIA A100-SXM4-40GB", "a100-40"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("Tesla T4", "t4"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", None),
        ("NVIDIA H100 PCIe", None),  # 24 % slower than the SXM card: not to be taken for it
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
    ],
)
def test_a_card_is_recognised_by_its_drivers_name(device, name):
    found = recognise(device)
    assert (found and found.name) == name


def test_the_processor_is_measured_once():
    peak = cpu_peak("fp32", size=256, seconds=0.05)
    assert 1e8 < peak < 1e14
    began = time.perf_counter()
    assert cpu_peak("fp32", size=256, seconds=0.05) == peak
    assert time.perf_counter() - began < 0.02


def test_no_training_step_is_faster_than_the_measured_peak():
    """A larger product, timed by hand, stays near or below the peak."""
    import torch

    a = torch.ones(1024, 1024)
    a @ a
    began = time.perf_counter()
    a @ a
    assert 2 * 1024**3 / (time.perf_counter() - began) < 2 * cpu_peak("fp32")
