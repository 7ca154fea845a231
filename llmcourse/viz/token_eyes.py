"""A question seen as a model sees it: first the ids alone, then the pieces, then the letters and the answer.

Every view is made beforehand, so it works in the rendered book.

Taught in chapter 13.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import CourseError
from .panels import Control, Explorer, explorer
from .tokens import visible_bytes

if TYPE_CHECKING:
    from ..tokenizer import Tokenizer

VIEWS = ("what the model reads", "the pieces", "the letters", "the answer")
_BOX = "display:inline-block;border:1px solid currentColor;border-radius:3px;padding:0 .4em;margin:0 .3em .4em 0"


def token_eyes(tokenizer: Tokenizer, questions: Mapping[str, tuple[str, str]]) -> Explorer:
    """A widget: choose a question about a word, and uncover it step by step.

    Args:
        tokenizer: Whose eyes.
        questions: Question → the word that it is about, and the answer.

    Raises:
        CourseError: if there is no question.
    """
    if not questions:
        raise CourseError("there is nothing to ask", hint="give at least one question")
    asked = list(questions)

    def render(q: int, view: int) -> str:
        word, answer = questions[asked[q]]
        return view_html(tokenizer, asked[q], word, answer, view)

    return explorer(
        [Control("Question", asked), Control("View", VIEWS, slider=True)],
        render,
        plain=f"{len(asked)} questions in {len(VIEWS)} views; the first: {asked[0]}",
    )


def view_html(tokenizer: Tokenizer, question: str, word: str, answer: str, view: int) -> str:
    """One view of a question as HTML, from 0 (ids) to 3 (the answer)."""
    ids = tokenizer.encode_ordinary(word)
    pieces = [visible_bytes(tokenizer.token_bytes(i)).replace(" ", "␣") for i in ids]
    if view == 0:
        shown = [str(i) for i in ids]
    elif view == 1:
        shown = [f"{i} = {piece}" for i, piece in zip(ids, pieces, strict=True)]
    else:
        shown = [" ".join(piece) for piece in pieces]
    boxes = "".join(f'<span style="{_BOX}">{html.escape(text)}</span>' for text in shown)
    hidden = question.replace(word, "[…]") if view == 0 else question
    end = f"<p><b>{html.escape(answer)}</b></p>" if view == 3 else ""
    return (
        f'<div class="tex2jax_ignore"><p>{html.escape(hidden)}</p>'
        f'<p style="font-family:ui-monospace,Menlo,Consolas,monospace">{boxes}</p>{end}</div>'
    )
