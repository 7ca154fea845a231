"""`llmcourse rl`: reinforcement learning on problems whose answers can be checked (chapters 15 and 16)."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import CourseError
from .output import count, say


def rl(
    out: Annotated[Path, typer.Option(help="The run's folder; a run that is there goes on.")],
    model: Annotated[
        str,
        typer.Option(
            help="Of `llmcourse reasoner`, say: a name that `llmcourse model list` has, or a folder."
        ),
    ],
    kind: Annotated[
        str, typer.Option(help="Of problems: story, chain, counting, letters, decimals, countdown.")
    ] = "chain",
    dials: Annotated[
        list[str] | None,
        typer.Option("--dial", help="Of the problems, e.g. length=[4,6]; may be repeated."),
    ] = None,
    problems: Annotated[int, typer.Option(min=1, help="How many there are to practise on.")] = 2000,
    held_out: Annotated[
        int, typer.Option("--held-out", min=0, help="Others, for looking how it goes.")
    ] = 100,
    rung: Annotated[
        str, typer.Option(help="How to learn: reinforce, baseline, group, group_std, … dapo.")
    ] = "dr_grpo",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of `llmcourse.rl.trainer.train`, e.g. steps=40."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of problems and draws.")] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Start anew, and remove an earlier run in OUT.")
    ] = False,
    max_seconds: Annotated[
        float | None, typer.Option(min=1, help="Stop after so long; the same command goes on.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No bar, no lines on the way.")] = False,
) -> None:
    """Let a model practise: attempts at problems, each checked, and more of what was right.

    A reward is 1 for the right answer and 0 for anything else. OUT has a row of numbers for each step, every attempt,
    and at the end the model. Ctrl-C or SIGTERM stop after a snapshot; the same command goes on.

    Example: `llmcourse rl --model work/reasoner/model --kind chain --dial 'length=[5,7]' --dial digits=1 --out work/rl`
    """
    from ..train.threads import wait_asleep

    wait_asleep()  # before torch is loaded

    from ..data.problems import verifiable
    from ..model.pretrained import load
    from ..rl.evaluation import evaluator
    from ..rl.rewards import Rewards, correctness
    from ..rl.trainer import train
    from .reasoner import values

    if kind == "countdown":
        raise CourseError(
            "countdown has many right answers, and this reward knows one",
            hint="use `llmcourse.rl.trainer.train` with `verifiable.check` as reward",
        )
    of: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values(dials or []).items()
    }
    options = values(settings or [])
    found = load(model, progress=not quiet)
    practice = verifiable.problems(kind, problems, "train", seed, **of)
    test = verifiable.problems(kind, held_out, "held", seed, **of) if held_out else []
    most = options.get("max_tokens", 96)
    look = evaluator(test, found.tokenizer, max_tokens=most, attempts=2) if test else None
    result = train(
        found.model, found.tokenizer, practice, Rewards(correct=correctness), rung=rung, seed=seed, out=out,
        evaluate=look, resume=not fresh, progress=not quiet, max_seconds=max_seconds, **options,
    )  # fmt: skip
    done = count(result.step, "step")
    if result.finished:
        say(f"{done} in {result.seconds:,.1f} s\nthe model is in {out / 'model'}")
        for step, answer in result.evaluations[-1:]:
            say(
                f"step {step:,}: pass@1 {answer['pass@1']:.1%} of {count(len(test), 'new problem')}"
            )
    else:
        print(f"stopped after {done}; the same command goes on from here", file=sys.stderr)
    if result.signal:
        raise typer.Exit(128 + signal.Signals(result.signal))
