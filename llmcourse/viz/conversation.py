"""A conversation as the tokens that a model sees, and which of them it has to learn to write.

Green and underlined: the model's own part, where the loss is counted. Grey: what it is only shown. Marks of
the protocol stand in boxes. The ids below carry the same for everybody.

Taught in chapter 08.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .figure import GREEN, GREY
from .tokens import visible_bytes

if TYPE_CHECKING:
    from ..data.conversations import Conversation
    from ..tokenizer.tokenizer import Tokenizer


class MaskedTokens:
    """One conversation, rendered, as a stored output.

    Args:
        conversation: Well formed.
        tokenizer: With the protocol's special tokens.
        label: What is to be seen.
        ids: Whether to write the ids below the tokens.
    """

    def __init__(
        self, conversation: Conversation, tokenizer: Tokenizer, label: str, *, ids: bool = True
    ) -> None:
        from ..tokenizer.chat import render

        rendered = render(conversation, tokenizer)
        names = {i: name for name, i in tokenizer.special_tokens.items()}
        self.label, self.show_ids = label, ids
        self.tokens = [
            (i, names.get(i) or visible_bytes(tokenizer.token_bytes(i)), i in names, bool(m))
            for i, m in zip(rendered.ids, rendered.loss_mask, strict=True)
        ]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.plain(), "text/html": self.html()}

    @property
    def learnt(self) -> int:
        """Tokens on which the loss is counted."""
        return sum(mask for *_, mask in self.tokens)

    def plain(self) -> str:
        """The same for a terminal: what the model must write stands in brackets."""
        pieces = [f"[{text}]" if mask else text for _, text, _, mask in self.tokens]
        return f"{self._head()}\n{''.join(pieces)}"

    def html(self) -> str:
        """As HTML that needs no style sheet."""
        pieces = "".join(self._piece(*token) for token in self.tokens)
        return (
            f'<div class="lc-chat tex2jax_ignore"><p style="margin:0.4em 0 0"><b>{html.escape(self._head())}</b></p>'
            '<div style="font-family:ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere">'
            f"{pieces}</div></div>"
        )

    def _head(self) -> str:
        return f"{self.label}: {len(self.tokens)} tokens, {self.learnt} of them to be learnt"

    def _piece(self, number: int, text: str, special: bool, mask: bool) -> str:
        colour = GREEN if mask else GREY
        line = "solid" if mask else "dotted"
        ground = f"background:{colour}{'44' if mask else '22'};border-bottom:2px {line} {colour};border-radius:2px"
        if special:
            ground += f";outline:1px solid {colour};font-size:0.85em"
        box = "display:inline-flex;flex-direction:column;align-items:center;margin:0 1px 4px 0"
        below = (
            f'<span style="font-size:0.7em;line-height:1.3;padding:0 2px">{number}</span>'
            if self.show_ids
            else ""
        )
        word = html.escape(text.replace("\n", ""))
        piece = f'<span style="{box}"><span style="{ground};white-space:pre;padding:0 1px">{word}</span>{below}</span>'
        return piece + ("<br>" if text.endswith("\n") else "")


def conversation_explorer(tokenizer: Tokenizer, examples: Mapping[str, Conversation]) -> Any:
    """A widget: pick a conversation, and see its tokens and its mask. Works in the rendered book too.

    Args:
        tokenizer: With the protocol's special tokens.
        examples: Title → conversation.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as widgets

    auto = widgets.Layout(width="auto")
    panels = widgets.Stack(
        [
            widgets.HTML(MaskedTokens(conversation, tokenizer, title).html(), layout=auto)
            for title, conversation in examples.items()
        ],
        selected_index=0,
    )
    choose = widgets.Dropdown(options=list(examples), index=0, description="Which", layout=auto)
    link = widgets.jslink((choose, "index"), (panels, "selected_index"))
    box = widgets.VBox([choose, panels])
    box.link = link  # keep the link alive as long as the box
    return box
