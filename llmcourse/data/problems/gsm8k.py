"""GSM8K: 8,500 word problems written by people (Cobbe et al. 2021, arXiv:2110.14168), and ours in its format.

A line is ``{"question": …, "answer": …}``. The answer has a step a line, the marks of a calculator that the authors'
models could call, and at its end the result::

    Natalia sold 48/2 = <<48/2=24>>24 clips in May.
    #### 24

With a network GSM8K comes from the hub, by name. Without one, `write_sample` writes problems of ours just so.

Taught in chapters 12 and 15.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...assets import atomic_write
from ...errors import CourseError
from ..conversations.split import Part
from ..hub_client import Hub, HuggingFaceHub
from .expression import EQUALITY
from .problem import Problem
from .verifiable import problems

REPOSITORY, FOLDER = "openai/gsm8k", "main"
SPLITS = ("train", "test")

_MARK = re.compile(r"<<[^<>\n]*>>")
_RESULT = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+|(?=\.))(?:\.\d+)?", re.ASCII)


def fetch_gsm8k(
    split: str, folder: str | Path, *, revision: str = "main", hub: Hub | None = None
) -> list[Problem]:
    """GSM8K by name, fetched into a folder if it is not there.

    Args:
        split: ``train`` or ``test``.
        folder: Where its files are kept.
        revision: Of the data set.
        hub: Where from; by default Hugging Face's.

    Raises:
        CourseError: if the split is unknown, the hub cannot be reached, or what came is not GSM8K.
    """
    if split not in SPLITS:
        raise CourseError(f"GSM8K has no split {split!r}", hint="it has train and test")
    kept = Path(folder) / FOLDER
    paths = sorted(kept.glob(f"{split}-*.parquet"))
    if not paths or len(paths) != _files(paths[0]):
        hub = hub or HuggingFaceHub()
        exact, names = hub.files(REPOSITORY, FOLDER, revision)
        wanted = [name for name in names if Path(name).name.startswith(f"{split}-")]
        if not wanted:
            raise CourseError(
                f"{REPOSITORY} has no file of the split {split}", hint="has it been moved?"
            )
        paths = [hub.fetch(REPOSITORY, name, exact, Path(folder)) for name in wanted]
    return [problem for path in paths for problem in read_gsm8k(path)]


def read_gsm8k(path: str | Path) -> Iterator[Problem]:
    """The problems of a file, one after the other: ``.jsonl``, or ``.parquet`` as the hub has it.

    The steps are the lines of the answer, without the marks.

    Raises:
        CourseError: naming the line that is not as it should be.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        yield from (_problem(record, f"{path}, row {n}") for n, record in enumerate(_rows(path), 1))
        return
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for n, line in enumerate(file, 1):
                if line.strip():
                    yield _problem(_record(line, f"{path}, line {n}"), f"{path}, line {n}")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CourseError(f"{path} cannot be read: {reason}", hint="is it GSM8K's?") from error


def write_gsm8k(path: str | Path, made: Iterable[Problem]) -> Path:
    """Write problems whose answers are numbers in GSM8K's format, with the marks of a calculator.

    Raises:
        CourseError: if an answer is no number.
    """
    path = Path(path)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for problem in made:
            if not _RESULT.fullmatch(problem.answer):
                raise CourseError(
                    f"{problem.answer!r} is no number, as GSM8K wants it",
                    hint=f"of: {problem.question[:60]}",
                )
            lines = [_marked(step) for step in problem.steps]
            record = {
                "question": problem.question,
                "answer": "\n".join((*lines, f"#### {problem.answer}")),
            }
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def write_sample(
    path: str | Path, n: int, part: Part = "train", seed: int = 0, **dials: Any
) -> Path:
    """Write word problems of ours in GSM8K's format: what stands in for it where there is no network.

    Args:
        path: Of the ``.jsonl`` file.
        n: How many.
        part: ``train``, ``validation`` or ``held``.
        seed: Of everything.
        **dials: As for `problems` of the kind ``story``, the level among them.
    """
    return write_gsm8k(path, problems("story", n, part, seed, **dials))


def _files(path: Path) -> int:
    """``train-00000-of-00001.parquet``: of how many files this is one."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else 1


def _marked(step: str) -> str:
    """``4 x 7 = 28`` → ``4 x 7 = <<4*7=28>>28``."""

    def mark(match: re.Match[str]) -> str:
        left, right = match.groups()
        return f"{left} = <<{left.replace(' ', '').replace('x', '*')}={right}>>{right}"

    return EQUALITY.sub(mark, step)


def _record(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise CourseError(
            f"{where}: no JSON: {line.strip()[:40]!r}", hint="a JSON object a line"
        ) from error


def _problem(record: Any, where: str) -> Problem:
    """A problem of a record.

    Raises:
        CourseError: saying where, and what is missing.
    """
    if not isinstance(record, dict):
        raise CourseError(f"{where}: no object", hint='a line is {"question": …, "answer": …}')
    for name in ("question", "answer"):
        if not isinstance(record.get(name), str) or not record[name].strip():
            raise CourseError(
                f"{where}: no text {name!r}", hint='a line is {"question": …, "answer": …}'
            )
    way, mark, result = record["answer"].rpartition("####")
    result = result.strip()
    if not mark or "####" in way:
        raise CourseError(
            f"{where}: not one line ####", hint="an answer ends with, for example, #### 72"
        )
    if not _RESULT.fullmatch(result):
        raise CourseError(
            f"{where}: {result[:40]!r} is no number", hint="after #### stands a number"
        )
    steps = tuple(text for line in way.split("\n") if (text := _MARK.sub("", line).strip()))
    return Problem(
        "gsm8k", record["question"].strip(), steps, result.replace(",", ""), max(1, len(steps))
    )


def _rows(path: Path) -> Iterator[Any]:
    """The rows of a Parquet file."""
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        invalid: Any = importlib.import_module("pyarrow").ArrowException
    except ImportError as error:
        raise CourseError("pyarrow is not installed", hint="pip install pyarrow") from error
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except (invalid, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise CourseError(
            f"{path} is cut short or damaged: {reason}", hint="remove it and fetch it again"
        ) from error
