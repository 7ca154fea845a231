"""Our transformer against Hugging Face's, weight for weight: random GPT-2s, Llamas and Qwen2s.

The weights are large and the gains and biases random: with fresh ones (0.02, 1, 0) a wrong formula
hides behind numbers that are all nearly zero.
"""

from __future__ import annotations

import pytest
import torch

from llmcourse.model.config import ModelConfig
from llmcourse.model.names import layout, take
from llmcourse.model.transformer import Transformer

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow  # the import alone takes seconds

V, C, LAYERS, HEADS, HIDDEN, CONTEXT = 61, 48, 3, 6, 80, 64
COMMON = {
    "vocab_size": V, "context_length": CONTEXT, "n_layers": LAYERS, "n_heads": HEADS, "width": C,
    "hidden": HIDDEN,
}  # fmt: skip
SCALING = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_context_length": 64,  # with this, of 4 pairs one is kept, one blended, two slowed
}


def gpt2(**changes):
    config = transformers.GPT2Config(
        vocab_size=V, n_positions=CONTEXT, n_embd=C, n_layer=LAYERS, n_head=HEADS, n_inner=HIDDEN,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **changes,
    )  # fmt: skip
    ours = ModelConfig(
        **COMMON,
        position="learned",
        norm="layer",
        mlp="gelu" if changes.get("activation_function") == "gelu" else "gelu_tanh",
        bias=True,
    )
    return "gpt2", transformers.GPT2LMHeadModel(config), ours


def llama(kv=2, theta=10_000.0, tied=True, scaling=False, head_dim=None, eps=1e-5):
    rope = {"rope_type": "default", "rope_theta": theta}
    if scaling:
        rope = {
            "rope_type": "llama3", "rope_theta": theta, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
        }  # fmt: skip
    extra = {} if head_dim is None else {"head_dim": head_dim}
    config = transformers.LlamaConfig(
        vocab_size=V, hidden_size=C, intermediate_size=HIDDEN, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=kv, max_position_embeddings=CONTEXT,
        rms_norm_eps=eps, tie_word_embeddings=tied, rope_theta=theta,
        **({"rope_scaling": rope, "rope_parameters": rope} if scaling else {"rope_parameters": rope}),
        **extra,
    )  # fmt: skip
    ours = ModelConfig(
        **COMMON, n_kv_heads=kv, rope_theta=theta, tied=tied, norm_eps=eps,
        rope_scaling=SCALING if scaling else None, **extra,
    )  # fmt: skip
    return "llama", transformers.LlamaForCausalLM(config), ours


def qwen2(tied=False):
    rope = {"rope_type": "default", "rope_theta": 1e6}
    config = transformers.Qwen2Config(
        vocab_size=V, hidden_size=C, intermediate_size=HIDDEN, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=3, max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-6, rope_theta=1e6, rope_parameters=rope, tie_word_embeddings=tied,
    )  # fmt: skip
    ours = ModelConfig(
        **COMMON, n_kv_heads=3, rope_theta=1e6, norm_eps=1e-6, qkv_bias=True, tied=tied
    )
    return "qwen2", transformers.Qwen2ForCausalLM(config), ours


CASES = {
    "gpt2": gpt2,
    "gpt2, exact gelu": lambda: gpt2(activation_function="gelu"),
    "llama": llama,
    "llama, as many key heads": lambda: llama(kv=6),
    "llama, one key head": lambda: llama(kv=1),
    "llama, untied": lambda: llama(tied=False),
    "llama, theta": lambda: llama(theta=500_000.0),
    "llama, scaled": lambda: llama(scaling=True, theta=500.0),
    "llama, wide heads": lambda: llama(head_dim=16),
    "llama, large eps": lambda: llama(eps=0.1),
    "qwen2": qwen2,
    "qwen2, tied": lambda: qwen2(tied=True),
}


def pair(case, seed, std=0.3):
    """Their model and ours with the same random weights, in eval mode, float32."""
    torch.manual_seed(seed)
    kind, theirs, config = CASES[case]()
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            if "wpe" in name or "wte" in name or "embed" in name:
                p.normal_(std=1.0)
            elif p.ndim == 1:
                p.normal_(mean=1.0 if name.endswith("weight") else 0.0, std=0.5)
            else:
                p.normal_(std=std)
    ours = Transformer(config)
    plan = layout(kind, config, {n: tuple(t.shape) for n, t in ours.state_dict().items()})
    source = theirs.state_dict()
    ours.load_state_dict(
        {name: take(origin, source[origin.source]) for name, origin in plan.items()}
    )
    return theirs.eval(), ours.eval()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_logits(case, seed):
    theirs, ours = pair(case, seed)
    ids = torch.randint(V, (3, CONTEXT))
    with torch.no_grad():
        expected, got = theirs(ids).logits, ours(ids)
    assert expected.std() > 1  # the weights are loud enough for a mistake to be heard
    assert got.shape == (3, CONTEXT, V)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_as_many_parameters(case):
    theirs, ours = pair(case, 0)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("case", ["gpt2", "llama", "llama, scaled", "qwen2"])
def test_padded_batches(case, side):
    theirs, ours = pair(case, 1)
    lengths = [9, 4, 1, 12]
    B, T = len(lengths), max(lengths)
    real = torch.zeros(B, T, dtype=torch.bool)
    for row, n in enumerate(lengths):
        real[row, T - n :] = side == "left"
        real[row, :n] |= side == "right"
    ids = torch.where(real, torch.randint(V, (B, T)), 0)
    positions = (real.cumsum(-1) - 1).clamp(min=0)
    mask = torch.ones(T, T, dtype=torch.bool).tril() & real[:, None, None, :]
    with torch.no_grad():
        got = ours(ids, mask=mask, positions=positions)
        expected = theirs(ids, attention_mask=real.long(), position_ids=positions).logits
        torch.testing.assert_close(got[real], expected[real], atol=1e-4, rtol=1e-4)
        for row in range(B):  # and padding is invisible
            alone = ours(ids[row : row + 1, real[row]])
            torch.testing.assert_close(got[row, real[row]], alone[0], atol=1e-4, rtol=1e-4)
    assert got.isfinite().all()  # also where there is nothing but padding to look at


@pytest.mark.parametrize("case", ["gpt2", "llama, scaled", "qwen2"])
def test_double_precision(case):
    """In float64 the two agree far more closely: what remains in float32 is rounding, no formula."""
    theirs, ours = pair(case, 2)
    theirs, ours = theirs.double(), ours.double()
    ids = torch.randint(V, (2, 20))
    with torch.no_grad():
        expected, got = theirs(ids).logits, ours(ids)
    assert got.dtype == torch.float64
    # Their RMSNorm and both rotations stay in float32 even then.
    tolerance = 1e-10 if case == "gpt2" else 1e-4
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("case", ["gpt2", "llama", "qwen2"])
def test_half_precision(case):
    """bfloat16 has 3 digits: ours is as close to the float32 answer as theirs is, and no worse."""
    theirs, ours = pair(case, 3, std=0.1)
    ids = torch.randint(V, (2, 20))
    with torch.no_grad():
        exact = ours(ids)
        ours_low, theirs_low = ours.bfloat16()(ids), theirs.bfloat16()(ids).logits
    assert ours_low.dtype == torch.bfloat16
    error = (ours_low.float() - exact).square().mean().sqrt()
    their_error = (theirs_low.float() - exact).square().mean().sqrt()
    assert error < max(1.5 * their_error, 0.01 * exact.std())
    assert error < 0.1 * exact.std()


def test_gradients():
    """The same loss gives the same gradient for every one of our parameters."""
    for case in ("gpt2", "llama, untied", "qwen2"):
        theirs, ours = pair(case, 4, std=0.1)
        ids = torch.randint(V, (2, 16))
        kind = case.split(",")[0]
        for model in (theirs, ours):
            logits = model(ids) if model is ours else model(ids).logits
            torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
            ).backward()
        own = dict(ours.named_parameters())
        plan = layout(kind, ours.config, {n: tuple(p.shape) for n, p in own.items()})
        source = dict(theirs.named_parameters())
        for name, origin in plan.items():
            expected = take(origin, source[origin.source].grad)
            torch.testing.assert_close(own[name].grad, expected, atol=1e-5, rtol=1e-3, msg=name)
