"""The key-value cache: the same logits as without, whatever the rows' lengths, moves and growth."""

from __future__ import annotations

import pytest
import torch

from llmcourse.engine import cache as cache_file
from llmcourse.engine.cache import KVCache
from llmcourse.engine.fast import FastModel
from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer

LLAMA = ModelConfig(
    vocab_size=50, context_length=64, n_layers=2, n_heads=4, n_kv_heads=2, width=32, hidden=48
)
GPT2 = ModelConfig(
    vocab_size=50, context_length=64, n_layers=2, n_heads=4, width=32, hidden=48,
    position="learned", norm="layer", mlp="gelu_tanh", bias=True,
)  # fmt: skip


@pytest.fixture(scope="module", params=["llama", "gpt2", "llama fast", "gpt2 fast"])
def model(request):
    torch.manual_seed(0)
    transformer = Transformer(LLAMA if "llama" in request.param else GPT2).eval()
    with torch.no_grad():
        for p in transformer.parameters():
            p.mul_(4).add_(torch.randn_like(p) * 0.02)
    return FastModel(transformer) if "fast" in request.param else transformer


@pytest.fixture
def ids():
    return torch.randint(0, 50, (3, 20), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("static", [False, True])
@torch.inference_mode()
def test_in_pieces_as_in_one(model, ids, static):
    expected = model(ids)
    cache = KVCache(model.config, slots=4, static=static)
    pieces = []
    for start, end in [(0, 7), (7, 8), (8, 8 + 1), (9, 20)]:
        pieces.append(model(ids[:, start:end], cache=cache))
        cache.advance([end - start] * 3)
    assert torch.allclose(torch.cat(pieces, 1), expected, atol=1e-4)
    assert cache.lengths == [20, 20, 20, 0]


@pytest.mark.parametrize("static", [False, True])
@torch.inference_mode()
def test_rows_of_different_lengths(model, ids, static):
    """Right-padded prompts; what stands in the padding is never seen."""
    expected = model(ids)
    lengths = [3, 6, 1]
    padded = ids.clone()[:, :6]
    for row, length in enumerate(lengths):
        padded[row, length:] = 49
    cache = KVCache(model.config, slots=3, static=static)
    at = torch.tensor(lengths) - 1
    logits = model(padded, cache=cache, logits_at=at)
    assert torch.allclose(logits, expected[torch.arange(3), at], atol=1e-4)
    cache.advance(lengths)
    for step in range(5):
        here = torch.tensor(lengths) + step
        logits = model(ids[torch.arange(3), here][:, None], cache=cache)
        cache.advance([1, 1, 1])
        assert torch.allclose(logits[:, 0], expected[torch.arange(3), here], atol=1e-4)
    # Several tokens after ragged beginnings.
    at = torch.tensor(cache.lengths)
    more = torch.stack([ids[row, start : start + 4] for row, start in enumerate(at)])
    logits = model(more, cache=cache)
    for row, start in enumerate(at):
        assert torch.allclose(logits[row], expected[row, start : start + 4], atol=1e-4)


@torch.inference_mode()
def test_rows_join_in_the_middle_move_and_swap(model, ids):
    expected = model(ids)
    cache = KVCache(model.config, slots=4)
    model(ids[:2, :5], cache=cache)
    cache.advance([5, 5])
    joined = cache.rows(2)
    model(ids[2:, :9], cache=joined)
    joined.advance([9])
    assert cache.lengths == [5, 5, 9, 0]
    cache.swap(0, 2)  # now: 2, 1, 0
    cache.move(2, 1)  # now: 2, 0
    assert cache.lengths == [9, 5, 0, 0]
    logits = model(torch.stack([ids[2, 9:10], ids[0, 5:6]]), cache=cache)
    assert torch.allclose(logits[:, 0], torch.stack([expected[2, 9], expected[0, 5]]), atol=1e-4)


@torch.inference_mode()
def test_memory_grows_in_steps(model, ids, monkeypatch):
    monkeypatch.setattr(cache_file, "STEP", 4)
    cache = KVCache(model.config, slots=3)
    assert (cache.capacity, cache.nbytes) == (0, 0)
    expected = model(ids)
    capacities = []
    for t in range(20):
        logits = model(ids[:, t : t + 1], cache=cache)
        cache.advance([1, 1, 1])
        assert torch.allclose(logits[:, 0], expected[:, t], atol=1e-4)
        capacities.append(cache.capacity)
    assert capacities[0] == 4 and capacities[-1] < 40 and len(set(capacities)) < 7
    assert cache.nbytes == cache.bytes_per_token * 3 * cache.capacity
    assert KVCache(model.config, 2, 10, static=True).capacity == 10


def test_bytes_of_smollm2():
    config = ModelConfig(
        vocab_size=8, context_length=8, n_layers=30, n_heads=9, n_kv_heads=3, width=576, hidden=8
    )  # fmt: skip
    assert KVCache(config).bytes_per_token == 2 * 30 * 3 * 64 * 4 == 46_080
    assert KVCache(config, dtype=torch.bfloat16).bytes_per_token == 23_040


def test_limits_are_named():
    with pytest.raises(CourseError, match="0 rows"):
        KVCache(LLAMA, slots=0)
    with pytest.raises(CourseError, match="65 tokens"):
        KVCache(LLAMA, max_length=65)
    cache = KVCache(LLAMA, slots=2, max_length=10)
    with pytest.raises(CourseError, match="the cache has 2"):
        cache.begin(3, 1)
    cache.lengths = [8, 0]
    with pytest.raises(CourseError, match="3 more tokens after 8"):
        cache.begin(2, 3)


def test_empty_rows_are_plain_causal_and_equal_rows_need_no_mask():
    cache = KVCache(LLAMA, slots=2)
    positions, mask = cache.begin(2, 3)
    assert positions.tolist() == [[0, 1, 2]] * 2 and mask is None and not cache.all_visible
    cache.lengths = [4, 4]
    _, mask = cache.begin(2, 1)
    assert cache.all_visible and cache.rows(0).all_visible and bool(mask.all())
    cache.lengths = [4, 2]
    positions, mask = cache.begin(2, 1)
    assert not cache.all_visible and positions.tolist() == [[4], [2]]
    assert mask[:, 0, 0].tolist() == [[True] * 5, [True, True, True, False, False]]


def test_clear_wipes_nan():
    cache = KVCache(LLAMA, slots=2)
    cache.begin(2, 3)
    cache.append(0, torch.full((2, 2, 3, 8), torch.nan), torch.zeros(2, 2, 3, 8))
    cache.advance([3, 3])
    cache.clear(1)
    assert cache.lengths == [3, 0] and not cache.keys[:, 1].isnan().any()
    assert cache.keys[0, 0, :, :3].isnan().all()


def test_a_cache_keeps_no_gradients_and_leaves_inference_mode():
    model = Transformer(LLAMA)
    cache = KVCache(LLAMA)
    with torch.inference_mode():
        model(torch.tensor([[1, 2]]), cache=cache)
        cache.advance([2])
    model(torch.tensor([[3]]), cache=cache).sum().backward()
    assert not cache.keys.requires_grad
