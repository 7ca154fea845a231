"""GGUF files: read as they are meant, and refused with one clear line when they are not."""

from __future__ import annotations

import math
import os
import random
import struct
import time
import tracemalloc

import numpy as np
import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig, RopeScaling
from llmcourse.model.names import rename
from llmcourse.model.rope import rope_frequencies
from llmcourse.model.transformer import Transformer
from llmcourse.model.weights import build, load
from llmcourse.model.weights.gguf import READABLE, open_gguf
from llmcourse.model.weights.gguf_header import TENSOR_TYPES, read_header
from llmcourse.tokenizer.files import PRINTABLE
from llmcourse.tokenizer.gguf_tokenizer import tokenizer_from_gguf

gguf = pytest.importorskip("gguf")

U32, F32, BOOL, STRING, ARRAY, U64 = 4, 6, 7, 8, 9, 10
NUMBERS = {name: number for number, (name, _, _) in TENSOR_TYPES.items()}


class U64Value(int):
    """A number to be written in eight bytes."""


def text(string: str | bytes) -> bytes:
    data = string if isinstance(string, bytes) else string.encode()
    return struct.pack("<Q", len(data)) + data


def value(v) -> bytes:
    """A metadata value: type and bytes, as the specification says; ours, not the gguf package's."""
    if isinstance(v, bool):
        return struct.pack("<IB", BOOL, v)
    if isinstance(v, U64Value):
        return struct.pack("<IQ", U64, v)
    if isinstance(v, int):
        return struct.pack("<II", U32, v)
    if isinstance(v, float):
        return struct.pack("<If", F32, v)
    if isinstance(v, str):
        return struct.pack("<I", STRING) + text(v)
    if v and isinstance(v[0], str):
        return struct.pack("<IIQ", ARRAY, STRING, len(v)) + b"".join(map(text, v))
    return struct.pack("<IIQ", ARRAY, 5, len(v)) + np.array(v, "<i4").tobytes()


def gguf_bytes(metadata, tensors, *, version=3, alignment=32, raw=b"", n_keys=None, n_tensors=None):
    """A GGUF file. `tensors`: name → (shape, type, bytes)."""
    head = b"GGUF" + struct.pack("<I", version)
    head += struct.pack("<Q", len(tensors) if n_tensors is None else n_tensors)
    head += struct.pack("<Q", len(metadata) if n_keys is None else n_keys)
    head += b"".join(text(key) + value(v) for key, v in metadata.items()) + raw
    body = b""
    for name, (shape, kind, data) in tensors.items():
        body += b"\0" * (-len(body) % alignment)
        head += text(name) + struct.pack("<I", len(shape))
        head += b"".join(struct.pack("<Q", n) for n in reversed(shape))
        head += struct.pack("<IQ", NUMBERS.get(kind, kind), len(body))
        body += data
    return head + b"\0" * (-len(head) % alignment) + body


CONFIGS = {
    "llama": ModelConfig(
        vocab_size=300, context_length=64, n_layers=2, n_heads=4, n_kv_heads=2, width=32, hidden=64,
        rope_theta=1e5, norm_eps=1e-5,
    ),
    "qwen2": ModelConfig(
        vocab_size=300, context_length=64, n_layers=2, n_heads=4, n_kv_heads=2, width=32, hidden=64, qkv_bias=True,
        tied=False,
    ),
    "gpt2": ModelConfig(
        vocab_size=300, context_length=64, n_layers=2, n_heads=4, width=32, hidden=64, position="learned",
        norm="layer", mlp="gelu_tanh", bias=True,
    ),
}  # fmt: skip


def metadata_of(architecture, c):
    found = {
        "general.architecture": architecture,
        f"{architecture}.block_count": c.n_layers,
        f"{architecture}.context_length": c.context_length,
        f"{architecture}.embedding_length": c.width,
        f"{architecture}.feed_forward_length": c.hidden,
        f"{architecture}.attention.head_count": c.n_heads,
    }
    if architecture == "gpt2":
        return found | {"gpt2.attention.layer_norm_epsilon": c.norm_eps}
    return found | {
        f"{architecture}.attention.head_count_kv": c.n_kv_heads,
        f"{architecture}.attention.layer_norm_rms_epsilon": c.norm_eps,
        f"{architecture}.rope.freq_base": c.rope_theta,
        f"{architecture}.rope.dimension_count": c.head_dim,
    }


WORDS = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": [*PRINTABLE.values(), "th", "<|end|>"],
    "tokenizer.ggml.token_type": [1] * 257 + [3],
    "tokenizer.ggml.merges": ["t h"],
    "tokenizer.ggml.eos_token_id": 257,
}


def random_model(config):
    torch.manual_seed(0)
    model = Transformer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    return model


def packed(tensors, kind="F32"):
    """Tensors as a file has them; vectors stay F32, as in every GGUF file."""
    found = {}
    for name, tensor in tensors.items():
        used = kind if tensor.ndim > 1 else "F32"
        data = gguf.quants.quantize(tensor.numpy(), gguf.GGMLQuantizationType[used])
        found[name] = (tuple(tensor.shape), used, data.tobytes())
    return found


def write(path, data):
    path.write_bytes(data)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.gguf"


# ------------------------------------------------------------------ what is right


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_model_comes_back(path, architecture, version):
    model = random_model(CONFIGS[architecture])
    tensors = packed(rename(f"gguf-{architecture}", model.config, model.state_dict()))
    write(path, gguf_bytes(metadata_of(architecture, model.config), tensors, version=version))
    checkpoint = open_gguf(path)
    assert checkpoint.config == model.config
    loaded = build(checkpoint).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def test_llamas_rows_are_in_the_order_of_the_converter(path):
    """The permutation as llama.cpp's converter does it, written down independently of `names`."""
    config = CONFIGS["llama"]
    model = random_model(config)
    stored = rename("llama", config, model.state_dict())
    q = stored["model.layers.0.self_attn.q_proj.weight"]
    k = stored["model.layers.0.self_attn.k_proj.weight"]
    tensors = rename("gguf-llama", config, model.state_dict())
    for name, theirs, heads in (("attn_q", q, 4), ("attn_k", k, 2)):
        permuted = (
            theirs.reshape(heads, 2, theirs.shape[0] // heads // 2, 32)
            .swapaxes(1, 2)
            .reshape(theirs.shape)
        )
        assert torch.equal(tensors[f"blk.0.{name}.weight"], permuted)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_types_that_the_package_can_write(path, kind):
    model = random_model(CONFIGS["llama"])
    tensors = rename("gguf-llama", model.config, model.state_dict())
    write(path, gguf_bytes(metadata_of("llama", model.config), packed(tensors, kind)))
    checkpoint = open_gguf(path)
    assert checkpoint.tensors["token_embd.weight"].dtype == kind
    error = (build(checkpoint).embedding.weight - model.embedding.weight).abs().max().item()
    largest = model.embedding.weight.abs().max().item()
    bits = {"F32": 24, "F16": 10, "BF16": 7, "Q8_0": 6}.get(
        kind, int(kind[1]) - 1 if kind[0] == "Q" else 0
    )
    assert error <= largest * 2.0**-bits * 1.3
    assert (error == 0) == (kind == "F32")
    assert build(checkpoint, dtype="bfloat16").dtype == torch.bfloat16


def q4_k(block):
    """ggml's block of 256 weights in 4 bits, one number at a time."""
    d, dmin = (float(x) for x in np.frombuffer(block[:4], "<f2"))
    scales, qs, out = block[4:16], block[16:], []

    def scale_and_min(j):
        if j < 4:
            return scales[j] & 63, scales[j + 4] & 63
        low, high = scales[j + 4] & 15, scales[j + 4] >> 4
        return low | scales[j - 4] >> 6 << 4, high | scales[j] >> 6 << 4

    for group in range(8):
        scale, minimum = scale_and_min(group)
        for i in range(32):
            byte = qs[group // 2 * 32 + i]
            out.append(d * scale * (byte >> 4 if group % 2 else byte & 15) - dmin * minimum)
    return out


def q6_k(block):
    """ggml's block of 256 weights in 6 bits: 4 low bits in one place, 2 high bits in another."""
    ql, qh, scales = block[:128], block[128:192], np.frombuffer(block[192:208], np.int8)
    d, out = float(np.frombuffer(block[208:], "<f2")[0]), [0.0] * 256
    for half in range(2):
        for quarter in range(4):
            for i in range(32):
                low = ql[half * 64 + quarter % 2 * 32 + i] >> (4 if quarter > 1 else 0) & 15
                high = qh[half * 32 + i] >> 2 * quarter & 3
                scale = int(scales[half * 8 + quarter * 2 + i // 16])
                out[half * 128 + quarter * 32 + i] = d * scale * ((low | high << 4) - 32)
    return out


@pytest.mark.parametrize(("kind", "size", "by_hand"), [("Q4_K", 144, q4_k), ("Q6_K", 210, q6_k)])
def test_types_that_are_unpacked_by_hand_here(path, kind, size, by_hand):
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (3, 2, size), dtype=np.uint8)  # 3 rows of 512
    scales = rng.normal(size=(3, 2, 2)).astype("<f2").view(np.uint8).reshape(3, 2, 4)
    if kind == "Q4_K":
        blocks[..., :4] = scales
    else:
        blocks[..., 208:] = scales[..., :2]
    meta = metadata_of("llama", CONFIGS["llama"])
    write(path, gguf_bytes(meta, {"w": ((3, 512), kind, blocks.tobytes())}))
    got = open_gguf(path).tensors["w"].read()
    expected = torch.tensor([[x for b in row for x in by_hand(b.tobytes())] for row in blocks])
    assert got.shape == (3, 512) and torch.allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_the_table_of_types_is_the_packages():
    for number, (name, weights, size) in TENSOR_TYPES.items():
        kind = gguf.GGMLQuantizationType(number)
        assert (kind.name, gguf.GGML_QUANT_SIZES[kind]) == (name, (weights, size))


def test_a_type_that_cannot_be_unpacked(path):
    assert "Q3_K" not in READABLE
    model = random_model(CONFIGS["llama"])
    tensors = packed(rename("gguf-llama", model.config, model.state_dict()))
    tensors["token_embd.weight"] = ((300, 256), "Q3_K", bytes(300 * 110))
    write(path, gguf_bytes(metadata_of("llama", model.config), tensors))
    with pytest.raises(CourseError, match=r"'token_embd\.weight' is Q3_K"):
        open_gguf(path).tensors["token_embd.weight"].read()


def test_every_kind_of_metadata(path):
    raw = b"".join(
        text(f"n{kind}") + struct.pack("<I" + letter, kind, number)
        for kind, letter, number in [(0, "B", 200), (1, "b", -5), (2, "H", 60000), (3, "h", -6), (5, "i", -7),
                                     (11, "q", -1 << 40), (12, "d", 0.1)]
    )  # fmt: skip
    raw += text("bools") + struct.pack("<IIQ", ARRAY, BOOL, 3) + b"\1\0\1"
    raw += text("none") + struct.pack("<IIQ", ARRAY, STRING, 0)
    meta = {
        "s": "naïve",
        "t": True,
        "u": U64Value(1 << 60),
        "f": 0.5,
        "words": ["a", "", "漢"],
        "i": [1, -2],
    }
    got = read_header(write(path, gguf_bytes(meta, {}, raw=raw, n_keys=15))).metadata
    assert got | {"bools": 0, "i": 0} == meta | {
        "n0": 200, "n1": -5, "n2": 60000, "n3": -6, "n5": -7, "n11": -1 << 40, "n12": 0.1, "bools": 0, "none": [],
        "i": 0,
    }  # fmt: skip
    assert got["bools"].tolist() == [True, False, True] and got["i"].tolist() == [1, -2]


def test_another_alignment(path):
    meta = metadata_of("llama", CONFIGS["llama"]) | {"general.alignment": 64}
    tensors = {"a": ((3,), "F32", b"\0" * 12), "b": ((1, 2), "F16", b"\0\x3c\0\x40")}
    checkpoint = open_gguf(write(path, gguf_bytes(meta, tensors, alignment=64)))
    assert checkpoint.tensors["b"].read().tolist() == [[1.0, 2.0]]


def test_llama_31s_scaling_is_recognised(path):
    config = CONFIGS["llama"]
    meta = metadata_of("llama", config)

    def opened(factors):
        data = np.asarray(factors, "<f4")
        return open_gguf(
            write(
                path, gguf_bytes(meta, {"rope_freqs.weight": (data.shape, "F32", data.tobytes())})
            )
        )

    for factor in (8.0, 32.0):
        scaling = RopeScaling(
            factor=factor, low_freq_factor=1.0, high_freq_factor=4.0, original_context_length=8192
        )
        scaled = rope_frequencies(8, 1e5, scaling)
        assert opened((rope_frequencies(8, 1e5) / scaled).numpy()).config.rope_scaling == scaling
    assert opened(np.ones(4)).config.rope_scaling is None
    for odd in (np.full(4, 3.0), np.full(5, 3.0)):
        with pytest.raises(CourseError, match=r"not Llama 3\.1's"):
            opened(odd)


def test_one_number_for_every_layer(path):
    meta = metadata_of("llama", CONFIGS["llama"])
    write(path, gguf_bytes(meta | {"llama.attention.head_count_kv": [2, 2]}, {}))
    assert open_gguf(path).config.n_kv_heads == 2
    write(path, gguf_bytes(meta | {"llama.attention.head_count_kv": [2, 4]}, {}))
    with pytest.raises(CourseError, match="head_count_kv"):
        open_gguf(path)


# ------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("general.architecture", "mamba", "architecture 'mamba'"),
        ("llama.block_count", 0, "block_count .0. is no positive whole number"),
        ("llama.block_count", "two", "block_count .two."),
        ("llama.block_count", True, "block_count .True."),
        ("llama.embedding_length", None, "embedding_length .missing."),
        ("llama.attention.layer_norm_rms_epsilon", "tiny", "epsilon .tiny. is no number"),
        ("llama.expert_count", 8, "expert_count .8. is not supported"),
        ("llama.rope.scaling.type", "yarn", "rope.scaling.type .yarn. is not supported"),
        ("llama.attention.sliding_window", 4096, "sliding_window .4096. is not supported"),
        ("llama.rope.dimension_count", 4, "rope.dimension_count .4. is not the head's size 8"),
        ("llama.attention.value_length", 4, "value_length .4. is not the head's size 8"),
        ("llama.attention.head_count_kv", 3, "not a multiple"),
        ("llama.block_count", (1 << 32) - 1, "claims 4,294,967,295 layers and has"),
        ("llama.embedding_length", U64Value((1 << 64) - 4), "claims width 18,446,744,073,709,551,612"),
        ("llama.feed_forward_length", U64Value(1 << 62), "claims hidden"),
        ("llama.vocab_size", 1 << 31, "claims vocab_size"),
        ("llama.attention.key_length", U64Value(1 << 40), "claims n_heads · head_dim"),
        ("llama.feed_forward_length", 48, r"wrong shape: blk.0.ffn_gate.weight is 64 × 32, not 48 × 32.*and 3 more"),
        ("llama.block_count", 3, r"missing: blk.2.attn_norm.weight.* and 6 more"),
        ("llama.block_count", 1, r"left over: blk.1.attn_k.weight|left over: blk.1"),
    ],
)  # fmt: skip
def test_metadata_that_does_not_fit(path, key, given, message):
    model = random_model(CONFIGS["llama"])
    tensors = packed(rename("gguf-llama", model.config, model.state_dict()))
    meta = metadata_of("llama", model.config) | {key: given}
    if key.endswith("embedding_length") and given:
        meta |= {"llama.attention.key_length": 8}
    if key.endswith("key_length"):
        meta |= {"llama.rope.dimension_count": given, "llama.attention.value_length": given}
    write(path, gguf_bytes({k: v for k, v in meta.items() if v is not None}, tensors))
    start = time.perf_counter()
    with pytest.raises(CourseError, match=message) as caught:
        load(path)
    assert time.perf_counter() - start < 1  # a claim costs nothing
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


TWO = {"a": ((8,), "F32", bytes(32)), "b": ((8,), "F32", bytes(32))}


def entry(name, shape, kind, offset):
    dims = b"".join(struct.pack("<Q", n) for n in reversed(shape))
    return text(name) + struct.pack("<I", len(shape)) + dims + struct.pack("<IQ", kind, offset)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no GGUF file"),
        (b"hello world, this is text\n", "is no GGUF file"),
        (b"GGUF", "cut short in the version"),
        (b"GGUF" + struct.pack("<I", 1), "version 1 is none of 2 and 3"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(16), "big-endian"),
        (gguf_bytes({}, {}, n_tensors=1 << 63), "number of tensors is 9,223,372,036,854,775,808"),
        (gguf_bytes({}, {}, n_keys=1 << 63), "number of keys is 9,223"),
        (gguf_bytes({}, {}, n_keys=1, raw=struct.pack("<Q", (1 << 64) - 1) + bytes(40)), "the name of key 0 has 18"),
        (gguf_bytes({}, {}, n_keys=1, raw=text(b"\xff") + bytes(40)), "the name of key 0 is not UTF-8"),
        (gguf_bytes({"k": "v"}, {}, n_keys=2, raw=text("k") + value("v")), "the key 'k' is there twice"),
        (gguf_bytes({}, {}, n_keys=1, raw=text("k") + struct.pack("<I", 13) + bytes(40)), "k has the unknown type 13"),
        (gguf_bytes({}, {}, n_keys=1, raw=text("k") + struct.pack("<II", 9, 9) + bytes(40)), "array of the type 9"),
        (gguf_bytes({}, {}, n_keys=1, raw=text("k") + struct.pack("<IIQ", 9, 8, 1 << 61)), "the length of k is 2,305"),
        (gguf_bytes({}, {}, n_keys=1, raw=text("k") + struct.pack("<IIQ", 9, 12, 1 << 61)), "the length of k is 2,305"),
        (gguf_bytes({}, {}, n_keys=1, raw=text("k") + struct.pack("<IIQQ", 9, 8, 1, 1 << 62)), "beyond the file's end"),
        (
            gguf_bytes({}, {}, n_keys=1, raw=text("k") + struct.pack("<IIQQ", 9, 8, 2, 20) + bytes(26), alignment=1),
            "cut short in k",
        ),
        (
            gguf_bytes({}, {}, n_keys=1, raw=text("k") + struct.pack("<IIQ", 9, 8, 1) + text(b"\xff\xfe")),
            "a string that is not UTF-8",
        ),
        (gguf_bytes({}, {}, n_keys=1, raw=text("k") + struct.pack("<IQ", 8, 1 << 40)), "k has 1,099"),
        (gguf_bytes({"general.alignment": 24}, TWO), "general.alignment is 24"),
        (gguf_bytes({"general.alignment": 0}, TWO), "general.alignment is 0"),
        (gguf_bytes({"general.alignment": "32"}, TWO), "general.alignment is '32'"),
        (gguf_bytes({}, {}, n_tensors=1, raw=entry("a", (), 0, 0)), "'a' has 0 dimensions"),
        (gguf_bytes({}, {}, n_tensors=1, raw=text("a") + struct.pack("<I", 1 << 31)), "'a' has 2,147,483,648 dim"),
        (gguf_bytes({}, {}, n_tensors=1, raw=entry("a", (8,), 99, 0)), "'a' has the unknown type 99"),
        (gguf_bytes({}, {}, n_tensors=1, raw=entry("a", (8, 0), 0, 0)), "impossible shape"),
        (gguf_bytes({}, {}, n_tensors=1, raw=entry("a", (1, 31), 8, 0)), "impossible shape for Q8_0: .1, 31."),
        (gguf_bytes({}, {}, n_tensors=1, raw=entry("a", (1 << 62, 1 << 62), 0, 0)), "'a' reaches beyond"),
        (gguf_bytes({}, {}, n_tensors=1, raw=entry("a", (1,), 0, (1 << 64) - 32)), "'a' reaches beyond"),
        (gguf_bytes({}, {}, n_tensors=1, raw=entry("a", (1,), 0, 4)), "'a' does not begin at a multiple of 32"),
        (
            gguf_bytes({}, {}, n_tensors=2, raw=entry("a", (16,), 0, 0) + entry("b", (8,), 0, 32)) + bytes(64),
            "'a' and 'b' overlap",
        ),
        (
            gguf_bytes({}, {}, n_tensors=2, raw=entry("a", (8,), 0, 0) + entry("a", (8,), 0, 32)) + bytes(64),
            "the tensor 'a' is there twice",
        ),
    ],
)  # fmt: skip
def test_headers_that_lie(path, data, message):
    write(path, data)
    tracemalloc.start()
    try:
        with pytest.raises(CourseError, match=message) as caught:
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value) and caught.value.hint and "\n" not in str(caught.value)


def test_more_strings_than_any_vocabulary(path, monkeypatch):
    from llmcourse.model.weights import gguf_header

    monkeypatch.setattr(gguf_header, "LARGEST_LIST", 3)
    write(path, gguf_bytes({"few": ["a"] * 3, "many": ["a"] * 4}, {}))
    with pytest.raises(CourseError, match="many has 4 strings"):
        read_header(path)


def test_what_is_no_file(tmp_path, path, monkeypatch):
    with pytest.raises(CourseError, match="is missing"):
        read_header(path)
    with pytest.raises(CourseError, match="is no file"):
        read_header(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        with pytest.raises(CourseError, match="is no file"):  # and does not wait for a writer
            load(path)
        path.unlink()
    write(path, gguf_bytes({}, {}))

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", denied)
    with pytest.raises(CourseError, match=r"cannot read .*Permission denied"):
        read_header(path)


def test_a_file_that_changes_after_its_header_was_read(path):
    model = random_model(CONFIGS["llama"])
    tensors = packed(rename("gguf-llama", model.config, model.state_dict()))
    write(path, gguf_bytes(metadata_of("llama", model.config), tensors))
    checkpoint = open_gguf(path)
    with path.open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(CourseError, match="became shorter"):
        build(checkpoint)
    path.unlink()
    with pytest.raises(CourseError, match="cannot read"):
        build(checkpoint)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers(path, bad):
    model = random_model(CONFIGS["llama"])
    with torch.no_grad():
        model.blocks[1].mlp.w2.weight[3, 3:5] = bad
    tensors = packed(rename("gguf-llama", model.config, model.state_dict()))
    write(path, gguf_bytes(metadata_of("llama", model.config), tensors))
    with pytest.raises(
        CourseError, match=r"blk\.1\.ffn_down\.weight has 2 weights that are NaN or infinite"
    ):
        load(path)
    loaded = load(path, allow_non_finite=True)
    assert not torch.isfinite(loaded.blocks[1].mlp.w2.weight[3, 3])


def test_a_scale_that_overflows_in_a_narrow_type(path):
    model = random_model(CONFIGS["llama"])
    with torch.no_grad():
        model.embedding.weight[0, 0] = 1e6
    tensors = packed(rename("gguf-llama", model.config, model.state_dict()))
    write(path, gguf_bytes(metadata_of("llama", model.config), tensors))
    load(path)
    with pytest.raises(CourseError, match=r"1 weights that are NaN or infinite as torch.float16"):
        load(path, dtype="float16")


# ------------------------------------------------------------------ fuzzing


@pytest.fixture(scope="module")
def small():
    """A whole small file: model, tokenizer, everything; and where its header ends."""
    model = random_model(CONFIGS["llama"])
    tensors = packed(rename("gguf-llama", model.config, model.state_dict()), "Q4_1")
    data = gguf_bytes(metadata_of("llama", model.config) | WORDS, tensors)
    return data, data.index(b"blk.1.mlp_norm") if b"blk.1.mlp_norm" in data else data.rindex(
        b"blk.1"
    ) + 64


def use(path):
    """All that is ever done with a file; True if it is taken."""
    try:
        checkpoint = open_gguf(path)
        tokenizer_from_gguf(checkpoint.metadata, str(path)).encode("the 1st of many")
        build(checkpoint)
    except CourseError as error:
        assert "\n" not in str(error)
        return False
    return True


def test_the_file_that_is_fuzzed_is_good(path, small):
    assert use(write(path, small[0]))


def test_cut_short_anywhere(path, small):
    data, header = small
    rng = random.Random(0)
    cuts = [
        *range(0, 400, 7),
        *rng.sample(range(header), 100),
        *rng.sample(range(len(data)), 30),
        len(data) - 1,
    ]
    for cut in cuts:
        assert not use(write(path, data[:cut])), cut


@pytest.mark.parametrize("kind", ["bits", "eight bytes of ones", "2^63", "zeros"])
def test_altered_anywhere(path, small, kind):
    data, header = small
    rng = random.Random(kind)
    tracemalloc.start()
    try:
        for _ in range(40):
            at = rng.randrange(header) if rng.random() < 0.9 else rng.randrange(len(data))
            altered = bytearray(data)
            if kind == "bits":
                altered[at] ^= 1 << rng.randrange(8)
            else:
                new = {"2^63": struct.pack("<Q", 1 << 63), "zeros": bytes(8)}.get(kind, b"\xff" * 8)
                altered[at : at + 8] = new
            use(write(path, altered))
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
