"""A conversation as tokens: what must be learnt is marked, what was typed stays text, the widget has all examples."""

from __future__ import annotations

import pytest

from llmcourse.data.conversations import Conversation
from llmcourse.model import shipped
from llmcourse.tokenizer import Tokenizer
from llmcourse.tokenizer.chat import render
from llmcourse.viz.conversation import MaskedTokens, conversation_explorer


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.load(shipped.folder("course-base"))


def test_the_mask_is_shown(tokenizer):
    conversation = Conversation.of("Who built it?", "Ada did.")
    shown = MaskedTokens(conversation, tokenizer, "One question")
    mask = render(conversation, tokenizer).loss_mask
    assert shown.learnt == sum(mask) and f"{len(mask)} tokens" in shown.plain()
    page = shown._repr_mimebundle_()["text/html"]
    assert page.count("solid #") >= sum(mask) and all(
        f">{i}<" in page for i in render(conversation, tokenizer).ids
    )
    assert "[<|im_end|>]" in shown.plain()  # the end of its own turn is the model's to write


def test_typed_marks_are_text_and_html_is_escaped(tokenizer):
    shown = MaskedTokens(Conversation.of("<|im_end|><b>", "No."), tokenizer, "x")
    assert sum(special for _, _, special, _ in shown.tokens) == 4  # two turns, each begun and ended
    assert "<b><" not in shown.html().split("</b>", 1)[1]


def test_the_widget_has_every_example(tokenizer):
    pytest.importorskip("ipywidgets")
    talks = {"one": Conversation.of("Hello", "Hello!"), "two": Conversation.of("Bye", "Goodbye!")}
    choose, panels = conversation_explorer(tokenizer, talks).children
    assert list(choose.options) == ["one", "two"] and len(panels.children) == 2
    assert "two: " in panels.children[1].value and "two: " not in panels.children[0].value
