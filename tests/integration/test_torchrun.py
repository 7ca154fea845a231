"""`torchrun`, really: two processes train as one does, whatever dies on the way.

Importing torch takes longer than training here, so each launch serves several tests. One process is this
one; the others compute with one thread each.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from llmcourse import presets
from llmcourse.model import weights
from llmcourse.presets import ModelSection, TrainSection
from llmcourse.train.pretrain import pretrain
from llmcourse.train.run_folder import RunFolder
from llmcourse.train.snapshots import snapshots_in
from llmcourse.train.sources import source_of
from llmcourse.train.team import Team

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("team_program.py")
ALONE = Team(0, 1, 0, torch.device("cpu"), None)
CLOSE = 1e-4
STEPS = 30


def torchrun(*arguments, log, **popen):
    """torchrun, started; what it says goes to a file."""
    command = [sys.executable, "-m", "torch.distributed.run", "--local-addr", "127.0.0.1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with log.open("w") as file:
        return subprocess.Popen(
            [*command, *map(str, arguments)], cwd=ROOT, env=environment, stdout=file,
            stderr=subprocess.STDOUT, **popen,
        )  # fmt: skip


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def workers(agent):
    """The processes that torchrun has started."""
    psutil = pytest.importorskip("psutil")
    return [
        p
        for p in psutil.Process(agent.pid).children()
        if "resource_tracker" not in str(p.cmdline())
    ]


def wait_until(condition, agent, log, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert agent.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def difference(a, b):
    """The greatest one between two series of losses, step by step."""
    assert a.keys() == b.keys()
    return max(abs(a[step] - b[step]) for step in a)


# ------------------------------------------------------------------ the parts: team_program.py


def load_program():
    spec = importlib.util.spec_from_file_location("team_program", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(path):
    """Losses by step, and how often each step was made."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {step: loss for step, loss, _ in rows}, [step for step, _, _ in rows]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The folder of what one process and two told, and torchrun's log."""
    folder = tmp_path_factory.mktemp("parts")
    program = load_program()
    alone = {"strategy": "ddp", "steps": STEPS, "every": 10}
    for optimizer in ("adamw", "muon"):
        setting = {**alone, "optimizer": optimizer, "folder": str(folder / f"from-1-{optimizer}")}
        program.run(ALONE, folder / f"one.{optimizer}", setting)
        # Resumed from step 20, by two.
        shutil.rmtree(folder / f"from-1-{optimizer}" / "step-00000030")
    two = [
        # The first: a rank dies once, and all are started again. What is done before is not done twice.
        {"name": "died", "strategy": "fsdp", "folder": str(folder / "died"), "die_at": 17,
         "die": str(folder / "marker"), "optimizer": "muon"},
        {"name": "ddp-adamw", "strategy": "ddp"},
        {"name": "ddp-muon", "strategy": "ddp", "optimizer": "muon", "checkpointing": True},
        {"name": "fsdp-adamw", "strategy": "fsdp", "folder": str(folder / "from-2-adamw")},
        {"name": "fsdp-muon", "strategy": "fsdp", "optimizer": "muon", "checkpointing": True},
        {"name": "resumed-fsdp-muon", "strategy": "fsdp", "optimizer": "muon",
         "folder": str(folder / "from-1-muon")},
        {"name": "resumed-ddp-adamw", "strategy": "ddp", "folder": str(folder / "from-1-adamw")},
    ]  # fmt: skip
    log = folder / "log"
    agent = torchrun(
        "--nnodes", 1, "--nproc-per-node", 2, "--master-port", free_port(), "--max-restarts", 2,
        PROGRAM, folder / "two", json.dumps([{**alone, **setting} for setting in two]), log=log,
    )  # fmt: skip
    try:
        status = agent.wait(180)
    finally:
        agent.terminate()
    assert status == 0, log.read_text()
    # And back: from two processes' snapshot of step 20 (optimizer rows in two files) with one.
    shutil.rmtree(folder / "from-2-adamw" / "step-00000030")
    program.run(ALONE, folder / "one.resumed", {**alone, "folder": str(folder / "from-2-adamw")})
    return folder


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_train_as_one(parts, strategy, optimizer):
    one, _ = told(parts / f"one.{optimizer}")
    two, steps = told(parts / f"two.{strategy}-{optimizer}")
    assert steps == list(range(STEPS)) and one[29] < one[0] / 2  # something was learnt
    assert difference(one, two) < CLOSE


@pytest.mark.parametrize(
    ("told_by", "optimizer"),
    [("two.resumed-fsdp-muon", "muon"), ("two.resumed-ddp-adamw", "adamw"), ("one.resumed", "adamw")],
)  # fmt: skip
def test_resumed_by_another_number_of_processes(parts, told_by, optimizer):
    one, _ = told(parts / f"one.{optimizer}")
    resumed, steps = told(parts / told_by)
    assert steps == list(range(20, STEPS))
    assert difference({step: one[step] for step in steps}, resumed) < CLOSE


def test_a_rank_that_dies(parts):
    """It died in step 17, after the snapshot of step 10: torchrun starts all again, and they go on there."""
    one, _ = told(parts / "one.muon")
    two, steps = told(parts / "two.died")
    assert (parts / "marker").exists() and steps == [*range(18), *range(10, STEPS)]
    assert difference(one, two) < CLOSE


# ------------------------------------------------------------------ the whole: llmcourse pretrain

# Small micro-batches make a step long enough to be interrupted, on fast machines too.
SETTINGS = {"micro_batch": 4, "eval_every": 15, "sample_every": 0, "save_every": 5, "keep": 2}


def command(out, **settings):
    sets = [f"--set={name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    options = ["--preset", "nano", "--steps", STEPS, "--device", "cpu", "--out", out, *sets]
    return ["-m", "llmcourse.cli", "pretrain", *options]


def run_alone(out):
    preset = presets.load("nano")
    preset = presets.change(preset, "train", {**SETTINGS, "steps": STEPS, "warmup_steps": 3})
    train = preset.need(TrainSection)
    source = source_of(preset, None, ALONE)
    config = preset.need(ModelSection).build()
    return pretrain(config, train, source, out, team=ALONE, progress=False)


def rows(path, column="loss"):
    with path.open() as file:
        return {int(row["step"]): float(row[column]) for row in csv.DictReader(file)}


def made(out):
    """How many steps the run in a folder has recorded."""
    path = RunFolder(out).metrics
    return path.read_text().count("\n") - 1 if path.exists() else 0


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "one"
    assert run_alone(out).finished
    return RunFolder(out)


def as_one(run, one):
    """Two runs told the same, and made the same model."""
    assert difference(rows(one.metrics), rows(run.metrics)) < CLOSE
    assert difference(rows(one.metrics, "lr"), rows(run.metrics, "lr")) == 0
    assert difference(rows(one.evals, "bits_per_byte"), rows(run.evals, "bits_per_byte")) < CLOSE
    theirs, ours = (weights.load(r.model).state_dict() for r in (one, run))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-4, rtol=1e-3, msg=name)


def test_two_nodes_and_a_killed_process(one_run, tmp_path):
    """Two agents, as on two machines, under FSDP. One's process is killed (-9); both start theirs again."""
    port, out = free_port(), tmp_path / "run"
    logs = [tmp_path / f"node-{n}.log" for n in range(2)]
    agents = [
        torchrun(
            "--nnodes", 2, "--nproc-per-node", 1, "--max-restarts", 2, "--rdzv-backend", "c10d",
            "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "test",
            *command(out, strategy="fsdp", activation_checkpointing="true"), log=log,
        )
        for log in logs
    ]  # fmt: skip
    try:
        wait_until(lambda: made(out) >= 12, agents[0], logs[0])
        (victim,) = workers(agents[1])
        victim.kill()
        status = [agent.wait(120) for agent in agents]
    finally:
        for agent in agents:
            agent.terminate()
    said = "".join(log.read_text() for log in logs)
    assert status == [0, 0], said
    assert "going on after step" in said
    as_one(RunFolder(out), one_run)


def test_asked_to_stop_and_finished_by_one(one_run, tmp_path):
    """SIGTERM to torchrun: its two processes save and leave. One process does the rest."""
    out, log = tmp_path / "run", tmp_path / "log"
    agent = torchrun(
        "--nnodes", 1, "--nproc-per-node", 2, "--standalone", *command(out, micro_batch=2), log=log
    )
    try:
        wait_until(lambda: made(out) >= 7, agent, log)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(60) != 0  # it was not finished
    finally:
        agent.terminate()
    stopped = made(out)
    assert 7 <= stopped < STEPS, log.read_text()
    assert snapshots_in(RunFolder(out).snapshots)[-1].name == f"step-{stopped:08d}"
    assert run_alone(out).step == STEPS
    as_one(RunFolder(out), one_run)
