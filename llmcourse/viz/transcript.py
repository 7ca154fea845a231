"""Conversations as a person reads them: who says what, and what passes between a model and its tools.

What is said stands in plain letters. A call, a result and a thought, which a user of an assistant seldom sees, stand in
boxes of their own: what the model wrote has a solid border, what it was only shown a dotted one.

Taught in chapters 08 and 10.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import CourseError
from .figure import BLUE, GREEN, GREY, ORANGE

if TYPE_CHECKING:
    from ..data.conversations import Conversation, Message

LABELS = {"search": "searches for", "python": "runs", "result": "is shown", "think": "thinks"}
COLOURS = {"search": BLUE, "python": GREEN, "result": GREY, "think": ORANGE}


class Transcript:
    """Conversations, one below the other, as a stored output.

    Args:
        conversations: What was said; the last turn may be a model's answer.
        caption: What is to be seen.
        notes: A word on each (*right*, *it is 1832*), or none.

    Raises:
        CourseError: if there are no conversations, or not as many notes.
    """

    def __init__(
        self, conversations: Sequence[Conversation], caption: str, notes: Sequence[str] = ()
    ) -> None:
        if not conversations:
            raise CourseError("there are no conversations to show", hint="give one at least")
        if notes and len(notes) != len(conversations):
            raise CourseError(f"{len(notes)} notes for {len(conversations)} conversations")
        self.conversations, self.caption = list(conversations), caption
        self.notes = list(notes) or [""] * len(self.conversations)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.plain(), "text/html": self.html()}

    def plain(self) -> str:
        """The same for a terminal."""
        blocks = [self.caption]
        for conversation, note in zip(self.conversations, self.notes, strict=True):
            lines = [_plain(message) for message in conversation.messages]
            blocks.append("\n".join([*lines, *([f"({note})"] if note else [])]))
        return "\n\n".join(blocks)

    def html(self) -> str:
        """As HTML that needs no style sheet."""
        blocks = []
        for conversation, note in zip(self.conversations, self.notes, strict=True):
            turns = "".join(_turn(message) for message in conversation.messages)
            if note:
                turns += f'<div style="font-size:0.85em;opacity:0.75">{html.escape(note)}</div>'
            blocks.append(
                f'<div style="border-left:3px solid {GREY}55;padding:0.1em 0 0.1em 0.8em;margin:0.6em 0">'
                f"{turns}</div>"
            )
        # A dollar sign would begin a formula.
        return (
            '<div class="lc-transcript tex2jax_ignore">'
            f'<p style="margin:0.4em 0 0"><b>{html.escape(self.caption)}</b></p>{"".join(blocks)}</div>'
        )


def _plain(message: Message) -> str:
    pieces = [
        part.text.strip() if part.kind == "text" else f"[{LABELS[part.kind]}: {part.text.strip()}]"
        for part in message.parts
    ]
    return f"{message.role}: " + "\n  ".join(piece for piece in pieces if piece)


def _turn(message: Message) -> str:
    said = []
    for part in message.parts:
        text = html.escape(part.text.strip())
        if not text:
            continue
        if part.kind == "text":
            said.append(f'<span style="white-space:pre-wrap;overflow-wrap:anywhere">{text}</span>')
            continue
        line = "dotted" if part.kind == "result" else "solid"
        said.append(
            f'<div style="border:1px {line} {COLOURS[part.kind]};border-radius:4px;padding:0.1em 0.5em;'
            f'margin:0.2em 0;font-size:0.9em;white-space:pre-wrap;overflow-wrap:anywhere">'
            f"<i>{LABELS[part.kind]}</i> {text}</div>"
        )
    who = f'<b style="font-size:0.85em">{html.escape(message.role)}</b> '
    return f'<div style="margin:0.15em 0">{who}{"".join(said)}</div>'


def transcript_explorer(examples: Mapping[str, Transcript]) -> Any:
    """A widget: pick one of several transcripts. Works in the rendered book too.

    Args:
        examples: Title → transcript.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as widgets

    auto = widgets.Layout(width="auto")
    panels = widgets.Stack(
        [widgets.HTML(shown.html(), layout=auto) for shown in examples.values()], selected_index=0
    )
    choose = widgets.Dropdown(options=list(examples), index=0, description="Which", layout=auto)
    link = widgets.jslink((choose, "index"), (panels, "selected_index"))
    box = widgets.VBox([choose, panels])
    box.link = link  # keep the link alive as long as the box
    return box
