"""`llmcourse reasoner` and `llmcourse rl`: a few small steps each, on the shipped base model."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from llmcourse.commands.reasoner import reasoner, values
from llmcourse.commands.rl import rl
from llmcourse.errors import CourseError
from llmcourse.model import pretrained
from llmcourse.rl.records import read_rollouts
from llmcourse.train.metrics import read_table

app = typer.Typer()
app.command()(reasoner)
app.command()(rl)
runner = CliRunner()

PRACTICE = ("rl", "--model", "course-base", "--kind", "chain", "--dial", "length=[2,3]", "--dial", "digits=1",
            "--problems", "8", "--held-out", "2", "--quiet", "--set", "problems_per_step=2", "--set", "attempts=2",
            "--set", "max_tokens=6", "--set", "steps=2")  # fmt: skip


def test_settings_are_read_as_json_where_they_can_be() -> None:
    assert values(["lr=0.001", "optimizer=muon", "length=[2,4]"]) == {
        "lr": 0.001, "optimizer": "muon", "length": [2, 4],
    }  # fmt: skip
    with pytest.raises(CourseError, match="no such setting"):
        values(["lr"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::llmcourse.rl.watch.SilentFailure")
def test_practice_leaves_records_and_a_model(tmp_path: Path) -> None:
    result = runner.invoke(app, [*PRACTICE, "--out", str(tmp_path / "rl")], catch_exceptions=False)
    assert result.exit_code == 0 and "pass@1" in result.output
    assert read_table(tmp_path / "rl" / "metrics.csv")["step"] == [1, 2]
    assert len(read_rollouts(tmp_path / "rl")) == 4
    pretrained.load(tmp_path / "rl" / "model")


@pytest.mark.slow
def test_a_reasoner_is_made_of_the_base_model(tmp_path: Path) -> None:
    asked = ["reasoner", "--out", str(tmp_path / "run"), "--conversations", "30", "--quiet"]
    more = ["--set", "compile=no", "--set", "batch_tokens=512", "--set", "micro_tokens=512"]
    result = runner.invoke(app, [*asked, *more], catch_exceptions=False)
    assert result.exit_code == 0 and "the model is in" in result.output
    before = pretrained.load("course-base").model
    after = pretrained.load(tmp_path / "run" / "model").model
    assert any(not a.equal(b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_countdown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="many right answers"):
        runner.invoke(
            app,
            ["rl", "--model", "course-base", "--kind", "countdown", "--out", str(tmp_path)],
            catch_exceptions=False,
        )
