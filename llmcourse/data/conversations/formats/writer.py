"""Conversations into a file of any format that can hold them.

Taught in chapter 08.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ....assets import atomic_write
from ....errors import CourseError
from ..message import Conversation, Message, check
from .reader import FORMATS


def write(path: str | Path, conversations: Iterable[Conversation], format: str = "chatml") -> int:
    """Write conversations, all of them or no file at all. How many there were.

    Args:
        path: ``.jsonl``, ``.jsonl.gz``, or ``.json`` for one list.
        conversations: Taken one by one.
        format: One of `FORMATS`. Only ``chatml`` keeps calls, results, thoughts and `about`.

    Raises:
        CourseError: if the file cannot be written, a conversation is malformed, or the format has no
            place for something in it.
    """
    path = Path(path)
    if format not in FORMATS:
        raise CourseError(f"no format is called {format!r}", hint="known: " + ", ".join(FORMATS))
    if not path.name.endswith((".jsonl", ".jsonl.gz", ".json")):
        raise CourseError(f"cannot write {path}", hint="call it .jsonl, .jsonl.gz or .json")
    whole = path.suffix == ".json"
    count = 0
    with atomic_write(path) as temporary, temporary.open("wb") as raw:
        # No time and no name in the archive: the same conversations make the same bytes.
        packed = gzip.GzipFile("", "wb", 6, raw, mtime=0) if path.suffix == ".gz" else None
        file = packed or raw
        for conversation in conversations:
            line = _line(conversation, format, f"conversation {count + 1}")
            file.write((b",\n" if count else b"[\n") + line if whole else line + b"\n")
            count += 1
        if whole:
            file.write(b"\n]\n" if count else b"[]\n")
        if packed:
            packed.close()
    return count


def _line(conversation: Conversation, format: str, where: str) -> bytes:
    record = _record(check(conversation, where), format, where)
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise CourseError(f"{where} cannot be written as JSON: {error}") from error


def _record(conversation: Conversation, format: str, where: str) -> dict[str, Any]:
    messages = conversation.messages
    if format == "chatml":
        record: dict[str, Any] = {
            "messages": [{"role": m.role, "content": _content(m)} for m in messages]
        }
        return record | ({"about": conversation.about} if conversation.about else {})
    if any(part.kind != "text" for m in messages for part in m.parts):
        raise CourseError(
            f"{where}: {format} has no place for calls and thoughts", hint="use chatml"
        )
    if format == "ultrachat":  # as the hub has it: the older form has no system message
        return {"messages": [{"role": m.role, "content": m.text} for m in messages]}
    if format == "sharegpt":
        names = {"system": "system", "user": "human", "assistant": "gpt"}
        return {"conversations": [{"from": names[m.role], "value": m.text} for m in messages]}
    if messages[0].role == "system" or messages[-1].role != "assistant":
        raise CourseError(
            f"{where}: {format} has no system message, and ends with an answer", hint="use chatml"
        )
    if format == "alpaca":
        if len(messages) != 2:
            raise CourseError(f"{where}: alpaca holds one exchange", hint="use chatml")
        return {"instruction": messages[0].text, "input": "", "output": messages[1].text}
    node: dict[str, Any] | None = None
    for m in reversed(messages):
        role = "prompter" if m.role == "user" else "assistant"
        node = {"text": m.text, "role": role, "replies": [node] if node else []}
    return {"prompt": node}


def _content(message: Message) -> str | list[dict[str, str]]:
    if len(message.parts) == 1 and message.parts[0].kind == "text":
        return message.parts[0].text
    return [{"type": part.kind, "text": part.text} for part in message.parts]
