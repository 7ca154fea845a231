"""Shares with their intervals: how many of so many were right, along an axis of circumstances.

Taught in chapter 07.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import CourseError
from ..evals.knowledge import Share
from .figure import COLOURS, GREY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = ("o-", "s--", "^-.", "D:", "v-")


def share_curves(
    series: Mapping[str, Sequence[Share]],
    *,
    xlabel: str,
    ylabel: str,
    guessing: Sequence[float] | None = None,
    again: Sequence[Sequence[float]] = (),
) -> Figure:
    """Curves of shares over the same circumstances, with 95 % intervals, as a figure for `show`.

    Args:
        series: Name → a share for each circumstance; the labels of the first series are written on the axis.
        xlabel: What the circumstances are.
        ylabel: What was right.
        guessing: For each circumstance, the share that guessing would reach: a dashed line.
        again: Further measurements of the same as lists of shares: small open circles.

    Raises:
        CourseError: if there is nothing to draw, or there are not as many of each.
    """
    from matplotlib.figure import Figure

    first = next(iter(series.values()), ())
    lengths = [len(s) for s in (*series.values(), *again, *([guessing] if guessing else ()))]
    if not first or set(lengths) != {len(first)}:
        raise CourseError(
            f"shares for {lengths or 'no'} circumstances", hint="as many of each, and at least one"
        )
    figure = Figure(figsize=(6.8, 3.8))
    ax = figure.add_subplot()
    nudge = 0.06  # side by side, so that no interval hides another
    for n, (name, shares) in enumerate(series.items()):
        x = [i + (n - (len(series) - 1) / 2) * nudge for i in range(len(first))]
        y = [100 * share.value for share in shares]
        ends = [[100 * end for end in share.interval()] for share in shares]
        low = [value - end[0] for value, end in zip(y, ends, strict=True)]
        high = [end[1] - value for value, end in zip(y, ends, strict=True)]
        colour = COLOURS[n % 5]
        ax.errorbar(
            x, y, [[max(0.0, v) for v in low], [max(0.0, v) for v in high]], fmt=STYLES[n % len(STYLES)],
            color=colour, elinewidth=1.2, capsize=3, label=name,
        )  # fmt: skip
    for n, values in enumerate(again):
        ax.plot(
            range(len(first)), [100 * v for v in values], "o", mfc="none", ms=8, color=GREY,
            label="other draws" if n == 0 else None,
        )  # fmt: skip
    if guessing is not None:
        ax.plot(
            range(len(first)), [100 * v for v in guessing], color=GREY, ls="--", lw=1.4, label="guessing"
        )  # fmt: skip
    ax.set_xticks(range(len(first)), [share.label for share in first])
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(-3, 105))
    if len(series) > 1 or again or guessing is not None:
        ax.legend()
    return figure
