"""`llmcourse model …` and `llmcourse generate`, on tiny random models; SmolLM2 only where it is slow."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from llmcourse import assets, cli
from llmcourse.commands import generate as generate_module
from llmcourse.commands import generating, live, model_places, output, prompt
from llmcourse.commands.model_convert import ENDS, stored_dtype
from llmcourse.commands.model_facts import COMPONENTS, facts_of
from llmcourse.commands.model_files import bits, contents_of
from llmcourse.commands.naive import NaiveStream
from llmcourse.engine import Engine, FastModel, KVCache, Request, Sampling
from llmcourse.errors import CourseError
from llmcourse.model import pretrained
from llmcourse.model.config import ModelConfig, named, names
from llmcourse.model.names import rename
from llmcourse.model.transformer import Transformer, num_parameters
from llmcourse.model.weights import export, open_checkpoint, save
from llmcourse.tokenizer import Tokenizer
from llmcourse.tokenizer.chat_template import ChatTemplate

hub = pytest.importorskip("huggingface_hub")
pytest.importorskip("huggingface_hub.utils")

runner = CliRunner()
LLAMA = ModelConfig(
    vocab_size=258, context_length=48, n_layers=2, n_heads=4, n_kv_heads=2, width=32, hidden=48
)
GPT2 = ModelConfig(
    vocab_size=258, context_length=48, n_layers=2, n_heads=4, width=32, hidden=64, position="learned",
    norm="layer", mlp="gelu_tanh", bias=True, tied=False,
)  # fmt: skip
WORDS = Tokenizer({b: bytes([b]) for b in range(256)}, [], {"<|endoftext|>": 256, "<|end|>": 257})
TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def random_model(config=LLAMA, seed=0):
    torch.manual_seed(seed)
    model = Transformer(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(5)  # so that it has opinions
    return model


def write_model(folder, model=None, template=TEMPLATE, words=True):
    save(model or random_model(), folder)
    if words:
        WORDS.save(folder)
    if template:
        (folder / "chat_template.jinja").write_text(template)
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>"}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


def run(*arguments, given=None):
    return runner.invoke(cli.app, [str(a) for a in arguments], input=given)


def out(*arguments, given=None):
    result = run(*arguments, given=given)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refusal(*arguments, given=None):
    """The error as one line."""
    result = run(*arguments, given=given)
    assert isinstance(result.exception, CourseError), result.output
    return str(result.exception)


def generated(folder, *arguments, given=None):
    return json.loads(out("generate", *arguments, "--model", folder, "--json", given=given))


# ------------------------------------------------------------------ how commands write


def test_the_command_line_imports_no_torch():
    code = "import sys, llmcourse.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_error_stays_one_line(monkeypatch, capsys):
    def app():
        raise CourseError("a\nb\x1b[31m", hint="c\udcff")

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "llmcourse: a\\nb\\x1b[31m (c\\udcff)\n"


def test_numbers_and_columns():
    assert output.size(46_080) == "46,080 bytes"
    assert output.size(538_060_032) == "538.1 MB"
    assert output.size(6_230_444_800) == "6.2 GB"
    assert output.size(1_623_000_000_000) == "1.6 TB"
    assert output.count(1, "token") == "1 token" and output.count(1000, "token") == "1,000 tokens"
    assert output.columns([("a", 1000), ("long", 1)], " r") == "  a     1,000\n  long      1"
    assert output.shortened("a\n") == "a\\n"
    assert output.shortened("x" * 80, 3) == "xxx… (80 characters)"


def test_a_terminal_gets_no_commands(monkeypatch, capsys):
    output.write("\x1b[2J")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.say("\x1b[2J\ttab\r")
    assert capsys.readouterr().out == "\x1b[2J\ufffd[2J\ttab\ufffd\n"


def test_an_encoding_that_lacks_the_character(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    output.write("é×")
    assert stream.buffer.getvalue() == b"??"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk(monkeypatch):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(CourseError, match="cannot write to standard output: No space"):
            output.write("x")
        output.write("nobody hears this")


def test_nobody_reads(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    stream = open(writing, "w")  # noqa: PTH123, SIM115
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(BrokenPipeError):
        output.write("x")
    monkeypatch.undo()
    with pytest.raises(BrokenPipeError):
        stream.close()


# ------------------------------------------------------------------ model list


def in_hub_cache(monkeypatch, found):
    """The hub's cache holds these repositories: name → folder."""
    monkeypatch.setattr(
        hub,
        "try_to_load_from_cache",
        lambda repository, name: (
            str(found[repository] / name) if repository in found and (found[repository] / name).exists() else None
        ),
    )  # fmt: skip


def test_list(monkeypatch, tmp_path):
    export(random_model(), tmp_path / "gpt2")
    WORDS.save(tmp_path / "gpt2")
    export(random_model(), tmp_path / "medium")  # without a tokenizer: not whole
    in_hub_cache(
        monkeypatch,
        {"openai-community/gpt2": tmp_path / "gpt2", "openai-community/gpt2-medium": tmp_path / "medium"},
    )  # fmt: skip
    monkeypatch.setattr(assets, "locate", lambda name: (tmp_path / name, "package"))
    text = out("model", "list")
    assert "85,584" in text and "405,853,388,800" in text
    (smollm2,) = (line for line in text.splitlines() if line.startswith("  smollm2  "))
    assert smollm2.endswith(f"here, in the package: {tmp_path / pretrained.SMOLLM2}")
    listed = json.loads(out("model", "list", "--json"))
    assert {s["name"]: s["parameters"] for s in listed["shapes"]}["gpt2"] == 124_439_808
    assert [s["name"] for s in listed["shapes"]] == names()
    models = {m["name"]: m for m in listed["models"]}
    assert models.keys() == set(pretrained.names())
    assert models["gpt2"]["place"] == "hub cache" and models["gpt2"]["path"] == str(
        tmp_path / "gpt2"
    )
    assert models["gpt2-medium"]["place"] == "hub" and models["gpt2-medium"]["path"] is None
    assert "needs the hub: openai-community/gpt2-medium" in text
    assert models["course-base"]["hub"] is None
    assert models["course-base"]["path"].endswith("course-base")


def test_without_the_hubs_library(monkeypatch):
    monkeypatch.setattr(assets, "locate", lambda name: (None, "missing"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert model_places.place("SmolLM2") == (None, "hub")
    with pytest.raises(CourseError, match="fetches it from the hub"):
        model_places.find("smollm2")


# ------------------------------------------------------------------ model show


@pytest.mark.parametrize("config", [LLAMA, GPT2], ids=["llama", "gpt2"])
def test_sizes_are_those_of_the_model_and_the_engine(config):
    model = random_model(config)
    facts = facts_of(config)
    assert facts == facts_of(config, model)
    assert facts.total == num_parameters(model)
    assert tuple(facts.parameters) == COMPONENTS
    for part in ("attention", "MLP"):
        assert facts.parameters[part] == config.n_layers * facts.per_block[part] > 0
    assert facts.parameters["embedding"] == 258 * 32
    assert facts.parameters["head"] == (0 if config.tied else 258 * 32)
    assert facts.parameters["positions"] == (48 * 32 if config.position == "learned" else 0)
    fast = FastModel(model, "int8")
    table = 0 if config.tied else 258 * 32 + 2 * 258
    others = sum(p.nbytes for n, p in model.named_parameters() if p.ndim == 1 or "positions" in n)
    assert facts.weights["int8"] == fast.nbytes + table + others
    assert (
        facts.weights["fp32"]
        == 2 * facts.weights["bf16"]
        == sum(p.nbytes for p in model.parameters())
    )
    assert facts.cache["fp32"] == KVCache(config).bytes_per_token
    assert facts.cache["bf16"] == KVCache(config, dtype=torch.bfloat16).bytes_per_token


def test_show_a_shape():
    text = " ".join(out("model", "show", "GPT2-XL").split())
    assert text.startswith("the shape gpt2-xl: 1,557,611,200 parameters shape vocab_size 50,257")
    assert "head the embedding again total 30,740,800 1,557,611,200" in text
    assert "fp32 6,230,444,800 6.2 GB" in text and "rope_theta" not in text
    assert "rope_scaling.factor 8.0" in " ".join(out("model", "show", "llama-3.1-8b").split())


def test_show_a_folder(folder):
    text = out("model", "show", folder)
    facts = facts_of(LLAMA)
    assert text.startswith(f"{folder}: {facts.total:,} parameters")
    assert f"stored: {4 * facts.total:,} bytes of F32" in text
    report = json.loads(out("model", "show", folder, "--json"))
    assert report["config"] == LLAMA.model_dump()
    assert report["parameters"]["total"] == facts.total
    assert report["stored_bytes"] == {"F32": 4 * facts.total}
    assert json.loads(out("model", "show", "nano", "--json"))["stored_bytes"] is None


def test_show_a_model_that_is_elsewhere(monkeypatch):
    in_hub_cache(monkeypatch, {})
    assert "the shape smollm2-360m: " in out("model", "show", "smollm2-360m-instruct")
    assert "qwen2.5-0.5b is not on this machine" in refusal("model", "show", "qwen2.5-0.5b")


def test_show_a_model_in_the_hubs_cache(monkeypatch, folder):
    in_hub_cache(monkeypatch, {"Qwen/Qwen2.5-0.5B": folder})
    assert f"{folder}: " in out("model", "show", "qwen2.5-0.5b")


# ------------------------------------------------------------------ model inspect


def write_gguf(path, model, **metadata):
    """A GGUF file as other programs write it."""
    gguf = pytest.importorskip("gguf")
    c = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(c.n_layers)
    writer.add_context_length(c.context_length)
    writer.add_embedding_length(c.width)
    writer.add_feed_forward_length(c.hidden)
    writer.add_head_count(c.n_heads)
    writer.add_head_count_kv(c.n_kv_heads)
    writer.add_layer_norm_rms_eps(c.norm_eps)
    writer.add_array("numbers", [1, 2, 3])
    writer.add_array("more", list(range(20)))
    writer.add_float32("none", float("nan"))
    for name, tensor in rename("gguf-llama", c, model.state_dict()).items():
        writer.add_tensor(name, tensor.detach().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file(tmp_path):
    model = random_model()
    path = write_gguf(tmp_path / "m.gguf", model)
    report = json.loads(out("model", "inspect", path, "--json"))
    assert report["parameters"] == num_parameters(model) and report["bytes"] == 4 * num_parameters(
        model
    )
    assert report["metadata"]["numbers"] == [1, 2, 3] and report["metadata"]["more"] == {
        "length": 20
    }
    assert report["metadata"]["none"] == "nan"
    first = {t["name"]: t for t in report["tensors"]}["token_embd.weight"]
    assert first == {
        "name": "token_embd.weight", "type": "F32", "shape": [258, 32], "bytes": 33_024, "file": "m.gguf",
    }  # fmt: skip
    text = out("model", "inspect", path)
    assert "(20 items)" in text and "[1, 2, 3]" in text and "258 × 32" in text
    assert f"20 tensors, {num_parameters(model):,} numbers" in text
    assert f"{num_parameters(model):,} parameters" in out("model", "show", path)
    # … and into our format, in which no number changes.
    assert "is 'None'" in refusal("model", "convert", path, tmp_path / "no")
    out("model", "convert", path, tmp_path / "ours", "--no-tokenizer")
    assert sorted(p.name for p in (tmp_path / "ours").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    for name, stored in open_checkpoint(tmp_path / "ours").tensors.items():
        assert torch.equal(stored.read(), model.state_dict()[name]), name


def safetensors_bytes(**tensors):
    header = json.dumps(tensors).encode()
    end = max(t["data_offsets"][1] for t in tensors.values())
    return struct.pack("<Q", len(header)) + header + bytes(end)


def test_safetensors_of_any_type_with_names_that_act(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(
        safetensors_bytes(
            **{
                "a\x1b[2J\n": {"dtype": "F8_E4M3", "shape": [2, 3], "data_offsets": [0, 6]},
                "s": {"dtype": "BOOL", "shape": [], "data_offsets": [6, 7]},
            }
        )
    )
    text = out("model", "inspect", path)
    assert "a\\x1b[2J\\n  F8_E4M3" in text and "\x1b" not in text
    assert text.endswith("2 tensors, 7 numbers, 7 bytes\n")
    assert [bits(name) for name in ("BF16", "F64", "U8", "BOOL", "F4")] == [16, 64, 8, 8, 4]


def test_shards_name_their_files(tmp_path):
    one = {"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}
    two = {"b": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}
    (tmp_path / "m-1.safetensors").write_bytes(safetensors_bytes(**one))
    (tmp_path / "m-2.safetensors").write_bytes(safetensors_bytes(**two))
    index = {"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    text = out("model", "inspect", tmp_path)
    assert "m-1.safetensors" in text and "2 tensors, 3 numbers, 6 bytes" in text
    assert "metadata" not in text


def test_a_configuration_nested_without_end(folder, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text('{"a": ' + "[" * 200 + "{}" + "]" * 200 + "}")
    assert json.dumps(contents_of(tmp_path).metadata).count("[") == 8
    assert "…" in out("model", "inspect", tmp_path)


def test_what_cannot_be_inspected(tmp_path, monkeypatch):
    (tmp_path / "m.bin").write_bytes(b"PK")
    (tmp_path / "m.txt").write_bytes(b"text")
    (tmp_path / "m.gguf").write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 8 + b"\0" * 8)
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", 1 << 60))
    assert "pickled weights can run programs" in refusal("model", "inspect", tmp_path / "m.bin")
    assert "give one of these" in refusal("model", "inspect", tmp_path / "m.txt")
    assert "more than the file has room for" in refusal("model", "inspect", tmp_path / "m.gguf")
    assert "is damaged" in refusal("model", "inspect", tmp_path / "m.safetensors")
    assert f"give one: {tmp_path}/m.gguf" in refusal("model", "inspect", tmp_path)
    assert "there is no such file or folder" in refusal("model", "inspect", "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has neither" in refusal("model", "inspect", tmp_path / "empty")
    assert "neither a GGUF" in refusal("model", "inspect", os.devnull)

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "m.gguf: Permission denied" in refusal("model", "inspect", tmp_path / "m.gguf")


# ------------------------------------------------------------------ model convert


def content(folder):
    """Name → bytes; of the weights, the numbers (the order of their metadata is chance)."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    if "model.safetensors" in found:
        stored = contents_of(folder / "model.safetensors").tensors
        size = sum(tensor.bytes for tensor in stored)
        found["model.safetensors"] = str(stored).encode() + found["model.safetensors"][-size:]
    return found


def test_there_and_back(folder, tmp_path):
    theirs, back = tmp_path / "theirs", tmp_path / "back"
    said = out("model", "convert", folder, theirs, "--format", "huggingface")
    assert f"{facts_of(LLAMA).total:,} parameters as float32" in said
    assert f"next: llmcourse generate --model {theirs}" in said
    assert json.loads((theirs / "config.json").read_text())["model_type"] == "llama"
    assert json.loads((theirs / "generation_config.json").read_text()) == {"eos_token_id": 257}
    out("model", "convert", theirs, back)
    assert content(back) == content(folder) | {
        "tokenizer_config.json": content(back)["tokenizer_config.json"]
    }
    first, last = (pretrained.load(f) for f in (folder, back))
    assert first.chat_template.text == last.chat_template.text == TEMPLATE
    assert last.chat_template.eos_token == "<|end|>"
    assert first.tokenizer.vocab == last.tokenizer.vocab


@pytest.mark.slow  # to import it takes seconds
def test_transformers_reads_it(folder, tmp_path):
    transformers = pytest.importorskip("transformers")
    out("model", "convert", folder, tmp_path / "m", "--format", "huggingface")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval()
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "m")
    ids = words("hello<|end|>", return_tensors="pt")["input_ids"]
    assert ids.tolist() == [[*b"hello", 257]]
    ours = pretrained.load(folder)
    with torch.inference_mode():
        assert torch.allclose(model(ids).logits, ours.model(ids), atol=1e-4)
    question = [{"role": "user", "content": "hi"}]
    text = words.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    assert text == ours.chat_template.render(question, add_generation_prompt=True)
    assert model.generation_config.eos_token_id == 257


def test_the_type_of_the_parameters(folder, tmp_path):
    out("model", "convert", folder, tmp_path / "half", "--dtype", "bfloat16")
    assert stored_dtype(tmp_path / "half") == torch.bfloat16
    assert "as bfloat16" in out("model", "convert", tmp_path / "half", tmp_path / "same")
    assert content(tmp_path / "half") == content(tmp_path / "same")
    assert "as float16" in out("model", "convert", folder, tmp_path / "f16", "--dtype", "float16")
    assert stored_dtype(tmp_path / "f16") == torch.float16
    assert "parameters cannot be int8" in refusal(
        "model", "convert", folder, tmp_path / "no", "--dtype", "int8"
    )


def test_a_base_model_knows_where_texts_end(tmp_path):
    write_model(tmp_path / "base", template="")
    out("model", "convert", tmp_path / "base", tmp_path / "m", "--format", "huggingface")
    assert json.loads((tmp_path / "m" / "generation_config.json").read_text()) == {
        "eos_token_id": 256
    }
    assert not (tmp_path / "m" / "chat_template.jinja").exists()
    bare = ["--format", "huggingface", "--no-tokenizer"]
    out("model", "convert", tmp_path / "base", tmp_path / "bare", *bare)
    assert content(tmp_path / "bare").keys() == {"config.json", "model.safetensors"}
    assert pretrained.load(tmp_path / "m").chat_template is None
    assert WORDS.special_tokens[ENDS[0]] == 256


def test_nothing_is_overwritten_by_accident(folder, tmp_path):
    target = tmp_path / "m"
    out("model", "convert", folder, target, "--format", "huggingface")
    (target / "notes.txt").write_text("mine")
    (target / "model-00001-of-00002.safetensors").write_text("of another model")
    before = content(target)
    assert "holds" in refusal("model", "convert", folder, target)
    assert content(target) == before
    out("model", "convert", folder, target, "--force", "--no-tokenizer")
    assert content(target).keys() == {"config.json", "model.safetensors", "notes.txt"}
    assert "is the source as well" in refusal("model", "convert", folder, folder, "--force")
    assert "is a file" in refusal("model", "convert", folder, target / "notes.txt", "--force")
    under = target / "notes.txt" / "m"
    assert "nothing can be written" in refusal("model", "convert", folder, under)


def test_nothing_is_written_when_it_cannot_be_done(folder, tmp_path, monkeypatch):
    def refused(*arguments):
        line = refusal("model", "convert", *arguments)
        assert not (tmp_path / "m").exists()
        return line

    target = tmp_path / "m"
    assert "the format cannot be 'gguf'" in refused(folder, target, "--format", "gguf")
    assert "the source is empty" in refused("", target)
    assert "no model is called 'nowhere'" in refused("nowhere", target)
    bare = write_model(tmp_path / "bare", words=False)
    assert (
        "has no tokenizer.json (get it, or convert the weights alone: --no-tokenizer)"
        in refused(bare, target)
    )
    ours = tmp_path / "ours"  # no release has this shape
    write_model(
        ours, random_model(ModelConfig(**(GPT2.model_dump() | {"bias": False, "qkv_bias": False})))
    )
    assert "has this shape" in refused(ours, target, "--format", "huggingface")
    other = write_model(tmp_path / "other")
    Tokenizer(WORDS.vocab, None, WORDS.special_tokens).save(other)
    assert "save it in our own format" in refused(other, target, "--format", "huggingface")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert f"nothing can be written to {tmp_path}" in refused(folder, target)


def test_a_name_from_the_hub(folder, tmp_path, monkeypatch):
    cached = tmp_path / "cached"
    out("model", "convert", folder, cached, "--format", "huggingface", "--dtype", "bfloat16")
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: str(cached))
    in_hub_cache(monkeypatch, {"openai-community/gpt2": cached})
    assert "as bfloat16" in out("model", "convert", "gpt2", tmp_path / "m", "--no-tokenizer")
    assert content(tmp_path / "m").keys() == {"config.json", "model.safetensors"}


# ------------------------------------------------------------------ generate: prompts


def stdin(monkeypatch, data, terminal=False):
    stream = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: terminal)
    monkeypatch.setattr(sys, "stdin", stream)


def test_where_the_prompt_comes_from(monkeypatch):
    assert prompt.read_prompt("héllo\n") == "héllo\n"
    for given in ("-", None):
        stdin(monkeypatch, "héllo\n\r\n".encode())
        assert prompt.read_prompt(given) == "héllo\n"  # the shell's own line end is left out


def test_prompts_that_are_none(monkeypatch):
    def refused(given, data=b"", terminal=False):
        stdin(monkeypatch, data, terminal)
        with pytest.raises(CourseError) as caught:
            prompt.read_prompt(given)
        return str(caught.value)

    assert "there is no prompt" in refused(None, terminal=True)
    for given in ("", "-", None):
        assert "the prompt is empty" in refused(given)
    assert "the prompt is empty" in refused("-", b"\n")
    assert "not UTF-8 (byte 2 is 0xff)" in refused("-", b"ab\xff")
    assert "the prompt is not UTF-8" in refused("\udcff")
    monkeypatch.setattr(prompt, "LARGEST", 4)
    assert "more than 4 bytes" in refused("-", b"12345")


def test_special_tokens_that_a_user_typed_stay_text():
    ids = prompt.chat_ids(
        WORDS, ChatTemplate(TEMPLATE), [{"role": "user", "content": "a<|end|><|endoftext|>\ue000"}]
    )
    typed = [*"[user]a<|end|><|endoftext|>\ue000".encode(), 257, *b"[assistant]"]
    assert ids == typed
    plain = [{"role": "user", "content": "abc"}]
    rendered = ChatTemplate(TEMPLATE).render(plain, add_generation_prompt=True)
    assert prompt.chat_ids(WORDS, ChatTemplate(TEMPLATE), plain) == WORDS.encode(rendered)


def test_end_tokens():
    assert prompt.end_tokens(WORDS, None) == {256}
    assert prompt.end_tokens(WORDS, ChatTemplate("", eos_token="<|end|>")) == {256, 257}
    assert prompt.end_tokens(WORDS, ChatTemplate("", eos_token="<|nowhere|>")) == {256}


def test_a_prompt_of_which_no_token_is_left(folder):
    found = pretrained.load(folder)
    lossy = SimpleNamespace(tokenizer=SimpleNamespace(encode=lambda text: []), config=LLAMA)
    with pytest.raises(CourseError, match="the prompt has no token"):
        prompt.prompt_ids(lossy, "\x00", False, None)
    assert prompt.prompt_ids(found, "a<|end|>", False, None) == [97, 257]
    system = prompt.prompt_ids(found, "a", True, "b")
    assert found.tokenizer.decode(system) == "[system]b<|end|>[user]a<|end|>[assistant]"


# ------------------------------------------------------------------ generate: what comes


def expected(folder, ids, n=1, max_tokens=12, **sampling):
    """The same by hand, from the engine."""
    found = pretrained.load(folder)
    engine = Engine(found.model, found.tokenizer)
    settings = Sampling(**({"temperature": 0.8, "top_p": 0.95} | sampling))
    return engine.generate([ids] * n, settings, max_tokens, stop_tokens=[256, 257])


def test_generate_is_the_engine(folder):
    report = generated(folder, "ab", "--seed", 5, "--max-tokens", 12, "--n", 3)
    by_hand = expected(folder, [97, 98], n=3, seed=5)
    assert [c["ids"] for c in report["continuations"]] == [g.ids for g in by_hand]
    assert [c["text"] for c in report["continuations"]] == [g.text for g in by_hand]
    assert [c["finish_reason"] for c in report["continuations"]] == [
        g.finish_reason for g in by_hand
    ]
    assert len({tuple(g.ids) for g in by_hand}) == 3
    assert report["prompt_tokens"] == 2 and report["sampling"]["seed"] == 5
    assert report["tokens_per_second"] > 0 and report["seconds"] > 0
    assert (
        report["device"] == "cpu" and report["weights"] == "fp32" and report["model"] == str(folder)
    )


def test_the_text_on_standard_output(folder):
    (one,) = expected(folder, [97, 98], seed=5)
    line = "" if one.text.endswith("\n") else "\n"
    result = run("generate", "ab", "--model", folder, "--seed", 5, "--max-tokens", 12)
    assert result.stdout_bytes.decode() == one.text + line
    assert result.stderr == ""
    piped = run("generate", "--model", folder, "--seed", 5, "--max-tokens", 12, given="ab\n")
    assert piped.stdout_bytes == result.stdout_bytes
    several = run("generate", "ab", "--model", folder, "--seed", 5, "--max-tokens", 12, "-n", 2)
    headed = several.stdout_bytes.decode()
    assert headed.startswith("--- 1 of 2\n" + one.text + line) and "\n--- 2 of 2\n" in headed


def test_every_option_reaches_the_sampler(folder):
    options = {
        "temperature": 1.5, "top_k": 9, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.3, "seed": 11,
    }  # fmt: skip
    given = [x for key, v in options.items() for x in (f"--{key.replace('_', '-')}", v)]
    report = generated(folder, "ab", *given, "--max-tokens", 12)
    assert report["sampling"] == options
    assert report["continuations"][0]["ids"] == expected(folder, [97, 98], **options)[0].ids


def test_without_a_seed_it_differs_and_says_how_to_have_it_again(folder):
    one, two = (generated(folder, "ab", "--max-tokens", 20, "--temperature", 1.5) for _ in range(2))
    assert one["sampling"]["seed"] != two["sampling"]["seed"]
    assert one["continuations"] != two["continuations"]
    again = generated(
        folder, "ab", "--max-tokens", 20, "--temperature", 1.5, "--seed", one["sampling"]["seed"]
    )
    assert again["continuations"] == one["continuations"]


@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_other_weights(folder, weights):
    report = generated(folder, "ab", "--weights", weights, "--max-tokens", 4, "--seed", 1)
    assert report["weights"] == weights and 1 <= len(report["continuations"][0]["ids"]) <= 4


def test_the_loop_of_chapter_05_gives_the_same(folder):
    arguments = [
        "ab",
        "--seed",
        5,
        "--max-tokens",
        12,
        "--n",
        2,
        "--probabilities",
        "--repetition-penalty",
        1.2,
    ]
    engine, loop = generated(folder, *arguments), generated(folder, *arguments, "--naive")
    assert loop["naive"] and not engine["naive"]
    for one, other in zip(engine["continuations"], loop["continuations"], strict=True):
        assert (one["ids"], one["text"], one["finish_reason"]) == (
            other["ids"], other["text"], other["finish_reason"],
        )  # fmt: skip
        for a, b in zip(one["tokens"], other["tokens"], strict=True):
            assert a["logprob"] == pytest.approx(b["logprob"], abs=1e-3)
            assert a["drawn_with_probability"] == pytest.approx(
                b["drawn_with_probability"], abs=1e-3
            )
            assert len(a["alternatives"]) == len(b["alternatives"]) == 5


@pytest.mark.parametrize("naive", [[], ["--naive"]], ids=["engine", "loop"])
class TestHowItEnds:
    def test_by_number(self, folder, naive):
        (one,) = generated(folder, "ab", *naive, "--max-tokens", 1)["continuations"]
        assert len(one["ids"]) == 1 and one["finish_reason"] in ("length", "stop_token")

    def test_at_a_stop_text(self, folder, naive):
        greedy = ["ab", *naive, "--temperature", 0, "--max-tokens", 10]
        (whole,) = generated(folder, *greedy)["continuations"]
        text = whole["text"]
        stop = text[3:5]
        (one,) = generated(folder, *greedy, "--stop", "never", "--stop", stop)["continuations"]
        assert one["finish_reason"] == "stop_string" and one["text"] == text[: text.index(stop)]

    def test_at_the_end_of_the_context(self, folder, naive):
        found = generated(folder, "x" * 46, *naive, "--seed", 2)
        (one,) = found["continuations"]
        assert one["finish_reason"] == "context" and len(one["ids"]) == 3

    def test_at_the_models_own_end(self, tmp_path, naive):
        model = random_model(GPT2)
        with torch.no_grad():
            model.head.weight[256] += 10 * model.norm.weight
            model.norm.bias += 3  # whatever is said, the end comes next
        write_model(tmp_path / "m", model)
        (one,) = generated(tmp_path / "m", "ab", *naive)["continuations"]
        assert one == {"text": "", "ids": [256], "finish_reason": "stop_token"}
        assert out("generate", "ab", "--model", tmp_path / "m", *naive) == "\n"

    def test_interrupted(self, folder, naive, monkeypatch):
        times = iter(range(1000))
        real = live.Live.update

        def update(self):
            real(self)
            if next(times) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(live.Live, "update", update)
        given = ["generate", "ab", "--model", folder, "--seed", 5, "--max-tokens", 12, *naive]
        result = run(*given)
        (whole,) = expected(folder, [97, 98], seed=5)
        assert result.exit_code == 130
        said = result.stdout_bytes.decode()
        text = pretrained.load(folder).tokenizer.decode(whole.ids[:4])
        assert said.rstrip("\n") == text.rstrip("\n")

    def test_interrupted_as_json(self, folder, naive, monkeypatch):
        times = iter(range(1000))
        real = generating.Progress.changed

        def changed(self):
            real(self)
            if next(times) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(generating.Progress, "changed", changed)
        result = run(
            "generate", "ab", "--model", folder, "--json", "--n", 2, "--max-tokens", 12, *naive
        )
        assert result.exit_code == 130
        report = json.loads(result.stdout)
        assert {c["finish_reason"] for c in report["continuations"]} <= {"cancelled", "stop_token"}
        assert len(report["continuations"]) == (1 if naive else 2)

    def test_nan(self, tmp_path, naive):
        model = random_model()
        with torch.no_grad():
            model.norm.weight.fill_(3e38)
            model.norm.weight[::2] = -3e38
        write_model(tmp_path / "m", model)
        assert "NaN in the logits" in refusal("generate", "ab", "--model", tmp_path / "m", *naive)


def test_what_has_ended_stays_as_it_ended():
    stream = NaiveStream(random_model(), WORDS, Request([97], max_tokens=1), lambda: None)
    stream.run()
    reason = stream.finish_reason
    stream.finish("cancelled")
    assert stream.finish_reason == reason in ("length", "stop_token")


def test_words_come_one_by_one(folder, monkeypatch):
    pieces = []
    monkeypatch.setattr(live, "write", pieces.append)
    out("generate", "ab", "--model", folder, "--seed", 5, "--max-tokens", 12)
    (whole,) = expected(folder, [97, 98], seed=5)
    assert "".join(pieces).rstrip("\n") == whole.text.rstrip("\n") and len(pieces) > 4


def test_chat(folder):
    report = generated(folder, "hi", "--chat", "--system", "be", "--max-tokens", 5, "--seed", 1)
    ids = WORDS.encode("[system]be<|end|>[user]hi<|end|>[assistant]")
    assert report["prompt_tokens"] == len(ids) and report["chat"] and report["system"] == "be"
    assert report["continuations"][0]["ids"] == expected(folder, ids, max_tokens=5, seed=1)[0].ids


def test_a_line_for_each_token(folder):
    given = ["ab", "--seed", 5, "--max-tokens", 6, "--probabilities"]
    head, *lines = out("generate", *given, "--model", folder).splitlines()
    (one,) = generated(folder, *given)["continuations"]
    assert head.split() == ["drawn", "model", "token", "the", "model's", "others"]
    assert len(lines) == len(one["ids"]) and all(line.count("%") == 6 for line in lines)
    assert sum(a["probability"] for a in one["tokens"][0]["alternatives"]) < 1
    assert one["tokens"][0]["text"] == WORDS.decode([one["ids"][0]])


def test_several_streams_are_printed_in_their_order(capsys):
    first = SimpleNamespace(ids=[], text="", finish_reason=None)
    second = SimpleNamespace(ids=[], text="", finish_reason=None)
    shown = live.Live([first, second], 2)

    def seen():
        shown.update()
        return capsys.readouterr().out

    second.text = "sec"
    first.text = "fir"
    assert seen() == "--- 1 of 2\nfir"
    second.text = "second"
    assert seen() == ""
    first.text, first.finish_reason = "first\n", "length"
    assert seen() == "st\n\n--- 2 of 2\nsecond"
    second.finish_reason = "stop_token"
    assert seen() == "\n"
    assert seen() == ""


def test_tokens_are_shown_and_act_on_nothing():
    assert live.token_name(b" a\x1b") == "␣a\\x1b"
    assert live.token_name(b"\xf0\x9f") == "⟨f0 9f⟩"


def test_what_it_says_at_the_end(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    generate_module.generate("ab", model=str(folder), max_tokens=3, seed=5)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("2 tokens read, 3 written in ") and "tokens/s; ended" in last
    assert last.endswith("--seed 5")
    generate_module.generate("ab", model=str(folder), max_tokens=1, seed=5)
    assert "tokens/s" not in capsys.readouterr().err  # one token is no speed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "the prompt is empty"),
        (["x", "--max-tokens", 0], "max-tokens cannot be 0"),
        (["x", "--n", 0], "n cannot be 0"),
        (["x", "--temperature", -1], "temperature cannot be -1.0"),
        (["x", "--temperature", "nan"], "temperature cannot be nan"),
        (["x", "--top-k", 0], "top_k cannot be 0"),
        (["x", "--top-p", 0], "top_p cannot be 0.0"),
        (["x", "--min-p", 2], "min_p cannot be 2.0"),
        (["x", "--repetition-penalty", 0], "repetition_penalty cannot be 0.0"),
        (["x", "--stop", ""], "a stop text is empty"),
        (["x", "--stop", "\udcff"], "an option is not UTF-8"),
        (["x", "--weights", "fp8"], "weights cannot be 'fp8' (fp32, bf16, int8)"),
        (["x", "--device", "nowhere"], "there is no device 'nowhere' here"),
        (["x", "--system", "be kind"], "--system needs --chat"),
        (["x", "--naive", "--weights", "int8"], "--naive runs the model as it is"),
        (["x" * 49], "the prompt has 49 tokens, but the context holds 48"),
    ],
)
def test_one_clear_line(folder, arguments, said):
    line = refusal("generate", *arguments, "--model", folder)
    assert said in line and "\n" not in line


def test_models_that_cannot_be_used(tmp_path):
    base = write_model(tmp_path / "base", template="")
    assert "is a base model: it has no chat template" in refusal(
        "generate", "x", "--chat", "--model", base
    )
    bare = write_model(tmp_path / "bare", words=False)
    assert "tokenizer.json is missing" in refusal("generate", "x", "--model", bare)
    assert "no model is called 'gpt5'" in refusal("generate", "x", "--model", "gpt5")


# ------------------------------------------------------------------ the real one


@pytest.mark.slow
def test_smollm2(tmp_path):
    if assets.locate(pretrained.SMOLLM2)[0] is None:
        pytest.skip(f"SmolLM2 is not here: {assets.ASSETS[pretrained.SMOLLM2].install}")
    shown = json.loads(out("model", "show", "smollm2", "--json"))
    assert shown["config"] == named("smollm2-135m").model_dump()
    assert shown["parameters"]["total"] == 134_515_008
    assert shown["kv_cache_bytes_per_token"]["fp32"] == 46_080
    listed = json.loads(out("model", "inspect", "smollm2", "--json"))
    assert len(listed["tensors"]) == 272 and listed["metadata"]["general.license"] == "apache-2.0"
    question = ["generate", "--chat", "What is the capital of France?", "--temperature", 0]
    assert out(*question) == "The capital of France is Paris.\n"
    out("model", "convert", "smollm2", tmp_path / "m", "--format", "huggingface")
    assert out(*question, "--model", tmp_path / "m") == "The capital of France is Paris.\n"
