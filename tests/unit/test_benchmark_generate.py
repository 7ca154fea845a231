"""The side-by-side benchmark, on a tiny model."""

from __future__ import annotations

import json

import pytest
import torch

pytest.importorskip("transformers", minversion="5.0")
pytestmark = pytest.mark.slow


def test_quick_run(capsys):
    from benchmarks import generate

    threads = torch.get_num_threads()
    try:
        assert generate.main(["--quick", "--threads", "1"]) == 0
    finally:
        torch.set_num_threads(threads)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["equal_tokens"] is True and result["real_weights"] is False
    kinds, sizes = ("fp32", "bf16", "int8"), ("one stream", "16 streams")
    assert set(result["ratios"]) == {f"{size}, {kind}" for size in sizes for kind in kinds}
    assert all(ratio > 0 for ratio in result["ratios"].values())
    assert abs(result["bits_per_byte_loss"]["int8"]) < 0.01


def test_differences_are_counted():
    from benchmarks.generate import same_part

    assert same_part([[1, 2, 3, 4], [5, 6]], [[1, 2, 9, 4], [5, 6]]) == pytest.approx(4 / 6)
