"""The fast model is the same function; 16 and 8 bits are nearly so; the ladder compares what it times."""

from __future__ import annotations

import shutil

import pytest
import torch

from llmcourse.engine import ladder, weights
from llmcourse.engine.cache import KVCache
from llmcourse.engine.engine import Engine
from llmcourse.engine.fast import FastModel, bytes_per_token
from llmcourse.engine.ladder import climb, memory_bandwidth
from llmcourse.engine.sampling import Sampling
from llmcourse.errors import CourseError
from llmcourse.model import quantize
from llmcourse.model.config import ModelConfig, RopeScaling
from llmcourse.model.quantize import dequantize_int8, int8_linear, quantize_int8
from llmcourse.model.transformer import Transformer

BASE = {
    "vocab_size": 60,
    "context_length": 64,
    "n_layers": 2,
    "n_heads": 4,
    "width": 32,
    "hidden": 48,
}
SHAPES = {
    "llama": ModelConfig(**BASE, n_kv_heads=2),
    "llama 3.1": ModelConfig(
        **BASE, n_kv_heads=1, tied=False, rope_theta=500.0,
        rope_scaling=RopeScaling(factor=8, low_freq_factor=1, high_freq_factor=4, original_context_length=16),
    ),
    "qwen": ModelConfig(**BASE, n_kv_heads=2, qkv_bias=True, head_dim=6),
    "gpt2": ModelConfig(**BASE, position="learned", norm="layer", mlp="gelu_tanh", bias=True),
    "smeared": ModelConfig(**BASE, n_kv_heads=2, smear=True),
    "nano": ModelConfig(**BASE, position="none", norm="layer", mlp="gelu", bias=True, tied=False),
}  # fmt: skip


def random_model(config: ModelConfig) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4).add_(torch.randn_like(p) * 0.05)
    return model


@pytest.fixture(params=SHAPES)
def model(request):
    return random_model(SHAPES[request.param])


@pytest.fixture(params=["packed", "plain"])
def packing(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(weights, "can_pack", lambda dtype: False)


@pytest.mark.parametrize("kind, close", [("fp32", 1e-5), ("bf16", 0.03), ("int8", 0.08)])
@torch.inference_mode()
def test_same_function(model, packing, kind, close):
    fast = FastModel(model, kind)
    assert fast.eval() is fast
    for B, T in [(1, 1), (3, 20), (1, 64)]:
        ids = torch.randint(0, 60, (B, T), generator=torch.Generator().manual_seed(T))
        expected = model(ids)
        logits = fast(ids)
        assert logits.dtype == torch.float32 and logits.shape == expected.shape
        # On average: with few neurons and sharp attention, single logits can be far off in 8 bits.
        assert (logits - expected).abs().mean() < close * expected.std()
        at = torch.full((B,), T // 2)
        few = fast(ids, logits_at=at)  # the product for few rows may be another one
        assert torch.allclose(few, logits[:, T // 2], atol=1e-4 if kind == "fp32" else 0.1)


@torch.inference_mode()
def test_positions_and_masks_as_in_the_transformer(model):
    fast = FastModel(model)
    ids = torch.randint(0, 60, (2, 6), generator=torch.Generator().manual_seed(2))
    positions = torch.tensor([[0, 1, 2, 0, 1, 2], [5, 6, 7, 50, 51, 52]])
    mask = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(3)) < 0.5
    mask |= torch.eye(6, dtype=torch.bool)
    for given in (
        {"positions": positions},
        {"mask": mask},
        {"positions": positions[1], "mask": mask},
    ):
        assert torch.allclose(fast(ids, **given), model(ids, **given), atol=1e-4)
    cached = KVCache(model.config, 2)
    assert torch.allclose(fast(ids, cache=cached, mask=mask), model(ids, mask=mask), atol=1e-4)


def test_refusals(model):
    fast = FastModel(model)
    with pytest.raises(CourseError, match="T ≥ 1"):
        fast(torch.zeros(1, 0, dtype=torch.long))
    with pytest.raises(CourseError, match="65 tokens"):
        fast(torch.zeros(1, 65, dtype=torch.long))
    with pytest.raises(CourseError, match="'fp8'"):
        FastModel(model, "fp8")


def test_weights_are_copied(model):
    before = FastModel(model)(torch.tensor([[1, 2]]))
    fast = FastModel(model)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    assert torch.equal(fast(torch.tensor([[1, 2]])), before)


def test_bytes_read(model):
    c = model.config
    matrices = sum(
        p.numel() for n, p in model.named_parameters() if p.ndim == 2 and n.startswith("blocks")
    )
    matrices += c.vocab_size * c.width
    assert FastModel(model, "fp32").nbytes == 4 * matrices
    assert FastModel(model, "bf16").nbytes == 2 * matrices
    assert matrices < FastModel(model, "int8").nbytes < 1.2 * matrices  # and the scales
    vectors = sum(p.numel() for p in model.parameters() if p.ndim == 1)
    assert bytes_per_token(model) == 4 * (matrices + vectors)


def test_defaults():
    model = random_model(SHAPES["llama"])
    assert FastModel(model).weights == "fp32"
    assert Engine(model).static is False


def test_packing_probe():
    weights.can_pack.cache_clear()
    assert isinstance(weights.can_pack(torch.float32), bool)
    assert weights.can_pack(torch.int32) is False  # no such product: no error either
    weights.can_pack.cache_clear()


# ------------------------------------------------------------------ int8


def test_quantised_numbers_are_within_half_a_step():
    weight = (
        torch.randn(40, 30, generator=torch.Generator().manual_seed(0))
        * torch.logspace(-4, 3, 40)[:, None]
    )
    q, scales = quantize_int8(weight)
    assert q.dtype == torch.int8 and scales.dtype == torch.bfloat16
    assert q.abs().max() <= 127 and (q.abs().amax(-1) >= 126).all()
    error = (dequantize_int8(q, scales) - weight).abs()
    # The scale is rounded to 8 bits: the greatest number may lie 0.4 % beyond 127.
    assert (error <= 0.51 * scales.float()[:, None] + 0.004 * weight.abs()).all()


def test_rows_of_zeros_stay_zero():
    q, scales = quantize_int8(torch.zeros(2, 8))
    assert not q.any() and torch.equal(dequantize_int8(q, scales), torch.zeros(2, 8))
    assert int8_linear(torch.ones(1, 8), q, scales).tolist() == [[0, 0]]


@pytest.mark.parametrize("rows", [1, 16, 17, 40])
@pytest.mark.parametrize("native", [True, False])
def test_int8_product(rows, native, monkeypatch):
    generator = torch.Generator().manual_seed(rows)
    x, weight = torch.randn(rows, 64, generator=generator), torch.randn(96, 64, generator=generator)
    bias = torch.randn(96, generator=generator)
    q, scales = quantize_int8(weight)
    monkeypatch.setattr(quantize, "BLOCK", 40)
    if not native:
        monkeypatch.setattr(quantize, "has_int8_product", lambda device: False)
    exact = x.bfloat16().float() @ dequantize_int8(q, scales).T + bias
    y = int8_linear(x[None], q, scales, bias)
    assert y.shape == (1, rows, 96) and y.dtype == torch.bfloat16
    assert (y[0].float() - exact).abs().max() < 0.02 * exact.abs().max()


@pytest.mark.parametrize("width", [1, 7, 24, 40, 100])
def test_int8_product_of_odd_widths(width):
    """PyTorch's own kernel crashes, or makes numbers up, where the width is no multiple of 16."""
    x, weight = torch.ones(2, width), torch.ones(5, width)
    q, scales = quantize_int8(weight)
    assert torch.allclose(int8_linear(x, q, scales).float(), torch.tensor(float(width)), rtol=0.01)


# ------------------------------------------------------------------ the ladder


def test_climbing_compares_every_rung():
    model = random_model(SHAPES["llama"])
    prompts = [[1, 2, 3], [4, 5], [6], [7, 8, 9, 10]]
    rungs = climb(model, prompts, 6, repeats=1)
    assert [r.name for r in rungs] == ["naive", "cache", "layout", "bf16", "int8", "batch"]
    assert [r.streams for r in rungs] == [1, 1, 1, 1, 1, 4]
    assert all(r.equal_to_naive for r in rungs[:3]) and all(0 <= r.same_tokens <= 1 for r in rungs)
    assert all(len(r.tokens) == r.streams and all(len(t) == 6 for t in r.tokens) for r in rungs)
    for rung in rungs:
        assert rung.tokens_per_second == pytest.approx(6 * rung.streams / rung.seconds)
        assert rung.limit(1e9) == pytest.approx(1e9 / rung.bytes_read_per_token)
    assert rungs[0].bytes_read_per_token == bytes_per_token(model)
    cached = (
        (3 + 3) * 2 * 2 * 2 * 8 * 4
    )  # tokens before, keys and values, layers, heads, head_dim, bytes
    assert rungs[1].bytes_read_per_token == bytes_per_token(model) + cached
    assert (
        rungs[3].bytes_read_per_token
        > rungs[4].bytes_read_per_token
        > rungs[5].bytes_read_per_token
    )


def test_changes_in_another_order():
    model = random_model(SHAPES["gpt2"])
    rungs = climb(
        model, [[1, 2], [3]], 3, repeats=1, changes=("cache", "batch", "layout"), naive_prompts=1
    )
    assert [(r.name, r.streams, r.equal_to_naive) for r in rungs] == [
        ("naive", 1, True), ("cache", 1, True), ("batch", 2, True), ("layout", 2, True),
    ]  # fmt: skip


def test_a_difference_is_seen(monkeypatch):
    made = ladder.generate_naive
    monkeypatch.setattr(ladder, "generate_naive", lambda *a: [*made(*a)[:2], 59, 59])
    rungs = climb(random_model(SHAPES["llama"]), [[1]], 4, repeats=1, changes=("cache",))
    assert rungs[1].equal_to_naive is False and rungs[1].same_tokens == 0.5


@pytest.mark.parametrize(
    "bad", [{"changes": ("magic",)}, {"repeats": 0}, {"new_tokens": 0}, {"prompts": []}]
)
def test_ladder_refusals(bad):
    with pytest.raises(CourseError):
        climb(**{"model": random_model(SHAPES["llama"]), "prompts": [[1]], **bad})


def test_memory_bandwidth_is_a_speed():
    assert 1e8 < memory_bandwidth(8, repeats=2) < 1e13


# ------------------------------------------------------------------ compiled


@pytest.mark.slow
def test_compiled_step_is_one_graph():
    """`torch.compile` can trace the step for one token without a break: what CUDA graphs need."""
    model = random_model(SHAPES["llama"])
    fast = FastModel(model)
    fast.compiled = True
    fast._step = torch.compile(fast._blocks, backend="eager", fullgraph=True, dynamic=False)
    prompts = [[1, 2, 3], [4, 5], [6]]
    made = Engine(fast, max_streams=4).generate(prompts, Sampling(0), 8)
    plain = Engine(model).generate(prompts, Sampling(0), 8)
    assert [g.ids for g in made] == [g.ids for g in plain]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_on_a_cpu():
    model = random_model(SHAPES["gpt2"])
    prompts = [[1, 2, 3], [4, 5], [6]]
    try:
        engine = Engine(model, compile=True, max_streams=2)
        assert engine.cache.static
        made = engine.generate(prompts, Sampling(seed=1), 5)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        pytest.skip(f"this compiler cannot: {error}")
    assert [g.ids for g in made] == [
        g.ids for g in Engine(model).generate(prompts, Sampling(seed=1), 5)
    ]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("compile", [False, True])
def test_on_a_gpu(kind, compile):
    model = random_model(SHAPES["llama"])
    prompts = [[1, 2, 3], [4, 5], [6]]
    expected = Engine(model, weights="fp32").generate(prompts, Sampling(seed=1), 8)
    fast = FastModel(model, kind, device="cuda", compile=compile)
    made = Engine(fast, max_streams=4).generate(prompts, Sampling(seed=1), 8)
    if kind == "fp32":
        assert [g.ids for g in made] == [g.ids for g in expected]
    assert all(len(g.ids) == 8 for g in made)
    assert FastModel(model, device="cuda").weights == "bf16"
