"""What fills a GPU's memory at the worst moment of a training step, as stacked bars.

Taught in chapter 06.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..train.memory import Memory
from .figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..train.plan import Plan

PARTS = {
    "parameters": BLUE,
    "optimizer": ORANGE,
    "gradients": GREEN,
    "activations": PURPLE,
    "loss, or one block": RED,
    "framework (a guess)": GREY,
}


def worst_moment(memory: Memory) -> dict[str, int]:
    """Bytes by part when most is there: the parts of `Memory.total`, added up into six.

    *parameters* includes their copies in low precision; *loss, or one block* is what is there for a
    moment only, the greater of the two.
    """
    m = memory
    moment, gradients = m.activations + max(m.logits, m.block), m.gradients
    ending = m.gradients + m.tables if m.sharded else m.tables
    at_end = ending > moment
    if m.sharded and not at_end:
        gradients = 0  # under FSDP a rank's part of the gradient is there at the end only
    return {
        "parameters": m.parameters + m.copies,
        "optimizer": m.optimizer,
        "gradients": gradients + m.accumulated + (m.tables if at_end else 0),
        "activations": 0 if at_end else m.activations,
        "loss, or one block": 0 if at_end else max(m.logits, m.block),
        "framework (a guess)": m.overhead,
    }


def memory_bars(plan: Plan) -> Figure:
    """A bar for each way to share the work, against what a GPU holds, as a matplotlib figure for `show`.

    Args:
        plan: What `llmcourse.train.plan.plan` returns.

    Taught in chapter 06.
    """
    from matplotlib.figure import Figure

    ways = {
        f"{way.upper()}{', recomputing' if again else ''}": worst_moment(memory)
        for (way, again), memory in plan.memory.items()
    }
    figure = Figure(figsize=(7.2, 1.3 + 0.55 * len(ways)))
    ax = figure.add_subplot()
    left = [0.0] * len(ways)
    limit = plan.gpu.memory / 1e9
    widest = max(limit, *(sum(parts.values()) / 1e9 for parts in ways.values()))
    for name, colour in PARTS.items():
        sizes = [parts[name] / 1e9 for parts in ways.values()]
        ax.barh(range(len(ways)), sizes, 0.62, left=left, color=colour, label=name)
        for row, (start, size) in enumerate(zip(left, sizes, strict=True)):
            if size > widest / 25:  # wide enough for its number
                ax.text(
                    start + size / 2, row, f"{size:.0f}", ha="center", va="center", color="white",
                    fontsize=8,
                )  # fmt: skip
        left = [a + b for a, b in zip(left, sizes, strict=True)]
    for row, end in enumerate(left):
        ax.text(end + widest / 100, row, f"{end:.0f} GB", va="center", fontsize=9)
    ax.axvline(limit, color=GREY, ls=(0, (4, 3)), lw=1.3)
    ax.annotate(
        f"a GPU has {limit:.0f}", (limit, 1), (-3, 2), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="right", fontsize=9,
    )  # fmt: skip
    ax.set_yticks(range(len(ways)), list(ways))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="GB on each GPU", xlim=(0, widest * 1.1))
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    return figure
