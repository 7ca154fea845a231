"""Fail when a chapter's text and its executed notebook have drifted apart.

Compared are the cells (kind, source, tags) and whether every code cell was executed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parent.parent


def cells(notebook: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    """What must be the same on both sides."""
    return [
        (c.cell_type, c.source.strip(), tuple(c.metadata.get("tags", []))) for c in notebook.cells
    ]


def drift(text: Path, notebook: Path) -> str | None:
    """What is wrong with a pair, in one line, or None."""
    if not notebook.exists():
        return f"{notebook.name} is missing"
    executed: Any = nbformat.read(notebook, as_version=4)
    left, right = cells(jupytext.read(text)), cells(executed)
    for number, (a, b) in enumerate(zip(left, right, strict=False), start=1):
        if a != b:
            return f"cell {number} differs: {a[1].splitlines()[:1]} / {b[1].splitlines()[:1]}"
    if len(left) != len(right):
        return f"{text.name} has {len(left)} cells, {notebook.name} {len(right)}"
    bare = [
        c
        for c in executed.cells
        if c.cell_type == "code" and c.source.strip() and c.execution_count is None
    ]
    if bare:
        return f"{len(bare)} code cells of {notebook.name} were never executed"
    wide = [
        line
        for c in executed.cells
        if c.cell_type == "code"
        for line in c.source.splitlines()
        if len(line) > 76
    ]
    return f"a code line over 76 characters: {wide[0]}" if wide else None


def main() -> None:
    texts = sorted((ROOT / "book" / "chapters").glob("[0-9][0-9]-*.md"))
    problems = {t.stem: p for t in texts if (p := drift(t, ROOT / "notebooks" / f"{t.stem}.ipynb"))}
    strays = {p.stem for p in (ROOT / "notebooks").glob("*.ipynb")} - {t.stem for t in texts}
    problems |= dict.fromkeys(strays, "a notebook without a text source")
    for name, problem in sorted(problems.items()):
        print(f"{name}: {problem}", file=sys.stderr)
    if problems:
        sys.exit(
            "text and notebooks differ: `make notebooks` executes the texts, `make sync` takes edits over"
        )
    print(f"pairs: {len(texts)} chapters, text and notebook agree")


if __name__ == "__main__":
    main()
