"""The verse experiment: the same words in every text, pairs that agree and disagree, and no lesson about a trap."""

from __future__ import annotations

import itertools
import random

import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.evals.verses import (
    TEXTS,
    agreeing,
    book,
    comparisons,
    disagreeing,
    experiment,
    reader,
    recorded,
    share_right,
)
from llmcourse.train.losses import IGNORE


def as_verse(number: str) -> tuple[int, int]:
    chapter, verse = number.split(".")
    return int(chapter), int(verse)


def test_all_texts_have_the_same_words():
    texts = {text: book(text, 1, 500) for text in TEXTS}
    lines = {
        text: [
            line.split()[-1]
            for line in said.splitlines()
            if line.split()[-1] not in ("after", "before")
        ]
        for text, said in texts.items()
    }
    assert lines["plain"] == lines["numbers"] == lines["references"] and len(lines["plain"]) == 500
    assert not any(sign.isdigit() for sign in texts["plain"])
    with pytest.raises(CourseError, match="no text"):
        book("psalms", 0)  # type: ignore[arg-type]


def test_verses_count_on_and_references_are_true():
    numbered = [line.split() for line in book("references", 0, 400).splitlines()]
    verses = [as_verse(line[0]) for line in numbered if len(line) == 2]
    for (c, v), (d, w) in itertools.pairwise(verses):
        assert (d, w) == (c, v + 1) or (d == c % 9 + 1 and w == 1)
    for a, b, said in (line for line in numbered if len(line) == 3):
        assert (as_verse(a) > as_verse(b)) == (said == "after")


def test_pairs_agree_or_disagree_with_the_order_of_verses():
    rng = random.Random(0)
    for make, agree in ((agreeing, True), (disagreeing, False)):
        for a, b in (make(rng) for _ in range(300)):
            assert ((float(a) > float(b)) == (as_verse(a) > as_verse(b))) == agree


def test_lessons_teach_the_last_word_alone_and_no_trap():
    words = reader()
    x, y = comparisons(words, 0, rows=50)(0)
    for row in range(50):
        (place,) = (y[row] != IGNORE).nonzero()[0]
        a, b = words.decode([int(i) for i in x[row, : place + 1]]).split()
        said = words.decode([int(y[row, place])])
        assert said == (" more" if float(a) > float(b) else " less")
        assert len(a) == len(b)


def test_a_share_counts_what_is_likelier():
    words = reader()
    more, less = (words.encode_ordinary(sign)[0] for sign in (" more", " less"))

    def always_more(ids: torch.Tensor, logits_at: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(ids), words.n_vocab)
        logits[:, more] = 1.0
        assert all(ids[i, at] != 0 for i, at in enumerate(logits_at))
        return logits

    pairs = [("9.9", "9.11"), ("9.11", "9.9"), ("9.3", "9.1"), ("8.7", "8.2")]
    assert share_right(always_more, words, pairs) == 0.75  # type: ignore[arg-type]
    assert share_right(always_more, words, pairs, (" less", " more")) == 0.25  # type: ignore[arg-type]
    assert less != more


def test_an_experiment_can_be_repeated():
    first, again = (experiment("references", 3, steps=2, lessons=2, tests=20) for _ in range(2))
    assert first == again and 0 <= first.disagreeing <= 1


def test_the_record_is_whole():
    record = recorded()
    assert {(o.text, o.seed) for o in record} == {(t, s) for t in TEXTS for s in range(12)}
    assert len(record) == 36
    for o in record:
        assert all(0 <= x <= 1 for x in (o.agreeing, o.disagreeing, o.verses))
    # Whoever has read no reference cannot tell which verse is later.
    assert all(0.4 < o.verses < 0.6 for o in record if o.text != "references")
