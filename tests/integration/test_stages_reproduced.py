"""The shipped assistants come again from their commands: the same conversations, the same first steps of training."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llmcourse.cli import app
from llmcourse.data.conversations.stages import STAGES
from llmcourse.model import shipped
from llmcourse.train import sft as training

STEPS = 8
TOLERANCE = 0.02
"""Mean difference of the losses of the first steps, in nats: another processor rounds otherwise. That the conversations
are the same is checked exactly, by their fingerprint."""

SHIPPED = [
    stage
    for stage in STAGES
    if f"assistant-{stage}" in shipped.names()
    # What the model of stage sft was asked is chance: without the account of it the conversations are others.
    and (stage == "sft" or (shipped.folder(f"assistant-{stage}") / "asked.jsonl.gz").exists())
]


@pytest.mark.slow
@pytest.mark.parametrize("stage", SHIPPED)
def test_a_stage_begins_as_it_did(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shipped.folder(f"assistant-{stage}")
    run = training.sft

    def short(*given: Any, **more: Any) -> Any:
        return run(*given, **{**more, "stop_after": STEPS})

    monkeypatch.setattr(training, "sft", short)
    asked = ["--asked", str(folder / "asked.jsonl.gz")] if stage != "sft" else []
    result = CliRunner().invoke(
        app,
        ["assistant", stage, "--out", str(tmp_path), *asked, "--quiet", "--set", "compile=no"],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    recorded = json.loads((folder / "run.json").read_text())
    begun = json.loads((tmp_path / "run.json").read_text())
    same = begun["settings"]["data"] == recorded["settings"]["data"]
    assert same, "other conversations"
    assert _without_precision(begun) == _without_precision(recorded)
    then, now = _losses(folder / "metrics.csv"), _losses(tmp_path / "metrics.csv")
    assert len(now) == STEPS
    assert statistics.mean(abs(a - b) for a, b in zip(then, now, strict=False)) < TOLERANCE


def _without_precision(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record["settings"]["sft"].items() if key != "precision"}


def _losses(path: Path) -> list[float]:
    with path.open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]
