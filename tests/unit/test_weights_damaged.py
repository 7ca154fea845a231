"""Folders of weights that are damaged, mixed up, or made to harm: one clear line each time."""

from __future__ import annotations

import json
import math
import os
import random
import struct
import time

import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.model.weights import export, load, save
from llmcourse.tokenizer.json_object import read_json_object

safetensors_torch = pytest.importorskip("safetensors.torch")

CONFIG = ModelConfig(
    vocab_size=13, context_length=8, n_layers=2, n_heads=2, n_kv_heads=1, width=8, hidden=12, tied=False
)  # fmt: skip


def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(CONFIG)


@pytest.fixture
def folder(tmp_path):
    """A Llama in Hugging Face's layout."""
    export(model(), tmp_path)
    return tmp_path


@pytest.fixture
def tensors(folder):
    return safetensors_torch.load_file(folder / "model.safetensors")


def refused(folder, message):
    with pytest.raises(CourseError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900 and caught.value.hint


def stored(folder, tensors):
    safetensors_torch.save_file(tensors, folder / "model.safetensors")
    return folder


NAME = "model.layers.1.mlp.down_proj.weight"


def test_tensors_missing_left_over_renamed_or_of_another_shape(folder, tensors):
    weight = tensors.pop(NAME)
    refused(stored(folder, tensors), rf"does not fit its configuration: missing: {NAME}")
    refused(
        stored(folder, tensors | {"extra.weight": weight}),
        rf"missing: {NAME}; left over: extra\.weight",
    )
    refused(
        stored(folder, tensors | {NAME: weight.T.contiguous()}),
        rf"wrong shape: {NAME} is 12 × 8, not 8 × 12",
    )
    refused(stored(folder, tensors | {NAME: weight[0].clone()}), rf"{NAME} is 12, not 8 × 12")
    refused(
        stored(folder, tensors | {NAME: weight[0, 0].clone()}),
        rf"{NAME} is a single number, not 8 × 12",
    )
    refused(
        stored(folder, {f"x.{n}": t for n, t in tensors.items()}),
        r"missing: .* and 18 more; left over: .* and 17 more",
    )
    refused(stored(folder, {"a": weight}), "claims 2 layers and has 1 tensors")


def test_types_that_are_none_for_weights(folder, tensors):
    for dtype in (torch.int64, torch.int8, torch.bool):
        refused(
            stored(folder, tensors | {NAME: tensors[NAME].to(dtype)}),
            f"{NAME} is .* no type for weights",
        )
    refused(
        stored(folder, tensors | {NAME: tensors[NAME].to(torch.float8_e4m3fn)}),
        f"{NAME} is F8_E4M3, which is no type",
    )
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        stored(folder, tensors | {NAME: tensors[NAME].to(dtype)})
        got = load(folder).blocks[1].mlp.w2.weight
        assert torch.equal(got, tensors[NAME].to(dtype).float())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_no_numbers(folder, tensors, bad):
    tensors[NAME][0, 0] = bad
    refused(
        stored(folder, tensors),
        rf"model\.safetensors: {NAME} has 1 weights that are NaN or infinite",
    )
    assert not torch.isfinite(load(folder, allow_non_finite=True).blocks[1].mlp.w2.weight).all()


def test_claims_cost_nothing(folder):
    content = json.loads((folder / "config.json").read_text())
    for claim, message in {
        "num_hidden_layers": "claims 1,000,000,000,000 layers and has 21 tensors",
        "hidden_size": "claims width 1,000,000,000,000",
        "intermediate_size": "claims hidden",
        "vocab_size": "claims vocab_size",
        "head_dim": "claims n_heads · head_dim",
    }.items():
        (folder / "config.json").write_text(json.dumps(content | {claim: 10**12}))
        start = time.perf_counter()
        refused(folder, message)
        assert time.perf_counter() - start < 0.5
    (folder / "config.json").write_text(json.dumps(content | {"hidden_size": 10**400}))
    refused(folder, "claims width 10,000,000.{1,40}, and no tensor")


# ------------------------------------------------------------------ files that are something else


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "model.safetensors is damaged"),
        (b"hello world, this is a text file\n" * 10, "model.safetensors is damaged"),
        (struct.pack("<Q", 1 << 63), "model.safetensors is damaged"),
        (struct.pack("<Q", 2) + b"[]", "model.safetensors is damaged"),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, "model.safetensors is damaged"),
        (struct.pack("<Q", 2) + b"{}", "claims 2 layers and has 0 tensors"),
    ],
)
def test_what_is_no_safetensors_file(folder, data, message):
    (folder / "model.safetensors").write_bytes(data)
    refused(folder, message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "config.json is no JSON"),
        (b"\xff\xfe", "config.json is no JSON"),
        (b"{" * 10, "config.json is no JSON"),
        (b"[" * 200_000, "config.json is no JSON"),
        (b'{"a": ' + b"[" * 200_000, "config.json is no JSON: nested too deeply"),
        (b"[1, 2]", "config.json holds no JSON object"),
        (b"{}", "model_type is 'None'"),
        (b'{"format": "something else"}', "is not a llmcourse model"),
        (b'{"format": "llmcourse model, version 1", "config": 3}', "is not a llmcourse model"),
        (b" " * (1 << 20) + b"{}", "config.json has more than 1,048,576 bytes"),
    ],
)
def test_what_is_no_configuration(folder, data, message):
    (folder / "config.json").write_bytes(data)
    refused(folder, message)


def test_folders_where_files_should_be(folder, monkeypatch):
    (folder / "model.safetensors").unlink()
    refused(
        folder,
        r"has neither model\.safetensors nor model\.safetensors\.index\.json \(check the path",
    )
    (folder / "pytorch_model.bin").write_bytes(b"")
    refused(folder, "pickled weights .* are not read")
    (folder / "model.safetensors").mkdir()
    refused(folder, "model.safetensors is no file")
    (folder / "config.json").unlink()
    refused(folder, "config.json is missing")
    (folder / "config.json").mkdir()
    refused(folder, "config.json is no file")
    weights = folder / "w.safetensors"
    weights.write_bytes(b"")
    refused(weights, "weights without a configuration")
    if hasattr(os, "mkfifo"):
        (folder / "config.json").rmdir()
        os.mkfifo(folder / "config.json")
        refused(folder, "config.json is no file")  # and does not wait for a writer


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(folder), "open", denied)
    with pytest.raises(CourseError, match=r"cannot read .*config\.json: Permission denied"):
        read_json_object(folder / "config.json")


def test_our_own_format_is_checked_as_well(tmp_path):
    save(model(), tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    data = safetensors_torch.load_file(tmp_path / "model.safetensors")
    metadata = {"format": content["format"], "config": "{"}
    safetensors_torch.save_file(data, tmp_path / "model.safetensors", metadata=metadata)
    refused(tmp_path, "are not of the same model")
    for change, message in [
        ({"n_heads": 3}, "wrong shape: blocks.0.attention.q.weight is 8 × 8, not 12 × 8"),
        ({"n_heads": 0}, "n_heads"),
        ({"colour": "red"}, "colour"),
        ({"norm": "batch"}, "norm"),
    ]:
        fields = content["config"] | change
        path.write_text(json.dumps(content | {"config": fields}))
        metadata["config"] = json.dumps(fields)
        safetensors_torch.save_file(data, tmp_path / "model.safetensors", metadata=metadata)
        refused(tmp_path, message)


# ------------------------------------------------------------------ several files


@pytest.fixture
def shards(folder, tensors):
    """The same model in two files with an index."""
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"a-1.safetensors": names[:10], "a-2.safetensors": names[10:]}
    for file, inside in parts.items():
        safetensors_torch.save_file({n: tensors[n] for n in inside}, folder / file)
    index = {
        "metadata": {},
        "weight_map": {n: file for file, inside in parts.items() for n in inside},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder, index, tensors


def test_shards(shards):
    folder, _, tensors = shards
    assert torch.equal(load(folder).blocks[1].mlp.w2.weight, tensors[NAME])
    (folder / "a-2.safetensors").unlink()
    refused(folder, r"a-2\.safetensors is missing")


@pytest.mark.parametrize(
    "place",
    ["../../etc/passwd", "/etc/passwd", "../other.safetensors", "sub/a.safetensors", ".hidden.safetensors", "", 3, None,
     "..\\a.safetensors", "C:a.safetensors", "a-1.safetensors\n", "a-1.bin", ["a-1.safetensors"]],
)  # fmt: skip
def test_an_index_cannot_point_elsewhere(shards, place):
    folder, index, _ = shards
    index["weight_map"][NAME] = place
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, f"{NAME} is said to be in .* which is no file name")


def test_shards_that_do_not_fit_their_index(shards):
    folder, index, tensors = shards
    path = folder / "model.safetensors.index.json"
    second = {n: tensors[n] for n, file in index["weight_map"].items() if file == "a-2.safetensors"}
    first = next(n for n, file in index["weight_map"].items() if file == "a-1.safetensors")
    safetensors_torch.save_file(second | {first: tensors[first]}, folder / "a-2.safetensors")
    refused(folder, "is in two files, a-1.safetensors and a-2.safetensors")
    safetensors_torch.save_file(second | {"more": tensors[first]}, folder / "a-2.safetensors")
    refused(folder, r"does not say that more is in a-2\.safetensors")
    second.pop(NAME)
    safetensors_torch.save_file(second, folder / "a-2.safetensors")
    refused(folder, rf"{NAME} is not in a-2\.safetensors")
    for bad in ({}, {"weight_map": {}}, {"weight_map": [1]}):
        path.write_text(json.dumps(bad))
        refused(folder, "has no weight_map")


# ------------------------------------------------------------------ fuzzing


def test_cut_short_or_altered_anywhere(folder):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    header = 8 + struct.unpack("<Q", data[:8])[0]
    rng = random.Random(0)
    taken = 0
    for trial in range(160):
        altered = bytearray(data)
        at = rng.randrange(header) if trial % 4 else rng.randrange(len(data))
        if trial % 3 == 0:
            del altered[at:]
        elif trial % 3 == 1:
            altered[at] ^= 1 << rng.randrange(8)
        else:
            altered[at : at + 3] = rng.randbytes(3)
        path.write_bytes(altered)
        try:
            load(folder)
            taken += 1
        except CourseError as error:
            assert "\n" not in str(error), altered
    assert taken < 60  # changed numbers cannot be seen; changed headers nearly always


def test_altered_configurations(folder):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    rng = random.Random(1)
    odd = [
        None,
        True,
        -1,
        0,
        1,
        7,
        1e308,
        10**30,
        "",
        "x" * 10_000,
        [],
        {},
        [[]],
        {"a": 1},
        float("nan"),
        "silu",
        2.5,
    ]
    for _ in range(300):
        changed = dict(content)
        for key in rng.sample(sorted(content), rng.choice([1, 1, 2])):
            changed[key] = rng.choice(odd)
        path.write_text(json.dumps(changed))
        try:
            load(folder)
        except CourseError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000, changed
