"""`llmcourse model …`: shapes, parameters, and what is in files of weights (chapters 04 and 05)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import CourseError
from .output import columns, count, printable, say, shortened, size

if TYPE_CHECKING:
    from ..model.config import ModelConfig
    from .model_facts import Facts

app = typer.Typer(
    help="Shapes, parameters, and files of weights (chapters 04 and 05).", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the named shapes with their parameters, and the models that can be loaded by name.

    Example: `llmcourse model list`
    """
    from ..model import config, pretrained
    from ..model.transformer import num_parameters
    from .model_places import place

    shapes = {name: config.named(name) for name in config.names()}
    counted = {name: num_parameters(shape) for name, shape in shapes.items()}
    models = []
    for name in pretrained.names():
        path, where = place(name)
        repository = pretrained.HUB.get(pretrained.ALIASES.get(name, name))  # none: our own
        here = None if path is None else str(path)
        models.append({"name": name, "place": where, "path": here, "hub": repository})
    if as_json:
        listed = [
            {"name": name, "parameters": counted[name], "config": shape.model_dump()}
            for name, shape in shapes.items()
        ]
        say(json.dumps({"shapes": listed, "models": models}, indent=2))
        return
    say("shapes (llmcourse model show NAME)")
    rows = [
        (name, counted[name], f"{s.n_layers} × {s.width}, {s.n_heads} heads", s.context_length)
        for name, s in shapes.items()
    ]
    head = ("", "parameters", "layers × width", "context")
    say(columns([head, *rows], right=" r r"))
    say("\nmodels (llmcourse generate --model NAME)")
    say(columns([(m["name"], _where(m)) for m in models]))


def _where(model: dict[str, Any]) -> str:
    if model["path"] is None:
        return f"needs the hub: {model['hub']}"
    return f"here, in the {model['place']}: {printable(model['path'])}"


@app.command()
def show(
    what: Annotated[
        str,
        typer.Argument(metavar="NAME|PATH", help="A name of `model list`, or a file or folder."),
    ],
    as_json: AsJson = False,
) -> None:
    """Show a shape: parameters by component, bytes of the weights, bytes of the cache. Loads no weights.

    Example: `llmcourse model show gpt2-xl`
    """
    from ..model import config as configs
    from ..model.weights import open_checkpoint
    from ..model.weights.build import match
    from .model_facts import facts_of
    from .model_files import contents_of
    from .model_places import find

    stored: dict[str, Any] = {}
    name = shape_name(what)
    if name is not None:
        config = configs.named(name)
        facts, source = facts_of(config), f"the shape {name}"
    else:
        path = find(what)
        checkpoint = open_checkpoint(path)
        config = checkpoint.config
        facts, source = facts_of(config, match(checkpoint)[0]), str(path)
        tensors = contents_of(path).tensors
        for tensor in tensors:
            stored[tensor.type] = stored.get(tensor.type, 0) + tensor.bytes
    if as_json:
        report = {
            "source": source,
            "config": config.model_dump(),
            "parameters": {"total": facts.total, **facts.parameters, "per_block": facts.per_block},
            "weights_bytes": facts.weights,
            "kv_cache_bytes_per_token": facts.cache,
            "stored_bytes": stored or None,
        }
        say(json.dumps(report, indent=2))
        return
    say(f"{printable(source)}: {facts.total:,} parameters\n")
    _print_facts(config, facts)
    if stored:
        parts = ", ".join(f"{size(n)} of {kind}" for kind, n in stored.items())
        say(f"\nstored: {parts}")


def shape_name(what: str) -> str | None:
    """The named shape that is meant, or None: a shape's own name, or a model's that is not here."""
    from ..model import config, pretrained
    from .model_places import place

    name = what.lower()
    if name in config.names():
        return name
    known = pretrained.ALIASES.get(name, name)
    base = known.removesuffix("-instruct")
    is_elsewhere = known in pretrained.HUB and place(known)[0] is None
    return base if is_elsewhere and base in config.names() else None


def _print_facts(config: ModelConfig, facts: Facts) -> None:
    say("shape")
    say(columns([(key, "none" if v is None else v) for key, v in _fields(config)]))
    say("\nparameters")
    rows: list[tuple[Any, ...]] = [("", "a block", "in all", "share")]
    for part, n in facts.parameters.items():
        share = f"{100 * n / facts.total:.1f} %"
        rows.append((part, facts.per_block[part] or "", n, share))
    if config.tied:
        rows[-1] = ("head", "", "the embedding again", "")
    rows.append(("total", sum(facts.per_block.values()), facts.total, ""))
    say(columns(rows, right=" rrr"))
    say("\nbytes of the weights (as int8: matrices only, with a scale for each row)")
    say(columns([(kind, n, size(n)) for kind, n in facts.weights.items()], right=" rr"))
    say("\nbytes of the KV cache")
    rows = [("", "a token", f"{config.context_length:,} tokens")]
    rows += [(kind, n, size(n * config.context_length)) for kind, n in facts.cache.items()]
    say(columns(rows, right=" rr"))


def _fields(config: ModelConfig) -> list[tuple[str, Any]]:
    """What is worth reading of a shape: rotation's settings only where something rotates."""
    fields = config.model_dump()
    scaling = fields.pop("rope_scaling")
    if config.position != "rope":
        del fields["rope_theta"]
    shown = [(k, str(v).lower() if isinstance(v, bool) else v) for k, v in fields.items()]
    return shown + [(f"rope_scaling.{k}", v) for k, v in (scaling or {}).items()]


@app.command()
def inspect(
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="A .gguf or .safetensors file, a folder, or a model's name."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """List the tensors and the metadata of a file of weights, supported or not. Reads only headers.

    Example: `llmcourse model inspect smollm2 | less`
    """
    from dataclasses import asdict

    from .model_files import contents_of
    from .model_places import find

    found = contents_of(find(what))
    parameters = sum(tensor.parameters for tensor in found.tensors)
    total = sum(tensor.bytes for tensor in found.tensors)
    if as_json:
        report = {
            "path": str(found.path), "format": found.format, "parameters": parameters, "bytes": total,
            "metadata": found.metadata, "tensors": [asdict(tensor) for tensor in found.tensors],
        }  # fmt: skip
        say(json.dumps(report, indent=2))
        return
    say(f"{printable(str(found.path))}: {found.format}")
    if found.metadata:
        say("\nmetadata")
        say(columns([(shortened(k), _value(v)) for k, v in found.metadata.items()]))
    files = {tensor.file for tensor in found.tensors}
    rows: list[tuple[Any, ...]] = [("tensors", "type", "shape", "bytes")]
    for t in found.tensors:
        row = (shortened(t.name), t.type, " × ".join(map(str, t.shape)) or "1", t.bytes)
        rows.append((*row, printable(t.file)) if len(files) > 1 else row)
    if len(files) > 1:
        rows[0] = (*rows[0], "file")
    say("\n" + columns(rows, right="  rr", indent=""))
    say(f"\n{count(len(found.tensors), 'tensor')}, {parameters:,} numbers, {size(total)}")


def _value(value: Any) -> str:
    """One piece of metadata in one line."""
    if isinstance(value, dict) and value.keys() == {"length"}:
        return f"({value['length']:,} items)"
    if isinstance(value, str):
        return shortened(value)
    return shortened(json.dumps(value, ensure_ascii=False))


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="A model's name, a .gguf file, or a folder.")],
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    format: Annotated[
        str, typer.Option(help="ours, or huggingface: a folder that transformers reads.")
    ] = "ours",
    dtype: Annotated[
        str,
        typer.Option(
            help="float32, bfloat16 or float16. auto: as the source has it, float32 where that is quantised."
        ),
    ] = "auto",
    tokenizer: Annotated[
        bool, typer.Option(help="Write the tokenizer and the chat template as well.")
    ] = True,
    force: Annotated[bool, typer.Option(help="Overwrite a model that is in the folder.")] = False,
) -> None:
    """Write a model as safetensors, in our format or Hugging Face's, with its tokenizer.

    Example: `llmcourse model convert smollm2 work/smollm2 --format huggingface`
    """
    from ..model.transformer import num_parameters
    from .model_convert import convert as run

    if not source:
        raise CourseError("the source is empty", hint="llmcourse model list has the names")
    model = run(
        source, out, format=format, dtype=dtype, words=tokenizer, force=force, progress=sys.stderr.isatty(),
    )  # fmt: skip
    kind = str(model.dtype).removeprefix("torch.")
    total = sum(path.stat().st_size for path in out.iterdir())
    say(f"{printable(str(out))}: {num_parameters(model):,} parameters as {kind}, {size(total)}")
    if tokenizer:
        say(f'next: llmcourse generate --model {printable(str(out))} "…"')
