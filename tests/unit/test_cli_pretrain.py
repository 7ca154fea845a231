"""`llmcourse pretrain`: it trains, stops, goes on, and says what it would do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from llmcourse import cli
from llmcourse.errors import CourseError
from llmcourse.train.metrics import read_table

runner = CliRunner()


def pretrain(*more):
    return runner.invoke(cli.app, ["pretrain", "--preset", "nano", *map(str, more)])


def test_a_run_in_two_parts(tmp_path):
    out = tmp_path / "run"
    first = pretrain("--out", out, "--steps", 40, "--max-seconds", 0, "--set", "sample_every=20")
    assert first.exit_code == 0, first.output
    assert "85,584" in first.output
    assert "stopped after 1 step, 704 tokens" in first.output
    done = pretrain("--out", out, "--steps", 40, "--set", "sample_every=20", "--quiet")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("40 steps, 28,160 tokens in ")
    assert "the model is in" in done.output
    assert read_table(out / "metrics.csv")["step"] == list(range(1, 41))
    told = runner.invoke(
        cli.app,
        [
            "generate",
            "--model",
            str(out / "model"),
            "CBABBC",
            "--max-tokens",
            "6",
            "--temperature",
            "0",
        ],
    )
    assert told.exit_code == 0 and set(told.output.strip()) <= set("ABC")


def test_settings_are_printed_and_nothing_is_done(tmp_path):
    shown = pretrain(
        "--out", tmp_path / "run", "--dry-run", "--lr", 0.01, "--set", "micro_batch=16"
    )
    assert shown.exit_code == 0
    words = shown.output.split()
    assert words[words.index("lr") + 1] == "0.01"
    assert words[words.index("min_lr") + 1] == "0.001"  # follows
    assert "16 at once × 4 × 1" in shown.output and "bias true" in " ".join(words)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_needs_no_data(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path))
    shown = runner.invoke(
        cli.app,
        ["pretrain", "--preset", "course-laptop", "--out", "x", "--dry-run", "--set", "compile=no"],
    )
    assert shown.exit_code == 0 and "there are no data yet" in shown.output


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--set", "learning_rate=1"], "no such setting"),
        (["--set", "lr"], "NAME=VALUE"),
        (["--set", "lr=fast"], "lr"),
        (["--set", "micro_batch=7"], "not a multiple of micro_batch"),
        (["--set", "precision=fp16"], "fp16 does not train on cpu"),
        (["--steps", "0"], "steps"),
        (["--data", "nowhere"], "needs no data"),
        (["--device", "quantum"], "there is no device"),
    ],
)
def test_what_cannot_be(tmp_path, given, message):
    result = pretrain("--out", tmp_path / "run", *given)
    assert isinstance(result.exception, CourseError) and message in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_other_settings_need_fresh(tmp_path):
    pretrain("--out", tmp_path, "--steps", 20, "--max-seconds", 0)
    other = pretrain("--out", tmp_path, "--steps", 10)
    assert "train.steps was 20 and is 10" in str(other.exception)
    assert pretrain("--out", tmp_path, "--steps", 10, "--fresh").exit_code == 0


def test_a_preset_without_training(tmp_path, monkeypatch):
    from llmcourse import presets

    monkeypatch.setattr(presets, "load", lambda name: presets.Preset(name="bare", description=""))
    result = pretrain("--out", tmp_path)
    assert "preset bare has no [" in str(result.exception)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_with_its_status(tmp_path, number, status):
    command = [
        sys.executable,
        "-m",
        "llmcourse.cli",
        "pretrain",
        "--preset",
        "nano",
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for _ in range(600):
        if (tmp_path / "metrics.csv").exists() and len(
            (tmp_path / "metrics.csv").read_text()
        ) > 200:
            break
        time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert f"stopped by {number.name}" in said and "the same command goes on" in said
    steps = read_table(tmp_path / "metrics.csv")["step"]
    assert (tmp_path / "snapshots" / f"step-{int(steps[-1]):08d}").is_dir()
