"""What a run writes down: CSV that is taken back on resuming, TensorBoard, samples, generators."""

from __future__ import annotations

import errno
import random
import sys

import numpy as np
import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.train.metrics import Board, Table, read_table
from llmcourse.train.randomness import random_state, restore_random_state
from llmcourse.train.run_folder import RunFolder

COLUMNS = ("step", "loss", "mfu")


def table(path, after=-1, rows=()):
    table = Table(path, COLUMNS, after)
    for step, loss in rows:
        table.write({"step": step, "loss": loss, "mfu": None})
    table.close()
    return path


def test_numbers_come_back_exactly(tmp_path):
    path = table(tmp_path / "t.csv", rows=[(1, 0.1 + 0.2), (2, 1e-300)])
    assert read_table(path)["loss"] == [0.1 + 0.2, 1e-300]
    assert np.isnan(read_table(path)["mfu"]).all()
    assert path.read_text().splitlines()[0] == "step,loss,mfu"


def test_a_row_is_there_at_once(tmp_path):
    log = Table(tmp_path / "t.csv", COLUMNS)
    log.write({"step": 1, "loss": 2.0})
    assert (tmp_path / "t.csv").read_text() == "step,loss,mfu\n1,2.0,\n"
    log.close()


@pytest.mark.parametrize(("after", "kept"), [(-1, []), (0, [0]), (2, [0, 1, 2]), (9, [0, 1, 2, 3])])
def test_later_rows_are_taken_back(tmp_path, after, kept):
    path = table(tmp_path / "t.csv", rows=[(n, float(n)) for n in range(4)])
    table(path, after)
    assert read_table(path).get("step", []) == kept


@pytest.mark.parametrize("broken", ["3,1.", "3,1.0,\n4", "\x00"])
def test_half_a_row_is_no_row(tmp_path, broken):
    path = table(tmp_path / "t.csv", rows=[(1, 1.0), (2, 2.0)])
    with path.open("a") as file:
        file.write(broken)
    table(path, after=9, rows=[(5, 5.0)])
    steps = read_table(path)["step"]
    assert steps in ([1, 2, 5], [1, 2, 3, 5]) and (3 in steps) == broken.startswith("3,1.0,\n")


def test_other_columns_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("step,other\n1,2\n")
    with pytest.raises(CourseError, match="other columns than step, loss, mfu"):
        table(tmp_path / "t.csv", after=1)


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(CourseError, match="cannot read"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "t.csv").write_text("step,loss\n1,abc\n")
    with pytest.raises(CourseError, match="cannot read"):
        read_table(tmp_path / "t.csv")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk(tmp_path):
    log = Table(tmp_path / "t.csv", COLUMNS)
    log.close()
    log._file = open("/dev/full", "ab", buffering=0)  # noqa: PTH123, SIM115
    with pytest.raises(CourseError, match="No space left") as caught:
        log.write({"step": 1})
    assert caught.value.__cause__.errno == errno.ENOSPC
    log.close()


def test_tensorboard_hides_what_was_taken_back(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for after, steps in ((-1, (1, 2, 3)), (2, (3, 4))):
        board = Board(tmp_path, after)
        for step in steps:
            board.write("train", {"step": step, "loss": float(step + (after > 0)), "mfu": None})
        board.close()
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert read.Tags()["scalars"] == ["train/loss"]
    assert [(e.step, e.value) for e in read.Scalars("train/loss")] == [
        (1, 1),
        (2, 2),
        (3, 4),
        (4, 5),
    ]


def test_without_tensorboard_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(Board, "available", staticmethod(lambda: False))
    board = Board(tmp_path / "board")
    board.write("train", {"step": 1, "loss": 1.0})
    board.text(1, "samples", "text")
    board.close()
    assert not (tmp_path / "board").exists()


def test_samples_are_taken_back(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (0, 5, 10):
        folder.sample(step, ["one\nstep 99", "two"])  # a text that looks like a heading
    before = (tmp_path / "samples.txt").read_text()
    folder.cut_samples(5)
    assert (tmp_path / "samples.txt").read_text() == before[: before.index("step 10")]
    folder.sample(10, ["one\nstep 99", "two"])
    assert (tmp_path / "samples.txt").read_text() == before


def test_a_damaged_record(tmp_path):
    (tmp_path / "run.json").write_text('{"format": "llmc')
    with pytest.raises(CourseError, match=r"run.json cannot be read"):
        RunFolder(tmp_path).begin({}, {})


def test_generators_go_on():
    def draw():
        return random.random(), random.gauss(0, 1), np.random.normal(), torch.rand(3).tolist()

    random.gauss(0, 1)  # leaves a second draw behind
    state = random_state()
    first = draw()
    draw()
    restore_random_state(state)
    assert draw() == first
