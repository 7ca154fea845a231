"""`llmcourse assistant`: one stage on the way from the base model to an assistant (chapters 08–11)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import CourseError
from .output import count, say

if TYPE_CHECKING:
    from ..data.conversations.split import Known, Part
    from ..data.world.whole import Encyclopaedia


def assistant(
    stage: Annotated[str, typer.Argument(help="sft, refusals, tools or identity.")],
    out: Annotated[Path, typer.Option(help="The stage's folder; what is there goes on.")],
    base: Annotated[
        str,
        typer.Option(help="The base model: a name that `llmcourse model list` has, or a folder."),
    ] = "course-mid",
    asked: Annotated[
        str | None,
        typer.Option(
            help="Whom to ask what it knows, for the stages after sft: the model of stage sft, or what it was"
            " asked in another stage (asked.jsonl)."
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Whose [mixture] and [sft] to use.")
    ] = "course-laptop",
    conversations: Annotated[int, typer.Option(min=10, help="How many to learn from.")] = 16_000,
    questions: Annotated[int, typer.Option(min=10, help="How many rare facts to ask for.")] = 1500,
    seed: Annotated[int, typer.Option(min=0, help="Of conversations and training.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting of [sft], e.g. lr=0.001.")
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(min=1, help="Stop training after so long; the same command goes on."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No bars.")] = False,
) -> None:
    """Make one of the course's assistants: its conversations, its fine-tuning, its model.

    The conversations stand in OUT/train.jsonl and OUT/validation.jsonl, pages to read between them in OUT/pages.txt,
    the model in OUT/model. Every stage is the base model fine-tuned once, on what the stages before it learn and
    something more. The stages after sft ask the model of stage sft what it knows, and teach *I don't know* or a search
    where it was wrong. What was asked and answered stands in OUT/asked.jsonl, which another stage may take instead of
    asking again.

    Example: `llmcourse assistant sft --out work/sft`, then
    `llmcourse assistant refusals --asked work/sft/model --out work/refusals`
    """
    from ..train.threads import wait_asleep

    wait_asleep()  # before torch is loaded

    from .. import presets
    from ..data.conversations.formats import write
    from ..data.conversations.split import split
    from ..data.conversations.stages import KNOWN_FROM, STAGES, material, pages
    from ..data.conversations.stages import conversations as of_stage
    from ..data.mixture import SEPARATOR
    from ..data.world.whole import invent
    from .sft import sft

    if stage not in STAGES:
        raise CourseError(f"no stage is called {stage!r}", hint="stages are " + ", ".join(STAGES))
    if stage != "sft" and asked is None:
        raise CourseError(
            f"stage {stage} asks a model what it knows", hint="--asked with the model of stage sft"
        )
    section = presets.load(preset).need(presets.MixtureSection)
    world = invent(section.seed, section.size)
    mentions = mentions_of(base)
    parts = split(world, mentions, KNOWN_FROM, seed)
    out.mkdir(parents=True, exist_ok=True)
    unknown = {} if asked is None else _unknown(world, mentions, asked, questions, seed, out, quiet)
    given = material(world, mentions, parts, unknown, seed)
    find = _search(world, seed) if stage in ("tools", "identity") else None
    files: list[Path] = []
    for part, n in (("train", conversations), ("validation", max(10, conversations // 40))):
        path = out / f"{part}.jsonl"
        made = of_stage(stage, n, world, given[part], part, seed, find)  # type: ignore[arg-type, index]
        write(path, made)
        files.append(path)
    _put(out / "pages.txt", SEPARATOR.join(pages(world, conversations // 4, seed)))
    say(f"{count(conversations, 'conversation')} in {files[0]}")
    sft(
        preset=preset, model=base, data=files[:1], validation=files[1:], out=out, form="chatml",
        pages=[out / "pages.txt"],
        settings=[*(settings or []), f"seed={seed}"], device="auto", fresh=False, max_seconds=max_seconds,
        quiet=quiet,
    )  # fmt: skip


def mentions_of(base: str) -> dict[str, dict[str, int]]:
    """How often the base model read each fact: the account lies beside its weights."""
    from ..data.mixture import read_mentions
    from ..model import shipped

    folder = shipped.folder(base) if base in shipped.names() else Path(base)
    path = folder / "mentions.json.gz"
    if not path.is_file():
        raise CourseError(
            f"{path} is missing: what {base} read is not known",
            hint="take course-mid or course-base, or copy mentions.json.gz from the folder of the training text",
        )
    return read_mentions(path)


def _unknown(
    world: Encyclopaedia, mentions: dict[str, dict[str, int]], model: str, questions: int, seed: int,
    out: Path, quiet: bool,
) -> dict[Part, list[Known]]:  # fmt: skip
    """Facts told seldom, of each part, that a model got wrong more often than not; all it said is written down."""
    if Path(model).is_file():
        known_unknowns, text = _asked_before(world, Path(model), seed)
        _put(out / "asked.jsonl", text)
        return known_unknowns
    import random

    from ..data.conversations.split import PARTS
    from ..data.conversations.stages import RARE_TO, seldom_told
    from ..evals.assistant import sampler
    from ..evals.interrogate import interrogate
    from ..model.pretrained import load

    found = load(model, progress=not quiet)
    sample = sampler(found.model, found.tokenizer, seed=seed)
    unknown: dict[Part, list[Known]] = {}
    lines: list[str] = []
    for part in PARTS:
        facts = seldom_told(world, mentions, part, RARE_TO, seed)
        n = questions if part == "train" else max(10, questions // 5)
        some = random.Random(seed).sample(facts, min(n, len(facts)))
        findings = interrogate(some, found.tokenizer, sample, seed=seed)
        unknown[part] = [finding.fact for finding in findings if not finding.known()]
        for finding in findings:
            entity, relation = finding.fact
            row = {"part": part, "entity": entity.name, "relation": relation, "asked": finding.asked,
                   "answers": finding.answers, "right": finding.right, "agreement": finding.agreement}  # fmt: skip
            lines.append(json.dumps(row, ensure_ascii=False))
        say(f"{part}: of {count(len(some), 'rare fact')} asked for, {len(unknown[part])} not known")
    _put(out / "asked.jsonl", "\n".join(lines) + "\n")
    return unknown


def _asked_before(
    world: Encyclopaedia, path: Path, seed: int
) -> tuple[dict[Part, list[Known]], str]:
    """The facts that were not known when they were asked for, and the account of it.

    Raises:
        CourseError: if the file is no such account, or of another World, or of a seed that dealt the entities out
            otherwise: what one seed holds out, another trains on.
    """
    import gzip

    from ..data.conversations.split import PARTS, part_of

    entities = world.by_name
    unknown: dict[Part, list[Known]] = {part: [] for part in PARTS}
    hint = "give the asked.jsonl of another stage with the same base model and seed"
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} cannot be read: {error}", hint=hint) from error
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line)
            entity = entities[row["entity"]]
            entity.facts[row["relation"]]
            if row["part"] != part_of(entity.name, seed):
                raise ValueError("dealt out otherwise")
            if row["right"] < 0.5 * len(row["answers"]):
                unknown[row["part"]].append((entity, row["relation"]))
        except (ValueError, KeyError, TypeError) as error:
            raise CourseError(
                f"{path}, line {number}: not what a model of this World was asked, with seed {seed}",
                hint=hint,
            ) from error
    return unknown, text


def _search(world: Encyclopaedia, seed: int) -> Any:
    from ..evals.tool_use import library_search

    return library_search(world, seed).call


def _put(path: Path, text: str) -> None:
    from ..assets import atomic_write

    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
