"""A matrix as a figure: every number printed on its colour, or a picture with means where they are too many.

`cells.number_table` is the same for widgets. Taught in chapter 04.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import CourseError
from . import cells
from .labels import array, decimals, number
from .probabilities import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

PRINTED = 600
"""Numbers that one figure prints; a larger matrix becomes a picture."""

WIDEST = 10.0
"""Inches that a figure with printed numbers may take; a wider one becomes a picture (or give it transposed)."""

LINE = 12
"""Numbers in a row of a long vector."""


def numbers_grid(
    tensor: Any,
    rows: Sequence[str] | None = None,
    cols: Sequence[str] | None = None,
    *,
    title: str = "",
    row_name: str = "",
    col_name: str = "",
    digits: int = 3,
    scale: float | None = None,
) -> Figure:
    """A vector or matrix as coloured cells, blue above 0 and orange below: a matplotlib figure for `show`.

    Up to 600 numbers, in up to about 16 columns, are printed in their cells. A larger matrix is drawn as
    a picture, a pixel a number, with the mean of each row beside it and of each column below it.

    Args:
        tensor: [R, K]; or [K], which is wrapped into rows of twelve if it is longer.
        rows: Head of each row; by default 0, 1, 2, …
        cols: Head of each column; likewise.
        title: Above the grid.
        row_name: What the rows are: "position", say.
        col_name: What the columns are.
        digits: Significant digits of the greatest number.
        scale: The number that gets the strongest colour; by default the greatest magnitude.

    Raises:
        CourseError: if it is no matrix, or heads are not as many as rows or columns.
    """
    from matplotlib.figure import Figure

    numbers = array(tensor, "the matrix", [1, 2])
    if numbers.ndim == 1:
        numbers, rows, cols = _wrapped(numbers, rows, cols)
    heads = [_heads(rows, numbers.shape[0], "rows"), _heads(cols, numbers.shape[1], "columns")]
    R, K = numbers.shape
    places = decimals(numbers, digits, digits)
    texts = [["" if x != x else number(x, places) for x in row] for row in numbers]
    wide = max([len(t) for line in texts for t in line] + [min(8, len(h)) for h in heads[1]])
    inches = 0.9 + K * (0.09 * wide + 0.08)
    printed = R * K <= PRINTED and inches <= WIDEST
    if printed:
        figure = Figure(figsize=(inches, 0.8 + 0.235 * R))
        ax = figure.add_subplot()
        for i, line in enumerate(texts):
            for j, text in enumerate(line):
                ax.text(j, i, text, ha="center", va="center", fontsize=8)
    else:
        figure = Figure(figsize=(7.2, min(9.0, max(2.2, 1.4 + 5.6 * R / K))))
        sides = {"width_ratios": (20, 1), "height_ratios": (20, max(1, 20 * K // R // 20))}
        grid = figure.add_gridspec(2, 2, **sides)
        ax = figure.add_subplot(grid[0, 0])
        _means(figure.add_subplot(grid[0, 1]), numbers.mean(1)[:, None], "row\nmeans")
        _means(figure.add_subplot(grid[1, 0]), numbers.mean(0)[None], "column means")
    ax.imshow(cells.rgba(numbers, scale), interpolation="none", aspect="auto")
    ax.set_title(title)
    _ticks(ax, heads, all_of_them=printed)
    ax.set(xlabel=col_name, ylabel=row_name)
    return figure


def _wrapped(vector: NDArray[Any], rows: Any, cols: Any) -> tuple[NDArray[Any], Any, Any]:
    """A vector as one row; a long one without heads as several, twelve numbers a row."""
    import numpy as np

    if cols is not None or len(vector) <= LINE:
        return vector[None], [""] if rows is None else rows, cols
    lines = -(-len(vector) // LINE)
    padded = np.full(lines * LINE, np.nan)
    padded[: len(vector)] = vector
    heads = [f"{LINE * i}…" for i in range(lines)]
    return (
        padded.reshape(lines, LINE),
        heads if rows is None else rows,
        [f"+{j}" for j in range(LINE)],
    )


def _heads(given: Sequence[str] | None, count: int, what: str) -> list[str]:
    if given is None:
        return [str(i) for i in range(count)]
    if len(given) != count:
        raise CourseError(f"{len(given)} heads for {count} {what}", hint="one head each")
    return [str(g) for g in given]


def _ticks(ax: Axes, heads: Sequence[Sequence[str]], *, all_of_them: bool) -> None:
    """Heads at the top and on the left: all, or about ten where there are many."""
    for axis, names in zip((ax.yaxis, ax.xaxis), heads, strict=True):
        step = 1 if all_of_them else max(1, len(names) // 10)
        axis.set_ticks(range(0, len(names), step), names[::step], fontsize=8)
        plain_text(axis.get_ticklabels())
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.xaxis.set_label_position("top")
    ax.grid(False)
    ax.spines[["left", "bottom"]].set_visible(False)


def _means(ax: Axes, means: NDArray[Any], name: str) -> None:
    ax.imshow(cells.rgba(means), interpolation="none", aspect="auto")
    ax.set_xlabel(name, fontsize=8)
    ax.set(xticks=[], yticks=[])
    ax.spines[["left", "bottom"]].set_visible(False)
