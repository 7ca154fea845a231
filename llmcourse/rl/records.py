"""What a run writes down: a row of numbers a step, and every attempt that was made.

    metrics.csv          a row a step
    rollouts.jsonl       a line a problem: attempts, rewards, advantages (of other processes: rollouts-1.jsonl …)
    evaluations.jsonl    a line an evaluation
    warnings.jsonl       a line a warning

A curve of rewards says that something was learnt; what it was, only the attempts say. Taught in chapter 15.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..assets import atomic_write
from ..errors import CourseError
from ..train.metrics import Table, Value
from ..train.team import Team
from .group import Group

COLUMNS = (
    "step", "drawn", "attempts", "tokens", "reward", "reward_std", "informative", "ended", "length", "entropy",
    "loss", "kl", "clipped", "gap", "lr", "grad_norm", "tokens_per_second", "seconds",
)  # fmt: skip


class Lines:
    """A file of JSON lines, each with a ``step``, that grows by a line at a time.

    Args:
        path: The file.
        after: Keep only the lines up to this step; -1 for none.
    """

    def __init__(self, path: Path, after: int) -> None:
        self.path = path
        kept = [line for line in _read(path) if line["step"] <= after]
        if path.exists() or kept:
            with atomic_write(path) as temporary:
                temporary.write_text("".join(map(_line, kept)), encoding="utf-8")

    def write(self, *contents: dict[str, Any]) -> None:
        """Append lines.

        Raises:
            CourseError: if it cannot be done.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(map(_line, contents)))
        except OSError as error:
            raise CourseError(
                f"cannot write {self.path}: {error.strerror or error}", hint="is the disk full?"
            ) from error


class Records:
    """The records of a run, and its bar.

    Args:
        folder: Where they are; None: nothing is written.
        after: The step behind which they go on; -1: from the beginning.
        steps: Of the whole run.
        names: Of the rewards.
        team: Who takes part; all write their attempts, and the main process the rest.
        progress: Show a bar, if there is a terminal, and lines, on standard error.
    """

    def __init__(
        self,
        folder: Path | None,
        after: int,
        steps: int,
        names: Sequence[str],
        team: Team,
        *,
        progress: bool,
    ) -> None:
        from tqdm import tqdm

        self.writes, self.progress = folder is not None, progress and team.is_main
        self.main = team.is_main
        self._bar = tqdm(
            total=steps, initial=max(after, 0), desc="learning", unit="step",
            disable=None if self.progress else True, file=sys.stderr,
        )  # fmt: skip
        if folder is None:
            return
        name = "rollouts.jsonl" if team.is_main else f"rollouts-{team.rank}.jsonl"
        self._rollouts = Lines(folder / name, after)
        if team.is_main:
            self._metrics = Table(folder / "metrics.csv", (*COLUMNS, *names), after)
            self._evaluations = Lines(folder / "evaluations.jsonl", after)
            self._warnings = Lines(folder / "warnings.jsonl", after)

    def step(self, row: dict[str, Value]) -> None:
        """A step has been made."""
        if self.main:
            if self.writes:
                self._metrics.write(row)
            self._bar.update()
            reward, length = row.get("reward"), row.get("length")
            if reward is not None and length is not None:
                self._bar.set_postfix(reward=f"{reward:.3f}", tokens=f"{length:.0f}", refresh=False)

    def rollouts(self, step: int, groups: Sequence[Group], advantages: Sequence[Tensor]) -> None:
        """Attempts have been made, and compared."""
        if self.writes:
            self._rollouts.write(
                *(as_json(step, g, a) for g, a in zip(groups, advantages, strict=True))
            )

    def evaluation(self, step: int, answer: dict[str, Any]) -> None:
        """Held-out problems have been tried."""
        if self.main:
            if self.writes:
                self._evaluations.write({"step": step, **answer})
            numbers = (f"{k} {v:.3g}" for k, v in answer.items() if isinstance(v, int | float))
            self.say(f"step {step:,}: {', '.join(numbers)}")

    def warning(self, step: int, text: str) -> None:
        """Something looks wrong."""
        if self.main and self.writes:
            self._warnings.write({"step": step, "warning": text})

    def say(self, line: str) -> None:
        """A line for whoever is watching."""
        if self.progress:
            self._bar.write(line, file=sys.stderr)

    def close(self) -> None:
        self._bar.close()
        if self.writes and self.main:
            self._metrics.close()


def as_json(step: int, group: Group, advantages: Tensor) -> dict[str, Any]:
    """A line of ``rollouts.jsonl``."""
    return {
        "step": step,
        "question": group.problem.question,
        "answer": group.problem.answer,
        "attempts": [
            {"text": a.text, "tokens": a.length, "ended": a.ended} for a in group.attempts
        ],
        "rewards": [None if math.isnan(r) else r for r in group.rewards.tolist()],
        "parts": list(group.parts),
        "advantages": advantages.tolist(),
    }


def read_rollouts(folder: str | Path) -> list[dict[str, Any]]:
    """Every line that the processes of a run wrote, by step.

    Raises:
        CourseError: if there are none, or one is damaged.
    """
    paths = sorted(Path(folder).glob("rollouts*.jsonl"))
    if not paths:
        raise CourseError(f"{folder} has no rollouts.jsonl", hint="is it the folder of a run?")
    return sorted(
        (line for path in paths for line in _read(path)), key=lambda line: int(line["step"])
    )


def remove_records(folder: Path) -> None:
    """Take away what an earlier run wrote here."""
    for path in [
        *folder.glob("rollouts*.jsonl"),
        folder / "evaluations.jsonl",
        folder / "warnings.jsonl",
    ]:
        path.unlink(missing_ok=True)


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"


def _read(path: Path) -> list[dict[str, Any]]:
    """Whole lines only: a process that is killed may leave half of one."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise CourseError(f"{path} is damaged: {error}", hint="start in another folder") from error
