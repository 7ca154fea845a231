"""One prompt, and several texts that went on from it: what could have come, side by side.

Taught in chapter 07.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from ..errors import CourseError

STYLE = (
    "<style>.lc-goes-on{margin:.5rem 0}.lc-goes-on ol{margin:.2rem 0 .2rem 1.6rem;padding:0}"
    ".lc-goes-on li{margin:.15rem 0;white-space:pre-wrap;overflow-wrap:anywhere}"
    ".lc-goes-on p{margin:.2rem 0;white-space:pre-wrap}"
    ".lc-goes-on .cap{font-weight:600}</style>"
)


class Continuations:
    """A prompt and its continuations as a stored output.

    Args:
        prompt: What stood there; empty for a fresh start.
        texts: What came after it, one a time.
        caption: What is to be seen.
        lines: Keep line breaks; without it a line break is shown as ⏎.

    Raises:
        CourseError: if there are no continuations.
    """

    def __init__(
        self, prompt: str, texts: Sequence[str], caption: str, *, lines: bool = False
    ) -> None:
        if not texts:
            raise CourseError("there are no continuations to show", hint="generate one at least")
        self.prompt, self.caption, self.lines = prompt, caption, lines
        self.texts = [text if lines else _flat(text) for text in texts]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.plain(), "text/html": STYLE + self.html()}

    def plain(self) -> str:
        """The same for a terminal."""
        head = [self.caption, *([f"{self.prompt} …"] if self.prompt else [])]
        dots = "…" if self.prompt else ""
        return "\n".join([*head, *(f"{n}. {dots}{text}" for n, text in enumerate(self.texts, 1))])

    def html(self) -> str:
        """As HTML, without the style sheet, which a page needs only once."""
        prompt = f"<p><b>{html.escape(self.prompt)}</b> …</p>" if self.prompt else ""
        # A dollar sign would begin a formula.
        dots = "…" if self.prompt else ""
        items = "".join(f"<li>{dots}{html.escape(text)}</li>" for text in self.texts)
        return (
            f'<div class="lc-goes-on tex2jax_ignore"><p class="cap">{html.escape(self.caption)}</p>'
            f"{prompt}<ol>{items}</ol></div>"
        )


def _flat(text: str) -> str:
    """A text in one line."""
    return " ⏎ ".join(part.strip() for part in text.split("\n") if part.strip()) or "⏎"
