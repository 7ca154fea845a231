"""The `llmcourse` command. Every command has --help with an example."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .commands import (
    assistant,
    data,
    evaluate,
    generate,
    model,
    plan,
    pretrain,
    reasoner,
    rl,
    sft,
    tokenizer,
)
from .commands.output import printable
from .errors import CourseError

app = typer.Typer(
    name="llmcourse",
    help="The executable book on large language models, from the command line.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(model.app, name="model")
app.add_typer(evaluate.app, name="eval")
app.command()(generate.generate)
app.command()(pretrain.pretrain)
app.command()(sft.sft)
app.command()(assistant.assistant)
app.command()(plan.plan)
app.command()(reasoner.reasoner)
app.command()(rl.rl)


def _version(value: bool) -> None:
    if value:
        print(f"llmcourse {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say what this machine has, what is missing, and the command that gets it.

    Example: `llmcourse doctor`
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from .doctor import distribution_conflicts, examine

    findings = examine()
    conflicts = distribution_conflicts()
    if as_json:
        print(json.dumps([asdict(f) for f in findings], indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("", "what", "found", "to mend it"):
            table.add_column(column, overflow="fold")
        area = ""
        for f in findings:
            table.add_row(f.area if f.area != area else "", f.name, f.value, f.cure)
            area = f.area
        Console().print(table)
        for line in conflicts:
            print(f"does not fit: {line}")
    if conflicts or any(f.cure for f in findings if f.area in {"core", "assets"}):
        raise typer.Exit(1)


@app.command()
def claims(
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
    notebooks: Annotated[Path, typer.Option(help="The folder of executed chapters.")] = Path(
        "notebooks"
    ),
    chapter: Annotated[
        str, typer.Option(help="Only chapters whose name starts so, for example 02.")
    ] = "",
) -> None:
    """List every claim of the book with what was measured.

    Example: `llmcourse claims --chapter 02`
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from .claims import read_claims, show

    rows = [row for row in read_claims(notebooks) if row["chapter"].startswith(chapter)]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("video", "claim", "measured", "", "expected", "holds"):
        table.add_column(column, overflow="fold")
    for row in rows:
        measured, expected = escape(show(row["measured"])), escape(show(row["expected"]))
        cells = row["time"], row["text"], measured, row["relation"], expected, show(row["holds"])
        table.add_row(*cells)
    Console().print(table)
    held = sum(row["holds"] for row in rows)
    print(f"{len(rows)} claims, {held} hold, {len(rows) - held} are findings that differ")


@app.command()
def presets(
    name: Annotated[str, typer.Argument(help="A preset; without it, all are listed.")] = "",
) -> None:
    """Show the presets, or everything that one of them stands for.

    Example: `llmcourse presets quick`
    """
    from . import presets as module

    if name:
        print(json.dumps(module.load(name).model_dump(mode="json"), indent=2))
        return
    for known in module.names():
        print(f"{known:<16} {module.load(known).description}")


def main() -> None:
    """Run the command; turn a `CourseError` into one line and exit status 2."""
    try:
        app()
    except CourseError as error:
        print(f"llmcourse: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `llmcourse … | head`
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
