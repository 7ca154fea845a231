"""Call a tool whatever it does: errors and delays become results, and results are never too long.

Taught in chapter 10.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from .protocol import Budget, Status, Tool, ToolCall, ToolError

ERROR_CHARACTERS = 200
"""Of an error's message: the reason stands at its beginning."""

ENDS = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)|\n")


def clip(text: str, characters: int) -> str:
    """The beginning of a text, cut at the end of a sentence or a line if there is one in its second half."""
    if len(text) <= characters:
        return text
    # One more, to see whether a space follows the last full stop.
    ends = [end.end() for end in ENDS.finditer(text[: characters + 1]) if end.end() <= characters]
    if ends and ends[-1] > characters // 2:
        return text[: ends[-1]].rstrip()
    return text[: max(characters - 1, 0)].rstrip() + "…"


def fit(text: str, encode: Callable[[str], list[int]], tokens: int) -> list[int]:
    """The ids of a text's beginning, at most so many, cut as `clip` does."""
    ids = encode(text)
    characters = len(text)
    while len(ids) > tokens and characters > 1:
        characters = min(characters - 1, characters * tokens // len(ids))
        ids = encode(clip(text, characters))
    return ids[:tokens]


def call_tool(tool: Tool, text: str, seconds: float, budget: Budget) -> ToolCall:
    """The call, made.

    The tool works in a thread of its own: after `seconds` nobody waits for it any more. A thread cannot be
    killed, so a tool should have limits of its own too, as `PythonTool` has.
    """
    done: list[tuple[str, Status]] = []

    def work() -> None:
        try:
            done.append((tool.call(text), "ok"))
        except ToolError as error:
            done.append((clip(str(error), ERROR_CHARACTERS), "error"))
        except Exception as error:  # a fault in the tool is no reason to lose the other streams
            message = clip(f"{type(error).__name__}: {error}", ERROR_CHARACTERS)
            done.append((f"the tool failed: {message}", "error"))

    start = time.perf_counter()
    thread = threading.Thread(target=work, name=f"tool {tool.name}", daemon=True)
    thread.start()
    thread.join(seconds)
    took = time.perf_counter() - start
    result, status = done[0] if done else (f"no result after {seconds:.1f} seconds", "timeout")
    return ToolCall(tool.name, text, clip(result, budget.max_characters), took, status)
