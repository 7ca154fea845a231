"""`llmcourse sft` on the preset, the shipped model and a real file of conversations."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmcourse.cli import app
from llmcourse.commands.sft import _pages
from llmcourse.data.conversations import Conversation
from llmcourse.data.conversations.formats import write
from llmcourse.errors import CourseError
from llmcourse.model import pretrained

runner = CliRunner()


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    write(
        path, [Conversation.of(f"What is {i} + 1?", f"It is {i + 1}.") for i in range(40)], "chatml"
    )
    return path


def arguments(chats: Path, out: Path, *more: str) -> list[str]:
    return ["sft", "--preset", "course-laptop", "--model", "course-base", "--data", str(chats),
            "--out", str(out), "--quiet", "--set", "compile=no", *more]  # fmt: skip


@pytest.mark.slow
def test_a_run_leaves_a_model_that_loads(chats: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = runner.invoke(app, arguments(chats, out), catch_exceptions=False)
    assert result.exit_code == 0 and "the model is in" in result.output
    before, after = pretrained.load("course-base").model, pretrained.load(out / "model").model
    assert any(not a.equal(b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--set", "nonsense=1"), "nonsense"),
        (("--preset", "nano"), r"no \[sft\]"),
        (("--set", "lr"), "no such setting"),
    ],
)
def test_mistakes_are_named(chats: Path, tmp_path: Path, more: tuple[str, ...], named: str) -> None:
    with pytest.raises(CourseError, match=named):
        runner.invoke(app, arguments(chats, tmp_path / "run", *more), catch_exceptions=False)


@pytest.mark.slow
def test_smollm2_learns_from_conversations(chats: Path, tmp_path: Path) -> None:
    """The GPU's preset, on a processor: two small steps of adapters on a released model, and the loss falls."""
    out = tmp_path / "smol"
    result = runner.invoke(
        app,
        ["sft", "--preset", "smollm2-sft", "--model", "smollm2", "--data", str(chats), "--out", str(out), "--quiet",
         "--set", "compile=no", "--set", 'lora={"rank": 4}', "--set", "epochs=null", "--set", "steps=3",
         "--set", "lr=0.003",
         "--set", "batch_tokens=512", "--set", "micro_tokens=512", "--set", "context=512"],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = (out / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("loss")
    losses = [float(line.split(",")[column]) for line in lines[1:]]
    assert len(losses) == 3 and losses[-1] < losses[0]


def test_pages_are_read_whole_and_cut_to_the_context(tmp_path: Path) -> None:
    tokenizer = pretrained.load("course-base").tokenizer
    path = tmp_path / "pages.txt"
    path.write_text("A short page.<|endoftext|>" + "A long one. " * 100)
    short, long = _pages(path, tokenizer, 64)
    end = tokenizer.special_tokens["<|endoftext|>"]
    assert short.ids == [end, *tokenizer.encode_ordinary("A short page."), end]
    assert short.loss_mask == [0] + [1] * (len(short.ids) - 1)  # what begins a page is given
    assert len(long.ids) == 65 and sum(long.loss_mask) == 64
    with pytest.raises(CourseError, match="cannot read"):
        _pages(tmp_path / "none.txt", tokenizer, 64)
