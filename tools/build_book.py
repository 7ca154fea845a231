"""Build the book from the notebooks' stored outputs: warnings are errors, no page may be missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"


def pages(entry: Any) -> Iterator[str]:
    """Every page that the table of contents names."""
    if isinstance(entry, dict):
        for key, value in entry.items():
            if key in {"file", "root"}:
                yield value
            else:
                yield from pages(value)
    elif isinstance(entry, list):
        for value in entry:
            yield from pages(value)


def step(what: str, command: list[str], show_tail: int = 30) -> None:
    """Run one step in one line; its output only if it fails."""
    print(f"  {what:<42}", end="", flush=True)
    started = time.monotonic()
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        print("failed")
        lines = (result.stdout + result.stderr).splitlines()
        marked = [line for line in lines if "WARNING" in line or "ERROR" in line or "Error" in line]
        sys.exit("\n".join([*lines[-show_tail:], "", *marked]))
    print(f"{time.monotonic() - started:5.1f} s")


def main() -> None:
    python = sys.executable
    print("Building the book")
    step("third-party JavaScript", [python, "tools/vendor.py"])
    step("text and notebooks agree", [python, "tools/check_pairs.py"])
    shutil.rmtree(HTML, ignore_errors=True)  # a page that is gone must not linger
    jupyter_book = str(Path(python).parent / "jupyter-book")
    step("pages", [jupyter_book, "build", ".", "-n", "-W", "--keep-going", "--quiet"])
    missing = [
        p
        for p in pages(yaml.safe_load((ROOT / "_toc.yml").read_text()))
        if not (HTML / f"{p}.html").exists()
    ]
    if missing:
        sys.exit(f"pages of _toc.yml that are not in the book: {', '.join(missing)}")
    size = sum(f.stat().st_size for f in HTML.rglob("*") if f.is_file())
    print(f"  ready: _build/html/index.html, {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
