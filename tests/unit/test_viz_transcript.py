"""Transcripts: everything that was said is there, calls and results apart, and nothing typed becomes HTML."""

from __future__ import annotations

import pytest

from llmcourse.data.conversations import Conversation, Message, Part
from llmcourse.errors import CourseError
from llmcourse.viz.transcript import Transcript, transcript_explorer

CALLED = Conversation(
    (
        Message.of("user", "What is 2 x 3?"),
        Message(
            "assistant",
            (Part("python", "print(2 * 3)"), Part("result", "6"), Part("text", "It is 6.")),
        ),
    )
)


def test_a_call_its_result_and_the_answer_are_told_apart():
    shown = Transcript([CALLED], "A sum", ["right"])
    assert "[runs: print(2 * 3)]" in shown.plain() and "[is shown: 6]" in shown.plain()
    assert shown.plain().endswith("(right)")
    page = shown.html()
    assert page.count("dotted") == 1  # the result, which the model did not write
    assert page.index("runs") < page.index("is shown") < page.index("It is 6.")


def test_what_is_typed_stays_text():
    page = Transcript([Conversation.of("<b>&$x$", "No.")], "<i>").html()
    assert "<b>&$x" not in page and "&lt;b&gt;&amp;$x$" in page and "&lt;i&gt;" in page
    assert "tex2jax_ignore" in page


def test_nothing_to_show_is_an_error():
    with pytest.raises(CourseError, match="no conversations"):
        Transcript([], "x")
    with pytest.raises(CourseError, match="2 notes for 1"):
        Transcript([CALLED], "x", ["a", "b"])


def test_the_widget_has_every_transcript():
    pytest.importorskip("ipywidgets")
    one, two = Transcript([CALLED], "one"), Transcript([Conversation.of("Hi", "Hello!")], "two")
    choose, panels = transcript_explorer({"first": one, "second": two}).children
    assert list(choose.options) == ["first", "second"]
    assert "Hello!" in panels.children[1].value and "Hello!" not in panels.children[0].value
