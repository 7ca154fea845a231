"""Resampling: answers one by one, agreement as it grows, nothing said becomes HTML, and all is in the page itself."""

from __future__ import annotations

import pytest

from llmcourse.errors import CourseError
from llmcourse.evals.interrogate import agreement
from llmcourse.viz.resample import alike, page, resample_explorer

ANSWERS = ["Born in 1832.", "born  in 1832.", "Born in 1833.", "Born in 1832!", "<b>&$x$"]


def test_groups_are_those_of_agreement():
    groups = alike(ANSWERS)
    assert groups == [("Born in 1832.", 3), ("Born in 1833.", 1), ("<b>&$x$", 1)]
    for n in range(1, len(ANSWERS) + 1):
        assert max(k for _, k in alike(ANSWERS[:n])) / n == agreement(ANSWERS[:n])


def test_a_page_shows_the_last_answer_and_how_far_all_agree():
    shown = page("When?", ANSWERS[:4], 5, "It is 1832.")
    assert "Answer 4 of 5. Agreement so far: 3 of 4 (75%)." in shown and "It is 1832." in shown
    assert '<div class="said">Born in 1832!</div>' in shown
    assert shown.index("3 × Born in 1832.") < shown.index("1 × Born in 1833.")
    assert (
        shown.count("class=now") == 1 and "<li class=now><i style='width:3.60rem'></i>3 ×" in shown
    )


def test_what_was_said_stays_text():
    shown = page("<i>?", ANSWERS, 5)
    assert "<b>&$x" not in shown and "&lt;b&gt;&amp;$x$" in shown and "&lt;i&gt;?" in shown
    assert "tex2jax_ignore" in shown
    assert "(nothing)" in page("?", [" "], 1)
    assert page("?", ["word " * 60], 1).count("word") < 60 + 25


def test_the_widget_holds_every_state():
    pytest.importorskip("ipywidgets")
    shown = resample_explorer({"one": ANSWERS[:3], "two": ANSWERS[2:]}, {"two": "nobody knows"})
    _, choose, which, panels = shown.box.children
    assert list(choose.options) == ["one", "two"] and list(which.options) == ["1", "2", "3"]
    states = [child.value for stack in panels.children for child in stack.children]
    assert len(states) == 6
    assert "nobody knows" not in states[2] and "nobody knows" in states[3]
    assert repr(shown) == "2 questions with 3 answers each; the first: one"


@pytest.mark.parametrize("samples", [{}, {"one": []}, {"one": ["a"], "two": ["a", "b"]}])
def test_uneven_or_missing_answers_are_an_error(samples):
    with pytest.raises(CourseError, match="answers to"):
        resample_explorer(samples)
