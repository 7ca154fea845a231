"""Source code as a stored output."""

from __future__ import annotations

import pytest

from llmcourse.tokenizer import bpe_clear
from llmcourse.viz.source import source


def test_source_of_functions_is_fenced_markdown():
    bundle = source(bpe_clear.merge, bpe_clear.count_pairs)._repr_mimebundle_()
    assert bundle["text/plain"].startswith("def merge(")
    assert "\n\ndef count_pairs(" in bundle["text/plain"]
    assert bundle["text/markdown"] == f"```python\n{bundle['text/plain']}\n```"


def test_source_between_lines_is_moved_to_the_margin():
    code = source(bpe_clear.train_bpe_clear, start="for _ in range", end="return number").code
    assert code.startswith("for _ in range")
    assert "return number" not in code


def test_a_missing_line_is_an_error():
    with pytest.raises(ValueError, match="no line contains"):
        source(bpe_clear.merge, start="nonsense")
