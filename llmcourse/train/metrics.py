"""What a run writes down as it goes: a row of CSV a step, and TensorBoard's file where it is installed.

A row is on its way to the disk as soon as it is known. A run that goes on from a snapshot first takes
back the rows that came after it, so no step stands there twice.

Taught in chapter 06.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..assets import atomic_write
from ..errors import CourseError

Value = int | float | None


class Table:
    """A CSV file that grows by a row at a time. Its first column is the step.

    Args:
        path: The file; made with a line of names if need be.
        columns: The names.
        after: Keep only the rows up to this step; -1 for none.

    Raises:
        CourseError: if the file cannot be written, or has other columns.
    """

    def __init__(self, path: Path, columns: Sequence[str], after: int = -1) -> None:
        self.path, self.columns = path, tuple(columns)
        kept = [row for row in self._rows() if int(row[0]) <= after] if after >= 0 else []
        text = self._text(self.columns) + "".join(map(self._text, kept))
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
        self._file = path.open("ab", buffering=0)  # what is written is written

    def write(self, row: Mapping[str, Value]) -> None:
        """Append a row; a column without a value stays empty.

        Raises:
            CourseError: if it cannot be written.
        """
        values = [row.get(name) for name in self.columns]
        try:
            self._file.write(self._text(["" if v is None else repr(v) for v in values]).encode())
        except OSError as error:
            raise CourseError(
                f"cannot write {self.path}: {error.strerror or error}", hint="is the disk full?"
            ) from error

    def close(self) -> None:
        self._file.close()

    def _rows(self) -> list[list[str]]:
        """Whole rows only: a process that is killed may leave half of one."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        rows = list(csv.reader(line for line in lines if line.endswith("\n")))
        if rows and tuple(rows[0]) != self.columns:
            raise CourseError(
                f"{self.path} has other columns than {', '.join(self.columns)}",
                hint="start anew with --fresh, or in another folder",
            )
        return [row for row in rows[1:] if len(row) == len(self.columns) and row[0].isdigit()]

    @staticmethod
    def _text(cells: Sequence[str]) -> str:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        return line.getvalue()


def read_table(path: str | Path) -> dict[str, list[float]]:
    """A CSV file of a run as columns of numbers; an empty cell is NaN.

    Raises:
        CourseError: if the file cannot be read.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = rows[0].keys() if rows else ()
        return {name: [float(row[name] or "nan") for row in rows] for name in names}
    except (OSError, ValueError, TypeError) as error:
        raise CourseError(f"cannot read {path}: {error}", hint="is it a run's CSV?") from error


class Board:
    """The same numbers for TensorBoard, if it is installed; see `available`.

    Args:
        folder: Where its file goes.
        after: A run that goes on from this step hides what came after it.
    """

    def __init__(self, folder: Path, after: int = -1) -> None:
        self._writer: Any = None
        if self.available():
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=after + 1 if after >= 0 else None)

    @staticmethod
    def available() -> bool:
        """Whether the package is there. Nothing is imported."""
        from importlib.util import find_spec

        return find_spec("tensorboard") is not None

    def write(self, kind: str, row: Mapping[str, Value]) -> None:
        """Numbers of a step, under ``kind/name``."""
        if self._writer is not None:
            for name, value in row.items():
                if name != "step" and value is not None:
                    self._writer.add_scalar(f"{kind}/{name}", value, row["step"])

    def text(self, step: int, name: str, text: str) -> None:
        """A sample."""
        if self._writer is not None:
            self._writer.add_text(name, text, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
