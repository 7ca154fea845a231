"""Coloured tokens, the explorer, and documents side by side."""

from __future__ import annotations

import pytest

from llmcourse.tokenizer.pretrained import gpt4
from llmcourse.viz.page import before_and_after
from llmcourse.viz.tokens import Tokens, token_explorer


def test_tokens_show_ids_and_cut_characters():
    bundle = Tokens(gpt4(), "hi\n🪿", "GPT-4")._repr_mimebundle_()
    ids = gpt4().encode("hi\n🪿")
    assert all(f">{i}<" in bundle["text/html"] for i in ids)
    assert "⟨f0 9f" in bundle["text/html"]
    assert "↵" in bundle["text/html"]
    assert f"{len(ids)} tokens" in bundle["text/plain"]


def test_tokens_escape_html():
    page = Tokens(gpt4(), "<script>alert(1)</script>", "<b>")._repr_mimebundle_()["text/html"]
    assert "<script>" not in page
    assert "&lt;b&gt;" in page


def test_explorer_is_worked_out_before_anybody_types():
    pytest.importorskip("ipywidgets")
    box = token_explorer({"GPT-4": gpt4()}, {"one": "hello world", "two": "Hello"})
    choose, panels, note, mine = box.children
    typed, live = mine.children
    assert ">15339<" in panels.children[0].value
    assert list(choose.options) == ["one", "two"]
    typed.value = "hello world"
    assert ">15339<" in live.value
    assert "notebook" in note.value


def test_before_and_after():
    bundle = before_and_after(("HTML", "<p>"), ("Text", None))._repr_mimebundle_()
    assert "&lt;p&gt;" in bundle["text/html"]
    assert "(nothing)" in bundle["text/plain"]
    assert "HTML: 3 bytes" in bundle["text/html"]
