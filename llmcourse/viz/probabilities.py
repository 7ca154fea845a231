"""The model's answer, drawn: which symbol comes next, and how likely each is.

`probability_bars` is a figure; `Probabilities` is the same as an HTML table, small enough to be
one of many states of a widget. Both show the likeliest symbols and what all others have together.

Taught in chapter 03.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .figure import BLUE, GREEN, GREY
from .labels import Labels, distribution, label_of, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from numpy.typing import NDArray

STYLE = (
    "<style>.lc-bars{border-collapse:collapse;width:100%;max-width:38rem;margin:.3rem 0;"
    "font-size:.85rem;line-height:1.6}"
    ".lc-bars caption{text-align:left;caption-side:top;font-weight:600;padding:0 0 .2rem;color:inherit}"
    ".lc-bars :is(th,td){padding:1px 6px!important;border:0!important;text-align:left!important;background:none;"
    "font-weight:400;white-space:nowrap}"
    ".lc-bars thead th{font-size:.8em}"
    ".lc-bars tbody th{font-family:ui-monospace,Menlo,Consolas,monospace;max-width:9rem;"
    "overflow:hidden;text-overflow:ellipsis}"
    ".lc-bars td.p{text-align:right!important;font-variant-numeric:tabular-nums}"
    f".lc-bars .b{{width:60%}}.lc-bars i{{display:block;height:.8em;min-width:1px;background:{BLUE};border-radius:1px}}"
    f".lc-bars i.o{{background:none;border:1px dashed {GREY};box-sizing:border-box}}"
    f".lc-bars i.w{{height:.35em;background:{GREY};margin-bottom:1px}}.lc-bars .t i:not(.w){{background:{GREEN}}}"
    ".lc-bars .t :is(th,td){font-weight:700}.lc-bars .c th{text-decoration:line-through}</style>"
)


@dataclass(frozen=True)
class Bar:
    """One bar: a symbol, or all others together (`index` −1)."""

    index: int
    label: str
    p: float
    before: float | None = None
    target: bool = False


def bars(
    probabilities: Any,
    labels: Labels,
    *,
    top: int = 10,
    highlight: int | Collection[int] = (),
    before: Any = None,
) -> list[Bar]:
    """The likeliest symbols, likeliest first, the highlighted ones in any case, then all others."""
    import numpy as np

    p = distribution(probabilities)
    was = None if before is None else distribution(before, "the probabilities before")
    if was is not None and was.shape != p.shape:
        from ..errors import CourseError

        raise CourseError(
            f"{len(was)} probabilities before, {len(p)} after", hint="of the same symbols, please"
        )
    marked = {highlight} if isinstance(highlight, int) else set(highlight)
    order = [int(i) for i in np.argsort(-p, kind="stable")]
    chosen = order[:top] + [i for i in order[top:] if i in marked]
    if len(order) - len(chosen) == 1:  # "all others" of one is that one
        chosen = order
    out = [
        Bar(
            i, label_of(labels, i), float(p[i]), None if was is None else float(was[i]), i in marked
        )
        for i in chosen
    ]
    if len(chosen) < len(p):
        rest = np.ones(len(p), dtype=bool)
        rest[chosen] = False
        name = f"all {int(rest.sum()):,} others"
        out.append(
            Bar(-1, name, float(p[rest].sum()), None if was is None else float(was[rest].sum()))
        )
    return out


def probability_bars(
    probabilities: Any,
    labels: Labels,
    *,
    top: int = 10,
    highlight: int | Collection[int] = (),
    before: Any = None,
    log: bool = False,
    names: tuple[str, str] = ("before", "after"),
) -> Figure:
    """Horizontal bars of the likeliest symbols, as a matplotlib figure for `show`.

    Args:
        probabilities: Of all symbols [V]: a tensor, an array or a list.
        labels: A name for each symbol, or a function id → name; spaces and line ends are made visible.
        top: How many symbols get a bar of their own; the others share one.
        highlight: Ids that stand out, in green and marked ◂: the right answer, for example. They are
            shown even if they are not among the likeliest.
        before: Probabilities [V] at an earlier time: each symbol gets a pair of bars.
        log: A logarithmic axis, for probabilities of very different sizes.
        names: What the two bars of a pair are called.

    Raises:
        CourseError: if these are no probabilities, or a symbol has no label.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = bars(probabilities, labels, top=top, highlight=highlight, before=before)
    pair = before is not None
    figure = Figure(figsize=(6.4, 0.75 + (0.46 if pair else 0.29) * len(rows)))
    ax = figure.add_subplot()
    thick = 0.38 if pair else 0.7
    values = [row.p for row in rows] + [row.before for row in rows if row.before is not None]
    least = min((v for v in values if v > 0), default=1e-6)
    floor = least / 3 if log else 0.0
    reach = max(values)
    for y, row in enumerate(rows):
        colour = GREEN if row.target else GREY if row.index < 0 else BLUE
        places = ((y + 0.2, row.p, 1.0),) if pair else ((y, row.p, 1.0),)
        if row.before is not None:
            places = ((y - 0.2, row.before, 0.4), *places)
        for where, value, alpha in places:
            ax.barh(where, max(value, floor) - floor, thick, left=floor, color=colour, alpha=alpha)
            ax.annotate(
                percent(value), (max(value, floor), where), (4, 0), textcoords="offset points",
                va="center", fontsize=8 if pair else 9,
            )  # fmt: skip
    ax.set_yticks(range(len(rows)), [row.label + (" ◂" if row.target else "") for row in rows])
    plain_text(ax.get_yticklabels())
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("probability" + (" (logarithmic)" if log else ""))
    if log:
        ax.set_xscale("log")
        ax.set_xlim(floor, min(reach, 1.0) * (reach / floor) ** 0.2)
    else:
        ax.set_xlim(0, reach * 1.17)
    if pair:
        keys = [Patch(color=BLUE, alpha=a, label=n) for a, n in zip((0.4, 1.0), names, strict=True)]
        ax.legend(handles=keys, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


def plain_text(labels: Iterable[Text]) -> None:
    """Take tick labels as they are: a token `$x$` is no formula."""
    for label in labels:
        label.set_parse_math(False)


class Probabilities:
    """The likeliest next symbols as a table with bars, for pages, screen readers and terminals.

    Args:
        probabilities: Of all symbols [V].
        labels: A name for each symbol, or a function id → name.
        caption: What the table shows.
        top: How many symbols get a row of their own.
        highlight: Ids that stand out (bold, green, marked ◂).
        before: Probabilities [V] at an earlier time, in a column and a thin bar of their own.
        kept: Which symbols [V] (boolean) a sampler keeps: the others are struck through and marked
            "cut", with a dashed bar of their old size, which `before` then gives.

    Raises:
        CourseError: if these are no probabilities, or a symbol has no label.
    """

    def __init__(
        self,
        probabilities: Any,
        labels: Labels,
        caption: str = "Next symbol",
        *,
        top: int = 10,
        highlight: int | Collection[int] = (),
        before: Any = None,
        kept: NDArray[Any] | None = None,
    ) -> None:
        order_by = probabilities if kept is None else before
        self.caption, self.kept = caption, kept
        if kept is None:
            self.rows = bars(order_by, labels, top=top, highlight=highlight, before=before)
        else:  # the order of the distribution that was cut: rows stay where they are
            swapped = bars(order_by, labels, top=top, highlight=highlight, before=probabilities)
            self.rows = [Bar(r.index, r.label, r.before or 0.0, r.p, r.target) for r in swapped]
        self.cut = [self._is_cut(row.index) for row in self.rows]

    def _is_cut(self, index: int) -> bool:
        """Whether the sampler drops a symbol; for the row of the others, all of them."""
        if self.kept is None:
            return False
        if index >= 0:
            return not self.kept[index]
        listed = sum(bool(self.kept[row.index]) for row in self.rows if row.index >= 0)
        return int(self.kept.sum()) == listed

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.plain(), "text/html": STYLE + self.html()}

    def plain(self) -> str:
        """The table in columns of text."""
        width = max(len(row.label) for row in self.rows)
        lines = [self.caption]
        for row, cut in zip(self.rows, self.cut, strict=True):
            was = "" if row.before is None else f"{percent(row.before):>10}"
            now = "cut" if cut else percent(row.p)
            lines.append(f"{row.label:<{width}}{was}{now:>10}{' ◂' if row.target else ''}")
        return "\n".join(lines)

    def html(self) -> str:
        """The table, without the style sheet, which a page needs only once."""
        reach = max([r.p for r in self.rows] + [r.before or 0 for r in self.rows]) or 1.0
        both = self.rows[0].before is not None
        first = "before" if self.kept is None else "all"
        second = "after" if self.kept is None else "kept"
        head = "<th scope=col>symbol"
        if both:
            head += f"<th scope=col>{first}<th scope=col>{second}"
        else:
            head += "<th scope=col>probability"
        body = "".join(
            self._row(row, cut, reach) for row, cut in zip(self.rows, self.cut, strict=True)
        )
        return (
            f'<table class="lc-bars tex2jax_ignore"><caption>{html.escape(self.caption)}</caption>'
            f"<thead><tr>{head}<td class=b></thead><tbody>{body}</table>"
        )

    @staticmethod
    def _row(row: Bar, cut: bool, reach: float) -> str:
        names = " ".join(n for n, on in (("t", row.target), ("c", cut)) if on)
        mark = " ◂" if row.target else ""
        was = "" if row.before is None else f"<td class=p>{percent(row.before)}"
        now = "cut" if cut else percent(row.p)
        size = (row.before or 0.0) if cut else row.p
        bar = f"<i {'class=o ' if cut else ''}style=width:{100 * size / reach:.4g}%></i>"
        if row.before is not None and not cut:
            bar = f"<i class=w style=width:{100 * row.before / reach:.4g}%></i>{bar}"
        klass = f' class="{names}"' if names else ""
        return (
            f"<tr{klass}><th scope=row>{html.escape(row.label)}{mark}{was}"
            f"<td class=p>{html.escape(now)}<td class=b>{bar}"
        )
