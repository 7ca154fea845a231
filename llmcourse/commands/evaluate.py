"""`llmcourse eval …`: what a model can do, in numbers (chapter 07)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..data.conversations.split import Split
    from ..data.world.whole import Encyclopaedia
    from ..model.pretrained import Pretrained

app = typer.Typer(help="Measure a model (chapter 07).", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def assistant(
    model: Annotated[str, typer.Argument(help="An assistant: a folder, or a name.")],
    base: Annotated[
        str, typer.Option(help="The base model it was made from, which counted what it read.")
    ] = "course-mid",
    preset: Annotated[str, typer.Option(help="Whose World.")] = "course-laptop",
    out: Annotated[Path | None, typer.Option(help="Write the report here as JSON.")] = None,
    questions: Annotated[int, typer.Option(min=1, help="Of each sort.")] = 300,
    split_seed: Annotated[int, typer.Option(min=0, help="Seed of the fine-tuning.")] = 0,
    before: Annotated[
        str | None, typer.Option(help="An earlier stage's model: which right answers are kept?")
    ] = None,
    stage: Annotated[
        str, typer.Option(help="tools and identity are asked with tools too, identity who it is.")
    ] = "sft",
) -> None:
    """Measure an assistant: is it in format, is it right, does it say when it does not know?

    Example: `llmcourse eval assistant work/sft/model --out work/sft/evaluation.json`
    """
    from rich.console import Console
    from rich.table import Table

    from .. import presets
    from ..assets import atomic_write
    from ..data.conversations.split import split
    from ..data.conversations.stages import KNOWN_FROM, STAGES
    from ..data.world.whole import invent
    from ..errors import CourseError
    from ..evals.assistant import generator
    from ..evals.assistant_report import report as measure
    from ..model import pretrained
    from .assistant import mentions_of

    if stage not in STAGES:
        raise CourseError(f"no stage is called {stage!r}", hint="stages are " + ", ".join(STAGES))
    section = presets.load(preset).need(presets.MixtureSection)
    world, mentions = invent(section.seed, section.size), mentions_of(base)
    loaded = pretrained.load(model)
    parts = split(world, mentions, KNOWN_FROM, split_seed)
    earlier = None if before is None else pretrained.load(before)
    report = measure(
        loaded.tokenizer, generator(loaded.model, loaded.tokenizer), world, mentions,
        parts, n=questions, split_seed=split_seed,
        before=None if earlier is None else generator(earlier.model, earlier.tokenizer),
    )  # fmt: skip
    report |= _of_stage(stage, loaded, world, mentions, parts, questions, split_seed)
    if out is not None:
        with atomic_write(out) as temporary:
            temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    table = Table("what", "", box=None, pad_edge=False)
    for name, row in report["prompts"].items():
        table.add_row(name, f"{row['share']:.1%} of {row['of']}")
    for name, row in report["facts"].items():
        right, refused = row["right"]["share"], row["refused"]["share"]
        table.add_row(name, f"{right:.1%} right, {refused:.1%} refused, of {row['right']['of']}")
    if row := report.get("kept"):
        table.add_row("right before, and still", f"{row['share']:.1%} of {row['of']}")
    for pile, row in report.get("with tools", {}).items():
        if isinstance(row, dict) and pile != "outcomes":
            shown = ", ".join(f"{what} {share['share']:.1%}" for what, share in row.items())
            table.add_row(f"with tools: {pile}", shown)
    for told, row in report.get("identity", {}).items():
        if isinstance(row, dict):
            said = f"{row['all']['right']} of {row['all']['of']} right"
            table.add_row(f"who it is, by {told}", said)
    Console().print(table)


def _of_stage(
    stage: str, loaded: Pretrained, world: Encyclopaedia, mentions: dict[str, dict[str, int]], parts: Split,
    questions: int, split_seed: int,
) -> dict[str, Any]:  # fmt: skip
    """What is measured of the later stages alone: answers with tools, and who it says it is."""
    found: dict[str, Any] = {}
    if stage in ("tools", "identity"):
        from ..engine import Engine
        from ..engine.tools import PythonTool, Tool
        from ..evals.tool_use import library_search
        from ..evals.tool_use import report as with_tools

        engine = Engine(loaded.model, loaded.tokenizer, max_streams=64)
        with PythonTool() as python:
            tools: list[Tool] = [library_search(world, split_seed), python]
            found["with tools"] = with_tools(
                engine, tools, world, mentions, parts, n=questions, split_seed=split_seed
            )
    if stage == "identity":
        from ..data.conversations.stages import ME
        from ..evals.assistant import generator
        from ..evals.identity import report as who

        generate = generator(loaded.model, loaded.tokenizer)
        found["identity"] = who(loaded.tokenizer, generate, ME, n=questions)
    return found


@app.command()
def base(
    model: Annotated[str, typer.Argument(help="A model: a folder, or a name.")],
    mixture: Annotated[
        Path, typer.Option(help="What `llmcourse data mixture` made: the text it was trained on.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write the report here as JSON.")] = None,
    per_band: Annotated[int, typer.Option(min=1, help="Facts asked of each band.")] = 300,
    ngram: Annotated[bool, typer.Option(help="Count 5-grams too: a minute, some GB.")] = True,
) -> None:
    """Measure a base model: bits per byte, facts known by number of mentions, texts recited.

    Example: `llmcourse eval base work/run/model --mixture work/mixture --out work/evaluation.json`
    """
    from rich.console import Console
    from rich.table import Table

    from ..assets import atomic_write
    from ..evals.base_model import evaluate
    from ..model import pretrained

    loaded = pretrained.load(model)
    report = evaluate(loaded.model, loaded.tokenizer, mixture, per_band=per_band, ngram=ngram)
    if out is not None:
        with atomic_write(out) as temporary:
            temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    table = Table("what", "", box=None, pad_edge=False)
    for name, bits in report["bits_per_byte"].items():
        table.add_row(f"bits per byte, {name}", f"{bits:.3f}")
    bands = next(iter(report["recall"].values()))["known"]
    for i, band in enumerate(bands):
        shares = [seed["known"][i]["share"] for seed in report["recall"].values()]
        table.add_row(f"facts told {band['band']} times", f"{sum(shares) / len(shares):.1%} known")
    for row in report["recitals"]:
        copies = f"{row['copies']:,} copies" if row["copies"] > 1 else "1 copy"
        table.add_row(f"notices with {copies}", f"{row['tokens_right']:.1%} of tokens recited")
    Console().print(table)


@app.command()
def mid(
    model: Annotated[str, typer.Argument(help="A model after mid-training: a folder, or a name.")],
    base: Annotated[str, typer.Option(help="The base model that it was.")] = "course-base",
    preset: Annotated[str, typer.Option(help="Whose World.")] = "course-laptop",
    out: Annotated[Path | None, typer.Option(help="Write the report here as JSON.")] = None,
    per_band: Annotated[int, typer.Option(min=1, help="Facts asked of each band.")] = 300,
    questions: Annotated[int, typer.Option(min=1, help="Of each sort at the desk.")] = 150,
) -> None:
    """Measure what mid-training changed: facts known, pages read, questions answered, bits per byte; before and after.

    Example: `llmcourse eval mid work/mid/model --out work/mid/evaluation.json`
    """
    from rich.console import Console
    from rich.table import Table

    from ..assets import atomic_write
    from ..evals.mid import report

    found = report(base, model, preset, per_band=per_band, n_desk=questions)
    if out is not None:
        with atomic_write(out) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    table = Table("what", "before", "after", box=None, pad_edge=False)
    for name in found["before"]:
        row = [found[when][name] for when in ("before", "after")]
        shown = [f"{x['share']:.1%}" if isinstance(x, dict) else f"{x:.3f}" for x in row]
        table.add_row(name, *shown)
    Console().print(table)
