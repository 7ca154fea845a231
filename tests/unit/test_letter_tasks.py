"""Letter tasks: answers are right, programs print them, words of the parts are apart, and pupils learn."""

from __future__ import annotations

import random

import pytest

from llmcourse.data.conversations.split import part_of
from llmcourse.data.problems.letter_tasks import LetterTask, task, tasks, words
from llmcourse.errors import CourseError
from llmcourse.evals import letter_pupil
from llmcourse.evals.letters_inside import letter_probe, word_tokens
from llmcourse.tokenizer import Tokenizer
from llmcourse.train.losses import IGNORE
from llmcourse.viz.token_eyes import token_eyes, view_html

BERRY = [
    LetterTask("third", "strawberry"),
    LetterTask("back", "strawberry"),
    LetterTask("count", "strawberry", "r"),
]


def test_answers_and_programs():
    assert [t.answer for t in BERRY] == ["saey", "yrrebwarts", "rrr3"]
    assert [t.result for t in BERRY] == ["saey", "yrrebwarts", "3"]
    assert BERRY[2].prompt == "<|count|>r<|of|>strawberry<|answer|>"
    assert BERRY[2].right("rr3") and not BERRY[2].right("rrr2") and not BERRY[2].right("rrr")
    assert BERRY[0].right("saey") and not BERRY[0].right("sae")


def test_the_sandbox_prints_the_results():
    pytest.importorskip("pydantic_monty")
    assert letter_pupil.printed([t.program for t in BERRY]) == [t.result for t in BERRY]
    assert "Error" in letter_pupil.printed(["print("])[0]


def test_words_of_two_parts_are_apart():
    train, held = words("train"), words("held")
    assert not set(train) & set(held) and len(held) > 200
    assert all(part_of(word) == "held" for word in held)
    assert {t.word for t in tasks(held[:3])} == set(held[:3]) and len(tasks(held[:3])) == 9


def test_no_count_is_rare():
    rng = random.Random(0)
    counts = [int(task(w, "count", rng).result) for w in words("train")]
    for times in (0, 1, 2):
        assert 0.15 < counts.count(times) / len(counts) < 0.55


def test_the_two_readers_differ_in_what_they_read_alone():
    letters, pieces = letter_pupil.letter_reader(), letter_pupil.piece_reader()
    for one in BERRY:
        a, b = (letter_pupil.by_letters(one, t) for t in (letters, pieces))
        said = [
            [t.token_bytes(i) for i, learnt in zip(*e, strict=True) if learnt]
            for t, e in ((letters, a), (pieces, b))
        ]
        assert said[0] == said[1] and all(len(x) == 1 for x in said[0][:-1])
        assert len(b[0]) < len(a[0])


def test_lessons_are_shifted_and_masked():
    letters = letter_pupil.letter_reader()
    batch = letter_pupil.lessons(["cake", "lamp"], letters, letter_pupil.by_letters, seed=1, rows=4)
    x, y = batch(0)
    assert x.shape == y.shape and x.shape[0] == 4
    for row in range(4):
        kept = y[row] != IGNORE
        first = int(kept.argmax())
        assert letters.token_bytes(int(x[row, first])) == b"<|answer|>"
        answer = letters.decode([int(i) for i in y[row, kept][:-1]])
        assert answer[:1].isalnum()
    again = letter_pupil.lessons(["cake", "lamp"], letters, letter_pupil.by_letters, seed=1, rows=4)
    assert (again(0)[0] == x).all()


def test_nonsense_meets_pieces_that_no_word_has():
    pieces = letter_pupil.piece_reader()
    seen = {}
    for nonsense in (False, True):
        batch = letter_pupil.lessons(
            ["cake"], pieces, letter_pupil.by_program, seed=0, nonsense=nonsense
        )
        seen[nonsense] = {int(i) for step in range(5) for i in batch(step)[0].ravel()}
    assert len(seen[True]) > len(seen[False]) + 50


def test_a_pupil_learns_and_answers():
    from llmcourse.train.loop import fit

    letters = letter_pupil.letter_reader()
    pupil = letter_pupil.new_pupil(letters, 0)
    lessons = letter_pupil.lessons(["cake"], letters, letter_pupil.by_letters, seed=0)
    fit(pupil, lessons, steps=60, lr=1e-2, optimizer="muon", progress=False)
    asked = [LetterTask("third", "cake"), LetterTask("back", "cake")]
    assert letter_pupil.answers(pupil, letters, asked) == ["ce", "ekac"]


def test_a_probe_finds_letters_that_are_there_and_no_others():
    import torch

    from llmcourse.evals.sureness import auc

    rng = random.Random(0)
    names = sorted({"".join(rng.choices("abcdef", k=4)) for _ in range(600)})
    tokenizer = Tokenizer({i: name.encode() for i, name in enumerate(names)}, None)
    assert len(word_tokens(tokenizer)) == len(names)
    told = torch.tensor([[float(c in n) for c in "abcdefgh"] for n in names])
    generator = torch.Generator().manual_seed(0)
    for vectors, low, high in (
        (told + 0.1 * torch.randn(told.shape, generator=generator), 0.95, 1.0),
        (torch.randn(told.shape, generator=generator), 0.3, 0.7),
    ):
        sums, there = letter_probe(vectors, tokenizer)
        assert low <= auc(sums[there[:, 0], 0].tolist(), sums[~there[:, 0], 0].tolist()) <= high
    with pytest.raises(CourseError, match="too few"):
        letter_probe(told, tokenizer, every=10_000)


def test_what_is_uncovered_step_by_step():
    letters = letter_pupil.piece_reader()
    views = [
        view_html(letters, "How many r in strawberry?", "strawberry", "3 <", v) for v in range(4)
    ]
    assert "strawberry" not in views[0] and "[…]" in views[0]
    assert "ber" in views[1] and "b e r" in views[2] and "3 &lt;" in views[3]
    assert "3 &lt;" not in "".join(views[:3])
    with pytest.raises(CourseError, match="nothing to ask"):
        token_eyes(letters, {})


def test_the_widget_holds_every_view():
    pytest.importorskip("ipywidgets")
    shown = token_eyes(
        letter_pupil.piece_reader(), {"r in berry?": ("berry", "2"), "b?": ("bob", "2")}
    )
    assert repr(shown) == "2 questions in 4 views; the first: r in berry?"
