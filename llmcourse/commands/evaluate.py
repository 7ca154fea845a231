"""`llmcourse eval …`: what a model can do, in numbers (chapter 07)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Measure a model (chapter 07).", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


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
