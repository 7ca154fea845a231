"""The whole model as one picture: a pixel for every parameter.

Blue parameters are above zero and orange ones below; each matrix has its own scale, since a norm's
gains are about 1 and most weights a hundredth of that. Taught in chapter 04.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import CourseError
from . import cells
from .figure import INK
from .labels import array

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import nn

LARGEST = 40_000_000
"""Parameters beyond which a pixel would stand for too many of them to mean anything."""

COLUMN = 216  # pixels: the width of a group, four matrices of 48 × 48 and the gaps between them
LINE, GAP = 15, 6  # pixels: a line of text, the space between two boxes
THICK = 4  # pixels: a vector is drawn as a strip


def parameters_poster(model: nn.Module, *, columns: int = 3) -> Figure:
    """Every parameter of a model as a pixel, matrix by matrix, block by block: a figure for `show`.

    A matrix [out, in] is drawn with its outputs downwards; one that is taller than wide is laid on its
    side (marked ⟲), so that a neuron of an MLP is the same column in both of its matrices. Where a
    matrix is wider than its group, a pixel is the mean of a square of parameters, and the label says so.

    Args:
        model: Any module; parameters are grouped by the block whose name they bear.
        columns: Groups side by side.

    Raises:
        CourseError: if the model has no parameters, more than 40 million, or none in memory.
    """
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    entrance, blocks, rest = _bands(_groups(model))
    wide = min(columns, max(len(blocks), 1)) * (COLUMN + 4 * GAP) - 4 * GAP
    placed: list[tuple[int, int, str, list[Placed]]] = []
    top = 0
    for band in (
        entrance,
        *(blocks[i : i + columns] for i in range(0, len(blocks), columns)),
        rest,
    ):
        heights = [0]
        for n, (title, boxes) in enumerate(band):
            layout, height = _flow(
                boxes, COLUMN if band is not entrance and band is not rest else wide
            )
            placed.append((n * (COLUMN + 4 * GAP), top, title, layout))
            heights.append(height + 2 * LINE)
        top += max(heights)
    width, height = wide, top - LINE
    canvas = np.zeros((height, width, 4), dtype=np.uint8)
    figure = Figure(figsize=(9.6 * width / 696, 9.6 * height / 696))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    for left, above, title, layout in placed:
        ax.text(left, above + LINE - 4, title, fontsize=9, weight="bold", va="baseline")
        for x, y, name, colours in layout:
            h, w, _ = colours.shape
            canvas[above + y : above + y + h, left + x : left + x + w] = colours
            ax.text(left + x, above + y - 3, name, fontsize=6.5, va="baseline", parse_math=False)
            frame = Rectangle((left + x, above + y), w, h, fill=False, ec=INK, lw=0.6, alpha=0.35)
            ax.add_patch(frame)
    ax.imshow(canvas, interpolation="none", extent=(0, width, height, 0), aspect="auto")
    ax.set(xlim=(-1, width + 1), ylim=(height + 1, 0))
    ax.set_axis_off()
    return figure


Box = tuple[str, "NDArray[Any]"]
Group = tuple[str, list[Box]]
Placed = tuple[int, int, str, "NDArray[Any]"]


def _bands(groups: list[Group]) -> tuple[list[Group], list[Group], list[Group]]:
    """What stands before the blocks, the blocks, what comes after."""
    is_block = [title.startswith("Block") for title, _ in groups]
    first = is_block.index(True) if any(is_block) else len(groups)
    last = len(groups) - (is_block[::-1].index(True) if any(is_block) else 0)
    return groups[:first], groups[first:last], groups[last:]


def _groups(model: nn.Module) -> list[Group]:
    """Title and boxes of each group: what stands before the blocks, each block, what comes after."""
    total = sum(p.numel() for p in model.parameters())
    if not 0 < total <= LARGEST:
        raise CourseError(
            f"a model of {total:,} parameters does not make a picture",
            hint=f"give one with at most {LARGEST:,}, for example named('nano')",
        )
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            raise CourseError(
                f"{name} has no numbers", hint="this model is on the meta device: load one"
            )
        parts = name.split(".")
        at = next((i for i, part in enumerate(parts) if part.isdigit()), None)
        if at is None:
            title, rest = "Entrance" if not _seen_block(groups) else "Exit", name
        else:
            title, rest = f"Block {int(parts[at]) + 1}", ".".join(parts[at + 1 :])
        groups.setdefault(title, []).append((rest, parameter))
    out = []
    for title, members in groups.items():
        count = sum(p.numel() for _, p in members)
        boxes = [_box(name, parameter) for name, parameter in members]
        boxes.sort(key=lambda b: len(b[1]) <= THICK)  # matrices first, then the strips
        out.append((f"{title}: {count:,} parameters", boxes))
    return out


def _seen_block(groups: dict[str, Any]) -> bool:
    return any(title.startswith("Block") for title in groups)


def _box(name: str, parameter: Any) -> Box:
    """Label and pixels of one parameter."""
    import numpy as np

    values = array(parameter, name, range(9))
    shape = " × ".join(map(str, values.shape)) or "1"
    values = values.reshape(values.shape[0], -1) if values.ndim > 1 else values.reshape(1, -1)
    short = name.removesuffix(".weight").removeprefix("attention.").removeprefix("mlp.")
    label = f"{short} {shape}"
    if values.shape[0] > 1 and values.shape[0] > values.shape[1]:
        values, label = values.T, label + " ⟲"
    pool = -(-values.shape[1] // COLUMN)  # parameters along the side of a pixel
    if pool > 1:
        values, label = _pooled(values, pool), f"{label}, 1 px = {pool} × {pool}"
    # Most numbers lie far below the greatest: let all from the 99th percentile up be as strong as can be.
    scale = float(np.quantile(np.abs(values), 0.99)) or None
    colours = cells.rgba(values, scale, strongest=1.0, levels=12)
    if len(colours) < THICK:
        colours = np.repeat(colours, -(-THICK // len(colours)), axis=0)
    return label, colours


def _pooled(values: NDArray[Any], n: int) -> NDArray[Any]:
    """Means of n × n squares (smaller ones at the edges)."""
    import numpy as np

    rows, cols = (np.arange(0, size, n) for size in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), cols, axis=1)
    sizes = np.outer(np.diff(rows, append=values.shape[0]), np.diff(cols, append=values.shape[1]))
    out: NDArray[Any] = sums / sizes
    return out


def _flow(boxes: list[Box], width: int) -> tuple[list[Placed], int]:
    """Boxes from left to right, then the next line. Returns (x, y, label, pixels) and the height."""
    out = []
    x, y, tallest = 0, LINE, 0
    for label, colours in boxes:
        h, w, _ = colours.shape
        room = max(w, _text_width(label))
        if x and x + room > width:
            x, y, tallest = 0, y + tallest, 0
        out.append((x, y + LINE, label, colours))
        x, tallest = x + room + GAP, max(tallest, h + LINE)
    return out, y + tallest


def _text_width(label: str) -> int:
    """Pixels that a label takes."""
    return round(len(label) * 3.9)
