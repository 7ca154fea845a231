"""The book's own directives: pages that are made from the executed notebooks.

``{claims-ledger}``     every claim with what was measured, linked to where
``{execution-status}``  when, on what and how long each chapter ran
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from llmcourse.claims import SIGNS, read_claims, show

NOTEBOOKS = "notebooks"


class FromNotebooks(SphinxDirective):
    """A directive whose content is HTML made from the notebooks beside the book."""

    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.srcdir) / NOTEBOOKS
        for path in folder.glob("*.ipynb"):
            self.env.note_dependency(str(path))
        return [nodes.raw("", self.make(folder), format="html")]

    def make(self, folder: Path) -> str:
        raise NotImplementedError

    def link(self, anchor: str, text: str) -> str:
        """A link from this page to a place in a chapter."""
        up = "../" * self.env.docname.count("/")
        return f'<a href="{up}{NOTEBOOKS}/{html.escape(anchor)}">{html.escape(text)}</a>'


class ClaimsLedger(FromNotebooks):
    """Every claim, a table a chapter."""

    def make(self, folder: Path) -> str:
        chapters: dict[str, list[dict[str, Any]]] = {}
        for row in read_claims(folder):
            chapters.setdefault(row["chapter"], []).append(row)
        total = sum(map(len, chapters.values()))
        held = sum(row["holds"] for rows in chapters.values() for row in rows)
        summary = (
            f"<p><b>{total} claims</b> so far: {held} hold, "
            f"{total - held} are findings that differ.</p>"
        )
        return summary + "".join(self.table(name, rows) for name, rows in chapters.items())

    def table(self, chapter: str, rows: list[dict[str, Any]]) -> str:
        body = "".join(
            f"<tr><th scope='row'>{self.link(row['anchor'], row['text'])}</th>"
            f"<td class='mono'>{html.escape(row['time'] or 'book')}</td>"
            f"<td class='num'>{html.escape(show(row['measured']))}</td>"
            f"<td>{html.escape(SIGNS[row['relation']] + show(row['expected']))}</td>"
            f"<td>{'holds' if row['holds'] else 'differs'}</td></tr>"
            for row in rows
        )
        head = "".join(
            f"<th scope='col'>{h}</th>"
            for h in ("Claim", "Video", "Measured", "Expected", "Verdict")
        )
        title = html.escape(chapter)
        return (
            f"<div class='course-table ledger' tabindex='0' role='group' aria-label='{title}'><table>"
            f"<caption>{self.link(chapter + '.html', title)}: {len(rows)} claims</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


class ExecutionStatus(FromNotebooks):
    """One row a chapter: how long it ran, when, on what."""

    def make(self, folder: Path) -> str:
        body = ""
        for path in sorted(folder.glob("[0-9][0-9]-*.ipynb")):
            notebook = json.loads(path.read_text(encoding="utf-8"))
            run = notebook["metadata"].get("llmcourse", {})
            cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
            strict = sum("nbval-check-output" in c["metadata"].get("tags", []) for c in cells)
            body += (
                f"<tr><th scope='row'>{self.link(path.stem + '.html', path.stem)}</th>"
                f"<td class='num'>{run.get('seconds', '?')} s</td><td>{run.get('date', '?')}</td>"
                f"<td>Python {run.get('python', '?')}, {run.get('cores', '?')} cores</td>"
                f"<td class='num'>{len(cells)}</td><td class='num'>{strict}</td></tr>"
            )
        head = "".join(
            f"<th scope='col'>{h}</th>"
            for h in ("Chapter", "Time", "Executed", "On", "Code cells", "Compared exactly")
        )
        return (
            "<div class='course-table' tabindex='0' role='group' aria-label='Execution status'><table>"
            f"<caption>Each chapter's last execution</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def drop_thebe(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Leave out the scripts of sphinx-thebe: we do not use it, and it declares a name twice."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "THEBE_JS_URL" not in script.attributes.get("body", "")
        and not str(script.filename or "").endswith("sphinx-thebe.js")
    ]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("claims-ledger", ClaimsLedger)
    app.add_directive("execution-status", ExecutionStatus)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
