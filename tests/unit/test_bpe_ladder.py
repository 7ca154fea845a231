"""The BPE ladder: every rung learns the same merges, and they are the right ones."""

from __future__ import annotations

import builtins
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.errors import CourseError
from llmcourse.tokenizer import GPT4_PATTERN, Tokenizer, train_bpe, train_bpe_from_text
from llmcourse.tokenizer.bpe_clear import count_pairs, merge, train_bpe_clear
from llmcourse.tokenizer.bpe_fast import pairs_of_tokens, train_bpe_fast, train_bpe_fast_from_text
from llmcourse.tokenizer.training import compare_merges, count_pretokens

SPECIAL = ["<|endoftext|>"]
ROOT = Path(__file__).resolve().parents[2]
TIES = ["greatest", "oldest"]


def stdlib_text(size: int) -> str:
    """English and Python: the language reference, then the library's source."""
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[name] for name in sorted(topics))
    for path in sorted(Path(json.__file__).parents[1].glob("*.py")):
        if len(text) > size:
            break
        text += path.read_text(encoding="utf-8")
    return text.encode()[:size].decode("utf-8", "ignore")


@pytest.fixture(scope="module")
def english():
    return stdlib_text(133_000)


@pytest.fixture(scope="module")
def megabyte():
    return stdlib_text(1_000_000)


def words_of(text):
    return {tuple(bytes([b]) for b in word): n for word, n in count_pretokens([text]).items()}


# ------------------------------------------------------------------ what must come out


def test_the_example_of_sennrich():
    """low ×5, lower ×2, widest ×3, newest ×6, as worked by hand in CS336's handout."""
    text = " ".join(["low"] * 5 + ["lower"] * 2 + ["widest"] * 3 + ["newest"] * 6)
    steps = "s t,e st,o w,l ow,w est,n e,ne west,w i,wi d,wid est,low e,lowe r"
    expected = steps.split(",")
    _, merges = train_bpe_from_text(text, 256 + 12, pattern=r"\w+")
    got = [" ".join(part.decode() for part in pair) for pair in merges if b" " not in pair]
    # Here a space is a piece of its own, so no merge has one.
    assert got[:6] == expected[:6]
    assert got == expected


def test_a_tie_goes_to_the_greatest_pair_of_byte_strings():
    _, merges = train_bpe_from_text("ab cd ef", 257, pattern=r"\w+")
    assert merges == [(b"e", b"f")]
    _, merges = train_bpe_from_text("ab cd ef", 257, pattern=r"\w+", ties="oldest")
    assert merges == [(b"a", b"b")]
    # A longer string is greater than its own beginning, also in the heap's turned-round order.
    _, merges = train_bpe_from_text("xy xy xyz xyz xyw xyw xy", 259, pattern=r"\w+")
    assert merges == [(b"x", b"y"), (b"xy", b"z"), (b"xy", b"w")]
    _, merges = train_bpe_from_text("aq aq bq bq abq abq ab ab ab", 259, pattern=r"\w+")
    assert merges == train_bpe_clear("aq aq bq bq abq abq ab ab ab", 259, pattern=r"\w+")[1]
    assert merges == [(b"a", b"b"), (b"b", b"q"), (b"ab", b"q")]


def test_runs_of_one_byte_merge_from_left_to_right():
    assert merge((b"a",) * 5, (b"a", b"a")) == (b"aa", b"aa", b"a")
    assert count_pairs({(b"a",) * 3: 2}) == Counter({(b"a", b"a"): 4})
    for n in range(1, 40):
        text = "a" * n
        for ties in TIES:
            clear = train_bpe_clear(text, 256 + 8, ties=ties)
            assert train_bpe_from_text(text, 256 + 8, ties=ties) == clear


def test_the_vocabulary_counts_everything_and_numbers_specials_last(english):
    vocab, merges = train_bpe_from_text(english, 300, ["<|a|>", "<|b|>"])
    assert len(vocab) == 300 and sorted(vocab) == list(range(300))
    assert len(merges) == 300 - 256 - 2
    assert [vocab[i] for i in range(256)] == [bytes([i]) for i in range(256)]
    assert [vocab[256 + n] for n in range(42)] == [left + right for left, right in merges]
    assert (vocab[298], vocab[299]) == (b"<|a|>", b"<|b|>")


def test_specials_are_never_merged_nor_merged_across():
    text = "<|endoftext|>".join(["ab"] * 50)
    vocab, merges = train_bpe_from_text(text, 400, SPECIAL)
    assert merges == [(b"a", b"b")]  # nothing else is left to learn
    assert vocab == {**{b: bytes([b]) for b in range(256)}, 256: b"ab", 257: b"<|endoftext|>"}
    without, _ = train_bpe_from_text(text, 400)
    assert any(b"<|" in token for token in without.values())


def test_a_text_with_nothing_to_merge_gives_the_bytes():
    for text in ["", b"", "a", []]:
        vocab, merges = train_bpe_from_text(text, 1000, SPECIAL)
        assert merges == [] and len(vocab) == 257
    assert train_bpe_clear("a b c", 1000)[1] == [(b" ", b"c"), (b" ", b"b")]
    assert train_bpe_fast_from_text("", 1000)[1] == []


def test_bytes_that_are_no_utf8_are_learnt_from():
    vocab, merges = train_bpe_from_text(b"\xff\xfe\xff\xfe \xff\xfe", 257)
    assert merges == [(b"\xff", b"\xfe")]
    assert vocab[256] == b"\xff\xfe"
    assert train_bpe_clear(b"\xff\xfe\xff\xfe \xff\xfe", 257)[1] == merges


def test_a_lone_surrogate_is_learnt_as_the_replacement_character():
    assert train_bpe_from_text("\ud800\ud800", 258) == train_bpe_from_text("\ufffd\ufffd", 258)


# ------------------------------------------------------------------ the rungs agree


@pytest.mark.parametrize("ties", TIES)
def test_clear_equals_incremental(english, ties):
    text = english[:20_000]
    assert train_bpe_clear(text, 400, SPECIAL, ties=ties) == train_bpe_from_text(
        text, 400, SPECIAL, ties=ties
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text("ab é\n", max_size=200), st.integers(256, 300), st.sampled_from(TIES))
def test_clear_equals_incremental_on_small_alphabets(text, vocab_size, ties):
    """Few letters: long runs, ties everywhere, and words that become a single token."""
    clear = train_bpe_clear(text, vocab_size, ties=ties)
    assert train_bpe_from_text(text, vocab_size, ties=ties) == clear
    tokens = [left + right for left, right in clear[1]]
    assert len(set(tokens)) == len(tokens)  # BPE never makes the same token twice


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text("ab é\n", max_size=200), st.sampled_from(["rustbpe", "tokenizers"]))
def test_the_libraries_equal_incremental_on_small_alphabets(text, engine):
    ours = train_bpe_from_text(text, 290, ties="oldest")
    assert train_bpe_fast_from_text(text, 290, engine=engine) == ours


@pytest.mark.parametrize("engine", ["rustbpe", "tokenizers"])
@pytest.mark.parametrize("pattern", [None, GPT4_PATTERN])
def test_the_libraries_equal_incremental_on_a_megabyte(megabyte, engine, pattern):
    more = {} if pattern is None else {"pattern": pattern}
    text = megabyte[:500_000] + "<|endoftext|>" + megabyte[500_000:]
    ours = train_bpe_from_text(text, 4096, SPECIAL, ties="oldest", **more)
    assert train_bpe_fast_from_text(text, 4096, SPECIAL, engine=engine, **more) == ours
    assert len(ours[1]) == 4096 - 257


def test_the_other_rule_for_ties_changes_little(megabyte):
    greatest = train_bpe_from_text(megabyte, 4096)
    oldest = train_bpe_from_text(megabyte, 4096, ties="oldest")
    comparison = compare_merges(greatest[1], oldest[1])
    assert not comparison.equal and comparison.first_difference is not None
    assert comparison.shared_merges > 0.94 * comparison.length
    lengths = [
        len(Tokenizer(*trained).to_tiktoken().encode_ordinary(megabyte))
        for trained in (greatest, oldest)
    ]
    assert abs(lengths[0] - lengths[1]) < 0.001 * lengths[0]
    # Until they part, it is for a tie: there both pairs are equally frequent.
    words = words_of(megabyte)
    for pair in greatest[1][: comparison.first_difference]:
        words = {merge(word, pair): n for word, n in words.items()}
    counts = count_pairs(words)
    k = comparison.first_difference
    assert counts[greatest[1][k]] == counts[oldest[1][k]] == max(counts.values())


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
def test_all_rungs_on_a_megabyte(megabyte, ties):
    incremental = train_bpe_from_text(megabyte, 600, SPECIAL, ties=ties)
    assert train_bpe_clear(megabyte, 600, SPECIAL, ties=ties) == incremental
    if ties == "oldest":
        assert train_bpe_fast_from_text(megabyte, 600, SPECIAL) == incremental
        assert train_bpe_fast_from_text(megabyte, 600, SPECIAL, engine="tokenizers") == incremental


def test_compare_merges():
    a, b, c = (b"a", b"b"), (b"c", b"d"), (b"ab", b"c")
    same = compare_merges([a, b], [a, b])
    assert same.equal and same.first_difference is None and same.shared_merges == 2
    swapped = compare_merges([a, b], [b, a])
    assert (swapped.first_difference, swapped.shared_merges) == (0, 2)
    longer = compare_merges([a, b], [a, b, c])
    assert (longer.equal, longer.first_difference, longer.length) == (False, 2, 3)
    other_way = compare_merges([c], [(b"a", b"bc")])
    assert (other_way.shared_merges, other_way.shared_tokens) == (0, 1)


def test_pairs_of_tokens(english):
    vocab, merges = train_bpe_from_text(english, 600)
    tokens = [vocab[i] for i in range(600)]
    assert pairs_of_tokens(tokens) == merges
    with pytest.raises(CourseError, match=r"token 256 .*not made of two earlier"):
        pairs_of_tokens([bytes([b]) for b in range(256)] + [b"abc"])


# ------------------------------------------------------------------ files, processes, speed


def test_a_file_gives_what_its_text_gives(tmp_path, english):
    text = english[:60_000].replace("\n", "\r\n") + "<|endoftext|>é漢字" + english[60_000:]
    path = tmp_path / "corpus.txt"
    path.write_bytes(text.encode("utf-8"))
    expected = train_bpe_from_text(text, 500, SPECIAL)
    assert train_bpe(path, 500, SPECIAL) == expected
    assert train_bpe(str(path), vocab_size=500, special_tokens=SPECIAL) == expected
    oldest = train_bpe_from_text(text, 500, SPECIAL, ties="oldest")
    assert train_bpe_fast(path, 500, SPECIAL) == oldest


def test_workers_do_not_change_the_result(tmp_path, english):
    path = tmp_path / "corpus.txt"
    path.write_text("<|endoftext|>".join([english] * 18), encoding="utf-8")  # three chunks
    assert train_bpe(path, 300, SPECIAL, workers=2) == train_bpe(path, 300, SPECIAL)
    parts = [english[:50_000], english[50_000:]] * 5
    assert train_bpe_from_text(parts, 300, workers=2) == train_bpe_from_text(parts, 300)


def test_items_of_an_iterable_are_texts_on_their_own():
    assert train_bpe_from_text(["a", "b", "a", "b"], 300)[1] == []
    assert train_bpe_from_text(iter(["ab", b"ab"]), 300)[1] == [(b"a", b"b")]


def test_the_result_does_not_depend_on_hash_seeds():
    code = (
        "from llmcourse.tokenizer import train_bpe_from_text as t; import hashlib;"
        "from pydoc_data.topics import topics;"
        "print(hashlib.sha256(repr(t(topics['class'] * 3, 700)).encode()).hexdigest())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1")
    }  # fmt: skip
    assert len(outputs) == 1 and len(outputs.pop().strip()) == 64


@pytest.mark.slow
def test_133_kilobytes_in_less_than_a_second_and_a_half(tmp_path, english):
    path = tmp_path / "corpus.en"
    path.write_text(english, encoding="utf-8")
    start = time.perf_counter()
    train_bpe(path, 500, SPECIAL)
    assert time.perf_counter() - start < 1.5


def test_a_long_word_does_not_take_quadratic_time():
    letters = "".join(random.Random(0).choices("abcdefgh", k=300_000))
    start = time.perf_counter()
    _, merges = train_bpe_from_text(letters, 556)
    assert len(merges) == 300
    assert time.perf_counter() - start < 20  # 300 passes over the whole word would take minutes


def test_progress_is_shown_only_when_asked(capsys):
    train_bpe_from_text("ab ab ab", 258)
    assert capsys.readouterr().err == ""


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize("train", [train_bpe_clear, train_bpe_from_text, train_bpe_fast_from_text])
def test_a_vocabulary_too_small_for_the_bytes_is_refused(train):
    with pytest.raises(CourseError, match="at least 257"):
        train("text", 256, SPECIAL)
    with pytest.raises(CourseError, match="different and not empty"):
        train("text", 300, ["<|a|>", "<|a|>"])
    with pytest.raises(CourseError, match="different and not empty"):
        train("text", 300, [""])


def test_a_missing_file_is_one_clear_line(tmp_path):
    for train in (train_bpe, train_bpe_fast):
        with pytest.raises(CourseError, match=r"cannot read .*none\.txt"):
            train(tmp_path / "none.txt", 300)
        with pytest.raises(CourseError, match="cannot read"):
            train(tmp_path, 300)


def test_a_bad_pattern_is_one_clear_line():
    with pytest.raises(CourseError, match="no regular expression"):
        train_bpe_from_text("text", 300, pattern="(")


def test_the_library_refuses_what_it_cannot_hold(tmp_path):
    path = tmp_path / "latin1.txt"
    path.write_bytes("café ".encode("latin-1") * 3)
    with pytest.raises(CourseError, match=r"latin1\.txt is not UTF-8"):
        train_bpe_fast(path, 300)
    assert train_bpe(path, 300)[1]


def test_a_library_that_gives_up_is_one_clear_line():
    text = "ab " + " " * 2_000_000 + "x"
    assert len(train_bpe_from_text(text, 280)[1]) == 24
    with pytest.raises(CourseError, match=r"rustbpe gave up: regex match failed"):
        train_bpe_fast_from_text(text, 280)


def test_an_interrupted_library_stays_interrupted():
    def texts():
        yield "text"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_bpe_fast_from_text(texts(), 280)


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name in ("rustbpe", "tokenizers"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for engine in ("rustbpe", "tokenizers"):
        with pytest.raises(CourseError, match=f"pip install {engine}"):
            train_bpe_fast_from_text("ab", 300, engine=engine)
    with pytest.raises(ValueError, match="engine must be"):
        train_bpe_fast_from_text("ab", 300, engine="other")


@pytest.mark.slow
def test_the_benchmark_runs():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tokenizer", "--bytes", "20000", "--vocab-size", "300",
         "--repeats", "1"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["training"]["equal_merges"] and result["encoding"]["equal_ids"]
    assert result["training"]["seconds"]["clear"] > result["training"]["seconds"]["incremental"]
