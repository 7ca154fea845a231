"""Distributions side by side: one bar for each circumstance, cut into the shares of what came out.

Taught in chapter 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import CourseError
from .figure import COLOURS, GREY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HATCHES = ("", "//", "xx", "..")
READABLE = 6  # per cent: in a narrower piece there is no room for its number


def stacked_shares(
    rows: Mapping[str, Mapping[str, int]],
    *,
    xlabel: str = "share of the answers (%)",
    rest: str | None = None,
) -> Figure:
    """Counts as bars from 0 to 100 %, as a figure for `show`.

    Args:
        rows: What the bar is called → what came out → how often. Outcomes keep the order in which they first come;
            those that never came are left out.
        xlabel: What the axis says.
        rest: The outcome that is drawn in grey: nothing of interest.

    Raises:
        CourseError: if there is nothing to draw, or nothing was counted for a bar.
    """
    from matplotlib.figure import Figure

    totals = {name: sum(counts.values()) for name, counts in rows.items()}
    if not totals or not all(totals.values()):
        raise CourseError("there is a bar without counts", hint="at least one count in each")
    labels = list(dict.fromkeys(label for counts in rows.values() for label in counts))
    labels = [label for label in labels if any(counts.get(label) for counts in rows.values())]
    figure = Figure(figsize=(7.2, 1.5 + 0.52 * len(rows)))
    ax = figure.add_subplot()
    left = dict.fromkeys(rows, 0.0)
    coloured = [label for label in labels if label != rest]
    for label in labels:
        number = coloured.index(label) if label != rest else 0
        colour = GREY if label == rest else COLOURS[number % (len(COLOURS) - 1)]
        widths = [100 * counts.get(label, 0) / totals[name] for name, counts in rows.items()]
        bars = ax.barh(
            list(rows), widths, 0.62, left=list(left.values()), color=colour, alpha=0.75, label=label,
            hatch=HATCHES[number // (len(COLOURS) - 1) % len(HATCHES)],
        )  # fmt: skip
        ax.bar_label(
            bars, [f"{w:.0f}" if w >= READABLE else "" for w in widths], label_type="center"
        )
        for name, width in zip(rows, widths, strict=True):
            left[name] += width
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel=xlabel, xlim=(0, 100))
    ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    return figure


def in_words(counts: Mapping[str, int]) -> str:
    """Counts as a list for somebody who cannot see the bar, the most frequent first."""
    total = sum(counts.values())
    found = sorted((label for label in counts if counts[label]), key=lambda label: -counts[label])
    return ", ".join(f"{label} {counts[label] / total:.0%}" for label in found) or "nothing"
