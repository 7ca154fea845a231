"""What attempts are made of."""

from __future__ import annotations

import random

import pytest

from llmcourse.data.problems.traces import Habits, trace
from llmcourse.data.problems.verifiable import problems
from llmcourse.errors import CourseError
from llmcourse.rl.habits import Counts, counts, shares


def _said(text: str) -> str:
    return f"<think>{text}</think>The answer is 1."


def test_an_answer_at_once_has_no_thoughts() -> None:
    assert counts("The answer is 5 + 6 = 11.") == Counts(False, 0, 0, 0, 0, 0)


def test_leaps_checks_and_retries_are_counted_apart() -> None:
    text = "7 + 5 + 2 = 14. Total: 14 - 3 = 12. Check: 12 + 3 = 15. No. Total: 14 - 3 = 11."
    assert counts(_said(text)) == Counts(True, 3, 1, 1, 1, 1)
    assert counts(_said("2 x (3 + 4) = 14.")) == Counts(True, 1, 1, 0, 0, 0)


def test_a_thought_that_was_cut_counts_too() -> None:
    assert counts("<think>7 + 5 = 12. 12 - ").steps == 1


def test_traces_are_counted_as_they_were_made() -> None:
    rng = random.Random(0)
    for p in problems("chain", 30, "train", 1, length=(3, 6), digits=2):
        plain = counts(_said("".join(t for t, _ in trace(p, rng, Habits()))))
        assert (plain.steps, plain.leaps, plain.wrong, plain.checks) == (p.level, 0, 0, 0)
        checked = trace(p, rng, Habits(check=1.0, slip=0.3))
        found = counts(_said("".join(t for t, _ in checked)))
        slips = sum(not learnt for _, learnt in checked)
        assert (found.retries, found.wrong) == (slips, slips)
        assert found.steps == found.checks == p.level + slips


def test_shares_are_per_step() -> None:
    found = shares([_said("1 + 2 = 3. 3 + 4 = 7. Check: 7 - 4 = 3."), "The answer is 7."])
    assert found["thought"] == 0.5 and found["checks"] == 0.5 and found["steps"] == 1
    with pytest.raises(CourseError):
        shares([])
