"""Search: BM25 over short pages, and the tool that shows the best of them.

BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) counts the words that query and page
share: rare words count more, repetitions less and less, and long pages do not win by their length. bm25s computes
every word's score on every page beforehand, so that a query is a sum of a few columns (arXiv:2407.03618).

Taught in chapter 10.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...assets import atomic_write
from ...errors import CourseError
from .calling import clip
from .protocol import ToolName

NOTHING = "nothing found"
WORDS = re.compile(r"\w+")
STOPWORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "his",
        "how",
        "i",
        "in",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "s",
        "she",
        "that",
        "the",
        "their",
        "there",
        "they",
        "this",
        "to",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "you",
    ]
)
"""Words that say nothing about what a page is about. They would only cost time: BM25 gives them next to no weight."""


_TRIED = 50  # so many passages are looked at for one that has every word


@dataclass(frozen=True)
class Passage:
    """A piece of text that can be found.

    Attributes:
        title: Its heading; searched too.
        text: What it says.
        url: Where it comes from.
    """

    title: str
    text: str
    url: str = ""


class SearchIndex:
    """Passages that can be searched. Made by `build` or `load`."""

    def __init__(self, passages: Sequence[Passage], bm25: Any) -> None:
        self.passages, self._bm25 = passages, bm25

    def __len__(self) -> int:
        return len(self.passages)

    @classmethod
    def build(cls, passages: Iterable[Passage]) -> SearchIndex:
        """An index over these passages.

        Raises:
            CourseError: if there are none, none has a word, or bm25s is missing.
        """
        kept = list(passages)
        vocab: dict[str, int] = {}
        ids = [
            [vocab.setdefault(word, len(vocab)) for word in words(f"{p.title} {p.text}")]
            for p in kept
        ]
        if not vocab:
            raise CourseError("there is nothing to search in", hint="give passages that have words")
        bm25 = _bm25s().BM25()
        bm25.index((ids, vocab), show_progress=False)
        return cls(kept, bm25)

    def search(
        self, query: str, k: int = 3, *, every_word: bool = False
    ) -> list[tuple[Passage, float]]:
        """The k passages that fit best, with their scores, best first. None that shares no word with the query.

        Args:
            query: What to search for.
            k: How many at most.
            every_word: None that lacks a word of the query either.

        Raises:
            CourseError: if k is below 1.
        """
        if k < 1:
            raise CourseError(f"k cannot be {k}", hint="at least 1 passage")
        vocab = self._bm25.vocab_dict
        asked = list(dict.fromkeys(words(query)))
        ids = [vocab[word] for word in asked if word in vocab]
        if not ids or (every_word and len(ids) < len(asked)):
            return []
        scores = self._bm25.get_scores_from_ids(ids)
        # Of equal ones the first. Who has every word has many, and stands near the top.
        best = np.argsort(-scores, kind="stable")[: k + _TRIED * every_word]
        found = [(self.passages[i], float(scores[i])) for i in best if scores[i] > 0]
        if every_word:
            found = [(p, s) for p, s in found if set(asked) <= {*words(f"{p.title} {p.text}")}]
        return found[:k]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to one file: the arrays, the words, and the passages, in NumPy's .npz.

        Raises:
            CourseError: if it cannot be written.
        """
        scores = self._bm25.scores
        with atomic_write(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                data=scores["data"],
                indices=scores["indices"],
                indptr=scores["indptr"],
                vocab=_packed(self._bm25.vocab_dict),
                passages=_packed([asdict(passage) for passage in self.passages]),
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SearchIndex:
        """The index that `save` wrote.

        Raises:
            CourseError: if the file is missing or is no such index, or bm25s is missing.
        """
        bm25 = _bm25s().BM25()
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in ("data", "indices", "indptr")}
                vocab = json.loads(file["vocab"].tobytes())
                passages = [
                    Passage(**passage) for passage in json.loads(file["passages"].tobytes())
                ]
        except FileNotFoundError:
            raise CourseError(
                f"{path} does not exist", hint="SearchIndex.build(…).save(path)"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise CourseError(f"{path} is not a search index", hint="build it again") from error
        bm25.scores = {**arrays, "num_docs": len(passages)}
        bm25.vocab_dict = vocab
        bm25.nonoccurrence_array = None
        return cls(passages, bm25)


@dataclass(frozen=True)
class SearchTool:
    """Search as a tool: the best passages, each behind its title, as ``[title] text``.

    Args:
        index: Where to search.
        k: How many passages at most.
        every_word: Only passages that have all the query's words, `STOPWORDS` aside. Without it whoever searches for
            a name that nobody bears is shown somebody else.
        max_characters: Of the whole result. The best passage takes what it needs, the next what is left.
        min_characters: With less than this left for it, a passage is not shown.
    """

    index: SearchIndex
    k: int = 2
    every_word: bool = False
    max_characters: int = 600
    min_characters: int = 60
    name: ToolName = "search"
    start: str = "<|search_start|>"
    end: str = "<|search_end|>"

    def call(self, text: str) -> str:
        """The passages, or "nothing found": that is a result too, no error."""
        shown: list[str] = []
        left = self.max_characters
        for passage, _ in self.index.search(text, self.k, every_word=self.every_word):
            if shown and left < self.min_characters:
                break
            one_line = " ".join(f"[{passage.title}] {passage.text}".split())
            shown.append(clip(one_line, left))
            left -= len(shown[-1]) + 1  # the end of the line
        return "\n".join(shown) or NOTHING


def words(text: str) -> list[str]:
    """The words of a text, in small letters, without `STOPWORDS`."""
    return [word for word in WORDS.findall(text.casefold()) if word not in STOPWORDS]


def _packed(value: object) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), np.uint8)


def _bm25s() -> Any:
    try:
        return importlib.import_module("bm25s")
    except ImportError as error:
        raise CourseError(
            "search needs bm25s, which is not installed", hint="pip install bm25s"
        ) from error
