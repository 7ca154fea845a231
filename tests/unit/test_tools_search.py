"""Search: which passages are found, in which order, how they are shown, and the index on disk."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("bm25s")

from llmcourse.engine.tools import Passage, SearchIndex, SearchTool
from llmcourse.engine.tools.calling import clip, fit
from llmcourse.engine.tools.search import NOTHING
from llmcourse.errors import CourseError

PASSAGES = [
    Passage("Orla Venn", "Orla Venn is a painter. She was born in Tarsk in 1951. She paints birds.", "http://a/1"),
    Passage("Tarsk", "Tarsk is a town by the sea. Its harbour is old.", "http://a/2"),
    Passage("Herring", "A herring is a fish. Herring are caught by the sea at Tarsk.", "http://a/3"),
    Passage("Ågot’s café", "Coffee and cake.", "http://a/4"),
]  # fmt: skip


@pytest.fixture(scope="module")
def index():
    return SearchIndex.build(PASSAGES)


def titles(index, query, k=3):
    return [passage.title for passage, _ in index.search(query, k)]


def test_best_passage_first(index):
    assert titles(index, "Where was Orla Venn born?")[0] == "Orla Venn"


def test_case_and_accents(index):
    assert titles(index, "ÅGOT") == ["Ågot’s café"]


def test_rare_words_count_more(index):
    assert titles(index, "Tarsk herring")[0] == "Herring"


def test_scores_fall_and_are_positive(index):
    scores = [score for _, score in index.search("Tarsk by the sea harbour", 4)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0


def test_k_limits_the_passages(index):
    assert len(index.search("Tarsk", 1)) == 1


def test_equal_scores_keep_their_order():
    same = SearchIndex.build([Passage(str(n), "one word here") for n in (7, 8, 9)])
    assert titles(same, "word") == ["7", "8", "9"]


@pytest.mark.parametrize(
    "query", ["", "   ", "zzz", "who is the", "<|search_start|>", "?!", "\0", "\ud800"]
)
def test_nothing_is_a_result(index, query):
    assert index.search(query) == []
    assert SearchTool(index).call(query) == NOTHING


def test_very_long_query(index):
    assert titles(index, "Tarsk " * 100_000, 1)


def test_every_word_has_to_be_there_if_that_is_asked():
    index = SearchIndex.build(
        [Passage("Orla Venn: trade", "A painter."), Passage("Orla Quick: trade", "A smith.")]
    )
    assert len(index.search("Orla Venn trade", 2)) == 2
    assert [p.title for p, _ in index.search("the trade of Orla Venn", 2, every_word=True)] == [
        "Orla Venn: trade"
    ]
    assert index.search("Orla Nobody trade", every_word=True) == []
    tool = SearchTool(index, k=1, every_word=True)
    assert tool.call("Orla Nobody trade") == NOTHING
    assert tool.call("venn, painter?") == "[Orla Venn: trade] A painter."


def test_k_below_one_is_refused(index):
    with pytest.raises(CourseError, match="k cannot be 0"):
        index.search("Tarsk", 0)


@pytest.mark.parametrize("passages", [[], [Passage("", "")], [Passage("The", "...")]])
def test_nothing_to_search_in_is_refused(passages):
    with pytest.raises(CourseError, match="nothing to search in"):
        SearchIndex.build(passages)


def test_passages_may_come_one_by_one():
    assert len(SearchIndex.build(passage for passage in PASSAGES)) == 4


# ---------------------------------------------------------------- the tool


def test_result_names_its_sources(index):
    shown = SearchTool(index).call("Orla Venn Tarsk")
    assert shown.startswith("[Orla Venn] Orla Venn is a painter.")
    assert "\n[" in shown


def test_result_is_cut_at_a_sentence(index):
    shown = SearchTool(index, k=1, max_characters=75).call("Orla Venn")
    assert shown == "[Orla Venn] Orla Venn is a painter. She was born in Tarsk in 1951."


@pytest.mark.parametrize("limit", [1, 10, 61, 80, 130, 1000])
def test_result_keeps_to_its_length(index, limit):
    shown = SearchTool(index, k=4, max_characters=limit).call("Orla Venn Tarsk herring sea")
    assert 0 < len(shown) <= limit


def test_passage_is_one_line():
    index = SearchIndex.build([Passage("A", "one\n\ntwo\tthree")])
    assert SearchTool(index).call("two") == "[A] one two three"


@pytest.mark.parametrize(
    ("text", "characters", "cut"),
    [
        ("One. Two. Three.", 99, "One. Two. Three."),
        ("One. Two. Three.", 10, "One. Two."),
        ("One. Two. Three.", 9, "One. Two."),
        ("It is 3.14159 and more", 9, "It is 3.…"),
        ("He said “yes.” Then no", 16, "He said “yes.”"),
        ("a\nb and so on", 3, "a"),
        ("abcdef", 3, "ab…"),
        ("abc", 0, "…"),
    ],
)
def test_clip(text, characters, cut):
    assert clip(text, characters) == cut


@pytest.mark.parametrize("tokens", [1, 2, 9, 30])
def test_fit_keeps_to_the_tokens(tokens):
    ids = fit("One. Two. Three, and é… so on.", lambda text: list(text.encode()), tokens)
    assert 0 < len(ids) <= tokens


def test_fit_ends_at_a_sentence():
    ids = fit("One. Two. Three and on.", lambda text: list(text.encode()), 12)
    assert bytes(ids) == b"One. Two."


# ---------------------------------------------------------------- on disk


def test_saved_and_loaded_it_is_the_same(index, tmp_path):
    index.save(tmp_path / "index.npz")
    loaded = SearchIndex.load(tmp_path / "index.npz")
    assert loaded.passages == index.passages
    assert loaded.search("Orla Tarsk sea", 4) == index.search("Orla Tarsk sea", 4)
    assert loaded.search("zzz") == []


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CourseError, match="does not exist"):
        SearchIndex.load(tmp_path / "none.npz")


@pytest.mark.parametrize("size", [0, 10, 100, -100])
def test_damaged_file_is_named(index, tmp_path, size):
    path = tmp_path / "index.npz"
    index.save(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CourseError, match="not a search index"):
        SearchIndex.load(path)


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "index.npz", data=np.array([{}], dtype=object))
    with pytest.raises(CourseError, match="not a search index"):
        SearchIndex.load(tmp_path / "index.npz")


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(CourseError, match="pip install bm25s"):
        SearchIndex.build(PASSAGES)
