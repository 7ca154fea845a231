"""The corpus that later chapters take from the cache."""

from __future__ import annotations

import pytest

from llmcourse import presets
from llmcourse.data import corpus


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path))
    preset = presets.load("quick")
    limits = preset.crawl.model_copy(update={"max_pages": 150, "pydoc_pages": 0})
    world = preset.world.model_copy(update={"articles": 60})
    return preset.model_copy(update={"crawl": limits, "world": world})


@pytest.mark.slow
def test_made_once_then_taken_from_the_cache(small, monkeypatch):
    first = corpus.prepare(small, progress=False, count_tokens=len)
    documents = list(first.documents())
    assert documents
    assert first.stages[-1].tokens == sum(len(d["text"]) for d in documents)
    assert (corpus.corpus_folder(small) / "manifest.json").exists()

    def never(*_, **__):
        raise AssertionError("it is there already")

    monkeypatch.setattr(corpus, "crawl_all", never)
    monkeypatch.setattr(corpus, "build", never)
    assert [d["text"] for d in corpus.prepare(small).documents()] == [d["text"] for d in documents]


def test_folder_depends_on_what_the_corpus_depends_on(small):
    other = small.model_copy(
        update={"filter": small.filter.model_copy(update={"language_threshold": 0.9})}
    )
    vocabulary = small.model_copy(
        update={"tokenizer": small.tokenizer.model_copy(update={"vocab_size": 300})}
    )
    assert corpus.corpus_folder(small) != corpus.corpus_folder(other)
    assert corpus.corpus_folder(small) == corpus.corpus_folder(vocabulary)
