"""Execute chapters: text source in, executed notebook out, one chapter at a time.

    python tools/execute.py          every chapter
    python tools/execute.py 01 02    some of them

The notebook is written only when the whole chapter has run, so a chapter that fails leaves the
last good one in place.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
TEXTS, NOTEBOOKS = ROOT / "book" / "chapters", ROOT / "notebooks"
BUDGET = 90.0
"""Seconds that a chapter may take on two cores."""


def chapters(wanted: list[str]) -> list[Path]:
    """The text sources whose names start with one of the wanted numbers (all, if none is given)."""
    found = sorted(TEXTS.glob("[0-9][0-9]-*.md"))
    chosen = [path for path in found if not wanted or any(path.name.startswith(w) for w in wanted)]
    if not chosen:
        sys.exit(
            f"no chapter starts with {' or '.join(wanted)}; there are {', '.join(p.stem for p in found)}"
        )
    return chosen


def execute(text: Path) -> float:
    """Run one chapter and write its notebook. Returns the seconds it took."""
    notebook: Any = jupytext.read(text)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    started = time.monotonic()
    with tqdm(total=len(code), desc=text.stem, unit="cell", disable=None, leave=False) as bar:
        client = NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            resources={"metadata": {"path": str(NOTEBOOKS)}},
            on_cell_executed=lambda **_: bar.update(),
        )
        try:
            client.execute()
        except CellExecutionError as error:
            sys.exit(f"{text.name} stopped:\n{error}")
    seconds = time.monotonic() - started
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"  # stable ids: a re-run changes outputs only
        cell.metadata.pop("execution", None)
    notebook.metadata["llmcourse"] = {
        "seconds": round(seconds, 1),
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }
    # As `make sync` leaves it.
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    notebook.metadata.setdefault("language_info", {}).pop("version", None)
    target = NOTEBOOKS / f"{text.stem}.ipynb"
    target.parent.mkdir(exist_ok=True)
    temporary = target.with_suffix(".partial")
    nbformat.write(notebook, temporary)
    temporary.replace(target)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapters", nargs="*", help="numbers, for example 01 02")
    for text in chapters(parser.parse_args().chapters):
        seconds = execute(text)
        late = f", over the budget of {BUDGET:.0f} s" if seconds > BUDGET else ""
        print(f"  {text.stem:<34}{seconds:6.1f} s{late}")


if __name__ == "__main__":
    main()
