"""Documents as the pipeline sees them, one after the other."""

from __future__ import annotations

import html
from typing import Any


class BeforeAndAfter:
    """Two or more versions of a document as a stored output."""

    def __init__(self, versions: tuple[tuple[str, str | None], ...]) -> None:
        self.versions = [(label, text or "(nothing)") for label, text in versions]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        boxes = "".join(self._box(label, text) for label, text in self.versions)
        plain = "\n\n".join(f"--- {label}\n{text}" for label, text in self.versions)
        return {"text/plain": plain, "text/html": boxes}

    @staticmethod
    def _box(label: str, text: str) -> str:
        label, size = html.escape(label), len(text.encode("utf-8", "replace"))
        return (
            f'<div class="course-doc"><div class="label">{label}: {size:,} bytes</div>'
            f'<pre tabindex="0" role="group" aria-label="{label}" style="white-space:pre-wrap">'
            f"{html.escape(text)}</pre></div>"
        )


def before_and_after(*versions: tuple[str, str | None]) -> BeforeAndAfter:
    """Show versions of a text, each with its label and size in bytes."""
    return BeforeAndAfter(versions)
