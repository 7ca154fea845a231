"""Who looks at whom: attention weights as maps, all heads at once or one at a time.

A row is a position that asks (its *query*), a column one that may answer (its *key*); the row's numbers are
shares of 1. Positions cannot look ahead, so the upper right corner stays empty.

Taught in chapter 04.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import CourseError
from . import cells
from .labels import array, percent, shown
from .panels import LIMIT, Control, Explorer, explorer
from .probabilities import plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

PRINTED = 12
"""Up to so many positions the weights are printed in the cells."""


def attention_map(
    weights: Any, tokens: Sequence[str | bytes], *, titles: Sequence[str] | None = None
) -> Figure:
    """Attention weights as small maps, a head each: a matplotlib figure for `show`.

    Args:
        weights: [H, T, T], or [T, T] for one head; row: query, column: key.
        tokens: What stands at each position.
        titles: A title for each head; by default "head 1", "head 2", …

    Raises:
        CourseError: if tokens or titles are not as many as the weights say.
    """
    import numpy as np
    from matplotlib.figure import Figure

    maps = _maps(weights, tokens)
    H, T, _ = maps.shape
    titles = titles or ([f"head {h + 1}" for h in range(H)] if H > 1 else [""])
    if len(titles) != H:
        raise CourseError(f"{len(titles)} titles for {H} heads", hint="one title a head")
    labels = [shown(t) for t in tokens]
    columns = min(H, 3)
    lines = math.ceil(H / columns)
    side = {1: 5.0, 2: 3.7, 3: 3.0}[columns]
    figure = Figure(figsize=(side * columns, (side + 0.25) * lines))
    axes = np.atleast_1d(figure.subplots(lines, columns, squeeze=False)).ravel()
    size = min(9.0, 115 * side / 3.0 / max(T, 8) * 0.62)
    for ax, title, grid in zip(axes, titles, maps, strict=False):
        blank = _blank_ahead(grid)
        ax.imshow(cells.rgba(blank, scale=1.0), interpolation="none", aspect="equal")
        ax.set_title(title, fontsize=10)
        ax.set_xticks(range(T), labels, fontsize=size, rotation=0 if _short(labels) else 90)
        ax.set_yticks(range(T), labels, fontsize=size)
        plain_text([*ax.get_xticklabels(), *ax.get_yticklabels()])
        ax.tick_params(length=0)
        ax.grid(False)
        ax.spines[["left", "bottom"]].set_visible(False)
        if T <= PRINTED:
            for i, j in zip(*np.nonzero(np.isfinite(blank)), strict=True):
                ax.text(j, i, f"{100 * grid[i, j]:.0f}", ha="center", va="center", fontsize=size)
    for ax in axes[H:]:
        ax.set_axis_off()
    for ax in axes[::columns]:
        ax.set_ylabel("query: who looks", labelpad=8)
    for ax in axes[:H]:
        ax.set_xlabel("key: who is looked at" + (", %" if T <= PRINTED else ""), fontsize=9)
    return figure


class AttentionView(Explorer):
    """A widget: choose a layer and a head, and see who looks at whom. Works in the page, without a kernel.

    Args:
        layers: Attention weights [H, T, T] of each layer, by name or in order; equal H. From a model:
            ``[t for name, t in model.trace(ids).items() if name.endswith("attention.weights")]``
            (a batch of one, [1, H, T, T], will do).
        tokens: What stands at each position.
        limit: Bytes of HTML that are too many.

    Raises:
        CourseError: if shapes and tokens do not fit together, or the widget gets too large: give
            fewer layers then.
    """

    def __init__(
        self,
        layers: Mapping[str, Any] | Sequence[Any],
        tokens: Sequence[str | bytes],
        *,
        limit: int = LIMIT,
    ) -> None:
        named = (
            dict(layers)
            if isinstance(layers, Mapping)
            else {f"layer {n + 1}": w for n, w in enumerate(layers)}
        )
        if not named:
            raise CourseError("there is no layer to show", hint="give the weights of one at least")
        maps = {name: _maps(weights, tokens) for name, weights in named.items()}
        heads = {len(m) for m in maps.values()}
        if len(heads) > 1:
            raise CourseError(
                f"layers have {sorted(heads)} heads", hint="give layers with equally many"
            )
        H, names = heads.pop(), list(maps)
        controls = [
            Control("Layer", names),
            Control("Head", [str(h + 1) for h in range(H)], slider=H > 1),
        ]

        def render(layer: int, head: int) -> str:
            return _state(maps[names[layer]][head], tokens, f"{names[layer]}, head {head + 1}")

        T = len(tokens)
        made = explorer(
            controls,
            render,
            plain=f"Attention of {len(names)} layers × {H} heads over {T} positions",
            style=cells.STYLE,
            limit=limit,
        )
        super().__init__(made.box, made.plain)


def _state(grid: NDArray[Any], tokens: Sequence[str | bytes], name: str) -> str:
    """One head: a table of percents, or a picture where they are too many, and where each looks most."""
    labels = [shown(t) for t in tokens]
    blank = _blank_ahead(grid)
    said = f"{name}: % of its attention that each position (row) gives to each (column)"
    if len(labels) <= PRINTED:
        return cells.number_table(blank, labels, labels, said, percentages=True)
    lines = "".join(
        f"<tr><th scope=row>{i + 1} {html.escape(label)}<td>{_strongest(grid[i], labels)}"
        for i, label in enumerate(labels)
    )
    side = "min(100%,26rem)"
    alt = html.escape(said.replace("%", "share"), quote=True)
    drawn = cells.image(
        blank, f"{alt}; numbers in the table below", f"width:{side};aspect-ratio:1", scale=1.0
    )
    return (
        f'<div class="lc-caption">{alt}</div>{drawn}'
        '<div class="lc-numbers lc-words tex2jax_ignore" style="max-height:14rem" tabindex="0" role="group" '
        f'aria-label="Where each position looks most"><table><thead><tr><th scope=col>position'
        f"<th scope=col>looks most at</thead><tbody>{lines}</table></div>"
    )


def _strongest(row: NDArray[Any], labels: Sequence[str], n: int = 3) -> str:
    order = sorted(range(len(row)), key=lambda j: (-row[j], j))[:n]
    return html.escape(
        ", ".join(f"{j + 1} {labels[j]} {percent(row[j])}" for j in order if row[j] > 0)
    )


def _maps(weights: Any, tokens: Sequence[str | bytes]) -> NDArray[Any]:
    """Weights as [H, T, T], checked."""
    maps = array(weights, "attention weights", [2, 3, 4])
    if maps.ndim == 4:
        if len(maps) != 1:
            raise CourseError(f"a batch of {len(maps)} sequences", hint="give one: weights[0]")
        maps = maps[0]
    if maps.ndim == 2:
        maps = maps[None]
    T = len(tokens)
    if maps.shape[1:] != (T, T):
        raise CourseError(
            f"attention weights {list(maps.shape)} for {T} tokens",
            hint=f"[heads, {T}, {T}] is needed, or as many tokens as positions",
        )
    return maps


def _blank_ahead(grid: NDArray[Any]) -> NDArray[Any]:
    """The map with the future left empty (NaN), if nobody looks there."""
    import numpy as np

    ahead = np.triu(np.ones_like(grid, dtype=bool), 1)
    return np.where(ahead, np.nan, grid) if not grid[ahead].any() else grid


def _short(labels: Sequence[str]) -> bool:
    return max(map(len, labels)) <= 2
