"""Training curves: every loss pale behind, the trend in front, and lines for what it should be compared to.

Taught in chapter 03.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import CourseError
from .figure import COLOURS, GREY
from .labels import array

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

POINTS = 600
"""Points that a curve of 7 inches can show: longer ones are drawn as the band they move in."""

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def smoothed(values: Any, momentum: float = 0.9) -> NDArray[Any]:
    """Exponential moving average of a sequence [N]. Same shape.

    At the start, where losses fall fastest, the momentum is smaller: the average never lags behind by more than
    a ninth of the steps so far. Where a value is not finite it stays as it is.

    Raises:
        CourseError: if `momentum` is not at least 0 and less than 1.
    """
    import numpy as np

    if not 0 <= momentum < 1:
        raise CourseError(f"smoothing by {momentum}", hint="0 (none) up to, but not including, 1")
    series = array(values, "the series", [1])
    out = np.full(len(series), np.nan)
    average, seen = math.nan, 0
    for i, value in enumerate(series):
        if math.isfinite(value):
            keep = min(momentum, seen / (seen + 9))
            average = keep * average + (1 - keep) * value if seen else float(value)
            seen += 1
        out[i] = average
    return out


def loss_curve(
    series: Mapping[str, Any],
    *,
    steps: Mapping[str, Sequence[float]] | Sequence[float] | None = None,
    references: Mapping[str, float] | None = None,
    smooth: float = 0.9,
    log_x: bool = False,
    xlabel: str = "step",
    ylabel: str = "loss (nats per symbol)",
) -> Figure:
    """One or more curves over training, as a matplotlib figure for `show`.

    Args:
        series: Name → values, a step each. Series of fewer than 20 values are drawn with points and
            not smoothed: they are measurements, not noise.
        steps: At which step each value was taken: one sequence for all, or name → sequence. By
            default 1, 2, 3, …
        references: Label → height of a dashed line: ln V for guessing, an entropy that nothing can beat.
        smooth: Momentum of the moving average in front; 0 for none.
        log_x: A logarithmic axis of steps: most of what is learnt is learnt early.

    Raises:
        CourseError: if a series is empty, or its steps are not as many as its values, or not above 0
            on a logarithmic axis.
    """
    from matplotlib.figure import Figure

    if not series:
        raise CourseError("there is no series to draw", hint='loss_curve({"training": losses})')
    figure = Figure(figsize=(7.2, 3.8))
    ax = figure.add_subplot()
    for n, (name, given) in enumerate(series.items()):
        values = array(given, f"the series {name!r}", [1])
        x = _steps(steps, name, len(values), log_x)
        look: dict[str, Any] = {
            "color": COLOURS[n % 5],
            "label": name,
            "ls": DASHES[n % len(DASHES)],
        }
        if len(values) < 20 or smooth == 0:
            ax.plot(x, values, marker="o" if len(values) < 20 else "", **look)
            continue
        _pale(ax, x, values, look["color"], log_x)
        keep = _thin(x, log_x)
        ax.plot(x[keep], smoothed(values, smooth)[keep], **look)
    if log_x:
        ax.set_xscale("log")
    for label, height in (references or {}).items():
        ax.axhline(height, color=GREY, ls=(0, (4, 3)), lw=1.3)
        ax.annotate(
            f"{label}: {height:.2f}", (1, height), (-2, 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", fontsize=9, parse_math=False,
        )  # fmt: skip
    ax.margins(x=0.02, y=0.08)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(series) > 1:
        ax.legend()
    return figure


def _steps(given: Any, name: str, count: int, log_x: bool) -> NDArray[Any]:
    import numpy as np

    if isinstance(given, Mapping):
        given = given.get(name)
    x: NDArray[Any]
    x = np.arange(1, count + 1, dtype=float) if given is None else array(given, "the steps", [1])
    if len(x) != count:
        raise CourseError(f"{name!r}: {len(x)} steps for {count} values", hint="one step a value")
    if log_x and x.min() <= 0:
        raise CourseError(
            f"{name!r}: step {x.min():g} has no place on a logarithmic axis", hint="count from 1"
        )
    return x


def _buckets(x: NDArray[Any], log_x: bool) -> NDArray[Any]:
    """Which of at most `POINTS` equal parts of the axis each step falls into."""
    import numpy as np

    scaled = np.log(x) if log_x else x
    low, high = scaled.min(), scaled.max()
    bucket: NDArray[Any] = np.floor((scaled - low) / ((high - low) or 1.0) * (POINTS - 1))
    return bucket


def _thin(x: NDArray[Any], log_x: bool) -> NDArray[Any]:
    """Indices of the steps to draw: the last of each part of the axis."""
    import numpy as np

    if len(x) <= POINTS:
        return np.arange(len(x))
    bucket = _buckets(x, log_x)
    return np.flatnonzero(np.diff(bucket, append=bucket[-1] + 1))


def _pale(ax: Any, x: NDArray[Any], values: NDArray[Any], colour: Any, log_x: bool) -> None:
    """The values themselves, or, where there are too many, the band between their extremes."""
    import numpy as np

    if len(x) <= POINTS:
        ax.plot(x, values, color=colour, alpha=0.3, lw=1)
        return
    bucket = _buckets(x, log_x)
    parts = np.unique(bucket)
    low, high = np.full(len(parts), np.nan), np.full(len(parts), np.nan)
    for i, part in enumerate(parts):
        inside = values[bucket == part]
        inside = inside[np.isfinite(inside)]
        if inside.size:
            low[i], high[i] = inside.min(), inside.max()
    where = np.array([x[bucket == part][-1] for part in parts])
    ax.fill_between(where, low, high, color=colour, alpha=0.25, lw=0)
