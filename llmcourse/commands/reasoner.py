"""`llmcourse reasoner`: the model that can think before it answers, where reinforcement learning begins."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import CourseError
from .output import count, say


def reasoner(
    out: Annotated[Path, typer.Option(help="The run's folder; a run that is there goes on.")],
    base: Annotated[
        str,
        typer.Option(help="The base model: a name that `llmcourse model list` has, or a folder."),
    ] = "course-mid",
    conversations: Annotated[
        int | None, typer.Option(min=10, help="How many to learn from; default: the book's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of conversations and training.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of fine-tuning, e.g. lr=0.001; may be repeated."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Start anew, and remove an earlier run in OUT.")
    ] = False,
    max_seconds: Annotated[
        float | None, typer.Option(min=1, help="Stop after so long; the same command goes on.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No bar, no lines on the way.")] = False,
) -> None:
    """Fine-tune a base model on problems, answered at once, step by step, hastily, with care, and by programs.

    The model is in OUT/model. Ctrl-C or SIGTERM stop after a snapshot; the same command goes on.

    Example: `llmcourse reasoner --out work/reasoner`
    """
    from ..train.threads import wait_asleep

    wait_asleep()  # before torch is loaded

    from ..model.pretrained import load
    from ..rl.reasoner import CONVERSATIONS, make

    found = load(base, progress=not quiet)
    result = make(
        found.model, found.tokenizer, conversations=conversations or CONVERSATIONS, seed=seed,
        out=out, resume=not fresh, progress=not quiet, max_seconds=max_seconds, **values(settings or []),
    )  # fmt: skip
    done = f"{count(result.step, 'step')}, {count(result.targets, 'token')} learnt from"
    if result.finished:
        say(f"{done} in {result.seconds:,.1f} s\nthe model is in {out / 'model'}")
    else:
        print(f"stopped after {done}; the same command goes on from here", file=sys.stderr)
    if result.signal:
        raise typer.Exit(128 + signal.Signals(result.signal))


def values(settings: list[str]) -> dict[str, Any]:
    """``NAME=VALUE`` as names and values: what JSON can read is read, the rest is text.

    Raises:
        CourseError: if there is no ``=``.
    """
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise CourseError(f"--set {setting}: no such setting", hint="NAME=VALUE")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found
