"""Loss against size: points, a power law through them, and how far it can be trusted.

Taught in chapter 06.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import CourseError
from .figure import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PowerLaw:
    """y = a · x^(−b): a straight line where both axes are logarithmic.

    Args:
        a: What y would be at x = 1.
        b: How steeply it falls: twice as much x makes y 2^b times smaller.
    """

    a: float
    b: float

    def __call__(self, x: float) -> float:
        return float(self.a * x**-self.b)


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    """The power law nearest to some points: least squares of the logarithms.

    Kaplan et al., "Scaling laws for neural language models", arXiv:2001.08361, section 1.2, describe the
    loss so. Later work adds a constant that no size can beat (arXiv:2203.15556); three points are too
    few for that.

    Raises:
        CourseError: if there are not two points at least, or one is not above 0.

    Taught in chapter 06.
    """
    if len(x) != len(y) or len(set(x)) < 2:
        raise CourseError(f"{len(x)} and {len(y)} values make no line", hint="two sizes at least")
    if min(*x, *y) <= 0:
        raise CourseError("a power law has no place for 0 or less", hint="sizes and losses > 0")
    u, v = [math.log(value) for value in x], [math.log(value) for value in y]
    mean_u, mean_v = sum(u) / len(u), sum(v) / len(v)
    above = sum((a - mean_u) * (b - mean_v) for a, b in zip(u, v, strict=True))
    slope = above / sum((a - mean_u) ** 2 for a in u)
    return PowerLaw(math.exp(mean_v - slope * mean_u), -slope)


def scaling_figure(
    losses: Mapping[int, Sequence[float]],
    laws: Mapping[str, PowerLaw],
    *,
    xlabel: str = "parameters",
    ylabel: str = "held-out loss (nats per token)",
) -> Figure:
    """Every measured loss, and the laws as lines, on logarithmic axes, as a matplotlib figure for `show`.

    Args:
        losses: Size → the losses measured, one for each seed.
        laws: Label → a law; drawn over all sizes.

    Raises:
        CourseError: if there is nothing to draw.

    Taught in chapter 06.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    if not losses or not all(losses.values()):
        raise CourseError("there are no losses to draw", hint="{size: [loss, …]}")
    figure = Figure(figsize=(6.4, 3.8))
    ax = figure.add_subplot()
    sizes = sorted(losses)
    ends = [sizes[0] / 1.2, sizes[-1] * 1.2]  # straight lines need no more
    for n, (label, law) in enumerate(laws.items()):
        look: dict[str, Any] = {"color": (ORANGE, GREY)[n % 2], "ls": ("-", "--")[n % 2], "lw": 1.6}
        ax.plot(ends, [law(size) for size in ends], label=label, **look)
    for n, size in enumerate(sizes):
        many = [size] * len(losses[size])
        ax.plot(many, losses[size], "o", color=BLUE, label="_" if n else "measured, a point a seed")
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.xaxis.set_minor_formatter(NullFormatter())
    for formatted in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
        formatted(ScalarFormatter())
    ax.legend()
    return figure
