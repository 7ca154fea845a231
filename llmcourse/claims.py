"""Claims: statements of the video, or of this book, that a chapter measures.

A chapter calls `claim` where it has the measurement in hand. The call shows a row, raises if
the claim fails, and leaves the row in the notebook's stored output as data. The ledger page and
``llmcourse claims --json`` read those stored rows; nothing is registered anywhere else, so a
claim cannot be listed without having been run.
"""

from __future__ import annotations

import html
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import CourseError

MIME = "application/vnd.llmcourse.claim+json"
"""The media type under which a claim's row is stored in a notebook's outputs."""

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    ">=": lambda a, b: bool(a >= b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    "<": lambda a, b: bool(a < b),
}


SIGNS = {"==": "", ">=": "≥ ", "<=": "≤ ", ">": "> ", "<": "< ", "≈": "about "}
"""How a relation is written before the expected value."""


@dataclass(frozen=True)
class Claim:
    """One measured statement.

    Attributes:
        id: ``chapter.name``, unique in the book.
        text: The statement, as a sentence a reader can check against the video.
        time: Where the video says it, ``hh:mm:ss``; empty for a statement of the book's own.
        kind: ``exact``, ``within`` (a relative tolerance), ``compare`` (an inequality)
            or ``finding`` (it does not hold here, and the note says why).
        measured: What this run measured.
        expected: What the statement says.
        relation: How the two are compared, ``==``, ``≈``, ``>=`` ….
        tolerance: The relative tolerance of ``within``.
        holds: Whether the comparison came out true.
        note: How it was measured, on what; seeds and interval where chance matters.
    """

    id: str
    text: str
    time: str
    kind: str
    measured: Any
    expected: Any
    relation: str
    tolerance: float | None
    holds: bool
    note: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.plain(), "text/html": self.html(), MIME: asdict(self)}

    def plain(self) -> str:
        """The row as one line of text."""
        verdict = "holds" if self.holds else "does not hold"
        said = f" [{self.time}]" if self.time else ""
        compared = f"measured {show(self.measured)} {self.relation} {show(self.expected)}"
        return f"{self.text}{said}: {compared}: {verdict}"

    def html(self) -> str:
        """The row as the reader sees it in the page."""
        verdict = "holds" if self.holds else "does not hold here"
        state = "holds" if self.holds else "finding"
        rows = [
            ("verdict", f"Claim {verdict}"),
            ("time", f"video {html.escape(self.time)}" if self.time else ""),
            ("text", html.escape(self.text)),
            ("numbers", self._numbers()),
            ("note", html.escape(self.note)),
        ]
        lines = "".join(f'<div class="claim-{name}">{text}</div>' for name, text in rows if text)
        return f'<div class="claim claim-{state}" id="{anchor_of(self.id)}">{lines}</div>'

    def _numbers(self) -> str:
        measured, expected = html.escape(show(self.measured)), html.escape(show(self.expected))
        within = f" ± {self.tolerance:.0%}" if self.tolerance else ""
        sign = html.escape(SIGNS[self.relation])
        return f"measured <b>{measured}</b>, expected {sign}{expected}{within}"


def anchor_of(id: str) -> str:
    """Where in its page a claim stands; a dot would have a meaning of its own in a selector."""
    return f"claim-{id.replace('.', '-')}"


def show(value: Any) -> str:
    """A value as people write it: thousands separated, four digits of a fraction."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:,.4g}"
    if isinstance(value, (list, tuple)):
        return (
            "["
            + ", ".join(show(item) if not isinstance(item, int) else str(item) for item in value)
            + "]"
        )
    return str(value)


def claim(id: str, text: str, **measurement: Any) -> None:
    """Measure a statement, show its row, and raise if it fails. Arguments as `measure`.

    Raises:
        AssertionError: if the claim does not hold and is not marked as a finding, or is marked as
            a finding and holds (then the text is wrong, and should be changed).
    """
    result = measure(id, text, **measurement)
    _show(result)
    if result.holds == (result.kind == "finding"):
        marked = " (but it is marked as a finding)" if result.holds else ""
        raise AssertionError(f"claim {id}: {result.plain()}{marked}")


def measure(
    id: str,
    text: str,
    *,
    measured: Any,
    expected: Any,
    relation: str = "==",
    tolerance: float | None = None,
    time: str = "",
    note: str = "",
    finding: bool = False,
) -> Claim:
    """Compare what a run measured with what a statement says.

    Args:
        id: ``chapter.name``, for example ``tokenization.gpt4-vocabulary``.
        text: The statement as a full sentence.
        measured: What this run measured; a number, string, boolean or list of them.
        expected: What the statement says.
        relation: ``==``, ``>=``, ``<=``, ``>`` or ``<``: measured *relation* expected.
        tolerance: With it, ``==`` means "within this relative distance".
        time: Where the video says it, ``hh:mm:ss``.
        note: How it was measured; seeds and interval where chance matters.
        finding: The statement is known not to hold at our scale; the row says so.

    Raises:
        ValueError: for a malformed id, time or relation.
    """
    if not re.fullmatch(r"[a-z0-9-]+\.[a-z0-9-]+", id):
        raise ValueError(f"a claim's id looks like 'chapter.name', not {id!r}")
    if time and not re.fullmatch(r"\d\d:[0-5]\d:[0-5]\d", time):
        raise ValueError(f"a claim's time looks like 'hh:mm:ss', not {time!r}")
    if relation not in _OPERATORS:
        raise ValueError(f"a claim's relation is one of {', '.join(_OPERATORS)}, not {relation!r}")
    if tolerance is not None and relation != "==":
        raise ValueError("a tolerance goes with '==' only")
    measured, expected = _plain(measured), _plain(expected)
    if tolerance is not None:
        holds = math.isclose(measured, expected, rel_tol=tolerance)
        kind, relation = "within", "≈"
    else:
        holds = _OPERATORS[relation](measured, expected)
        kind = "exact" if relation == "==" else "compare"
    if finding:
        kind = "finding"
    return Claim(id, text, time, kind, measured, expected, relation, tolerance, holds, note)


def _show(result: Claim) -> None:
    """In a notebook a stored output; anywhere else a printed line."""
    shell = sys.modules.get("IPython")
    if shell is not None and shell.get_ipython() is not None:
        from IPython.display import display

        display(result)
    else:
        print(result.plain())


def _plain(value: Any) -> Any:
    """Turn numpy and torch scalars into Python's, so that a row is plain JSON."""
    if hasattr(value, "item") and getattr(value, "size", 1) == 1 and not isinstance(value, str):
        value = value.item()
    if isinstance(value, tuple):
        value = list(value)
    json.dumps(value)
    return value


def read_claims(notebooks: str | Path) -> list[dict[str, Any]]:
    """All claims stored in a folder of executed notebooks, in reading order.

    Returns:
        One dictionary a claim: id, chapter, time, text, kind, measured, expected, holds, where, ….

    Raises:
        CourseError: if the folder holds no notebooks, a notebook is damaged, or an id stands twice.
    """
    folder = Path(notebooks)
    paths = sorted(folder.glob("[0-9][0-9]-*.ipynb"))
    if not paths:
        raise CourseError(
            f"no executed chapters in {folder}",
            hint="run this in the book's folder, or give --notebooks",
        )
    rows: list[dict[str, Any]] = []
    seen: dict[str, str] = {}
    for path in paths:
        for number, row in _stored(path):
            where = f"{path.name}, cell {number}"
            if row["id"] in seen:
                raise CourseError(f"claim {row['id']} stands twice: {seen[row['id']]} and {where}")
            seen[row["id"]] = where
            anchor = f"{path.stem}.html#{anchor_of(row['id'])}"
            rows.append(
                {"id": row["id"], "chapter": path.stem, **row, "where": where, "anchor": anchor}
            )
    return rows


def _stored(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The claims in one notebook's outputs, with the number of their cell."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (json.JSONDecodeError, KeyError, UnicodeDecodeError) as error:
        raise CourseError(
            f"{path} is not a readable notebook: {error}", hint="make notebooks"
        ) from error
    for number, cell in enumerate(cells, start=1):
        for output in cell.get("outputs", []):
            row = output.get("data", {}).get(MIME)
            if row is not None:
                yield number, row
