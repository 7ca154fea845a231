"""Running the pipeline's stages with datatrove, in a process of their own.

datatrove's workers import the main script again, log to the terminal, and may outlive a parent that
was killed. So `run_in_child` starts a fresh Python that runs this module: its main script is this
file, its output goes to ``pipeline.log``, and it ends with all its workers when its parent does,
because it notices that its standard input has ended.

Taught in chapter 01.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CourseError

if TYPE_CHECKING:
    from .fineweb import Machine, Settings, Stage

Emit = Callable[[dict[str, Any]], None]


def run_in_child(
    settings: Settings, machine: Machine, folder: Path, *, progress: bool = True
) -> dict[str, float]:
    """Run all stages in a new process and wait for it.

    Returns:
        Seconds for each stage; a stage that an earlier run had finished takes hardly any.

    Raises:
        CourseError: if a stage fails, with the log's path.
    """
    from tqdm import tqdm

    job = {"settings": asdict(settings), "machine": asdict(machine), "folder": str(folder)}
    (folder / "job.json").write_text(json.dumps(job))
    log = folder / "pipeline.log"
    package_root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (package_root, os.environ.get("PYTHONPATH", "")) if p)
    # One thread each: the tasks are the parallelism.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    seconds: dict[str, float] = {}
    problem: dict[str, Any] = {}
    with log.open("ab") as sink:
        child = subprocess.Popen(
            [sys.executable, "-m", "llmcourse.data.run", str(folder / "job.json")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, start_new_session=True,
            env={**os.environ, **threads, "PYTHONPATH": path},
        )  # fmt: skip
    assert child.stdout is not None and child.stdin is not None
    try:
        with tqdm(
            total=5, desc="pipeline", unit="stage", disable=None if progress else True
        ) as bar:
            for line in child.stdout:
                with contextlib.suppress(ValueError):
                    message = json.loads(line)
                    if "start" in message:
                        bar.set_description(f"pipeline: {message['start']}")
                    elif "done" in message:
                        seconds[message["done"]] = message["seconds"]
                        bar.update()
                    elif "problem" in message:
                        problem = message
        child.wait()
    finally:
        child.stdin.close()  # the child ends itself and its workers at this
        child.stdout.close()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if problem:
        raise CourseError(problem["problem"], hint=problem["hint"] or f"the log is {log}")
    if child.returncode != 0:
        raise CourseError(
            f"the pipeline ended with status {child.returncode}",
            hint=f"run it again to go on where it stopped; the log is {log}",
        )
    return seconds


def run_stages(settings: Settings, machine: Machine, folder: Path, emit: Emit) -> None:
    """Run every stage with the executor that was asked for, passing over tasks already completed.

    Raises:
        CourseError: if a stage does not complete.
    """
    from .fineweb import recipe

    _warm_up(settings)
    stages = recipe(settings, machine.tasks, folder)
    if machine.executor == "slurm":
        _run_on_slurm(stages, machine, folder, emit)
        return
    with _ray(machine) if machine.executor == "ray" else contextlib.nullcontext():
        for stage in stages:
            emit({"start": stage.name})
            started = time.monotonic()
            executor = _executor(stage, machine, folder)
            try:
                executor.run()
            except CourseError:
                raise
            except Exception as error:
                raise CourseError(
                    f"stage {stage.name} failed: {type(error).__name__}: {error}"
                ) from error
            if executor.get_incomplete_ranks(skip_completed=True):
                raise CourseError(f"stage {stage.name} did not complete")
            emit({"done": stage.name, "seconds": round(time.monotonic() - started, 2)})


def _warm_up(settings: Settings) -> None:
    """Load once what every task needs, so that forked workers share it, and see that it is there.

    Raises:
        CourseError: if datatrove cannot tell the words of this language apart.
    """
    import trafilatura  # noqa: F401
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    from .language import identify_language

    try:
        load_word_tokenizer(settings.language).sent_tokenize("One. Two.")
    except (ValueError, ImportError) as error:
        raise CourseError(
            f"no word tokenizer for language {settings.language!r}: {error}"
        ) from error
    identify_language("one two")


def _executor(stage: Stage, machine: Machine, folder: Path) -> Any:
    """datatrove's executor for one stage."""
    common = {
        "pipeline": stage.steps,
        "tasks": stage.tasks,
        "logging_dir": str(folder / "logs" / stage.name),
    }
    workers = min(machine.workers, stage.tasks)
    if machine.executor == "ray":
        from datatrove.executor.ray import RayPipelineExecutor

        # datatrove asks for 2 GB a task, and Ray waits for ever where there is not so much.
        return RayPipelineExecutor(
            **common, workers=workers, **{"mem_per_cpu_gb": 0.25, **machine.options}
        )
    if machine.executor == "slurm":
        from datatrove.executor import SlurmPipelineExecutor

        here = f'export PATH="{Path(sys.executable).parent}:$PATH"'
        here += f' PYTHONPATH="{os.environ.get("PYTHONPATH", "")}"'
        defaults = {
            "env_command": here,
            "job_name": f"llmcourse-{stage.name}",
            "requeue": False,
            "qos": "",
        }
        return SlurmPipelineExecutor(**common, workers=workers, **{**defaults, **machine.options})
    from datatrove.executor import LocalPipelineExecutor

    # This process has nothing open that a fork could break, and forked workers need no imports
    # again.
    method = "fork" if sys.platform == "linux" else "spawn"
    return LocalPipelineExecutor(**common, workers=workers, start_method=method, **machine.options)


@contextlib.contextmanager
def _ray(machine: Machine) -> Any:
    """A Ray cluster: the one that RAY_ADDRESS names, or one on this machine for the time being."""
    try:
        import ray
    except ImportError as error:
        raise CourseError("Ray is not installed", hint="pip install ray") from error
    local: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {
        "num_cpus": machine.workers, "include_dashboard": False}  # fmt: skip
    ray.init(log_to_driver=False, logging_level="error", **local)
    try:
        yield
    finally:
        ray.shutdown()


def _run_on_slurm(stages: list[Stage], machine: Machine, folder: Path, emit: Emit) -> None:
    """Submit one job array for each stage, each waiting for the one before, and wait for the last.

    Jobs go on when this process is stopped; a later run finds them by ``submitted.json``.
    """
    executors: list[Any] = []
    for stage in stages:
        executor = _executor(stage, machine, folder)
        executor.depends = executors[-1] if executors else None
        executors.append(executor)
    submitted = folder / "submitted.json"
    jobs = json.loads(submitted.read_text()) if submitted.exists() else []
    if not _queued(jobs):
        try:
            executors[-1].run()  # submits those it depends on first
        except (subprocess.CalledProcessError, OSError) as error:
            raise CourseError(
                f"sbatch refused the job: {error}", hint="check partition and time"
            ) from error
        jobs = [str(executor.job_id) for executor in executors if executor.job_id not in (None, -1)]
        submitted.write_text(json.dumps(jobs))
    started = time.monotonic()
    for stage, executor in zip(stages, executors, strict=True):
        emit({"start": stage.name})
        while executor.get_incomplete_ranks(skip_completed=True):
            if not _queued(jobs) and executor.get_incomplete_ranks(skip_completed=True):
                raise CourseError(f"stage {stage.name} did not complete on Slurm",
                                  hint=f"see {folder / 'logs' / stage.name}")  # fmt: skip
            time.sleep(5)
        emit({"done": stage.name, "seconds": round(time.monotonic() - started, 2)})


def _queued(jobs: list[str]) -> bool:
    """Whether Slurm still has any of these jobs waiting or running."""
    if not jobs or shutil.which("squeue") is None:
        return False
    command = ["squeue", "--noheader", "--jobs", ",".join(jobs)]
    return bool(subprocess.run(command, capture_output=True, text=True).stdout.strip())


def _end_with_parent() -> None:
    """Wait until standard input ends, as it does when the parent ends; then stop everything."""
    while os.read(0, 1):
        pass
    if hasattr(os, "killpg"):
        os.killpg(
            os.getpgrp(), signal.SIGKILL
        )  # ourselves and all workers: the group is ours alone
    os._exit(1)


def main(job_file: str) -> int:
    """What the child does: run the stages of a job file and report progress as JSON lines."""
    from .fineweb import Machine, Settings

    job = json.loads(Path(job_file).read_text())
    plain: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in job["settings"].items()
    }
    settings = Settings(**plain)
    machine = Machine(**job["machine"])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints, prints into the log

    def emit(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=out, flush=True)

    try:
        run_stages(settings, machine, Path(job["folder"]), emit)
    except CourseError as error:
        emit({"problem": error.message, "hint": error.hint})
        return 1
    except Exception as error:
        traceback.print_exc()  # into the log
        emit({"problem": f"the pipeline failed: {type(error).__name__}: {error}", "hint": ""})
        return 1
    return 0


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(main(sys.argv[1]))
