"""A run's folder: what it was made with, what it measured, and how it goes on.

    run.json       settings, what was derived from them, versions, and every time it was started
    metrics.csv    a row a step
    evals.csv      a row an evaluation
    samples.txt    what the model wrote on the way
    tokenizer.json what its tokens mean; a copy is in every snapshot, so that each can be used like a release
    snapshots/     to go on from
    model/         at the end: weights, configuration and tokenizer, as any release has them
    tensorboard/   the numbers once more, if TensorBoard is installed

A run goes on only with the settings it began with: numbers from two different runs in one curve
would be a lie. Some settings change nothing that is computed, and may change (`FREE`).

Taught in chapter 06.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from pathlib import Path
from typing import Any

from ..assets import atomic_write
from ..errors import CourseError
from ..model.config import ModelConfig
from ..presets import TrainSection
from ..runtime import cores, version_of
from ..tokenizer import Tokenizer
from ..tokenizer.files import FILE_NAME as TOKENIZER

FORMAT = "llmcourse run, version 1"
FREE = frozenset({
    "micro_batch", "compile", "strategy", "activation_checkpointing", "eval_every", "sample_every", "prompts",
    "sample_tokens", "save_every", "keep", "milestones", "expected",
})  # fmt: skip
"""Settings of `TrainSection` that may be others when a run goes on."""

FILES = ("run.json", "metrics.csv", "evals.csv", "samples.txt", TOKENIZER)
FOLDERS = ("snapshots", "model", "tensorboard")


def settings_of(config: ModelConfig, train: TrainSection, source: dict[str, Any]) -> dict[str, Any]:
    """All that a run's numbers depend on, as JSON can hold it."""
    free = {*FREE, *(() if train.start else ("start",))}  # as before there was such a setting
    return {
        "model": config.model_dump(mode="json"),
        "train": train.model_dump(mode="json", exclude=free),
        "data": source,
    }


class RunFolder:
    """The folder of one run. Only the main process writes there, snapshots aside."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.metrics = self.path / "metrics.csv"
        self.evals = self.path / "evals.csv"
        self.snapshots = self.path / "snapshots"
        self.model = self.path / "model"
        self.board = self.path / "tensorboard"

    def begin(
        self,
        settings: dict[str, Any],
        facts: dict[str, Any],
        tokenizer: Tokenizer | None = None,
        *,
        fresh: bool = False,
    ) -> None:
        """Take the folder for a run of these settings, a new one or one that goes on.

        Args:
            settings: See `settings_of`.
            facts: What else is worth knowing; changes nothing.
            tokenizer: What the run's tokens mean.
            fresh: Remove what is there of an earlier run.

        Raises:
            CourseError: if it holds a run of other settings (the message names them), or files that
                are no run's, or cannot be written.
        """
        earlier = self._read()
        if fresh and earlier is not None:
            self._clear()
            earlier = None
        if earlier is None and (
            there := [n for n in (*FILES, *FOLDERS) if (self.path / n).exists()]
        ):
            raise CourseError(
                f"{self.path} has {there[0]}, but no run.json: it is no run's folder",
                hint="choose another folder",
            )
        if earlier is not None and (others := _differences(earlier["settings"], settings)):
            raise CourseError(
                f"{self.path} holds a run of other settings: {'; '.join(others)}",
                hint="go on with the same, start anew with --fresh, or choose another folder",
            )
        start = {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **facts, "machine": machine()}
        starts = [*(earlier or {}).get("starts", []), start]
        self._write({"format": FORMAT, "settings": settings, "starts": starts})
        if tokenizer is not None:
            tokenizer.save(self.path)

    def sample(self, step: int, texts: list[str]) -> None:
        """Append what the model wrote. Texts are indented, so that no text looks like a heading."""
        with (self.path / "samples.txt").open("a", encoding="utf-8") as file:
            file.write(f"step {step}\n")
            for text in texts:
                body = "\n".join("    " + line for line in text.splitlines())
                file.write(f"{body}\n\n")

    def cut_samples(self, after: int) -> None:
        """Take back what was written after a step."""
        path = self.path / "samples.txt"
        if not path.exists():
            return
        kept, keep = [], True
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.startswith("step "):
                keep = int(line.removeprefix("step ")) <= after
            if keep:
                kept.append(line)
        with atomic_write(path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")

    def finish(self, snapshot: Path, result: dict[str, Any]) -> None:
        """Make ``model/`` from the last snapshot, and say in ``run.json`` what came of the run.

        Raises:
            CourseError: if it cannot be written.
        """
        names = ["config.json", "model.safetensors", *(path.name for path in self.beside)]
        try:
            for name in names:
                with atomic_write(self.model / name) as temporary:
                    shutil.copyfile(snapshot / name, temporary)
        except OSError as error:
            raise CourseError(
                f"cannot write {self.model}: {error.strerror or error}", hint="is the disk full?"
            ) from error
        self._write({**(self._read() or {}), "result": result})

    @property
    def beside(self) -> list[Path]:
        """What is copied into every snapshot."""
        path = self.path / TOKENIZER
        return [path] if path.exists() else []

    def _read(self) -> dict[str, Any] | None:
        path = self.path / "run.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["format"] != FORMAT or not isinstance(record["settings"], dict):
                raise ValueError("another format")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CourseError(
                f"{path} cannot be read: {error}", hint="choose another folder"
            ) from error
        return dict(record)

    def _write(self, record: dict[str, Any]) -> None:
        with atomic_write(self.path / "run.json") as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def _clear(self) -> None:
        for name in FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in reversed(FILES):  # run.json last: until then it is a run's folder
            (self.path / name).unlink(missing_ok=True)


def machine() -> dict[str, Any]:
    """Versions and hardware that numbers may depend on."""
    import torch

    names = ("llmcourse", "torch", "numpy", "safetensors")
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": {name: version_of(name) for name in names},
    }


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """``train.lr was 0.001 and is 0.002``, for every value that differs."""
    found = []
    for section in sorted(before.keys() | now.keys()):
        old, new = before.get(section) or {}, now.get(section) or {}
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                found.append(f"{section}.{name} was {old.get(name)!r} and is {new.get(name)!r}")
    return found
