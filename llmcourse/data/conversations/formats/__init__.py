"""Conversations in the files that others publish: read, checked, and written.

    reader = read("chats.jsonl.gz", "sharegpt", on_error="skip")
    for conversation in reader: ...
    reader.skipped

Formats: ``chatml`` (the course's own), ``openassistant``, ``ultrachat``, ``sharegpt``, ``alpaca``.
Taught in chapter 08.
"""

from __future__ import annotations

from .reader import FORMATS, Limits, Reader, read
from .writer import write

__all__ = ["FORMATS", "Limits", "Reader", "read", "write"]
