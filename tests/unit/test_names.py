"""Other names for the same tensors: nothing lost on the way there and back."""

from __future__ import annotations

import pytest
import torch

from llmcourse.model.config import ModelConfig, named
from llmcourse.model.names import (
    is_no_parameter,
    layout,
    rename,
    take,
    to_half_rotation,
    to_interleaved,
    without_prefix,
)
from llmcourse.model.rope import rope
from llmcourse.model.transformer import Transformer, meta_model

GPT2 = ModelConfig(
    vocab_size=11, context_length=8, n_layers=2, n_heads=2, width=8, hidden=12, position="learned",
    norm="layer", mlp="gelu_tanh", bias=True, tied=False,
)  # fmt: skip
LLAMA = ModelConfig(
    vocab_size=11, context_length=8, n_layers=2, n_heads=4, n_kv_heads=2, width=8, head_dim=6, hidden=12, tied=False
)  # fmt: skip
QWEN2 = LLAMA.model_copy(update={"qkv_bias": True})
CASES = [
    ("plain", GPT2), ("gpt2", GPT2), ("gguf-gpt2", GPT2), ("llama", LLAMA), ("gguf-llama", LLAMA), ("qwen2", QWEN2),
    ("gguf-qwen2", QWEN2),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "config"), CASES)
def test_there_and_back(kind, config):
    state = Transformer(config).state_dict()
    state = {name: torch.randn_like(tensor) for name, tensor in state.items()}
    stored = rename(kind, config, state)
    plan = layout(kind, config, {name: tuple(t.shape) for name, t in state.items()})
    assert {o.source for o in plan.values()} == stored.keys()
    assert list(plan) == list(state)
    for name, origin in plan.items():
        assert tuple(stored[origin.source].shape) == origin.shape
        assert torch.equal(take(origin, stored[origin.source]), state[name]), name


def test_gpt2s_names_and_orientation():
    shapes = {n: tuple(t.shape) for n, t in meta_model(named("gpt2")).state_dict().items()}
    plan = layout("gpt2", named("gpt2"), shapes)
    k = plan["blocks.11.attention.k.weight"]
    assert (k.source, k.shape, k.rows) == (
        "transformer.h.11.attn.c_attn.weight",
        (768, 2304),
        (768, 1536),
    )
    assert plan["blocks.0.attention.v.bias"].shape == (2304,)
    assert plan["blocks.0.mlp.w1.weight"].shape == (768, 3072)
    assert plan["positions.weight"].source == "transformer.wpe.weight"
    assert plan["blocks.3.mlp_norm.bias"].source == "transformer.h.3.ln_2.bias"
    bare = without_prefix("gpt2", plan, {"wte.weight"})
    assert bare["blocks.0.mlp.w2.weight"].source == "h.0.mlp.c_proj.weight"
    assert bare["blocks.11.attention.k.weight"].rows == (768, 1536)
    assert without_prefix("gpt2", plan, {"transformer.wte.weight"}) is plan
    assert without_prefix("gpt2", plan, {"something"}) is plan


def test_a_layout_without_a_place_for_a_tensor():
    with pytest.raises(KeyError):
        layout("llama", GPT2, {"positions.weight": (8, 8)})


@pytest.mark.parametrize("heads", [1, 3])
def test_the_two_rotations_are_the_same_attention(heads):
    """Weights in the interleaved order with interleaved RoPE score as the re-ordered ones do."""
    torch.manual_seed(0)
    head_dim, width, T = 8, 12, 5
    x = torch.randn(T, width)
    weights = [torch.randn(heads * head_dim, width) for _ in "qk"]
    scores = []
    for interleaved in (True, False):
        q, k = (
            rope(
                (x @ (w if interleaved else to_half_rotation(w, heads)).T)
                .view(T, heads, head_dim)
                .transpose(0, 1),
                torch.arange(T),
                interleaved=interleaved,
            )
            for w in weights
        )
        scores.append(q @ k.transpose(1, 2))
    assert torch.allclose(scores[0], scores[1], atol=1e-4)
    bias = torch.arange(heads * head_dim)
    assert to_half_rotation(bias, heads)[:4].tolist() == [0, 2, 4, 6]
    assert torch.equal(to_interleaved(to_half_rotation(bias, heads), heads), bias)


def test_what_is_no_parameter():
    assert is_no_parameter("gpt2", "h.0.attn.bias") and is_no_parameter(
        "gpt2", "transformer.h.12.attn.masked_bias"
    )
    assert is_no_parameter("llama", "model.layers.0.self_attn.rotary_emb.inv_freq")
    assert is_no_parameter("qwen2", "layers.3.self_attn.rotary_emb.inv_freq")
    assert is_no_parameter("gguf-llama", "rope_freqs.weight")
    assert not is_no_parameter("gpt2", "h.0.attn.c_attn.bias") and not is_no_parameter(
        "plain", "h.0.attn.bias"
    )
    assert not is_no_parameter("gpt2", "xh.0.attn.bias")
