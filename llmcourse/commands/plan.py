"""`llmcourse plan`: a training run before it is paid for (chapter 06)."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CourseError
from .output import size

if TYPE_CHECKING:
    from rich.table import Table

    from ..train.plan import Plan, Timed


def plan(
    preset: Annotated[
        str, typer.Option(help="A preset with a training run; `llmcourse presets` lists them.")
    ] = "gpt2-xl-8xh100",
    gpu: Annotated[
        str, typer.Option(help="A card: h100, h200, b200, a100-80, a100-40, rtx4090, l4, t4, v100.")
    ] = "h100",
    gpus: Annotated[int, typer.Option(min=1, help="How many of them.")] = 8,
    price: Annotated[float, typer.Option(min=0, help="Dollars for an hour of one GPU.")] = 3.0,
    mfu: Annotated[
        float, typer.Option(help="Share of the peak that will be reached, above 0, at most 1.")
    ] = 0.4,
    strategy: Annotated[
        str | None,
        typer.Option(help="How GPUs share the work: ddp or fsdp. Default: the preset's."),
    ] = None,
    checkpointing: Annotated[
        bool | None,
        typer.Option(help="Compute activations again to save memory. Default: the preset's."),
    ] = None,
    micro_batch: Annotated[
        int | None,
        typer.Option(min=1, help="Rows that a GPU holds at once. Default: the preset's."),
    ] = None,
    compiled: Annotated[bool, typer.Option(help="Count on torch.compile.")] = True,
    seconds_per_step: Annotated[
        list[float] | None,
        typer.Option(help="What follows if a step takes so long (several times, if you like)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Plan a training run: parameters, FLOPs, memory on each GPU, hours and dollars.

    Example: `llmcourse plan --preset gpt2-xl-8xh100 --gpu h100 --gpus 8 --price 3`
    """
    from .. import presets
    from ..train import plan as module

    if strategy not in (None, "ddp", "fsdp"):
        raise CourseError(f"no strategy is called {strategy!r}", hint="known: ddp, fsdp")
    made = module.plan(
        presets.load(preset), gpu=gpu, gpus=gpus, price=price, mfu=mfu,
        strategy=strategy,  # type: ignore[arg-type]  # one of the two
        activation_checkpointing=checkpointing, micro_batch=micro_batch,
        compiled=None if compiled else False,
    )  # fmt: skip
    if any(not seconds > 0 for seconds in seconds_per_step or []):
        raise CourseError("a step takes longer than 0 s", hint="give --seconds-per-step 2.8")
    timed = [made.timed(seconds) for seconds in seconds_per_step or []]
    if as_json:
        print(json.dumps({**made.to_dict(), "timed": [asdict(t) for t in timed]}, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_run(made))
    console.print()
    console.print(_memory(made))
    console.print()
    console.print(_time(made, timed))
    if made.train.expected:
        console.print(f"\nWhat others got: {made.train.expected.strip()}", markup=False)


def _run(plan: Plan) -> Table:
    table = _table("the run", "", "")
    for part, n in plan.parameters.items():
        if n:
            table.add_row(f"parameters: {part}", f"{n:,}", f"{n / plan.total_parameters:.1%}")
    table.add_row("parameters", f"{plan.total_parameters:,}", "")
    train = plan.train
    rows = f"{train.rows:,} rows of {train.context:,}"
    table.add_row("tokens a step", f"{train.batch_tokens:,}", rows)
    shared = f"{plan.gpus} × {plan.micro_batch} rows, {plan.accumulation} times"
    table.add_row("on each GPU", f"{train.batch_tokens // plan.gpus:,}", shared)
    table.add_row("steps", f"{train.steps:,}", "")
    table.add_row("tokens", f"{train.total_tokens:,}", _short(train.total_tokens))
    table.add_row("FLOPs a token", f"{plan.flops_per_token:,}", "6 N + 12 · L · C · T")
    if plan.recomputed_per_token:
        table.add_row("computed again", f"{plan.recomputed_per_token:,}", "a token")
    table.add_row("FLOPs", f"{plan.flops:.2e}", "")
    return table


def _memory(plan: Plan) -> Table:
    """Each way in a column; what is not there at the worst moment in brackets."""
    table = _table(f"memory on each {plan.gpu.title}")
    for way, again in plan.memory:
        chosen = (way, again) == (plan.strategy, plan.activation_checkpointing)
        title = f"{way}{', recomputing' if again else ''}{' *' if chosen else ''}"
        table.add_column(title, justify="right")
    names = ("parameters", "optimizer", "gradients", "accumulated", "copies", "activations",
             "logits", "block", "tables", "overhead")  # fmt: skip
    ways = list(plan.memory.values())
    for name in names:
        label = "overhead (a guess)" if name == "overhead" else name
        table.add_row(label, *(size(n) if (n := getattr(m, name)) else "" for m in ways))
    table.add_row("at the worst moment", *(size(m.total) for m in ways))
    fits = ("yes" if m.total <= plan.gpu.memory else "no" for m in ways)
    table.add_row(f"fits {size(plan.gpu.memory)}", *fits)
    return table


def _time(plan: Plan, timed: list[Timed]) -> Table:
    table = _table("time and money", "share of the peak", "s a step", "hours", "dollars")
    rows = [
        ("as you guess", plan.mfu, plan.seconds_per_step, plan.hours, plan.dollars),
        *(
            (f"if a step takes {t.seconds_per_step:g} s", t.mfu, t.seconds_per_step, t.hours, t.dollars)
            for t in timed
        ),
    ]  # fmt: skip
    for label, share, seconds, hours, dollars in rows:
        hours_text = f"{hours:,.1f}" if hours >= 1 else f"{hours:.2g}"
        table.add_row(label, f"{share:.1%}", f"{seconds:.3g}", hours_text, f"{dollars:,.2f}")
    table.caption = f"{plan.gpus} × ${plan.price:g} an hour; {plan.precision}"
    table.caption_justify = "left"
    return table


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(title)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _short(n: int) -> str:
    return f"{n / 1e9:,.1f} billion" if n >= 1e9 else f"{n / 1e6:,.1f} million"
