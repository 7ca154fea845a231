"""`llmcourse assistant`: a stage from the base model to a model that loads, on few conversations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmcourse.cli import app
from llmcourse.data.conversations.formats import read
from llmcourse.data.conversations.split import part_of
from llmcourse.data.world.whole import invent
from llmcourse.errors import CourseError
from llmcourse.model import pretrained

runner = CliRunner()
SHORT = ("--conversations", "40", "--questions", "12", "--quiet", "--set", "compile=no",
         "--set", "epochs=1", "--set", "precision=fp32")  # fmt: skip


def run(*arguments: str) -> None:
    result = runner.invoke(app, ["assistant", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_two_stages(tmp_path: Path) -> None:
    first, second = tmp_path / "sft", tmp_path / "tools"
    run("sft", "--out", str(first), *SHORT)
    pretrained.load(first / "model")
    assert len(list(read(first / "train.jsonl", "chatml"))) == 40
    run("tools", "--asked", str(first / "model"), "--out", str(second), *SHORT)
    pretrained.load(second / "model")
    asked = [json.loads(line) for line in (second / "asked.jsonl").read_text().splitlines()]
    assert sum(row["part"] == "train" for row in asked) == 12
    assert all(0 <= row["right"] <= len(row["answers"]) for row in asked)
    again = tmp_path / "identity"  # what was asked need not be asked again
    run("identity", "--asked", str(second / "asked.jsonl"), "--out", str(again), *SHORT)
    assert (again / "asked.jsonl").read_bytes() == (second / "asked.jsonl").read_bytes()
    out = tmp_path / "report.json"
    result = runner.invoke(
        app,
        ["eval", "assistant", str(second / "model"), "--stage", "identity", "--before", str(first / "model"),
         "--questions", "4", "--out", str(out)],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert {"prompts", "facts", "bands", "kept", "with tools"} <= report.keys()
    assert report["with tools"]["long products"]["right"]["of"] == 4
    assert {"data", "silent", "system"} <= report["identity"].keys()


def test_mistakes_are_named(tmp_path: Path) -> None:
    for arguments, named in (
        (("song",), "no stage"),
        (("refusals",), "asks a model"),
        (("sft", "--base", str(tmp_path)), "mentions"),
    ):
        with pytest.raises(CourseError, match=named):
            runner.invoke(
                app,
                ["assistant", *arguments, "--out", str(tmp_path / "x"), *SHORT],
                catch_exceptions=False,
            )
    with pytest.raises(CourseError, match="no stage"):
        runner.invoke(
            app, ["eval", "assistant", "assistant-sft", "--stage", "song"], catch_exceptions=False
        )


def test_an_account_of_another_world_is_refused(tmp_path: Path) -> None:
    account = tmp_path / "asked.jsonl"
    account.write_text('{"part": "train", "entity": "Nobody Atall", "relation": "born"}\n')
    with pytest.raises(CourseError, match="line 1"):
        run("refusals", "--asked", str(account), "--out", str(tmp_path / "x"), *SHORT)
    account.write_bytes(b"\xff\xfe")
    with pytest.raises(CourseError, match="cannot be read"):
        run("refusals", "--asked", str(account), "--out", str(tmp_path / "x"), *SHORT)


def test_an_account_of_another_seed_is_refused(tmp_path: Path) -> None:
    world = invent(0, 0.75)
    entity = next(e for e in world.everything() if part_of(e.name, 0) != part_of(e.name, 1))
    row = {"part": part_of(entity.name, 0), "entity": entity.name, "relation": next(iter(entity.facts)),
           "answers": ["a", "b"], "right": 0}  # fmt: skip
    account = tmp_path / "asked.jsonl"
    account.write_text(json.dumps(row) + "\n")
    with pytest.raises(CourseError, match="seed 1"):
        run(
            "refusals", "--asked", str(account), "--out", str(tmp_path / "x"), "--seed", "1", *SHORT
        )
