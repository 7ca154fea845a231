"""Tables with a caption and real headers, for pages, screen readers and plain terminals."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from ..claims import show as show_value


class Table:
    """Rows of named values as a stored output.

    Args:
        rows: One mapping a row; all with the same keys, which become the column heads.
        caption: What the table shows.
        mono: Columns to set in a fixed-width font.
    """

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], caption: str, mono: Sequence[str] = ()
    ) -> None:
        if not rows:
            raise ValueError(f"the table {caption!r} has no rows")
        self.rows, self.caption, self.mono = rows, caption, mono
        self.columns = list(rows[0])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.plain(), "text/html": self.html()}

    def plain(self) -> str:
        """The table in columns of text."""
        cells = [self.columns, *([show_value(row[c]) for c in self.columns] for row in self.rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(self.columns))]
        right = [all(_is_number(row[c]) for row in self.rows) for c in self.columns]
        lines = [
            "  ".join(
                cell.rjust(w) if r else cell.ljust(w)
                for cell, w, r in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in cells
        ]
        return "\n".join([self.caption, *lines])

    def html(self) -> str:
        """The table as HTML: numbers to the right, the first column a row header."""
        right = {c: all(_is_number(row[c]) for row in self.rows) for c in self.columns}
        head = "".join(
            f'<th scope="col"{_class("num" if right[c] else "")}>{html.escape(c)}</th>'
            for c in self.columns
        )
        body = "".join(f"<tr>{self._row(row, right)}</tr>" for row in self.rows)
        caption = html.escape(self.caption)
        return (
            f'<div class="course-table" tabindex="0" role="group" aria-label="{caption}"><table>'
            f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def _row(self, row: Mapping[str, Any], right: Mapping[str, bool]) -> str:
        cells = []
        for i, column in enumerate(self.columns):
            names = " ".join(
                n for n, on in (("num", right[column]), ("mono", column in self.mono)) if on
            )
            tag, scope = ("th", ' scope="row"') if i == 0 else ("td", "")
            cells.append(
                f"<{tag}{scope}{_class(names)}>{html.escape(show_value(row[column]))}</{tag}>"
            )
        return "".join(cells)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""
