"""Every number of one forward pass: a widget that walks from symbols to probabilities, step by step.

The steps and their numbers come from `stages`; this file lays them out. Everything is worked out
beforehand, so it works in the page, without a kernel. Taught in chapter 04.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from ..errors import CourseError
from . import cells
from .labels import Labels
from .panels import LIMIT, Control, Explorer, explorer
from .stages import Numbers, Stage, Walk

if TYPE_CHECKING:
    from ..model.transformer import Transformer

STYLE = cells.STYLE + (
    "<style>.lc-path{font-size:.82rem;margin:.2rem 0;line-height:1.7}"
    ".lc-path b{border-bottom:3px solid #d0700f}"
    ".lc-step p{margin:.4rem 0}.lc-step .lc-title{margin:.6rem 0 .2rem;font-size:1.05rem;font-weight:700}</style>"
)


class ForwardPass(Explorer):
    """A widget: choose a step of the forward pass, and see what it does with its real numbers.

    Each step has a line on what it is for, its formula, how many parameters act, one number worked out
    from the parameters, and the result as a table of coloured numbers.

    Args:
        model: A `Transformer`.
        ids: The sequence: ids [T] or [1, T].
        symbols: What the symbols are called: ``"ABC"``, a list, or a function id → name.
        follow: The position whose numbers are worked out; −1 is the last, which makes the prediction.
        blocks: Blocks to walk through, 0 is the first; by default all. The others act, unseen.
        full: Blocks of which every number is shown. Of the others, and of what is
            more than `most` numbers a position, the first `rows`, and all as a picture.
        rows: Numbers of each position shown of what is not in full.
        most: Numbers of each position that are at most shown.
        limit: Bytes of HTML that are too many.

    Raises:
        CourseError: if the sequence is not one of this model, or the widget gets too large.
    """

    def __init__(
        self,
        model: Transformer,
        ids: Any,
        symbols: Labels,
        *,
        follow: int = -1,
        blocks: Collection[int] | None = None,
        full: Collection[int] = (0,),
        rows: int = 6,
        most: int = 192,
        limit: int = LIMIT,
    ) -> None:
        row = sequence(ids)
        T, V = len(row), model.config.vocab_size
        if not 0 <= int(row.min()) <= int(row.max()) < V:
            raise CourseError(f"ids {row.tolist()} are not all symbols", hint=f"0 to {V - 1}")
        if not -T <= follow < T:
            raise CourseError(f"position {follow} of {T}", hint=f"0 to {T - 1}, or −1 for the last")
        walk = Walk(model, row, symbols, follow % T)
        self.stages = list(walk.stages())
        whole = {"Entrance", "Exit"} | {f"Block {n + 1}" for n in full}
        if blocks is not None:
            seen = {"Entrance", "Exit"} | {f"Block {n + 1}" for n in blocks}
            self.stages = [stage for stage in self.stages if stage.part in seen]
        names = [f"{n + 1}. {s.part}: {s.title}" for n, s in enumerate(self.stages)]

        def render(index: int) -> str:
            stage = self.stages[index]
            limited = rows if stage.part not in whole else most
            return self._page(stage, index, rows, limited)

        text = " ".join(walk.here)
        made = explorer(
            [Control("Step", names, slider=True, both=True)],
            render,
            plain=f"A forward pass over {text}, in {len(names)} steps, {names[0]} to {names[-1]}",
            style=STYLE,
            formulas=True,
            limit=limit,
        )
        super().__init__(made.box, made.plain)

    def _page(self, stage: Stage, index: int, rows: int, limited: int) -> str:
        acted = sum(stage.parameters.values())
        if acted:
            names = ", ".join(re.sub(r"^blocks\.\d+\.", "", name) for name in stage.parameters)
            parameters = f"<b>{acted:,} parameters</b> act ({html.escape(names)})"
        else:
            parameters = "<b>No parameters</b> act"
        tables = "".join(_table(n, rows, limited) for n in stage.numbers)
        return (
            f'<div class="lc-step">{self._path(stage, index)}'
            f"<p class=lc-title>{html.escape(stage.part)}: {html.escape(stage.title)}</p>"
            f"<p class=tex2jax_ignore>{html.escape(stage.words)}</p><p>\\({html.escape(stage.formula)}\\)</p>"
            f"<div class=tex2jax_ignore><p>{parameters}; the result is {stage.shape} numbers.</p>"
            f"<p><b>By hand.</b> {html.escape(stage.worked)}</p>{tables}</div></div>"
        )

    def _path(self, stage: Stage, index: int) -> str:
        """Where we are: the parts of the model, and the steps of this part."""
        parts = list(dict.fromkeys(s.part for s in self.stages))
        steps = [(n, s.title) for n, s in enumerate(self.stages) if s.part == stage.part]
        first = " → ".join(f"<b>{p}</b>" if p == stage.part else p for p in parts)
        second = " → ".join(f"<b>{t}</b>" if n == index else t for n, t in steps)
        return f'<p class="lc-path tex2jax_ignore">{first}<br>{second}</p>'


def sequence(ids: Any) -> Any:
    """Ids [T] as a tensor, from ids [T] or [1, T], a list or a tensor.

    Raises:
        CourseError: if it is not one sequence of integers.
    """
    import torch

    if isinstance(ids, str):
        raise CourseError(f"{ids!r} is text", hint="give its ids: encode it first")
    row = torch.as_tensor(ids)
    row = row[0] if row.ndim == 2 and len(row) == 1 else row
    if row.ndim != 1 or not len(row) or row.is_floating_point():
        raise CourseError(
            f"ids of shape {list(row.shape)} are not one sequence",
            hint="give the integers of one sequence, for example [2, 1, 0]",
        )
    return row


def _table(numbers: Numbers, rows: int, limited: int) -> str:
    """A table of at most `limited` rows; if it has more, the first `rows` of them and a picture of all."""
    count = len(numbers.rows)
    if count <= limited:
        return _numbers(numbers, numbers.caption, count)
    return cells.picture(
        numbers.values.T, f"All {count:,} × {len(numbers.cols)} numbers: positions downwards"
    ) + _numbers(numbers, f"The first {rows} of {numbers.caption}", rows)


def _numbers(numbers: Numbers, caption: str, rows: int) -> str:
    return cells.number_table(
        numbers.values[:rows],
        numbers.rows[:rows],
        numbers.cols,
        caption,
        percentages=numbers.percentages,
    )
