"""Tokenizers of released models: the same ids as Hugging Face's library gives, and no surprises."""

from __future__ import annotations

import copy
import json
import pickle
import random
import time

import numpy as np
import pytest

from llmcourse import assets
from llmcourse.errors import CourseError
from llmcourse.tokenizer import GPT2_PATTERN, Tokenizer, train_bpe_from_text
from llmcourse.tokenizer.files import PRINTABLE, save_gpt2, to_printable
from llmcourse.tokenizer.gguf_tokenizer import named_token, tokenizer_from_gguf
from llmcourse.tokenizer.huggingface import (
    from_huggingface,
    load_tokenizer,
    save_huggingface,
    to_huggingface,
)
from llmcourse.tokenizer.released import (
    CUTTINGS,
    LLAMA3_PATTERN,
    QWEN2_PATTERN,
    SMOLLM_PATTERN,
    Cutting,
    ReleasedTokenizer,
    assemble,
)

END = "<|endoftext|>"
PARTS = [
    " ", "  ", "   ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", "\x85", "\x1c", "1",
    "23", "456", "½", "²", "٣", "Ⅷ", "௧", "a", "the", " the", "The", "'s", "'S", "'ll",
    "don't", "é", "e\u0301", "漢字", "🙂", "👩‍💻", "_", "!", "...", "-", "(", END, "<|endof",
    "\u200b", "\x00", "\ufeff", "ﬁ", "İ", "ǅ", "\u0300",
]  # fmt: skip
AWKWARD = [
    "", " ", "1", " 1", "  1", "a  1", "a\n1", "\n\n 1\n", "1 2  3   4", "１２", "x1y2z3", "it's 5 o'clock", "'1",
    "1's", "a \u00a0 1", "  \u3000b", "half ½ of", "\r\n\r\n", "  !", "!1!", "v1.2.3  -  4", "don’t", "  ", "a" * 300,
    " " * 99 + "1", "tab\t1", "👩‍💻1👩‍💻", f"{END}1{END} 1", "1" * 50, "!\x04!", "\x04", "\U000e0041",
]  # fmt: skip


def texts(n, seed=0):
    rng = random.Random(seed)
    for _ in range(n):
        yield "".join(rng.choices(PARTS, k=rng.randint(1, 12)))
    for _ in range(
        n // 4
    ):  # any character up to the newest letters, which libraries see differently
        yield "".join(chr(rng.choice([rng.randrange(0x250), rng.randrange(0x530), rng.randrange(0x3040, 0xA000)]))
                      for _ in range(rng.randint(1, 8)))  # fmt: skip
    yield from AWKWARD


@pytest.fixture(scope="module")
def trained():
    from pydoc_data.topics import topics

    text = "".join(topics[name] for name in sorted(topics))[:60_000]
    return train_bpe_from_text(text + "漢字漢字 naïve café" * 3, 600)


def made(trained, pattern):
    vocab, merges = trained
    if pattern == QWEN2_PATTERN:
        return ReleasedTokenizer(vocab, merges, {END: 600}, CUTTINGS["qwen2"])
    if pattern == SMOLLM_PATTERN:  # without some of its bytes, as SmolLM2's is
        gone = {0, 0x85, 0x1C}
        vocab = {i: t for i, t in vocab.items() if i not in gone}
        return ReleasedTokenizer(vocab, merges, {END: 600}, CUTTINGS["smollm"])
    return Tokenizer(vocab, merges, {END: 600}, pattern=pattern)


PATTERNS = {
    "gpt-2": GPT2_PATTERN,
    "smollm": SMOLLM_PATTERN,
    "qwen2": QWEN2_PATTERN,
    "llama 3": LLAMA3_PATTERN,
}


@pytest.mark.parametrize("name", PATTERNS)
def test_the_same_ids_as_the_library_from_the_same_file(tmp_path, trained, name):
    """Written as tokenizer.json, read by Hugging Face's library and by us: 2,500 texts and more."""
    library = pytest.importorskip("tokenizers")
    ours = made(trained, PATTERNS[name])
    save_huggingface(ours, tmp_path)
    theirs = library.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    again = load_tokenizer(tmp_path)
    assert type(again) is type(ours) and again.vocab == ours.vocab and again.merges == ours.merges
    assert again.special_tokens == {END: 600} and again.pattern == PATTERNS[name]
    for text in texts(2000):
        expected = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text) == expected, repr(text)
        assert again.encode(text) == expected, repr(text)
        assert ours.decode(expected) == theirs.decode(expected, skip_special_tokens=False)


def test_white_space_before_a_digit_is_taken_whole(trained):
    tokenizer = Tokenizer(*trained, pattern=SMOLLM_PATTERN)
    from llmcourse.tokenizer.pretokenize import pretokens

    assert pretokens("a  12\n 3 b  c", SMOLLM_PATTERN) == [
        "a",
        "  ",
        "1",
        "2",
        "\n ",
        "3",
        " b",
        " ",
        " c",
    ]
    assert tokenizer.decode(tokenizer.encode("a  12\n 3")) == "a  12\n 3"


# ------------------------------------------------------------------ what a release loses


def test_bytes_without_a_token_are_left_out_and_neighbours_merge():
    vocab = {ord(c): c.encode() for c in "ab! "} | {300: b"!!"}
    tokenizer = ReleasedTokenizer(vocab, [(b"!", b"!")], {END: 0}, CUTTINGS["smollm"])
    assert tokenizer.encode("!\x04!") == [300] == tokenizer.encode("!!")
    assert tokenizer.encode("\x04\x04") == [] and tokenizer.encode(f"a\x04{END}") == [97, 0]
    assert tokenizer.encode_bytes(b"\xff!!\xfe") == [300]
    assert len(tokenizer.missing_bytes) == 252 and 4 in tokenizer.missing_bytes
    assert tokenizer.encode_batch(["!!"] * 2) == [[300]] * 2
    assert list(tokenizer.encode_iterable(["!", "!"])) == [300]


def test_text_is_composed_before_it_is_cut(trained):
    tokenizer = made(trained, QWEN2_PATTERN)
    assert tokenizer.decode(tokenizer.encode("cafe\u0301")) == "café"
    assert tokenizer.encode("e\u0301") == tokenizer.encode("é")
    assert tokenizer.encode(END + "\u0338") == [
        600,
        *tokenizer.encode("\u0338"),
    ]  # ">" is not to be composed
    again = pickle.loads(pickle.dumps(tokenizer))  # noqa: S301 (our own)
    assert again.encode("e\u0301 12") == tokenizer.encode("é 12") and again.vocab == tokenizer.vocab


def test_saved_and_loaded(tmp_path, trained):
    for number, pattern in enumerate((QWEN2_PATTERN, SMOLLM_PATTERN)):
        tokenizer = made(trained, pattern)
        tokenizer.save(tmp_path / str(number))
        again = ReleasedTokenizer.load(tmp_path / str(number))
        assert again.encode("e\u0301\x00 12") == tokenizer.encode("e\u0301\x00 12")
    plain = made(trained, GPT2_PATTERN)
    plain.save(tmp_path / "plain")  # our own file has the same name, and is told apart
    assert load_tokenizer(tmp_path / "plain").vocab == plain.vocab
    with pytest.raises(CourseError, match="cannot be said in Hugging Face's"):
        save_huggingface(Tokenizer(*trained, pattern=r"\w+"), tmp_path / "no")
    with pytest.raises(CourseError, match="cannot be said in Hugging Face's"):
        to_huggingface(Tokenizer(trained[0], None))


# ------------------------------------------------------------------ whole tokens first (Llama 3)


def all_ways(vocab):
    """Merges as they are made from tiktoken's ranks: all ways, in the order of what they make."""
    known = set(vocab.values())
    return [
        (token[:cut], token[cut:])
        for _, token in sorted(vocab.items())
        for cut in range(1, len(token))
        if token[:cut] in known and token[cut:] in known
    ]


def test_whole_tokens_first_is_what_ranks_say(trained):
    library = pytest.importorskip("tokenizers")
    vocab = trained[0] | {600: b"the the"}  # reached only as a whole
    merges = all_ways(vocab)
    content = to_huggingface(Tokenizer(vocab, merges, {END: 601}, pattern=LLAMA3_PATTERN))
    content["model"]["ignore_merges"] = True
    ours = from_huggingface(content)
    assert ours.merges is None
    theirs = library.Tokenizer.from_str(json.dumps(content))
    for text in texts(500):
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids, repr(text)
    for bad in (merges[:-1], merges[::-1]):
        content["model"]["merges"] = [[*map(to_printable, pair)] for pair in bad]
        with pytest.raises(CourseError, match="not in the order of its ids"):
            from_huggingface(content)


# ------------------------------------------------------------------ GGUF


def gguf_metadata(trained, pre="gpt-2"):
    vocab, merges = trained
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [
            *(to_printable(vocab[i]) for i in range(600)),
            END,
            "[PAD601]",
            "<user>",
        ],
        "tokenizer.ggml.token_type": np.array([1] * 600 + [3, 5, 4], "<i4"),
        "tokenizer.ggml.merges": [f"{to_printable(a)} {to_printable(b)}" for a, b in merges],
        "tokenizer.ggml.eos_token_id": 600,
        "tokenizer.ggml.bos_token_id": 99_999,
    }


def test_from_a_gguf_file(trained):
    metadata = gguf_metadata(trained)
    tokenizer = tokenizer_from_gguf(metadata)
    assert type(tokenizer) is Tokenizer and tokenizer.n_vocab == 603
    assert tokenizer.special_tokens == {END: 600, "<user>": 602}
    assert tokenizer.encode(f"the{END}<user>[PAD601]") == [
        *tokenizer.encode("the"), 600, 602, *Tokenizer(*trained).encode("[PAD601]"),
    ]  # fmt: skip
    assert tokenizer.decode([601]) == "[PAD601]"
    assert (named_token(metadata, "eos"), named_token(metadata, "bos"), named_token({}, "eos")) == (
        END,
        "",
        "",
    )
    del metadata["tokenizer.ggml.pre"], metadata["tokenizer.ggml.token_type"]
    assert tokenizer_from_gguf(metadata).special_tokens == {}
    assert tokenizer_from_gguf(gguf_metadata(trained, "smollm")).pattern == SMOLLM_PATTERN
    assert isinstance(tokenizer_from_gguf(gguf_metadata(trained, "qwen2")), ReleasedTokenizer)


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("model", "llama", "the tokenizer is 'llama', not byte-level BPE"),
        ("model", None, "the tokenizer is 'None'"),
        ("pre", "deepseek-llm", "text is cut in a way called 'deepseek-llm'"),
        ("tokens", None, "tokens is no list of strings"),
        ("tokens", np.zeros(3), "tokens is no list of strings"),
        ("tokens", ["a", "a"], "token_type does not fit 2 tokens"),
        ("token_type", np.ones(3, "<i4"), "token_type does not fit 603 tokens"),
        ("token_type", np.ones(603, "<f4"), "token_type does not fit"),
        ("token_type", "x", "token_type does not fit"),
        ("merges", None, "merges is no list of strings"),
        ("merges", ["t h e"], "merge 0 is 't h e', not two tokens"),
        ("merges", ["t h", "漢 字"], "merge 1 is '漢 字'|merge 0"),
        ("merges", [3], "merge 0 is '3'"),
        ("merges", ["z q"], "but b'zq' is not in the vocabulary"),
    ],
)
def test_gguf_tokenizers_that_are_refused(trained, key, given, message):
    metadata = gguf_metadata(trained) | {f"tokenizer.ggml.{key}": given}
    with pytest.raises(CourseError, match=message) as caught:
        tokenizer_from_gguf(metadata, "some.gguf")
    assert str(caught.value).startswith("some.gguf: ")


def test_a_token_that_is_there_twice(trained):
    metadata = gguf_metadata(trained)
    metadata["tokenizer.ggml.tokens"][601] = "a"
    with pytest.raises(CourseError, match="a token is there twice"):
        tokenizer_from_gguf(metadata)


# ------------------------------------------------------------------ tokenizer.json


def change(content, path, given):
    *way, last = path.split(".")
    for step in way:
        content = content[int(step) if step.isdigit() else step]
    content[int(last) if last.isdigit() else last] = given


@pytest.mark.parametrize(
    ("path", "given", "message"),
    [
        ("model.type", "Unigram", "model Unigram is not supported"),
        ("model", [1], "model .1. is not supported"),
        ("model.byte_fallback", True, "byte_fallback True"),
        ("model.dropout", 0.1, "dropout 0.1"),
        ("model.end_of_word_suffix", "</w>", "end_of_word_suffix"),
        ("model.vocab", None, "has no vocab and merges"),
        ("model.vocab", {"a": "1"}, "has no vocab and merges"),
        ("model.vocab", {"a": -1}, "has no vocab and merges"),
        ("model.vocab", {"a": True}, "has no vocab and merges"),
        ("model.vocab", {"a": 1, "b": 1}, "two tokens have the same id"),
        ("model.merges", ["a"], "merge 0 is 'a'"),
        ("model.merges", [["a", ["b"]]], "merge 0 is"),
        ("normalizer", {"type": "NFKC"}, "normalizer .*NFKC"),
        ("pre_tokenizer", None, "pre_tokenizer None"),
        ("pre_tokenizer", {"type": "Metaspace"}, "pre_tokenizer .*Metaspace"),
        ("pre_tokenizer.add_prefix_space", True, "pre_tokenizer .*add_prefix_space.: True"),
        ("pre_tokenizer.use_regex", False, "pre_tokenizer"),
        ("pre_tokenizer", {"type": "Sequence", "pretokenizers": []}, "pre_tokenizer"),
        ("pre_tokenizer", {"type": "Sequence", "pretokenizers": [3, {"type": "ByteLevel"}]}, "pre_tokenizer"),
        (
            "pre_tokenizer",
            {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": r"\w+"}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]},
            "pre_tokenizer",
        ),
        ("decoder", {"type": "WordPiece"}, "decoder .*WordPiece"),
        ("added_tokens", [{"content": "x"}], "is no added token"),
        ("added_tokens", ["x"], "'?x'? is no added token"),
        ("added_tokens", 3, "3 is no added token"),
        ("added_tokens.0.lstrip", True, "lstrip of the token"),
        ("added_tokens.0.id", 3, "have the same id"),
    ],
)  # fmt: skip
def test_tokenizer_files_that_are_refused(trained, path, given, message):
    content = copy.deepcopy(to_huggingface(made(trained, GPT2_PATTERN)))
    change(content, path, given)
    with pytest.raises(CourseError, match=message) as caught:
        from_huggingface(content, "tokenizer.json")
    assert str(caught.value).startswith("tokenizer.json: ") and "\n" not in str(caught.value)


def test_a_token_for_what_has_none_is_not_supported(trained):
    content = to_huggingface(made(trained, SMOLLM_PATTERN))
    content["model"]["unk_token"] = END
    with pytest.raises(CourseError, match="unk_token with bytes that have no token"):
        from_huggingface(content)
    whole = to_huggingface(made(trained, GPT2_PATTERN))
    whole["model"]["unk_token"] = END  # every byte has a token: it is never used
    whole["model"]["merges"] = [
        " ".join(pair) for pair in whole["model"]["merges"]
    ]  # the older spelling
    assert from_huggingface(whole).encode("the") == made(trained, GPT2_PATTERN).encode("the")


def test_gpt2s_two_files(tmp_path, trained):
    vocab, merges = trained
    save_gpt2(tmp_path / "vocab.json", tmp_path / "merges.txt", vocab | {600: END.encode()}, merges)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode(f"the{END}") == [*Tokenizer(vocab, merges).encode("the"), 600]
    with pytest.raises(CourseError, match=r"tokenizer\.json is missing"):
        load_tokenizer(tmp_path / "nothing")


def test_parts_that_do_not_fit_say_where():
    with pytest.raises(CourseError, match="here: merge 0"):
        assemble({0: b"a"}, [(b"a", b"b")], {}, Cutting(GPT2_PATTERN), "here")


# ------------------------------------------------------------------ SmolLM2's own


@pytest.fixture(scope="module")
def smollm2():
    path, _ = assets.locate("SmolLM2-135M-Instruct.Q4_1.gguf")
    if path is None:
        pytest.skip(
            f"SmolLM2 is not here: {assets.ASSETS['SmolLM2-135M-Instruct.Q4_1.gguf'].install}"
        )
    from llmcourse.model.weights.gguf_header import read_header

    return read_header(path).metadata


def test_smollm2(smollm2):
    start = time.perf_counter()
    ours = tokenizer_from_gguf(smollm2)
    assert time.perf_counter() - start < 2  # 0.2 s where this was written
    assert (
        ours.n_vocab == 49_152
        and len(ours.special_tokens) == 17
        and ours.special_tokens["<|im_end|>"] == 2
    )
    assert ours.encode("<|im_start|>user\nWhat is 12 + 3?<|im_end|>")[:2] == [1, 4093]
    assert bytes([4, 6, 0x13, 0x14, 0x16, 0x1D, 0xF1, 0xF2]) == bytes(
        b for b in ours.missing_bytes if b not in (0xC0, 0xC1, *range(0xF5, 0x100))
    )


def test_smollm2_in_the_library(smollm2):
    """Built from the vocabulary and the merges by hand, not from a file that we wrote."""
    library = pytest.importorskip("tokenizers")
    ours = tokenizer_from_gguf(smollm2)
    table = {token: i for i, token in enumerate(smollm2["tokenizer.ggml.tokens"])}
    pairs = [tuple(merge.split(" ")) for merge in smollm2["tokenizer.ggml.merges"]]
    theirs = library.Tokenizer(library.models.BPE(table, pairs))
    theirs.pre_tokenizer = library.pre_tokenizers.Sequence(
        [
            library.pre_tokenizers.Digits(individual_digits=True),
            library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    theirs.decoder = library.decoders.ByteLevel()
    theirs.add_special_tokens(
        [library.AddedToken(name, special=True, normalized=False) for name in ours.special_tokens]
    )
    for text in texts(2000, seed=1):
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text) == ids, repr(text)
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False)
    assert len(PRINTABLE) == 256
