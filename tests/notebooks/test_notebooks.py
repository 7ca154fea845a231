"""What every chapter must have, whatever it says. nbval runs the chapters themselves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmcourse.claims import read_claims

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))
TEXTS = sorted((ROOT / "book" / "chapters").glob("[0-9][0-9]-*.md"))

pytestmark = pytest.mark.skipif(not TEXTS, reason="no chapters")


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook: dict) -> list[dict]:
    return [
        c for c in notebook["cells"] if c["cell_type"] == "code" and "".join(c["source"]).strip()
    ]


def test_text_and_notebooks_agree():
    done = subprocess.run(
        [sys.executable, "tools/check_pairs.py"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_within_the_budget(path):
    assert read(path)["metadata"]["llmcourse"]["seconds"] <= 90


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_stored_errors_and_no_paths_of_a_machine(path):
    for cell in code_cells(read(path)):
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            text = json.dumps(output)
            assert not re.search(r"(?<![\w.])/(?:home|root|work|Users|tmp)/\w", text), text[:300]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_few_cells_escape_comparison(path):
    cells = code_cells(read(path))
    tags = [c["metadata"].get("tags", []) for c in cells]
    skipped = [t for t in tags if {"nbval-skip", "nbval-ignore-output"} & {*t}]
    strict = [t for t in tags if "nbval-check-output" in t]
    assert len(skipped) * 3 <= len(cells)
    assert len(strict) * 4 >= len(cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_figures_are_numbered_in_order(path):
    chapter = int(path.name[:2])
    numbers = re.findall(r'id=\\"figure-(\d+)-(\d+)\\"', path.read_text(encoding="utf-8"))
    assert [(int(a), int(b)) for a, b in numbers] == [(chapter, i + 1) for i in range(len(numbers))]
    assert numbers


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.stem)
def test_the_parts_of_a_chapter(path):
    text = path.read_text(encoding="utf-8")
    assert "https://youtu.be/7xTGNNLPyMI?t=" in text, "a link to the section of the video"
    for heading in ("You will be able to", "## Exercises", "## What to remember", "## Sources"):
        assert heading in text, heading


def test_claims_are_plentiful_hold_or_are_explained():
    rows = read_claims(ROOT / "notebooks")
    assert len(rows) >= 25
    for row in rows:
        assert row["text"].endswith("."), row["id"]
        assert row["holds"] or (row["kind"] == "finding" and row["note"]), row["id"]
