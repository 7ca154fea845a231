"""`llmcourse pretrain`: a model from nothing, by a preset (chapter 06)."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import CourseError
from .output import columns, count, say

if TYPE_CHECKING:
    from ..presets import Preset
    from ..train.derived import Derived
    from ..train.pretrain import Result


def pretrain(
    preset: Annotated[str, typer.Option(help="One of `llmcourse presets` with a [train].")],
    out: Annotated[Path, typer.Option(help="The run's folder; a run that is there goes on.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder with train, valid and tokenizer.json, or of shards; by default the preset's own data."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Instead of the preset's.")] = None,
    lr: Annotated[float | None, typer.Option(help="Instead of the preset's.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of [train], e.g. micro_batch=4; may be repeated."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, …; auto: a GPU where there is one.")
    ] = "auto",
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Start anew, and remove an earlier run in OUT.")
    ] = False,
    max_seconds: Annotated[
        float | None, typer.Option(help="Stop after so long, with a snapshot to go on from.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print everything derived, and do nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No bar, no lines on the way.")] = False,
) -> None:
    """Train a model from nothing, or go on where an earlier run in the same folder stopped.

    Ctrl-C or SIGTERM stop it after a snapshot; the same command goes on. The exit status is 0 if the
    run is finished, 143 after SIGTERM and 130 after Ctrl-C, which tells a scheduler to start it again.

    Example: `llmcourse pretrain --preset nano --out work/nano`

    Example: `torchrun --nproc-per-node 2 -m llmcourse.cli pretrain --preset course-laptop --out work/run`
    """
    from ..train.threads import wait_asleep

    wait_asleep()  # before torch is loaded

    from .. import presets
    from ..train.distributed import join, leave
    from ..train.pretrain import pretrain as run
    from ..train.sources import source_of

    chosen = _changed(presets.load(preset), steps, lr, settings or [])
    config = chosen.need(presets.ModelSection).build()
    train = chosen.need(presets.TrainSection)
    team = join(device)
    try:
        if dry_run:
            if team.is_main:
                _show_plan(chosen, data, team)
            return
        source = source_of(chosen, data, team, progress=not quiet)
        result = run(
            config, train, source, out, team=team, resume=not fresh, progress=not quiet,
            max_seconds=max_seconds, on_start=None if not team.is_main or quiet else _show_derived,
        )  # fmt: skip
    finally:
        leave(team)
    if team.is_main:
        _show_result(result)
    if result.signal:
        raise typer.Exit(128 + result.signal)


def _changed(preset: Preset, steps: int | None, lr: float | None, settings: list[str]) -> Preset:
    """The preset with some settings of [train] replaced, and checked again."""
    from .. import presets

    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in presets.TrainSection.model_fields:
            raise CourseError(
                f"--set {setting}: no such setting",
                hint=f"NAME=VALUE, with one of: {', '.join(presets.TrainSection.model_fields)}",
            )
        changes[name] = _value(text)
    changes |= {k: v for k, v in (("steps", steps), ("lr", lr)) if v is not None}
    train = preset.need(presets.TrainSection)
    if steps is not None:  # a shorter run warms up for less
        changes.setdefault("warmup_steps", min(train.warmup_steps, steps // 10))
    if lr is not None:
        changes.setdefault("min_lr", float(f"{lr * train.min_lr / train.lr:.6g}"))
    return presets.change(preset, "train", changes) if changes else preset


def _value(text: str) -> Any:
    """A number, a list or a truth value as TOML and JSON write it; else the text itself."""
    try:
        return json.loads(text.replace("_", "") if text[:1].isdigit() else text)
    except ValueError:
        return text


def _show_plan(preset: Preset, data: Path | None, team: Any) -> None:
    from .. import presets
    from ..train.derived import derive
    from ..train.sources import data_folder, source_of

    config, train = preset.need(presets.ModelSection).build(), preset.need(presets.TrainSection)
    there = train.data == "letters" or data is not None or (data_folder(preset) / "train").exists()
    source = source_of(preset, data, team) if there else None
    for title, section in (("model", config), ("train", train)):
        fields = section.model_dump(mode="json")
        rows = [(k, v if type(v) is int else json.dumps(v)) for k, v in fields.items()]
        say(f"{title}\n{columns(rows)}")
    say("derived")
    _show_derived(derive(config, train, source, team))


def _show_derived(derived: Derived) -> None:
    say(columns(derived.lines()))


def _show_result(result: Result) -> None:
    done = (
        f"{count(result.step, 'step')}, {count(result.tokens, 'token')} in {result.seconds:,.1f} s"
    )
    if result.finished:
        loss = "" if result.loss is None else f", loss {result.loss:.3f}"
        bits = "" if result.bits_per_byte is None else f", {result.bits_per_byte:.3f} bits per byte"
        say(f"{done}{loss}{bits}\nthe model is in {result.folder / 'model'}")
        return
    why = f" by {signal.Signals(result.signal).name}" if result.signal else ""
    print(
        f"stopped{why} after {done}; the same command goes on from here (without --fresh)",
        file=sys.stderr,
    )
