"""The knobs of a sampler, turned: what temperature, top-k, top-p and min-p do to one distribution.

The arithmetic is the engine's own (`engine.sampling`); nothing is drawn here, in either sense, that the
course's generation does not use. Taught in chapter 05.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import CourseError
from .labels import Labels, array, percent
from .panels import Control, Explorer, explorer
from .probabilities import STYLE, Probabilities

TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0)

CUTS: Mapping[str, Mapping[str, float]] = {
    "keep all": {},
    "top-k = 3": {"top_k": 3},
    "top-p = 0.9": {"top_p": 0.9},
    "min-p = 0.1": {"min_p": 0.1},
}


def sampled(
    logits: Any, labels: Labels, *, temperature: float = 1.0, top: int = 10, **cut: Any
) -> tuple[Probabilities, str]:
    """What a sampler makes of logits [V]: a table of kept and cut symbols, and a sentence about it.

    Args:
        logits: Of the next symbol [V].
        labels: Names of the symbols, or a function id → name.
        temperature: Divides the logits before anything is cut.
        top: Rows of the table.
        cut: `top_k`, `top_p`, `min_p` as in `engine.sampling.Sampling`.

    Raises:
        CourseError: if a setting is out of range, or the logits are none.
    """
    import torch

    from ..engine.sampling import Sampling, filtered

    z = torch.from_numpy(array(logits, "the logits", [1]))
    before = filtered(z, Sampling(temperature=temperature))
    after = filtered(z, Sampling(temperature=temperature, **cut))
    kept = after > 0
    bits = float(torch.special.entr(after).sum()) / 0.6931471805599453
    settings = ", ".join([f"temperature {temperature:g}", *(f"{k} {v:g}" for k, v in cut.items())])
    name = settings.replace("_", "-")
    if kept.all():
        table, can = (
            Probabilities(after, labels, name, top=top),
            f"All {len(z):,} symbols can be drawn.",
        )
    else:
        table = Probabilities(after, labels, name, top=top, before=before, kept=kept.numpy())
        had = percent(float(before[kept].sum()))
        can = (
            f"{int(kept.sum()):,} of {len(z):,} symbols can be drawn; they had {had} between them."
        )
    said = (
        f"{can} One draw is worth {bits:.2f} bits, as much as {2**bits:.1f} equally likely symbols."
    )
    return table, said


def sampler_widget(
    cases: Mapping[str, tuple[Any, Labels]],
    *,
    temperatures: Sequence[float] = TEMPERATURES,
    cuts: Mapping[str, Mapping[str, Any]] = CUTS,
    top: int = 10,
) -> Explorer:
    """A widget: for each prompt, the next symbol's distribution under a temperature and a cut.

    All combinations are worked out beforehand and work in the page; with a kernel every setting is free.

    Args:
        cases: Prompt → (logits [V] of the next symbol, labels).
        temperatures: The slider's stops.
        cuts: Name → settings (`top_k`, `top_p`, `min_p`) applied after the temperature.
        top: Rows of each table.

    Raises:
        CourseError: if there are no cases, a setting is out of range, or the widget gets too large.
    """
    if not cases or not temperatures or not cuts:
        raise CourseError(
            "nothing to choose from", hint="give a case, a temperature and a cut at least"
        )
    prompts, names = list(cases), list(cuts)
    middle = min(range(len(temperatures)), key=lambda i: abs(temperatures[i] - 1))

    def page(prompt: str, temperature: float, cut: Mapping[str, Any]) -> str:
        logits, labels = cases[prompt]
        table, said = sampled(logits, labels, temperature=temperature, top=top, **cut)
        return f"{table.html()}<p>{said}</p>"

    def render(p: int, c: int, t: int) -> str:
        return page(prompts[p], temperatures[t], cuts[names[c]])

    return explorer(
        [
            Control("Prompt", prompts),
            Control("Keep", names),
            Control("Temperature", [f"{t:g}" for t in temperatures], slider=True, start=middle),
        ],
        render,
        plain=f"A sampler over {len(cases)} prompts: temperature × {', '.join(names)}",
        style=STYLE,
        live=_live(prompts, page),
    )


def _live(prompts: Sequence[str], page: Any) -> Any:
    """Free sliders; they need a kernel."""
    import ipywidgets as widgets

    def slider(name: str, value: float, least: float, most: float, step: float) -> Any:
        return widgets.FloatSlider(
            value=value, min=least, max=most, step=step, description=name,
            style={"description_width": "6rem"},
        )  # fmt: skip

    prompt = widgets.Dropdown(
        options=prompts, description="Prompt", style={"description_width": "6rem"}
    )
    temperature = slider("Temperature", 1.0, 0.0, 3.0, 0.05)
    top_k = widgets.IntSlider(
        value=0, min=0, max=100, description="top-k", style={"description_width": "6rem"}
    )
    top_p, min_p = slider("top-p", 1.0, 0.01, 1.0, 0.01), slider("min-p", 0.0, 0.0, 1.0, 0.01)
    out = widgets.HTML()

    def update(_: object = None) -> None:
        cut = {"top_p": top_p.value, "min_p": min_p.value}
        if top_k.value:  # 0: no limit
            cut["top_k"] = top_k.value
        out.value = page(prompt.value, temperature.value, cut)

    controls = [prompt, temperature, top_k, top_p, min_p]
    for control in controls:
        control.observe(update, names="value")
    update()
    return widgets.VBox([*controls, out])
