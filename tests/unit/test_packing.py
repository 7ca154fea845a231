"""Packing: every conversation once, whole, and with its loss where it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcourse.errors import CourseError
from llmcourse.tokenizer.chat import Rendered
from llmcourse.tokenizer.packing import IGNORE, attention_mask, best_fit, pack


def rendered(length, first=1):
    return Rendered(list(range(first, first + length)), [i % 2 for i in range(length)])


lengths = st.lists(st.integers(2, 17), min_size=1, max_size=30)


@given(lengths)
def test_every_conversation_is_there_once_and_whole(sizes):
    conversations = [rendered(n, 100 * i + 1) for i, n in enumerate(sizes)]
    packed = pack(conversations, 16)
    assert sorted(i for row in packed.rows for i in row) == list(range(len(sizes)))
    for place, row in enumerate(packed.rows):
        for number, i in enumerate(row, 1):
            mine = packed.segments[place] == number
            ids = conversations[i].ids
            # The last token of a full row is a target only.
            assert packed.x[place][mine].tolist() == ids[: mine.sum()]
            assert len(ids) - mine.sum() <= 1
            assert packed.positions[place][mine].tolist() == list(range(mine.sum()))


@given(lengths)
def test_targets_are_the_masked_tokens(sizes):
    conversations = [rendered(n, 100 * i + 1) for i, n in enumerate(sizes)]
    packed = pack(conversations, 16)
    counted = sorted(packed.y[packed.y != IGNORE].tolist())
    expected = (i for c in conversations for i, m in zip(c.ids, c.loss_mask, strict=True) if m)
    assert counted == sorted(expected)
    where = packed.y != IGNORE
    assert (packed.y[where] == packed.x[where] + 1).all()  # each follows its own predecessor


def test_the_first_token_is_nobodys_target():
    packed = pack([Rendered([5, 6], [1, 1]), Rendered([7, 8], [1, 1])], 3)
    assert packed.x.tolist() == [[5, 6, 7]]
    assert packed.y.tolist() == [[6, IGNORE, 8]]


def test_padding_counts_for_nothing():
    packed = pack([Rendered([5, 6], [0, 1])], 4, pad=9)
    assert packed.x.tolist() == [[5, 6, 9, 9]]
    assert packed.y.tolist() == [[6, IGNORE, IGNORE, IGNORE]]
    assert packed.segments.tolist() == [[1, 1, 0, 0]]
    assert packed.fill == pytest.approx(2 / 5)


def test_best_fit():
    assert best_fit([3, 7, 5, 5], 10) == [[1, 0], [2, 3]]
    assert best_fit([6, 7, 3, 4], 10) == [[1, 2], [0, 3]]


@given(lengths)
def test_no_row_overflows_and_few_are_half_empty(sizes):
    used = [sum(sizes[i] for i in row) for row in best_fit(sizes, 17)]
    assert max(used) <= 17
    assert sum(u <= 17 / 2 for u in used) <= 1  # two of them would have shared a row


def test_attention_stays_inside_a_conversation():
    mask = attention_mask(np.array([[1, 1, 2, 0]]))
    assert mask[0].astype(int).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("conversations", "context", "error"),
    [
        ([], 4, "no conversations"),
        ([rendered(3)], 0, "holds nothing"),
        ([rendered(3), rendered(6)], 4, "conversation 2 has 6 tokens"),
        ([Rendered([], [])], 4, "conversation 1 has 0 ids"),
        ([Rendered([1, 2], [1])], 4, "conversation 1 has 2 ids and 1 mask"),
    ],
)
def test_bad_input(conversations, context, error):
    with pytest.raises(CourseError, match=error):
        pack(conversations, context)


def test_what_counts_for_nothing_is_what_the_loss_leaves_out() -> None:
    """The tokenizer room may not import the training room, so the number stands twice."""
    from llmcourse.tokenizer.packing import IGNORE
    from llmcourse.train import losses

    assert losses.IGNORE == IGNORE
