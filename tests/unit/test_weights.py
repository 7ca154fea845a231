"""Weights on disk: what is written comes back, and transformers agrees with us."""

from __future__ import annotations

import dataclasses
import io
import json
import sys

import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig, RopeScaling
from llmcourse.model.transformer import Transformer
from llmcourse.model.weights import build, export, load, open_checkpoint, save
from llmcourse.model.weights.build import checked_device, checked_dtype
from llmcourse.model.weights.extras import extra
from llmcourse.model.weights.huggingface_config import from_huggingface, to_huggingface

safetensors = pytest.importorskip("safetensors")
safetensors_torch = pytest.importorskip("safetensors.torch")

SCALING = RopeScaling(
    factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context_length=16
)
LLAMA = {
    "vocab_size": 61, "context_length": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "width": 32, "hidden": 48,
}  # fmt: skip
GPT2 = {
    "vocab_size": 61, "context_length": 64, "n_layers": 2, "n_heads": 4, "width": 32, "hidden": 48,
    "position": "learned", "norm": "layer", "mlp": "gelu_tanh", "bias": True,
}  # fmt: skip
SHAPES = {
    "gpt2": GPT2,
    "gpt2 exact gelu, untied": GPT2 | {"mlp": "gelu", "tied": False},
    "llama": LLAMA,
    "llama 3.1": LLAMA | {"tied": False, "rope_scaling": SCALING, "rope_theta": 500_000.0, "norm_eps": 1e-6},
    "llama, wide heads": LLAMA | {"head_dim": 12},
    "llama with biases": LLAMA | {"bias": True},
    "qwen2": LLAMA | {"qkv_bias": True, "rope_theta": 1e6},
}  # fmt: skip


def random_model(config: ModelConfig, seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    model = Transformer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # also norms and biases, which begin as ones and zeros
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    return model


def same(a: Transformer, b: Transformer) -> bool:
    x, y = a.state_dict(), b.state_dict()
    return x.keys() == y.keys() and all(torch.equal(x[name], y[name]) for name in x)


IDS = torch.arange(40).reshape(1, 40) * 7 % 61


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers")


# ------------------------------------------------------------------ our own format


@pytest.mark.parametrize("shape", SHAPES)
def test_saved_and_loaded(tmp_path, shape):
    model = random_model(ModelConfig(**SHAPES[shape]))
    save(model, tmp_path / "new" / "folder")
    loaded = load(tmp_path / "new" / "folder")
    assert same(model, loaded) and loaded.config == model.config and not loaded.training
    assert torch.equal(model(IDS), loaded(IDS))
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    loaded.requires_grad_(True)(IDS).sum().backward()  # what was loaded can be trained
    assert loaded.embedding.weight.grad is not None


def test_saved_twice_and_saved_while_in_use(tmp_path):
    """Loading copies: the file may change under a loaded model."""
    first, second = (random_model(ModelConfig(**LLAMA), seed) for seed in (1, 2))
    save(first, tmp_path)
    loaded = load(tmp_path)
    save(second, tmp_path)
    assert same(loaded, first) and same(load(tmp_path), second)
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.truncate(10)
    assert same(loaded, first)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", torch.bfloat16])
def test_types_on_disk_and_in_memory(tmp_path, dtype):
    model = random_model(ModelConfig(**GPT2))
    save(model, tmp_path / "a")
    loaded = load(tmp_path / "a", dtype=dtype)
    wanted = checked_dtype(dtype)
    assert {p.dtype for p in loaded.parameters()} == {wanted} and loaded.dtype == wanted
    save(loaded, tmp_path / "b")
    assert torch.equal(
        load(tmp_path / "b").embedding.weight, model.embedding.weight.to(wanted).float()
    )


def test_bad_type_device_and_path(tmp_path, monkeypatch):
    with pytest.raises(CourseError, match=r"int8.*float32, bfloat16"):
        checked_dtype("int8")
    for device in ("nowhere", "cuda:99"):
        with pytest.raises(CourseError, match=f"no device '{device}'"):
            checked_device(device)
    with pytest.raises(CourseError, match="is missing"):
        load(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="cannot write"):
        save(random_model(ModelConfig(**LLAMA)), tmp_path / "file")
    with pytest.raises(CourseError, match=r"pip install 'llmcourse\[weights\]'"):
        extra("no_such_library")


def test_a_full_disk(tmp_path, monkeypatch):
    def full(*_, **__):
        raise safetensors.SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr(safetensors_torch, "save_file", full)
    with pytest.raises(CourseError, match="No space left"):
        save(random_model(ModelConfig(**LLAMA)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_files_of_two_models(tmp_path):
    save(random_model(ModelConfig(**LLAMA)), tmp_path / "a")
    save(random_model(ModelConfig(**LLAMA | {"norm_eps": 1e-6})), tmp_path / "b")
    (tmp_path / "a" / "config.json").replace(tmp_path / "b" / "config.json")
    with pytest.raises(CourseError, match="not of the same model"):
        load(tmp_path / "b")


def test_progress_is_a_bar_on_a_terminal(tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    save(random_model(ModelConfig(**LLAMA)), tmp_path)
    shown = []
    for progress in (False, True):
        monkeypatch.setattr("sys.stderr", Terminal())
        load(tmp_path, progress=progress)
        shown.append(sys.stderr.getvalue())
    assert shown[0] == "" and "weights" in shown[1]


# ------------------------------------------------------------------ Hugging Face


@pytest.mark.parametrize("shape", SHAPES)
def test_transformers_reads_what_we_export(tmp_path, transformers, shape):
    model = random_model(ModelConfig(**SHAPES[shape]))
    export(model, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.allclose(theirs(IDS).logits, model(IDS), atol=2e-4)
    assert same(load(tmp_path), model)


def hf_config(transformers, family, **changes):
    if family == "gpt2":
        return transformers.GPT2Config(
            **{"vocab_size": 61, "n_positions": 64, "n_layer": 2, "n_head": 4, "n_embd": 32}
            | changes
        )
    kind = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[family]
    given = {
        "vocab_size": 61, "max_position_embeddings": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "hidden_size": 32, "intermediate_size": 48,
    }  # fmt: skip
    return kind(**given | changes)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("gpt2", {}),
        ("gpt2", {"activation_function": "gelu", "n_inner": 40, "tie_word_embeddings": False}),
        ("llama", {"tie_word_embeddings": True, "rms_norm_eps": 1e-5}),
        ("llama", {"head_dim": 12, "attention_bias": True, "mlp_bias": True}),
        ("qwen2", {"tie_word_embeddings": True}),
    ],
)
def test_we_read_what_transformers_saves(tmp_path, transformers, family, changes):
    torch.manual_seed(1)
    theirs = transformers.AutoModelForCausalLM.from_config(
        hf_config(transformers, family, **changes)
    ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    ours = load(tmp_path)
    with torch.no_grad():
        assert torch.allclose(theirs(IDS).logits, ours(IDS), atol=2e-4)
    if ours.config.tied:  # a file may repeat the exit
        assert not hasattr(ours, "head")


def test_gpt2_as_the_hub_has_it(tmp_path):
    """No prefix, causal masks among the tensors, a repeated exit, an old configuration."""
    model = random_model(ModelConfig(**GPT2))
    export(model, tmp_path)
    path = tmp_path / "model.safetensors"
    stored = {
        n.removeprefix("transformer."): t for n, t in safetensors_torch.load_file(path).items()
    }
    stored["h.0.attn.bias"] = torch.ones(1, 1, 64, 64)
    stored["h.0.attn.masked_bias"] = torch.tensor(-1e4)
    stored["lm_head.weight"] = stored["wte.weight"].clone()
    safetensors_torch.save_file(stored, path)
    config = {
        "model_type": "gpt2", "vocab_size": 61, "n_ctx": 64, "n_positions": 64, "n_layer": 2, "n_head": 4,
        "n_embd": 32, "n_inner": 48, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
        "task_specific_params": {"text-generation": {"do_sample": True}},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert same(load(tmp_path), model)
    stored["lm_head.weight"][3, 3] += 1
    safetensors_torch.save_file(stored, path)
    with pytest.raises(CourseError, match=r"lm_head.weight differs from the embedding"):
        load(tmp_path)


def test_parts_of_one_tensor_are_read_once_and_do_not_share_memory(tmp_path):
    model = random_model(ModelConfig(**GPT2))
    export(model, tmp_path)
    checkpoint, reads = open_checkpoint(tmp_path), []

    def counted(name, stored):
        return dataclasses.replace(stored, read=lambda: reads.append(name) or stored.read())

    tensors = {name: counted(name, stored) for name, stored in checkpoint.tensors.items()}
    loaded = build(dataclasses.replace(checkpoint, tensors=tensors))
    assert same(loaded, model) and sorted(reads) == sorted(tensors)
    for tensor in loaded.state_dict().values():
        assert tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
    save(loaded, tmp_path / "again")


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("bert", {}, "model_type is 'bert'"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act gelu is not supported"),
        ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "rope_scaling.*yarn"),
        ("llama", {"rope_parameters": {"rope_type": "linear"}, "rope_theta": 1e4}, "rope_parameters.*linear"),
        ("llama", {"rope_scaling": {"type": "llama3", "factor": 8.0}}, "low_freq_factor is missing"),
        ("llama", {"rope_scaling": "much"}, "rope_scaling much is not supported"),
        ("llama", {"attention_bias": True}, "attention_bias True is not supported"),
        ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"),
        ("llama", {"quantization_config": {"quant_method": "gptq"}}, "quantization_config.*gptq"),
        ("llama", {"hidden_size": None}, "hidden_size is missing"),
        ("llama", {"hidden_size": "64"}, "hidden_size is '64', no positive whole number"),
        ("llama", {"hidden_size": -64}, "hidden_size is '-64'"),
        ("llama", {"num_attention_heads": 5}, "not a multiple of n_kv_heads"),
        ("llama", {"rms_norm_eps": "small"}, "rms_norm_eps is 'small', no positive number"),
        ("llama", {"rms_norm_eps": float("nan")}, "rms_norm_eps is 'nan'"),
        ("llama", {"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes', no true or false"),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 64}, "use_sliding_window"),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types.*sliding"),
        ("gpt2", {"activation_function": "relu"}, "activation_function relu"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx True"),
    ],
)  # fmt: skip
def test_settings_that_are_refused_by_name(tmp_path, transformers, family, settings, message):
    base = hf_config(transformers, family).to_dict() if family != "bert" else {}
    content = base | {"model_type": family} | settings
    if "rope_scaling" in settings:
        content.pop("rope_parameters")
    with pytest.raises(CourseError, match=message) as caught:
        from_huggingface(content, tmp_path / "config.json")
    assert "config.json" in str(caught.value) and "\n" not in str(caught.value)


def test_both_spellings_of_the_rotations(tmp_path):
    config = ModelConfig(**SHAPES["llama 3.1"])
    content = to_huggingface(config)
    new = {k: v for k, v in content.items() if k not in ("rope_theta", "rope_scaling")}
    old = {k: v for k, v in content.items() if k != "rope_parameters"}
    old["rope_scaling"] = {k: v for k, v in old["rope_scaling"].items() if k != "rope_theta"}
    for spelling in (new, old):
        assert from_huggingface(spelling, tmp_path) == config


def test_shapes_that_transformers_does_not_have(tmp_path):
    for odd in (
        {"norm": "layer"},
        {"position": "none"},
        {"mlp": "gelu"},
        {"qkv_bias": True, "head_dim": 12},
    ):
        with pytest.raises(CourseError, match="none of gpt2, llama, qwen2 has this shape"):
            export(random_model(ModelConfig(**LLAMA | odd)), tmp_path)
    with pytest.raises(CourseError, match="smears its keys"):
        export(random_model(ModelConfig(**LLAMA | {"smear": True})), tmp_path)
    with pytest.raises(CourseError, match="has this shape"):
        to_huggingface(ModelConfig(**GPT2 | {"head_dim": 4}))
    assert not list(tmp_path.iterdir())


def test_headers_alone_say_what_there_is(tmp_path):
    model = random_model(ModelConfig(**LLAMA))
    save(model.to(torch.bfloat16), tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.config == model.config and checkpoint.kind == "plain"
    stored = checkpoint.tensors["embedding.weight"]
    assert (
        stored.shape == (61, 32)
        and stored.dtype == "BF16"
        and stored.where.name == "model.safetensors"
    )
    assert same(build(checkpoint, dtype="bfloat16"), model)


def test_a_checkpoint_of_the_wrong_kind(tmp_path):
    save(random_model(ModelConfig(**GPT2)), tmp_path)
    with pytest.raises(CourseError, match=r"the layout llama has no positions"):
        build(dataclasses.replace(open_checkpoint(tmp_path), kind="llama"))


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), safetensors.SafetensorError("broken")]
)
def test_a_disk_that_fails_while_numbers_are_read(tmp_path, monkeypatch, error):
    class Failing:
        def __init__(self, path, framework):
            self.opened = safe_open(path, framework=framework)

        def __getattr__(self, name):
            return getattr(self.opened, name)

        def get_tensor(self, name):
            raise error

    safe_open = safetensors.safe_open
    save(random_model(ModelConfig(**LLAMA)), tmp_path)
    monkeypatch.setattr(safetensors, "safe_open", Failing)
    with pytest.raises(CourseError, match=r"model\.safetensors: [\w.]+ cannot be read: "):
        load(tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_loaded_onto_a_gpu(tmp_path):
    model = random_model(ModelConfig(**GPT2))
    export(model, tmp_path)
    loaded = load(tmp_path, device="cuda", dtype="bfloat16")
    assert {p.device.type for p in loaded.parameters()} == {
        "cuda"
    } and loaded.dtype == torch.bfloat16
    reference = load(tmp_path, dtype="bfloat16")
    assert same(loaded.cpu(), reference)
