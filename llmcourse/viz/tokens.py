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
    return visible_bytes(segment.bytes)


def visible_bytes(data: bytes) -> str:
    """`visible` for the bytes alone."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "⟨" + data.hex(" ") + "⟩"
    return "".join(MARKS.get(character, character) for character in text)


def tokens_html(segments: Sequence[Segment], label: str) -> str:
    """Coloured tokens, each with its id below it, as HTML that needs no style sheet."""
    pieces = "".join(_piece(segment, COLOURS[n % 5]) for n, segment in enumerate(segments))
    count = sum(len(segment.bytes) for segment in segments)
    return (
        f'<div class="course-tokens"><p style="margin:0.4em 0 0"><b>{html.escape(label)}</b>: '
        f"{len(segments):,} tokens for {count:,} bytes</p>"
        '<div style="font-family:ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere">'
        f"{pieces}</div></div>"
    )


def _piece(segment: Segment, colour: str) -> str:
    """One token over its id; the line ends after a token that ends one."""
    box = "display:inline-flex;flex-direction:column;align-items:center;margin:0 2px 4px 0"
    ground = f"background:{colour}33;border-bottom:2px solid {colour};border-radius:2px"
    text = html.escape(visible(segment).replace("\n", ""))
    return (
        f'<span style="{box}" title="{segment.bytes.hex(" ")}">'
        f'<span style="{ground};white-space:pre;padding:0 1px">{text}</span>'
        f'<span style="font-size:0.7em;line-height:1.3;padding:0 2px">{segment.id}</span></span>'
        + ("<br>" if b"\n" in segment.bytes else "")
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

    def html_panel(text: str) -> Any:
        return widgets.HTML(render(text), layout=widgets.Layout(width="auto"))

    panels = widgets.Stack([html_panel(text) for text in examples.values()], selected_index=0)
    panels.add_class("explorer-panels")
    choose = widgets.Dropdown(
        options=list(examples), index=0, description="Example", layout=widgets.Layout(width="auto")
    )
    link = widgets.jslink((choose, "index"), (panels, "selected_index"))
    typed = widgets.Textarea(
        value="Type here: 😀 naïve café  1234567",
        description="Your text",
        rows=3,
        layout=widgets.Layout(width="auto"),
        continuous_update=True,
    )
    live = html_panel(typed.value)
    mine = widgets.VBox([typed, live])
    mine.add_class("explorer-live")  # the book's style sheet hides it: nothing answers there
    note = widgets.HTML("<i>In a running notebook you can type a text of your own below.</i>")

    def update(change: Mapping[str, Any]) -> None:
        live.value = render(change["new"])

    typed.observe(update, names="value")
    box = widgets.VBox([choose, panels, note, mine])
    box.link = link  # keep the link alive as long as the box
    return box
