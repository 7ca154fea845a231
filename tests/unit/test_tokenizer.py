"""The tokenizer: text to ids and back without losing a byte, files, special tokens."""

from __future__ import annotations

import json
import pickle
import random
import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.errors import CourseError
from llmcourse.tokenizer import GPT2_PATTERN, GPT4_PATTERN, Tokenizer, train_bpe_from_text
from llmcourse.tokenizer.explain import segments
from llmcourse.tokenizer.files import from_printable, load_ranks, save_gpt2, to_printable
from llmcourse.tokenizer.merging import merge_long, merge_short
from llmcourse.tokenizer.pretokenize import (
    GPT4O_PATTERN,
    bytes_of_text,
    pretokens,
    replace_lone_surrogates,
    split_on_special,
    stable_chunks,
    text_of_bytes,
)
from llmcourse.tokenizer.representations import symbol_table, to_bits, to_bytes, to_characters

END = "<|endoftext|>"
BYTES = {b: bytes([b]) for b in range(256)}


@pytest.fixture(scope="module")
def trained():
    from pydoc_data.topics import topics

    text = "".join(topics[name] for name in sorted(topics))[:100_000]
    return train_bpe_from_text(text + "漢字漢字 👩‍💻👩‍💻 naïve café" * 3, 700, [END])


@pytest.fixture(scope="module")
def tokenizer(trained):
    return Tokenizer(*trained, [END])


# ------------------------------------------------------------------ round trips

NASTY = [
    "", " ", "\n", "a", "\x00", "\ufeff", "naïve café", "👩‍💻👨‍👩‍👧‍👦🏳️‍🌈", "漢字かな交じり文", "e\u0301\u0302\u0303",
    "\r\n\r\n\t \u00a0\u2003\u3000", "don't DON'T don’t 'ſ", " " * 100, "1234567890" * 9, "\u202e\u200b\u2028",
    "x" * 5000, "<|endoftext|>", "<|endof", "\U0010ffff\ue000\ufffe", "\x1c\x1d\x85", "ﬁ ﷺ ﷽", "\u0558\u088f",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_nasty_texts_come_back(tokenizer, text):
    for allowed in ("all", "none"):
        assert tokenizer.decode(tokenizer.encode(text, allowed)) == text
    assert tokenizer.encode_bytes(text.encode()) == tokenizer.encode(text)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=100) | st.text().map(lambda text: text.encode("utf-8")[1:]))
def test_any_bytes_come_back(tokenizer, data):
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(data)) == data


def test_bytes_that_are_no_utf8(tokenizer):
    data = b"caf\xe9 \xff\xfe\xed\xa0\x80 \xf0\x9f\x91 ok"
    ids = tokenizer.encode_bytes(data)
    assert tokenizer.decode_bytes(ids) == data
    assert tokenizer.decode(ids) == data.decode("utf-8", "replace")
    assert tokenizer.decode([0xFF]) == "\ufffd"
    assert tokenizer.decode([0xF0, 0x9F]) == "\ufffd"
    assert tokenizer.decode([]) == "" and tokenizer.encode("") == []


def test_lone_surrogates_become_the_replacement_character(tokenizer):
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"
    assert tokenizer.encode("\udfff\ud800") == tokenizer.encode("\ufffd\ufffd")
    assert tokenizer.encode("\ud83d\ude00") == tokenizer.encode("😀")  # two halves that meet
    assert replace_lone_surrogates("\ufeffok") == "\ufeffok"
    assert replace_lone_surrogates("\ufeff\ud800") == "\ufeff\ufffd"


# ------------------------------------------------------------------ merging


def lookup_of(tokenizer):
    return tokenizer._lookup


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text("aab ") | st.text("the class is not "))
def test_the_two_ways_of_merging_agree(tokenizer, text):
    data = list(text.encode())
    lookup = lookup_of(tokenizer)
    assert merge_long(data, lookup) == merge_short(data, lookup)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 3), max_size=40), st.randoms(use_true_random=False))
def test_they_agree_on_merges_that_no_training_makes(ids, rng):
    """A rank may be lower than those of its parts: then the new pair has to be merged at once."""
    parts = [(a, b) for a in range(12) for b in range(12)]
    chosen = rng.sample(parts, 30)
    table = {pair: (rank, 4 + rng.randrange(8)) for rank, pair in enumerate(chosen)}
    assert merge_long(ids, table.get) == merge_short(ids, table.get)


def test_merging_by_hand():
    table = {(0, 1): (0, 10), (10, 2): (1, 11), (1, 2): (2, 12)}
    for merge in (merge_short, merge_long):
        assert merge([0, 1, 2], table.get) == [11]
        assert merge([1, 2, 0], table.get) == [12, 0]
        assert merge([], table.get) == [] and merge([5], table.get) == [5]
        again = {(0, 1): (0, 0)}  # what it makes can be merged by the same merge
        assert merge([0, 1, 1, 0, 1, 1, 2], again.get) == [0, 0, 2]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one letter", "random letters", "spaces", "digits"])
def test_ten_megabytes_in_one_line(tokenizer, kind):
    n = 10_000_000
    text = {
        "one letter": "a" * n,
        "random letters": "".join(random.Random(0).choices("etaoinshrdlu", k=n)),
        "spaces": " " * n,
        "digits": "0123456789" * (n // 10),
    }[kind]
    start = time.perf_counter()
    ids = tokenizer.encode(text)
    assert time.perf_counter() - start < 120
    assert tokenizer.decode(ids) == text


def test_time_grows_with_the_length_and_not_its_square(tokenizer):
    text = "".join(random.Random(0).choices("etaoinshrdlu", k=200_000))

    def seconds(n):
        start = time.perf_counter()
        tokenizer.encode(text[:n])
        return time.perf_counter() - start

    seconds(1000)
    assert seconds(200_000) < 40 * seconds(20_000)  # a square would be a hundredfold


# ------------------------------------------------------------------ any vocabulary


def test_the_example_of_the_handout():
    """CS336, assignment 1: "the cat ate" is 9, 7, 1, 5, 10, 3."""
    vocab = {0: b" ", 1: b"a", 2: b"c", 3: b"e", 4: b"h", 5: b"t", 6: b"th", 7: b" c", 8: b" a",
             9: b"the", 10: b" at"}  # fmt: skip
    merges = [(b"t", b"h"), (b" ", b"c"), (b" ", b"a"), (b"th", b"e"), (b" a", b"t")]
    small = Tokenizer(vocab, merges)
    assert small.encode("the cat ate") == [9, 7, 1, 5, 10, 3]
    assert small.decode([9, 7, 1, 5, 10, 3]) == "the cat ate"
    with pytest.raises(CourseError, match=r"no token for the byte 120 in 'x'"):
        small.encode("x")


def test_any_ids_will_do():
    ids = random.Random(0).sample(range(10_000), 258)
    vocab = {i: bytes([b]) for b, i in enumerate(ids[:256])}
    vocab |= {ids[256]: b"ab", ids[257]: b"abc"}
    shuffled = Tokenizer(vocab, [(b"a", b"b"), (b"ab", b"c")], {END: 20_000})
    assert shuffled.encode(f"abc{END}ab") == [ids[257], 20_000, ids[256]]
    assert shuffled.n_vocab == 20_001 and len(shuffled) == 259
    first = Tokenizer({0: END.encode(), **{b + 1: bytes([b]) for b in range(256)}}, [], [END])
    assert first.encode(f"a{END}") == [98, 0] and first.special_tokens == {END: 0}


def test_specials_without_an_id_get_the_next_ones():
    made = Tokenizer(BYTES, [], ["<|a|>", "<|b|>", "<|a|>"])
    assert made.special_tokens == {"<|a|>": 256, "<|b|>": 257}
    assert made.vocab[257] == b"<|b|>" and made.n_vocab == 258


def test_the_longest_special_token_wins():
    made = Tokenizer(BYTES, [], [END, END + END, "<|end"])
    ids = made.special_tokens
    assert made.encode(f"{END}{END}{END}") == [ids[END + END], ids[END]]
    assert made.encode("<|end|") == [ids["<|end"], ord("|")]


def test_special_tokens_typed_by_a_user_can_stay_text(tokenizer):
    end = tokenizer.special_tokens[END]
    text = f"a{END}b"
    assert tokenizer.encode(text).count(end) == 1
    for ids in (
        tokenizer.encode(text, "none"),
        tokenizer.encode(text, set()),
        tokenizer.encode_ordinary(text),
        tokenizer.encode_bytes(text.encode(), "none"),
        list(tokenizer.encode_iterable([text], "none")),
    ):
        assert end not in ids and tokenizer.decode(ids) == text
    both = Tokenizer(BYTES, [], ["<|a|>", "<|b|>"])
    assert both.encode("<|a|><|b|>", {"<|b|>"}) == [*b"<|a|>", 257]
    with pytest.raises(ValueError, match=r"not special tokens.*<\|c\|>"):
        both.encode("x", {"<|c|>"})
    with pytest.raises(ValueError, match="allowed_special"):
        both.encode("x", "some")


def test_a_special_token_that_is_an_ordinary_token_as_well():
    vocab, merges = train_bpe_from_text("ab ab", 259, ["a"])  # every "a" is special
    assert merges == [(b" ", b"b")] or all(b"a" not in left + right for left, right in merges)
    made = Tokenizer(vocab, merges, ["a"])
    special = made.special_tokens["a"]
    assert special != 97 and made.encode("ab") == [special, 98]
    assert made.encode("ab", "none") == [97, 98]
    same = Tokenizer({**BYTES, 256: b"ab"}, [(b"a", b"b")], {"ab": 256, "c": 99})
    assert same.encode("abc", "none") == [256, 99] == same.encode("abc")


def test_a_pattern_with_gaps_or_groups_loses_nothing():
    assert pretokens("a, b!", r"\w+") == ["a", ", ", "b", "!"]
    assert pretokens("a1b2", r"([a-z])(\d)") == ["a1", "b2"]
    assert pretokens("ab", r"x*") == ["a", "b"]
    assert pretokens("\u0558a b", r"\p{L}+") == ["\u0558", "a", " ", "b"]
    made = Tokenizer(BYTES, [], pattern=r"\w+")
    assert made.decode(made.encode("a, b!")) == "a, b!"


@pytest.mark.parametrize(
    ("vocab", "merges", "special", "message"),
    [
        (BYTES, [(b"a", b"b")], [], r"b'a' \+ b'b', but b'ab' is not in the vocabulary"),
        ({0: b"ab", 1: b"a"}, [(b"a", b"b")], [], "b'b' is not in the vocabulary"),
        (BYTES, [], {"<|a|>": 97}, "'<|a|>' and b'a' have the same id, 97"),
        (BYTES, [], {"<|a|>": 300, "<|b|>": 300}, "two special tokens have the same id"),
        (BYTES, [], [""], "a special token is empty"),
    ],
)
def test_parts_that_do_not_fit_are_refused(vocab, merges, special, message):
    with pytest.raises(CourseError, match=message.replace("|", r"\|")):
        Tokenizer(vocab, merges, special)


def test_an_unknown_id_is_one_clear_line(tokenizer):
    for call in (tokenizer.token_bytes, lambda i: tokenizer.decode([i])):
        with pytest.raises(CourseError, match="no token has the id 700"):
            call(700)
    assert tokenizer.token_bytes(97) == b"a"
    assert repr(tokenizer) == "Tokenizer(700 tokens, 1 of them special)"


def test_batches_and_other_processes(tokenizer):
    texts = ["one", "two" + END, ""]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]
    again = pickle.loads(pickle.dumps(tokenizer))  # noqa: S301
    assert again.encode_batch(texts) == tokenizer.encode_batch(texts)
    ranks = Tokenizer.from_ranks({token: i for i, token in BYTES.items()}, GPT2_PATTERN)
    again = pickle.loads(pickle.dumps(ranks))  # noqa: S301
    assert again.encode("ab") == [97, 98]


def test_the_cache_of_words_stays_small(tokenizer, monkeypatch):
    monkeypatch.setattr("llmcourse.tokenizer.tokenizer.CACHED_PIECES", 10)
    made = Tokenizer(tokenizer.vocab, tokenizer.merges, [END])
    text = " ".join(f"word{chr(97 + n % 26) * (n % 40)}" for n in range(100))
    assert made.encode(text) == tokenizer.encode(text)
    assert len(made._cache) <= 10


# ------------------------------------------------------------------ ranks and tiktoken


def test_ranks_and_merges_say_the_same(trained):
    vocab, merges = trained
    by_merges = Tokenizer(vocab, merges, [END])
    ranks = {token: i for i, token in vocab.items() if token != END.encode()}
    by_ranks = Tokenizer.from_ranks(ranks, GPT2_PATTERN, {END: 699})
    fast = by_merges.to_tiktoken()
    assert by_ranks.to_tiktoken("name").name == "name" and fast.n_vocab == by_merges.n_vocab
    from pydoc_data.topics import topics

    for text in [*(t for t in NASTY if "\u0558" not in t), *list(topics.values())[:40]]:
        ids = by_merges.encode(text)
        assert by_ranks.encode(text) == ids
        assert fast.encode(text, allowed_special="all") == ids
        assert by_merges.encode_ordinary(text) == fast.encode_ordinary(text)


@pytest.mark.parametrize(
    ("vocab", "merges", "why"),
    [
        ({97: b"a"}, [], "no token for the byte 0"),
        ({**BYTES, 257: b"ab", 256: b"bc"}, [(b"a", b"b"), (b"b", b"c")], "do not grow"),
        ({**BYTES, 256: b"xyz"}, [], "tokens that no merge makes"),
        (
            {**BYTES, 256: b"ab", 257: b"bc", 258: b"abc"},
            [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc")],
            "b'abc' is never reached",
        ),
    ],
)
def test_what_ranks_cannot_say_is_refused(vocab, merges, why):
    with pytest.raises(CourseError, match=why):
        Tokenizer(vocab, merges).to_tiktoken()


def test_ranks_must_be_different():
    with pytest.raises(CourseError, match="same rank"):
        Tokenizer.from_ranks({b"a": 0, b"b": 0}, GPT2_PATTERN)


# ------------------------------------------------------------------ files


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "a" / "b")
    loaded = Tokenizer.load(tmp_path / "a" / "b")
    assert loaded.vocab == tokenizer.vocab and loaded.merges == tokenizer.merges
    assert loaded.special_tokens == tokenizer.special_tokens and loaded.pattern == GPT2_PATTERN
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["tokenizer.json"]
    ranks = Tokenizer.from_ranks({token: i for i, token in BYTES.items()}, GPT4_PATTERN, {"a": 256})
    ranks.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.merges is None and loaded.encode("ab") == [256, 98]


def test_a_damaged_file_is_named(tokenizer, tmp_path):
    with pytest.raises(CourseError, match=r"cannot read .*tokenizer\.json"):
        Tokenizer.load(tmp_path)
    tokenizer.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    good = path.read_text(encoding="utf-8")
    for bad, message in [
        (good[: len(good) // 2], "cut short or corrupt"),
        (good.replace('"Ġthe"', '"Ġteh"', 1), "was altered"),
        ("[]", "is not a llmcourse tokenizer"),
        (good.replace("version 1", "version 9"), "is not a llmcourse tokenizer"),
        (json.dumps({"format": json.loads(good)["format"], "content": None}), "was altered"),
    ]:
        assert bad != good
        path.write_text(bad, encoding="utf-8")
        with pytest.raises(CourseError, match=rf"tokenizer\.json.*{message}"):
            Tokenizer.load(tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CourseError, match=r"tokenizer\.json is not UTF-8"):
        Tokenizer.load(tmp_path)


def test_a_folder_that_is_a_file_is_refused(tokenizer, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CourseError, match="cannot write"):
        tokenizer.save(tmp_path / "file")


def test_gpt2_files(tokenizer, tmp_path):
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    save_gpt2(vocab, merges, tokenizer.vocab, tokenizer.merges)
    loaded = Tokenizer.from_files(vocab, merges, [END])
    assert loaded.vocab == tokenizer.vocab and loaded.merges == tokenizer.merges
    text = f"the cat{END} 漢字"
    assert loaded.encode(text) == tokenizer.encode(text)
    assert json.loads(vocab.read_text(encoding="utf-8"))["Ġthe"] == tokenizer.encode(" the")[0]
    # Special tokens that were added to vocab.json as plain text; Windows line ends in merges.txt.
    vocab.write_text(json.dumps({"a": 0, "<|é \u0600|>": 1}), encoding="utf-8")
    merges.write_bytes(b"#version: 0.2\r\n\r\n")
    assert Tokenizer.from_files(vocab, merges).vocab == {0: b"a", 1: "<|é \u0600|>".encode()}


def test_gpt2_files_that_are_something_else(tokenizer, tmp_path):
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    save_gpt2(vocab, merges, tokenizer.vocab, tokenizer.merges)
    merges.write_text("#version: 0.2\na b c\n", encoding="utf-8")
    with pytest.raises(CourseError, match=r"merges\.txt, line 2: 'a b c' is no merge"):
        Tokenizer.from_files(vocab, merges)
    merges.write_text("a\u0600 b\n", encoding="utf-8")
    with pytest.raises(CourseError, match="line 1"):
        Tokenizer.from_files(vocab, merges)
    for bad in ("[1]", '{"a": "x"}'):
        vocab.write_text(bad, encoding="utf-8")
        with pytest.raises(CourseError, match=r"vocab\.json is no vocabulary"):
            Tokenizer.from_files(vocab, merges)
    with pytest.raises(CourseError, match="cannot read"):
        Tokenizer.from_files(tmp_path / "none", merges)


def test_the_printable_alphabet():
    every = bytes(range(256))
    assert from_printable(to_printable(every)) == every
    assert len(set(to_printable(every))) == 256 and to_printable(every).isprintable()
    assert to_printable(b" the\n") == "ĠtheĊ"


def test_rank_files(tmp_path):
    path = tmp_path / "some.tiktoken"
    path.write_text("YQ== 0\nYWI= 1\n")
    assert load_ranks(path) == {b"a": 0, b"ab": 1}
    for bad in ("YQ==\n", "!! 0\n", "YQ== x\n"):
        path.write_text("YQ== 0\n" + bad)
        with pytest.raises(CourseError, match=r"some\.tiktoken, line 2"):
            load_ranks(path)


# ------------------------------------------------------------------ streams

PATTERNS = [GPT2_PATTERN, GPT4_PATTERN, GPT4O_PATTERN]
PIECES = st.sampled_from(
    ["a", "B", " ", "  ", "\n", "\r\n", "\t", "1", "1234", ".", "'", "'s", "'ll", "’", "/", "漢", "。", "é",
     "e\u0301", "👩‍💻", "\u0558", "\u00a0", "\ud83d", "\ude00", "<|end|>", "<|", "|>", "end", "<|end|>|x"]
)  # fmt: skip


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=60), st.sampled_from(PATTERNS), st.integers(1, 12))
def test_a_stream_is_cut_only_where_it_makes_no_difference(pieces, pattern, minimum):
    special = ["<|end|>", "<|end|>|x"]
    whole = split_on_special("".join(pieces), special)
    expected = [p for i, s in enumerate(whole) for p in ([s] if i % 2 else pretokens(s, pattern))]
    got = []
    for chunk in stable_chunks(pieces, special, pattern, minimum):
        assert chunk
        for i, part in enumerate(split_on_special(chunk, special)):
            got += [part] if i % 2 else pretokens(part, pattern)
    assert got == expected


def test_chunks_are_about_as_large_as_asked():
    text = "some words, and more. " * 5000
    chunks = list(stable_chunks([text[i : i + 7] for i in range(0, len(text), 7)], minimum=1000))
    assert "".join(chunks) == text
    assert max(map(len, chunks)) < 1100 and len(chunks) > 100
    marked = ("x" * 50 + END) * 100  # no safe cut but the special tokens
    chunks = list(stable_chunks(marked, [END], r"[^,]+", minimum=200))
    assert "".join(chunks) == marked and max(map(len, chunks)) < 400
    assert list(stable_chunks(["a b", " c d"], (), r"[^,]+", minimum=1)) == ["a b c d"]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(PIECES | st.just(END), max_size=40))
def test_encode_iterable_is_encode_of_the_whole(tokenizer, pieces):
    assert list(tokenizer.encode_iterable(pieces)) == tokenizer.encode("".join(pieces))


def test_encode_iterable_is_lazy_and_small(tokenizer):
    taken = 0

    def lines():
        nonlocal taken
        for n in range(60_000):  # 4 MB
            taken += 1
            yield f"Line {n} of a very long file, which nobody should hold in memory at once.\n"

    ids = tokenizer.encode_iterable(lines())
    assert taken == 0
    next(ids)
    assert 0 < taken < 2000
    tracemalloc.start()
    count = sum(1 for _ in ids)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count > 1_000_000 and taken == 60_000
    assert peak < 16_000_000  # the words' cache of 65,536 entries is most of it


def test_a_stream_without_borders_is_not_searched_again_and_again(tokenizer):
    start = time.perf_counter()
    assert sum(map(len, stable_chunks(("x" * 100 for _ in range(50_000)), [END]))) == 5_000_000
    assert time.perf_counter() - start < 5


def test_text_of_bytes():
    data = bytes(range(256)) + "é漢".encode()[:-1]
    assert bytes_of_text(text_of_bytes(data)) == data


# ------------------------------------------------------------------ explaining


def test_representations():
    assert to_bits("hi") == "0110100001101001" and to_bits("") == ""
    assert to_bytes("é👩") == [0xC3, 0xA9, 0xF0, 0x9F, 0x91, 0xA9]
    assert to_characters("é👩‍💻") == ["é", "👩", "\u200d", "💻"]


def test_more_symbols_make_a_shorter_text(tokenizer):
    text = "the class of the object is not the name of the class"
    rows = symbol_table(text, {"ours": tokenizer, "tiktoken": tokenizer.to_tiktoken()})
    assert [row.name for row in rows] == ["bits", "bytes", "characters", "ours", "tiktoken"]
    assert [row.symbols for row in rows] == [2, 256, 1_112_064, 700, 700]
    bits, size, characters, ours, theirs = (row.length for row in rows)
    assert bits == 8 * size == 8 * characters == 8 * len(text) and ours == theirs < size / 2
    assert symbol_table("")[0].length == 0


def test_segments_cover_the_text(tokenizer):
    text = f"the café 漢字 👩‍💻{END}\ud800"
    parts = segments(tokenizer, text)
    clean = text.replace("\ud800", "\ufffd")
    assert b"".join(part.bytes for part in parts) == clean.encode()
    assert [part.id for part in parts] == tokenizer.encode(text)
    assert [part.id for part in parts if part.special] == [tokenizer.special_tokens[END]]
    for part in parts:
        if part.whole:
            assert part.text == clean[part.start : part.end] == part.bytes.decode()
    assert parts[0].start == 0 and parts[-1].end == len(clean)
    assert all(b.start <= a.end for a, b in pairwise(parts))
    assert not any(part.special for part in segments(tokenizer, text, "none"))
    assert segments(tokenizer, "") == []


def test_an_emoji_over_several_tokens():
    plain = Tokenizer(BYTES | {256: b"a\xf0\x9f"}, [])
    made = Tokenizer({**BYTES, 256: b"a\xf0", 257: b"\x9f\x98"}, [(b"a", b"\xf0"), (b"\x9f", b"\x98")],
                     pattern=".+")  # fmt: skip
    assert [(p.text, p.start, p.end, p.whole) for p in segments(made, "xa😀!")] == [
        ("x", 0, 1, True),
        (r"a\xf0", 1, 3, False),
        (r"\x9f\x98", 2, 3, False),
        (r"\x80", 2, 3, False),
        ("!", 3, 4, True),
    ]
    assert [p.text for p in segments(plain, "é")] == [r"\xc3", r"\xa9"]
