"""`llmcourse sft`: from a base model to an assistant, on files of conversations (chapter 08)."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import CourseError
from .output import count, say

if TYPE_CHECKING:
    from ..presets import Preset
    from ..tokenizer import Tokenizer
    from ..tokenizer.chat import Rendered


def sft(
    preset: Annotated[str, typer.Option(help="One of `llmcourse presets` with an [sft].")],
    model: Annotated[
        str, typer.Option(help="A name that `llmcourse model list` has, or a folder.")
    ],
    data: Annotated[list[Path], typer.Option(help="Conversations; may be repeated.")],
    out: Annotated[Path, typer.Option(help="The run's folder; a run that is there goes on.")],
    validation: Annotated[
        list[Path] | None, typer.Option(help="Conversations for the loss on the way.")
    ] = None,
    pages: Annotated[
        list[Path] | None,
        typer.Option(
            help="Texts to read on, lest what was read be forgotten: <|endoftext|> between them."
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", help="chatml, openassistant, ultrachat, sharegpt or alpaca."),
    ] = "chatml",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of [sft], e.g. lr=0.001; may be repeated."),
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
    quiet: Annotated[bool, typer.Option("--quiet", help="No bar, no lines on the way.")] = False,
) -> None:
    """Fine-tune a model on conversations, or go on where an earlier run in the same folder stopped.

    Ctrl-C or SIGTERM stop it after a snapshot; the same command goes on. The exit status is 0 if the
    run is finished, 143 after SIGTERM and 130 after Ctrl-C.

    Example: `llmcourse sft --preset course-laptop --model course-base --data chats.jsonl --out work/sft`
    """
    from ..train.threads import wait_asleep

    wait_asleep()  # before torch is loaded

    from .. import presets
    from ..model.pretrained import load
    from ..train.distributed import join, leave
    from ..train.lora import LoraConfig
    from ..train.sft import sft as run

    options = _options(presets.load(preset), settings or [])
    options["betas"] = (options.pop("beta1"), options.pop("beta2"))
    lora = options.pop("lora", None)
    options["lora"] = (
        None if lora is None else LoraConfig(**{**lora, "targets": tuple(lora["targets"])})
    )
    team = join(device)
    try:
        found = load(model, progress=not quiet)
        room = options["context"] = options["context"] or found.config.context_length
        examples, held_out = (
            [one for path in paths for one in _rendered(path, form, found.tokenizer, room)]
            for paths in (data, validation or [])
        )
        for path in pages or []:
            examples += _pages(path, found.tokenizer, room)
        result = run(
            found.model, examples, validation=held_out, out=out, team=team,
            tokenizer=found.tokenizer, resume=not fresh, progress=not quiet, max_seconds=max_seconds,
            **options,
        )  # fmt: skip
    finally:
        leave(team)
    if team.is_main:
        done = f"{count(result.step, 'step')}, {count(result.targets, 'token')} learnt from"
        if result.finished:
            say(f"{done} in {result.seconds:,.1f} s\nthe model is in {out / 'model'}")
        else:
            why = f" by {signal.Signals(result.signal).name}" if result.signal else ""
            print(
                f"stopped{why} after {done}; the same command goes on from here (without --fresh)",
                file=sys.stderr,
            )
    if result.signal:
        raise typer.Exit(128 + result.signal)


def _options(preset: Preset, settings: list[str]) -> dict[str, Any]:
    """The settings of [sft], some of them replaced and checked again; `expected` is for people."""
    from .. import presets

    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise CourseError(f"--set {setting}: no such setting", hint="NAME=VALUE")
        try:
            changes[name] = json.loads(text)
        except ValueError:
            changes[name] = text
    if changes:
        preset = presets.change(preset, "sft", changes)
    section = preset.need(presets.SFTSection)
    return dict(section.model_dump(exclude={"expected"}))


def _pages(path: Path, tokenizer: Tokenizer, context: int) -> list[Rendered]:
    """A file's texts as tokens, all of which carry loss; what does not fit is cut off."""
    from ..data.mixture import SEPARATOR
    from ..tokenizer.chat import Rendered

    try:
        texts = path.read_text(encoding="utf-8").split(SEPARATOR)
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"cannot read {path}: {error}", hint="a text file, UTF-8") from error
    end = tokenizer.special_tokens.get(SEPARATOR)
    if end is None:
        raise CourseError(f"the tokenizer has no {SEPARATOR}", hint="leave --pages out")
    rows = [[end, *tokenizer.encode_ordinary(text), end][: context + 1] for text in texts if text]
    return [Rendered(ids, [0] + [1] * (len(ids) - 1)) for ids in rows]


def _rendered(path: Path, form: str, tokenizer: Tokenizer, context: int) -> list[Rendered]:
    """A file's conversations as tokens; what is too long even for one exchange is left out, and said so."""
    from ..data.conversations.formats import read
    from ..tokenizer.chat import TooLong, render

    rendered, long = [], 0
    for conversation in read(path, form):
        try:
            rendered.append(render(conversation, tokenizer, max_tokens=context + 1))
        except TooLong:
            long += 1
    if long:
        print(f"{path}: {count(long, 'conversation')} too long, left out", file=sys.stderr)
    return rendered
