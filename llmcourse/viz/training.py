"""What a training run says while it goes on: a line a step, and what it wrote on the way.

Taught in chapter 06.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import CourseError


def step_line(row: Mapping[str, int | float | None], steps: int) -> str:
    """One step as one line, in the order in which llm.c prints it (and the video shows it).

    Args:
        row: Of ``metrics.csv``, as `pretrain` gives it to `on_step`: ``step``, ``loss`` (nats per
            token), ``grad_norm``, ``lr``, ``tokens_per_second``; ``mfu`` may be missing.
        steps: Of the whole run.

    Raises:
        CourseError: if a column is missing.

    Taught in chapter 06.
    """
    values = {}
    for name in ("step", "loss", "grad_norm", "lr", "tokens_per_second"):
        if (value := row.get(name)) is None:
            raise CourseError(f"a step's row has no {name}", hint="rows of metrics.csv have it")
        values[name] = value
    step, loss, norm, lr, speed = values.values()
    width = len(str(steps))
    line = f"step {int(step):>{width}}/{steps} | loss {loss:6.3f} | norm {norm:7.3f} | lr {lr:.1e}"
    mfu = row.get("mfu")
    return line + f" | {speed:>7,.0f} tok/s" + ("" if mfu is None else f" | {mfu:4.0%} of peak")


def read_samples(path: str | Path) -> dict[int, list[str]]:
    """The texts in a run's ``samples.txt``, by step, in the order of the prompts.

    Raises:
        CourseError: if the file cannot be read or is no such file.

    Taught in chapter 06.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"cannot read {path}: {error}", hint="is it a run's samples?") from error
    found: dict[int, list[str]] = {}
    texts: list[str] | None = None
    body: list[str] | None = None  # of the text that is being read
    for line in [*lines, ""]:
        if line.startswith("step ") and line[5:].isdigit():
            texts = found.setdefault(int(line[5:]), [])
        elif line.startswith("    ") and texts is not None:
            body = [*(body or []), line[4:]]
        elif not line:  # ends a text
            if body is not None and texts is not None:
                texts.append("\n".join(body))
            body = None
        else:
            raise CourseError(f"{path} is no run's samples: {line[:40]!r}", hint="samples.txt is")
    return found
