"""Widgets that work on paper: every state worked out beforehand, the choice made by the page itself.

A notebook's widgets usually ask Python what to show. In the book there is no Python to ask, so an
`Explorer` holds all its states, in nested stacks, and links each control to the stacks of its level
in the browser. What needs a kernel goes into the `live` part, which the book's style sheet hides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import CourseError

if TYPE_CHECKING:
    from ipywidgets import DOMWidget

LIMIT = 260_000
"""Bytes of HTML that the states of one widget may have together: the page carries them all, and a quarter
as much again for the widgets around them."""


STYLE = (  # what the widgets' own style sheet leaves to be desired: room for prose, and for narrow screens
    "<style>.explorer-states :is(.widget-box,.widget-html,.widget-htmlmath){min-width:0;flex:1 1 auto}"
    ".explorer-states :is(.widget-html-content,.widget-htmlmath-content){line-height:1.5;min-width:0;flex:1 1 0}"
    ".explorer-states :is(.widget-html-content,.widget-htmlmath-content) p{margin:.4rem 0}</style>"
)


class Explorer:
    """A widget as a stored output, with a line of text where widgets are not shown.

    Args:
        box: The ipywidgets box; compose it with others if you like.
        plain: What a terminal shows instead.
    """

    def __init__(self, box: DOMWidget, plain: str) -> None:
        self.box, self.plain = box, plain

    def __repr__(self) -> str:
        return self.plain

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        bundle = dict(self.box._repr_mimebundle_() or {})
        return {**bundle, "text/plain": self.plain}


class Control:
    """One choice: its name, its options, and whether it is a list or a slider, or both, moving together."""

    def __init__(
        self,
        name: str,
        options: Sequence[str],
        *,
        slider: bool = False,
        both: bool = False,
        start: int = 0,
    ) -> None:
        if not options:
            raise CourseError(f"there is nothing to choose for {name!r}", hint="give at least one")
        self.name, self.options = name, _distinct(options)
        self.slider, self.both, self.start = slider, both, start

    def widgets(self) -> list[Any]:
        """The ipywidgets. The `index` of the first is what is linked to the states."""
        import ipywidgets as widgets

        kinds = [widgets.SelectionSlider] if self.slider else [widgets.Dropdown]
        if self.both:
            kinds = [widgets.Dropdown, widgets.SelectionSlider]
        return [
            kind(
                options=self.options,
                index=self.start,
                description=self.name,
                style={"description_width": "initial"},
                layout=widgets.Layout(width="auto", max_width="34rem"),
                **({"readout": False} if self.both and n else {}),
            )
            for n, kind in enumerate(kinds)
        ]


def _distinct(options: Sequence[str]) -> list[str]:
    """The options, equal ones numbered: a list widget finds its options by what they say."""
    seen: dict[str, int] = {}
    out = []
    for option in options:
        seen[option] = seen.get(option, 0) + 1
        out.append(option if seen[option] == 1 else f"{option} ({seen[option]})")
    return out


def explorer(
    controls: Sequence[Control],
    render: Callable[..., str],
    *,
    plain: str,
    style: str = "",
    live: Any = None,
    formulas: bool = False,
    limit: int = LIMIT,
) -> Explorer:
    """A widget with a state for every combination of choices.

    Args:
        controls: The choices, outermost first.
        render: Index of each choice → HTML.
        plain: What a terminal shows.
        style: A style sheet the states need, given once.
        live: A widget that asks Python; hidden where there is none.
        formulas: Whether the states hold TeX.
        limit: Bytes of HTML that are too many.

    Raises:
        CourseError: if the states are larger than `limit`, or there is nothing to choose.
    """
    import ipywidgets as widgets

    spent = 0
    kind = widgets.HTMLMath if formulas else widgets.HTML
    layout, look = widgets.Layout(width="auto"), kind().style  # one for all: each costs a kilobyte
    levels: list[list[Any]] = [[] for _ in controls]

    def stack(chosen: tuple[int, ...]) -> Any:
        nonlocal spent
        depth = len(chosen)
        if depth == len(controls):
            page = render(*chosen)
            spent += len(page.encode())
            if spent > limit:
                raise CourseError(
                    f"the widget's states are larger than {limit:,} bytes",
                    hint="show fewer of them: fewer choices, or shorter sequences",
                )
            return kind(page, layout=layout, style=look)
        children = [stack((*chosen, i)) for i in range(len(controls[depth].options))]
        made = widgets.Stack(children, selected_index=controls[depth].start, layout=layout)
        levels[depth].append(made)
        return made

    panels = stack(())
    panels.add_class("explorer-states")
    chosen = [control.widgets() for control in controls]
    links = [
        widgets.jslink((first, "index"), target)
        for (first, *others), level in zip(chosen, levels, strict=True)
        for target in (
            *((other, "index") for other in others),
            *((made, "selected_index") for made in level),
        )
    ]
    parts = [*(widget for group in chosen for widget in group), panels]
    parts.insert(0, widgets.HTML(STYLE + style, layout=widgets.Layout(height="0", margin="0")))
    if live is not None:
        live.add_class("explorer-live")  # the book's style sheet hides it: nothing answers there
        parts += [
            widgets.HTML("<i>In a running notebook you can turn more knobs below.</i>"),
            live,
        ]
    box = widgets.VBox(parts)
    box.links = links  # they live as long as the box
    return Explorer(box, plain)
