"""Tokens as coloured pieces of text, and the explorer of chapter 02.

The colours only part neighbours; the numbers below carry the same for everybody.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .figure import COLOURS

if TYPE_CHECKING:
    from ..tokenizer.explain import Segment
    from ..tokenizer.tokenizer import Tokenizer

MARKS = {"\n": "↵\n", "\t": "⇥", "\r": "␍"}


def visible(segment: Segment) -> str:
    """A token's text with its invisible parts shown; bytes that are no text by themselves as ⟨f0 9f⟩."""
    try:
        text = segment.bytes.decode("utf-8")
    except UnicodeDecodeError:
        return "⟨" + segment.bytes.hex(" ") + "⟩"
    return "".join(MARKS.get(character, character) for character in text)


def tokens_html(segments: Sequence[Segment], label: str) -> str:
    """Coloured tokens, then their number and their ids, as HTML that needs no style sheet."""
    pieces = []
    for number, segment in enumerate(segments):
        colour = COLOURS[number % 5]
        style = (
            f"background:{colour}33;border-bottom:2px solid {colour};border-radius:2px;"
            "padding:0.1em 1px;margin-right:1px"
        )
        title = f"token {segment.id}: {segment.bytes.hex(' ')}"
        pieces.append(
            f'<span style="{style}" title="{title}">{html.escape(visible(segment))}</span>'
        )
    count = sum(len(segment.bytes) for segment in segments)
    ids = " ".join(str(segment.id) for segment in segments)
    mono = "font-family:ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere"
    return (
        f'<div class="course-tokens"><p style="margin:0.4em 0 0"><b>{html.escape(label)}</b>: '
        f"{len(segments):,} tokens for {count:,} bytes</p>"
        f'<div style="{mono};white-space:pre-wrap;line-height:2">{"".join(pieces)}</div>'
        f'<div style="{mono};font-size:0.85em">{ids}</div></div>'
    )


class Tokens:
    """One text, cut by one tokenizer, as a stored output."""

    def __init__(self, tokenizer: Tokenizer, text: str, label: str) -> None:
        from ..tokenizer.explain import segments

        self.segments, self.label = segments(tokenizer, text), label

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        plain = " ".join(f"{visible(s)!r}:{s.id}" for s in self.segments)
        return {
            "text/plain": f"{self.label}: {len(self.segments)} tokens\n{plain}",
            "text/html": tokens_html(self.segments, self.label),
        }


def token_explorer(tokenizers: Mapping[str, Tokenizer], examples: Mapping[str, str]) -> Any:
    """A widget: pick an example, or type, and see how each tokenizer cuts the text.

    The examples are worked out beforehand and shown by the page alone, so they work in the
    rendered book; typing needs a running notebook.

    Args:
        tokenizers: Name → tokenizer.
        examples: Title → text.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as widgets

    from ..tokenizer.explain import segments

    def render(text: str) -> str:
        return "".join(tokens_html(segments(t, text), name) for name, t in tokenizers.items())

    wide = widgets.Layout(width="100%")
    panels = widgets.Stack(
        [widgets.HTML(render(text), layout=wide) for text in examples.values()], selected_index=0
    )
    choose = widgets.Dropdown(
        options=list(examples),
        index=0,
        description="Example",
        layout=widgets.Layout(width="min(100%, 28em)"),
    )
    link = widgets.jslink((choose, "index"), (panels, "selected_index"))
    typed = widgets.Textarea(
        value="Type here: 😀 naïve café  1234567",
        description="Your text",
        rows=3,
        layout=wide,
        continuous_update=True,
    )
    live = widgets.HTML(render(typed.value), layout=wide)
    note = widgets.HTML(
        "<i>The examples work in the page. Typing needs the notebook to be running.</i>"
    )

    def update(change: Mapping[str, Any]) -> None:
        live.value = render(change["new"])

    typed.observe(update, names="value")
    box = widgets.VBox([choose, panels, note, typed, live], layout=wide)
    box.link = link  # keep the link alive as long as the box
    return box
