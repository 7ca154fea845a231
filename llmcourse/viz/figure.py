"""Figures that read well on light and dark pages, small and large, and aloud.

A figure is drawn once, as SVG. Its ink (text, axes, grid) takes the colour of the text around it,
so it follows the page from light to dark; its data colours are chosen to stand out at least 3 : 1
on white and on near-black. Every figure says in words what it shows.
"""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, RED, GREY = (
    "#3b82c4",
    "#d0700f",
    "#2b9a66",
    "#9b6bd3",
    "#d9534f",
    "#7d8590",
)
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
"""The course's data colours, in the order in which they are used."""

INK = "#010203"
"""A colour nobody draws with: in the SVG it becomes `currentColor`, the text colour of the page."""


def use_style() -> None:
    """Make matplotlib draw in the course's style. Chapters call it in their first cell."""
    import matplotlib

    matplotlib.use("agg")
    from cycler import cycler

    matplotlib.rcParams.update(
        {
            "figure.figsize": (7.2, 3.8), "figure.facecolor": "none", "figure.constrained_layout.use": True,
            "axes.facecolor": "none", "axes.edgecolor": INK, "axes.labelcolor": INK, "axes.titlecolor": INK,
            "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
            "axes.titlelocation": "left", "axes.titlesize": 11, "axes.prop_cycle": cycler(color=COLOURS),
            "grid.color": INK, "grid.alpha": 0.15, "grid.linewidth": 0.8,
            "text.color": INK, "xtick.color": INK, "ytick.color": INK,
            "legend.frameon": False, "lines.linewidth": 2.0, "lines.markersize": 5, "font.size": 10,
            "svg.fonttype": "none", "svg.hashsalt": "llmcourse", "savefig.facecolor": "none",
        }
    )  # fmt: skip


class Shown:
    """A figure as a stored output: an accessible SVG, and one line of text."""

    def __init__(self, svg: str, number: str, caption: str, alt: str) -> None:
        self.svg, self.number, self.caption, self.alt = svg, number, caption, alt

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        label, caption = html.escape(f"Figure {self.number}."), html.escape(self.caption)
        alt = html.escape(self.alt, quote=True)
        svg = self.svg.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)
        return {
            "text/plain": f"Figure {self.number}. {self.caption}",
            "text/html": (
                f'<figure class="course-figure" id="figure-{html.escape(self.number).replace(".", "-")}">'
                f'<div class="course-figure-scroll" tabindex="0" role="group" aria-label="{label}">'
                f"{svg}</div>"
                f"<figcaption><b>{label}</b> {caption}</figcaption></figure>"
            ),
        }


def show(fig: Figure, number: str, caption: str, alt: str) -> Shown:
    """Close a matplotlib figure and turn it into a stored output.

    Args:
        fig: The figure, drawn after `use_style`.
        number: ``chapter.figure``, for example ``1.2``.
        caption: What the figure shows, in a sentence or two.
        alt: The same for somebody who cannot see it: the shape of the data and the figures that matter.
    """
    import matplotlib.pyplot as plt

    if not alt.strip() or not caption.strip():
        raise ValueError("a figure needs a caption and an alternative text")
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(fig)
    return Shown(page_ready(buffer.getvalue(), fig.get_figwidth()), number, caption, alt)


def page_ready(svg: str, width_inches: float) -> str:
    """Make matplotlib's SVG fit a page: its ink and font inherited, its size fluid, its ids gone."""
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<g) id="[^"]*"', r"\1", svg)  # ids like figure_1 would stand twice in a page
    svg = re.sub(r"font: ((?:[\w ]+ )?[\d.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif", svg)
    svg = svg.replace(INK, "currentColor")
    pixels = round(width_inches * 96)
    style = f"width:100%;height:auto;max-width:{pixels}px;min-width:{min(round(0.72 * pixels), 440)}px;color:inherit"
    head, rest = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} style="{style}">{rest}'.strip()
