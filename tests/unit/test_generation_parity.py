"""A hundred greedy tokens: the engine's are transformers', token by token, from the same weights."""

from __future__ import annotations

import pytest
import torch

from llmcourse import assets
from llmcourse.engine import Engine, FastModel, Sampling
from llmcourse.engine.naive import generate_naive
from llmcourse.model import pretrained
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.model.weights.huggingface import export

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow

GREEDY = Sampling(temperature=0)
SHAPES = {
    "gpt2": {"position": "learned", "norm": "layer", "mlp": "gelu_tanh", "bias": True},
    "llama": {"n_kv_heads": 2},
    "qwen2": {"n_kv_heads": 2, "qkv_bias": True, "tied": False},
}


def loud(shape: dict) -> Transformer:
    """A small model whose random weights are large enough to have opinions, so that ties are rare."""
    torch.manual_seed(3)
    config = ModelConfig(
        vocab_size=211, context_length=160, n_layers=3, n_heads=4, width=48, hidden=96, **shape
    )
    model = Transformer(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            loud = 1.0 if name.startswith(("embedding", "positions")) else 0.3
            p.normal_(mean=float(p.ndim == 1 and name.endswith("weight")), std=loud)
    return model


def theirs(folder, prompt: list[int], n: int) -> list[int]:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        out = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False, min_new_tokens=n, max_new_tokens=n, pad_token_id=0, eos_token_id=None,
        )  # fmt: skip
    return out[0, len(prompt) :].tolist()


@pytest.mark.parametrize("shape", SHAPES)
def test_small_models(shape, tmp_path):
    model = loud(SHAPES[shape])
    export(model, tmp_path)
    prompt = [5, 17, 200, 3, 3, 42]
    expected = theirs(tmp_path, prompt, 100)
    assert len(set(expected)) > 3  # it says something
    assert generate_naive(model, prompt, GREEDY, 100) == expected
    assert Engine(model).generate([prompt, prompt[:2]], GREEDY, 100)[0].ids == expected


def test_smollm2(tmp_path):
    if assets.locate(pretrained.SMOLLM2)[0] is None:
        pytest.skip(f"SmolLM2 is not here: {assets.ASSETS[pretrained.SMOLLM2].install}")
    found = pretrained.load("smollm2")
    export(found.model, tmp_path)
    prompt = found.tokenizer.encode("The old ferryman looked at the river and")
    expected = theirs(tmp_path, prompt, 100)
    others = [found.tokenizer.encode("Once upon a time"), prompt[:3]]
    together = Engine(FastModel(found.model)).generate([prompt, *others], GREEDY, 100)
    assert together[0].ids == expected
