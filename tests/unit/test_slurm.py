"""The Slurm script, with stand-ins for Slurm's commands: what it starts, and what it does when time is up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "slurm" / "pretrain.sbatch"
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="no bash")


@pytest.fixture
def cluster(tmp_path):
    """A folder of stand-ins that note how they are called, and an environment as in a job."""
    commands = {
        "scontrol": 'if [ "$1" = show ]; then echo node7; echo node8; fi',
        # A run: it ends with the status in `ends`, or with 143 after the signal that scancel passes on.
        "srun": """
            for i in $(seq 200); do
                if [ -e ends ]; then exit "$(cat ends)"; fi
                if [ -e signalled ]; then sleep 0.2; exit 143; fi
                sleep 0.02
            done""",
        "scancel": "touch signalled",
    }
    for name, body in commands.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!{BASH}\necho {name} "$@" >> calls\n{body}\n')
        path.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_ID": "123456",
        "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_NUM_NODES": "2", "LLMCOURSE_PYTHON": "py",
    }  # fmt: skip

    def start(*arguments):
        return subprocess.Popen([BASH, SCRIPT, *arguments], cwd=tmp_path, env=environment)

    return tmp_path, start


def calls(folder):
    return (folder / "calls").read_text().splitlines()


def test_it_is_bash():
    subprocess.run([BASH, "-n", SCRIPT], check=True)


def test_what_it_starts(cluster):
    folder, start = cluster
    (folder / "ends").write_text("0")
    assert start("--preset", "nano", "--out", "a folder").wait(10) == 0
    _, run = calls(folder)
    assert run.startswith("srun py -m torch.distributed.run --nnodes 2 ")
    assert "--rdzv-endpoint node7:23456 --rdzv-id 123456-0 " in run
    assert run.endswith(" -m llmcourse.cli pretrain --preset nano --out a folder")


def test_its_torchrun_options_exist():
    """Every option between `torch.distributed.run` and `-m` is one that this torch knows."""
    from torch.distributed.run import get_args_parser

    text = SCRIPT.read_text().replace("\\\n", " ")
    words = text.split("torch.distributed.run ")[1].split(" -m ")[0].split()
    known = {name for action in get_args_parser()._actions for name in action.option_strings}
    options = [word for word in words if word.startswith("--")]
    assert len(options) >= 5 and set(options) <= known


def test_a_failed_run_is_not_repeated(cluster):
    folder, start = cluster
    (folder / "ends").write_text("3")
    assert start().wait(10) == 3
    assert "scontrol requeue 123456" not in calls(folder)


@pytest.mark.parametrize("ends", [None, "0"])
def test_time_is_up(cluster, ends):
    """The run is asked to stop and waited for; it is queued again unless it was finished all the same."""
    folder, start = cluster
    script = start()
    deadline = time.monotonic() + 10
    while not (folder / "calls").exists() or len(calls(folder)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if ends is not None:
        (folder / "bin" / "scancel").write_text(
            f"#!{BASH}\nprintf {ends} > ends.new; mv ends.new ends\n"
        )
    script.send_signal(signal.SIGTERM)
    assert script.wait(10) == (143 if ends is None else 0)
    assert ("scontrol requeue 123456" in calls(folder)) == (ends is None)
