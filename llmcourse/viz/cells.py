"""Numbers as coloured cells: the colours that figures and widgets share, and a table of them.

A cell's ground is one of two colours, blue above zero and orange below, the more opaque the
further from zero; what shows through is the page. So the numbers on top, in the page's own ink, are
legible on light and on dark pages. The sign is printed as well: nothing is told by colour alone.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .figure import BLUE, ORANGE
from .labels import array, decimals, number

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRONGEST = 0.62
"""Opacity of the strongest colour: text on it keeps a contrast of 4.5 : 1 in both themes."""

LEVELS = 7
"""Steps of each colour in tables: with none, 15 colours, and a pixel of the picture takes half a byte."""

FINE = 24
"""Steps of each colour in figures, where no numbers are printed."""

STYLE = (
    "<style>.lc-numbers{overflow:auto;max-height:27rem;margin:.4rem 0}"
    ".lc-numbers table{table-layout:fixed;border-collapse:collapse;border-spacing:0;margin:0;"
    "font-size:.74rem;font-variant-numeric:tabular-nums;background-repeat:no-repeat;"
    "background-size:100% 100%;image-rendering:pixelated}"
    ".lc-numbers :is(th,td){padding:0 3px!important;height:1.55em;line-height:1.55em;border:0!important;"
    "text-align:right!important;white-space:nowrap;overflow:hidden;background:none;font-weight:400}"
    ".lc-numbers thead th{font-weight:700;position:sticky;top:0;"
    "background:var(--pst-color-background,var(--jp-layout-color0,Canvas))}"
    ".lc-words table{width:100%;max-width:38rem}.lc-words :is(th,td){text-align:left!important}"
    ".lc-words :is(th,td):first-child{width:7em}"
    ".lc-caption{font-size:.85rem;font-weight:600;margin:.6rem 0 0}</style>"
)


def rgba(
    values: NDArray[Any],
    scale: float | None = None,
    strongest: float = STRONGEST,
    levels: int = FINE,
) -> NDArray[Any]:
    """Colours of numbers: [...] → [..., 4], each 0–255; what is not finite is transparent.

    Args:
        values: Any numbers.
        scale: The number that gets the strongest colour; by default the greatest magnitude.
        strongest: Its opacity.
        levels: How many steps there are from nothing to the strongest.
    """
    import numpy as np
    from matplotlib.colors import to_rgb

    finite = np.isfinite(values)
    magnitude = np.where(finite, np.abs(values), 0.0)
    top = float(magnitude.max(initial=0.0)) if scale is None else scale
    share = np.clip(magnitude / top, 0, 1) if top > 0 else np.zeros_like(magnitude)
    steps = np.round(share * levels) / levels
    colour = np.where((values < 0)[..., None], to_rgb(ORANGE), to_rgb(BLUE))
    out = np.concatenate([colour, (steps * strongest)[..., None]], axis=-1)
    out[steps == 0] = 0.0  # one kind of nothing: the picture packs better
    return np.round(255 * out).astype(np.uint8)


def png(colours: NDArray[Any]) -> str:
    """A picture [rows, columns, 4] as a `data:` address, with a palette: a byte a pixel, or less."""
    import numpy as np
    from PIL import Image

    rows, columns, _ = colours.shape
    palette, index = np.unique(colours.reshape(-1, 4), axis=0, return_inverse=True)
    image = Image.fromarray(index.reshape(rows, columns).astype(np.uint8))
    image.putpalette(palette[:, :3].tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", transparency=palette[:, 3].tobytes(), optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def number_table(
    values: Any,
    rows: Sequence[str],
    cols: Sequence[str],
    caption: str,
    *,
    corner: str = "",
    places: int | None = None,
    percentages: bool = False,
) -> str:
    """A matrix as an HTML table in which every number is printed on its colour.

    The colours are one small picture behind the whole table, a pixel a cell, so that the cells
    themselves cost a few bytes each. Pages with such tables need `STYLE` once.

    Args:
        values: [len(rows), len(cols)]; NaN cells stay empty.
        rows: Head of each row.
        cols: Head of each column.
        caption: What the numbers are; also the name that a screen reader says.
        corner: Head of the column of heads.
        places: Decimals; by default three significant digits for the greatest.
        percentages: Print whole percents instead, and colour by the number itself (1 is strongest).
    """
    import numpy as np

    numbers = array(values, caption, [2])
    assert numbers.shape == (len(rows), len(cols)), (numbers.shape, len(rows), len(cols))
    places = decimals(numbers) if places is None else places
    colours = np.zeros((len(rows) + 1, len(cols) + 1, 4), dtype=np.uint8)
    colours[1:, 1:] = rgba(numbers, scale=1.0 if percentages else None, levels=LEVELS)
    longest = max(len(_cell(x, places, percentages)) for x in numbers.flat)
    heads = max(len(h) for h in (*rows, *cols, corner))
    width = 0.62 * max(longest, min(heads, 8)) + 0.7  # of every column: pixels must meet cells
    head = "".join(f"<th scope=col>{html.escape(c)}" for c in (corner, *cols))
    body = "".join(
        f"<tr><th>{html.escape(name)}"
        + "".join(f"<td>{_cell(x, places, percentages)}" for x in row)
        for name, row in zip(rows, numbers, strict=True)
    )
    name = html.escape(caption, quote=True)
    return (
        f'<div class="lc-caption">{name}</div>'
        f'<div class="lc-numbers tex2jax_ignore" tabindex="0" role="group" aria-label="{name}">'
        f"<table style=\"width:{width * (len(cols) + 1):.1f}em;background-image:url('{png(colours)}')\">"
        f"<thead><tr>{head}</thead><tbody>{body}</table></div>"
    )


def _cell(x: float, places: int, percentages: bool) -> str:
    if x != x:
        return ""
    return f"{100 * x:.0f}" if percentages else number(x, places)


def picture(values: Any, caption: str, *, height: str = "7rem") -> str:
    """A matrix as a small picture without numbers, [rows, columns], stretched to the width there is."""
    numbers = array(values, caption, [2])
    name = html.escape(caption, quote=True)
    return f'<div class="lc-caption">{name}</div>' + image(
        numbers, name, f"width:100%;max-width:46rem;height:{height}"
    )


def image(numbers: NDArray[Any], alt: str, style: str, scale: float | None = None) -> str:
    """The colours of a matrix as a picture. A ground, not an `<img>`: themes give those a light paper in the dark."""
    address = png(rgba(numbers, scale, levels=LEVELS))
    return (
        f'<div role="img" aria-label="{alt}" style="{style};image-rendering:pixelated;'
        f"background:url('{address}') 0 0/100% 100%\"></div>"
    )
