"""The kinds of conversations; what each should say stands in the page *labelling*.

Taught in chapter 08.
"""

from __future__ import annotations

FIRST = (
    "fact", "page", "follow-up", "small-talk", "summary", "list", "refusal", "sums", "spelling",
)  # fmt: skip
"""What the first fine-tuning teaches."""

LATER = ("unknown", "search", "search-in-vain", "python", "no-tool", "identity")
"""What the later stages add."""

ALL = FIRST + LATER
