"""One parameter, turned by hand: what the model says if this single number were another.

The parameter is set, the model asked, and the old number put back, so the model is after as it was
before. Taught in chapter 04.
"""

from __future__ import annotations

import difflib
import html
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import CourseError
from .figure import BLUE, ORANGE
from .labels import Labels, number, percent
from .panels import Control, Explorer, explorer
from .probabilities import STYLE, Probabilities
from .walkthrough import sequence

if TYPE_CHECKING:
    from torch import Tensor, nn

Knob = tuple[str, tuple[int, ...]]
"""A parameter's name and the place in it: ``("blocks.0.attention.q.weight", (3, 7))``."""


@contextmanager
def turned(model: nn.Module, name: str, index: Sequence[int], value: float) -> Iterator[None]:
    """For the length of a `with`, one parameter is `value`; then it is what it was.

    Raises:
        CourseError: if there is no such parameter, or no such place in it.
    """
    import torch

    parameter, place = find(model, name, index)
    before = parameter[place].item()
    with torch.no_grad():
        parameter[place] = value
        try:
            yield
        finally:
            parameter[place] = before


def find(model: nn.Module, name: str, index: Sequence[int]) -> tuple[Tensor, tuple[int, ...]]:
    """A parameter tensor and a place in it, checked.

    Raises:
        CourseError: as `turned`.
    """
    known = dict(model.named_parameters())
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        raise CourseError(
            f"no parameter is called {name!r}",
            hint=f"did you mean {' or '.join(close)}?" if close else "see model.named_parameters()",
        )
    shape, place = known[name].shape, tuple(int(i) for i in index)
    good = len(place) == len(shape) and all(-n <= i < n for i, n in zip(place, shape, strict=False))
    if not good:
        raise CourseError(
            f"{name} has no number at {list(place)}", hint=f"its shape is {list(shape)}"
        )
    return known[name], place


@dataclass(frozen=True)
class Turn:
    """What came out at one value of a knob."""

    value: float
    probabilities: Tensor
    score: float


def turns(
    model: Any,
    ids: Tensor,
    knob: Knob,
    values: Sequence[float],
    score: Callable[[Any], float] | None,
) -> list[Turn]:
    """The model's answer after the last of `ids` [T] at each value of one parameter.

    Args:
        model: Ids [1, T] → logits [1, T, V].
        ids: The sequence.
        knob: Which parameter.
        values: What it is set to.
        score: The model → a number; by default the probability of what was likeliest before.
    """
    import torch

    def ask() -> Tensor:
        with torch.no_grad():
            return torch.softmax(model(ids[None])[0, -1].double(), dim=-1)

    best = int(ask().argmax())
    out = []
    for value in values:
        with turned(model, *knob, value):
            p = ask()
            out.append(Turn(value, p, float(p[best]) if score is None else float(score(model))))
    return out


def knob_widget(
    model: Any,
    ids: Any,
    knobs: Mapping[str, Knob] | Sequence[Knob],
    symbols: Labels,
    *,
    score: Callable[[Any], float] | None = None,
    score_name: str = "",
    span: float | None = None,
    values: int = 21,
    top: int = 6,
) -> Explorer:
    """A widget: choose one parameter, turn it, and watch the model's answer change. Works in the page.

    Args:
        model: A module, ids [1, T] → logits [1, T, V].
        ids: The sequence after which it is asked: [T] or [1, T].
        knobs: Which parameters: (name, index) each, by label or in order.
        symbols: What the symbols are called.
        score: A function of the model drawn over the knob's range, the share of inputs it sorts
            correctly for example; it is called `values` times a knob. By default the probability of
            the symbol that is likeliest before anything is turned.
        score_name: What the score is; needed with `score`.
        span: How far each knob is turned to either side; by default four times the greatest
            magnitude among the parameter's neighbours in its tensor.
        values: Stops of the slider, an odd number: the middle one is the trained value.
        top: Symbols shown.

    Raises:
        CourseError: if a parameter is not there, or the settings make no sense.
    """
    if values < 3 or values % 2 == 0:
        raise CourseError(
            f"{values} stops", hint="an odd number, 3 or more: the middle is the trained value"
        )
    if span is not None and not 0 < span < math.inf:
        raise CourseError(f"span {span}", hint="a positive number")
    if score is not None and not score_name:
        raise CourseError("the score has no name", hint='score_name="share of inputs sorted"')
    row = sequence(ids).to(next(model.parameters()).device)
    named = (
        dict(knobs)
        if isinstance(knobs, Mapping)
        else {f"{n}[{', '.join(map(str, i))}]": (n, tuple(i)) for n, i in knobs}
    )
    labels = list(named)
    half = values // 2
    runs = []
    for knob in named.values():
        parameter, place = find(model, *knob)
        trained = parameter[place].item()
        reach = span or 4 * float(parameter.detach().abs().max()) or 1.0
        stops = [trained + reach * (i - half) / half for i in range(values)]
        runs.append(turns(model, row, knob, stops, score))
    name = score_name or "probability of the trained model's first choice"

    def render(k: int, i: int) -> str:
        return _page(runs[k], i, labels[k], symbols, name, top)

    return explorer(
        [
            Control("Parameter", labels),
            Control("Turn", [f"{i - half:+d}" if i != half else "trained" for i in range(values)],
                    slider=True, start=half),
        ],
        render,
        plain=f"{len(labels)} knobs to turn: {', '.join(labels)}",
        style=STYLE,
        live=_live(model, row, symbols, top, next(iter(named.values()))),
    )  # fmt: skip


def _page(
    run: Sequence[Turn], i: int, label: str, symbols: Labels, score_name: str, top: int
) -> str:
    half = len(run) // 2
    now, trained = run[i], run[half]
    where = "as trained" if i == half else f"trained: {number(trained.value, 3)}"
    table = Probabilities(
        now.probabilities, symbols, f"{label} = {number(now.value, 3)} ({where})",
        top=top, before=None if i == half else trained.probabilities,
    )  # fmt: skip
    return table.html() + _curve(run, i, score_name)


def _curve(run: Sequence[Turn], i: int, name: str) -> str:
    """The score over the knob's range, as a small drawing with the present place marked."""
    W, H = 300, 70
    scores = [t.score for t in run]
    low, high = min(scores), max(scores)
    shares = low >= 0 and high <= 1
    floor, room = (0.0, 1.0) if shares else (low, high - low or 1.0)

    def point(n: int) -> str:
        return f"{4 + (W - 8) * n / (len(run) - 1):.0f},{H - 4 - (H - 8) * (scores[n] - floor) / room:.0f}"

    x, y = point(i).split(",")
    x0 = point(len(run) // 2).split(",")[0]
    tell = percent if shares else number
    told = f"{name}: {tell(scores[i])} here"
    alt = f"{told}; from {tell(low)} to {tell(high)} over the whole range"
    return (
        f"<p style='margin:.5rem 0 0;font-size:.85rem'>{html.escape(alt)}; "
        f"dashed: as trained</p>"
        f'<svg role="img" aria-label="{html.escape(alt, quote=True)}" viewBox="0 0 {W} {H}" '
        f'style="width:100%;max-width:{2 * W}px;height:auto;color:inherit">'
        f'<path d="M0 {H - 1}H{W}M{x0} 0V{H}" stroke="currentColor" stroke-dasharray="3" opacity=".5"/>'
        f'<polyline points="{" ".join(map(point, range(len(run))))}" fill="none" stroke="{BLUE}" stroke-width="2"/>'
        f'<circle cx="{x}" cy="{y}" r="4" fill="{ORANGE}"/></svg>'
    )


def _live(model: Any, ids: Tensor, symbols: Labels, top: int, first: Knob) -> Any:
    """Any parameter, any value; needs a kernel."""
    import ipywidgets as widgets

    wide = {"style": {"description_width": "6rem"}, "layout": widgets.Layout(width="auto")}
    names = [name for name, _ in model.named_parameters()]
    name = widgets.Dropdown(options=names, value=first[0], description="Parameter", **wide)
    index = widgets.Text(value=", ".join(map(str, first[1])), description="Which", **wide)
    value = widgets.FloatText(
        value=find(model, *first)[0][first[1]].item(), step=0.1, description="Value", **wide
    )
    out = widgets.HTML()

    def update(_: object = None) -> None:
        try:
            place = tuple(int(part) for part in index.value.split(",") if part.strip())
            parameter, place = find(model, name.value, place)
            trained = parameter[place].item()
            before, now = turns(model, ids, (name.value, place), [trained, value.value], None)
        except (CourseError, ValueError) as error:
            out.value = html.escape(str(error))
            return
        said = f"{name.value}{list(place)} = {number(now.value, 3)}; trained: {number(trained, 3)}"
        table = Probabilities(
            now.probabilities, symbols, said, top=top, before=before.probabilities
        )
        out.value = table.html()

    def elsewhere(change: Mapping[str, Any]) -> None:
        shape = dict(model.named_parameters())[change["new"]].shape
        index.value = ", ".join("0" for _ in shape)
        value.value = find(model, change["new"], [0] * len(shape))[0].flatten()[0].item()

    name.observe(elsewhere, names="value")
    for control in (name, index, value):
        control.observe(update, names="value")
    update()
    return widgets.VBox([name, index, value, out])
