"""LoRA: nothing changes at first, only the thin matrices learn, and they can be added in."""

from __future__ import annotations

import copy

import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.layers import Linear
from llmcourse.model.transformer import Transformer
from llmcourse.train.lora import (
    LoraLinear,
    adapter_of,
    apply_lora,
    counts,
    has_lora,
    load_adapter,
    merge,
    save_adapter,
)

CONFIG = ModelConfig(
    vocab_size=20, context_length=16, n_layers=2, n_heads=2, width=16, hidden=32, qkv_bias=True
)
IDS = torch.arange(12).view(1, 12)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Transformer(CONFIG)


def train(model):
    """Adapters as if they had learnt something."""
    torch.manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LoraLinear):
                module.B.normal_()


def test_at_first_nothing_changes(model):
    before = model(IDS)
    apply_lora(model, 4, targets=("q", "k", "v", "out", "w1", "w2", "w3"))
    assert torch.equal(model(IDS), before)


def test_only_adapters_are_trained(model):
    found = apply_lora(model, rank=4)
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    assert names and all(name.endswith((".q.A", ".q.B", ".v.A", ".v.B")) for name in names)
    assert found.trainable == 2 * 2 * 4 * (16 + 16) == counts(model).trainable
    assert found.total == sum(p.numel() for p in model.parameters())
    assert found.share == found.trainable / found.total
    model(IDS).sum().backward()
    assert model.blocks[0].attention.q.weight.grad is None
    assert model.blocks[0].attention.q.B.grad.abs().sum() > 0


def test_the_formula(model):
    linear = model.blocks[0].attention.q
    w, b = linear.weight, linear.bias
    apply_lora(model, rank=2, alpha=6.0)
    train(model)
    layer, x = model.blocks[0].attention.q, torch.randn(3, 16)
    torch.testing.assert_close(layer(x), x @ (w + 3.0 * layer.B @ layer.A).T + b)


def test_merged_it_is_a_plain_model_with_the_same_logits(model):
    plain = model(IDS)
    apply_lora(model, 4, targets=("q", "v", "w2"))
    train(model)
    before = model(IDS)
    merge(model)
    assert not has_lora(model) and all(p.requires_grad for p in model.parameters())
    torch.testing.assert_close(model(IDS), before, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before, plain, atol=1e-2)  # there was something to merge
    assert model.state_dict().keys() == Transformer(CONFIG).state_dict().keys()
    with pytest.raises(CourseError, match="no adapter"):
        merge(model)


def test_the_seed_decides(model):
    twins = [copy.deepcopy(model) for _ in range(3)]
    for twin, seed in zip(twins, (5, 5, 6), strict=True):
        apply_lora(twin, 2, seed=seed)
    a = [twin.blocks[1].attention.v.A for twin in twins]
    assert torch.equal(a[0], a[1]) and not torch.equal(a[0], a[2])


def test_saved_alone_and_loaded(model, tmp_path):
    base = copy.deepcopy(model)
    apply_lora(model, rank=3, alpha=5.0, targets=("k", "w1"))
    train(model)
    path = save_adapter(model, tmp_path)
    assert path == tmp_path / "adapter.safetensors"
    assert path.stat().st_size < 4 * counts(model).trainable + 3000
    config = load_adapter(base, path)
    assert (config.rank, config.alpha, config.targets) == (3, 5.0, ("k", "w1"))
    assert torch.equal(base(IDS), model(IDS))


def test_adapters_by_themselves(model):
    apply_lora(model, 2)
    alone = dict(adapter_of(model).named_parameters())
    ours = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert alone.keys() == ours.keys() and all(alone[n] is ours[n] for n in ours)


def test_bfloat16_below_float32_adapters(model):
    model.to(torch.bfloat16)
    apply_lora(model, 2)
    assert model.blocks[0].attention.q.A.dtype == torch.float32
    assert model(IDS).dtype == torch.bfloat16
    merge(model)
    assert model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank 0"),
        ({"alpha": 0.0}, "alpha 0"),
        ({"alpha": float("nan")}, "alpha nan"),
        ({"targets": ()}, "0 targets"),
        ({"targets": ("q", "query")}, r"no linear layer called 'query'.*it has k, out, q, v, w1"),
    ],
)
def test_settings_that_make_no_sense(model, settings, message):
    with pytest.raises(CourseError, match=message):
        apply_lora(model, **settings)
    assert not has_lora(model) and all(p.requires_grad for p in model.parameters())


def test_not_twice(model):
    apply_lora(model)
    with pytest.raises(CourseError, match="has an adapter"):
        apply_lora(model)


def test_files_that_do_not_fit(model, tmp_path):
    with pytest.raises(CourseError, match="there is no file"):
        load_adapter(model, tmp_path)
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors here")
    with pytest.raises(CourseError, match="is no adapter"):
        load_adapter(model, tmp_path / "bad.safetensors")
    other = Transformer(CONFIG.model_copy(update={"n_layers": 1}))
    apply_lora(other)
    with pytest.raises(CourseError, match="does not fit"):
        load_adapter(model, save_adapter(other, tmp_path))
    assert not has_lora(model)
    assert isinstance(model.blocks[0].attention.q, Linear)
