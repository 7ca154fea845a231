"""`llmcourse generate`: a model goes on writing (chapter 05)."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Annotated, cast, get_args

import typer

from ..errors import CourseError
from .live import HEAD, OTHERS, Live, probability_row, token_name, token_objects
from .output import printable, say
from .prompt import check_utf8, end_tokens, prompt_ids, read_prompt


def generate(
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="What the text begins with; `-`, or a pipe and none, reads standard input."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="A name of `llmcourse model list`, a .gguf file, or a folder.")
    ] = "smollm2",
    max_tokens: Annotated[int, typer.Option(help="At most so many new tokens.")] = 256,
    temperature: Annotated[
        float, typer.Option(help="Below 1 sharper, above 1 flatter; 0: always the most probable.")
    ] = 0.8,
    top_k: Annotated[
        int | None, typer.Option(help="Draw only from the k most probable tokens.")
    ] = None,
    top_p: Annotated[
        float,
        typer.Option(
            help="Draw only from the fewest that together have this probability; 1: from all."
        ),
    ] = 0.95,
    min_p: Annotated[
        float | None,
        typer.Option(help="Draw only from those this fraction as probable as the first."),
    ] = None,
    repetition_penalty: Annotated[
        float, typer.Option(help="Above 1: what has occurred becomes less probable.")
    ] = 1.0,
    seed: Annotated[
        int | None, typer.Option(help="Where the chance comes from. Without it, another each time.")
    ] = None,
    n: Annotated[int, typer.Option("--n", "-n", help="How many continuations.")] = 1,
    stop: Annotated[
        list[str] | None, typer.Option(help="End before this text; may be given several times.")
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="fp32, bf16 or int8. On a CPU int8 is the fastest, but not quite the same model."
        ),
    ] = "fp32",
    device: Annotated[
        str, typer.Option(help="cpu, cuda, …; auto: a GPU where there is one.")
    ] = "auto",
    chat: Annotated[
        bool, typer.Option("--chat", help="Ask it as an assistant: one question.")
    ] = False,
    system: Annotated[str | None, typer.Option(help="The system message, with --chat.")] = None,
    probabilities: Annotated[
        bool,
        typer.Option("--probabilities", help="A line for each token: what else could have come."),
    ] = False,
    naive: Annotated[
        bool, typer.Option("--naive", help="Chapter 05's plain loop instead of the engine.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end.")
    ] = False,
) -> None:
    """Go on from a prompt, printing each word as it comes. Weights are fp32 unless you say otherwise.

    Example: `llmcourse generate "The old ferryman looked at the river and" --seed 1`

    Example: `llmcourse generate --chat "What is the capital of France?"`
    """
    if max_tokens < 1:
        raise CourseError(f"max-tokens cannot be {max_tokens}", hint="at least 1")
    if n < 1:
        raise CourseError(f"n cannot be {n}", hint="at least 1")
    if system is not None and not chat:
        raise CourseError("--system needs --chat", hint="a system message is a conversation's")
    stops = tuple(stop or ())
    if "" in stops:
        raise CourseError("a stop text is empty", hint="every text begins with it: leave it out")
    for text in (*stops, system or ""):
        check_utf8(text, "an option")
    text = read_prompt(prompt)

    from ..engine import Request, Sampling
    from ..engine.weights import Weights
    from ..model.pretrained import load
    from ..runtime import pick_device
    from .generating import Progress, run_engine, run_loop

    if weights not in get_args(Weights):
        raise CourseError(f"weights cannot be {weights!r}", hint=", ".join(get_args(Weights)))
    if naive and weights != "fp32":
        raise CourseError("--naive runs the model as it is, in fp32", hint="leave --weights out")
    # A seed of its own, so that what was interesting can be had again.
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty, seed)
    loaded = load(model, device=pick_device(device), progress=sys.stderr.isatty())
    ids = prompt_ids(loaded, text, chat, system)
    ends = end_tokens(loaded.tokenizer, loaded.chat_template)
    others = min(OTHERS + 1, loaded.config.vocab_size) if probabilities else 0
    requests = [Request(ids, sampling, max_tokens, ends, stops, others, i, i) for i in range(n)]

    def name_of(token: int) -> str:
        return token_name(loaded.tokenizer.token_bytes(token))

    def text_of(token: int) -> str:
        return loaded.tokenizer.decode([token])

    progress = Progress()
    row = (lambda stream, index: probability_row(name_of, stream, index)) if probabilities else None
    live = Live(progress.streams, n, row, HEAD)

    def changed() -> None:
        progress.changed()
        if not as_json:
            live.update()

    try:
        if naive:
            run_loop(loaded, requests, progress, changed)
        else:
            run_engine(loaded, requests, cast(Weights, weights), progress, changed)
    except KeyboardInterrupt:  # what there is has been printed
        progress.interrupted = True
    finally:
        progress.end()
        live.end()
    if as_json:
        report = {
            "model": loaded.source, "device": str(loaded.model.device), "weights": weights, "naive": naive,
            "prompt": text, "chat": chat, "system": system, "prompt_tokens": len(ids),
            "max_tokens": max_tokens, "stop": stops, "sampling": asdict(sampling),
            "seconds": progress.seconds, "tokens_per_second": progress.rate,
            "continuations": [
                {"text": stream.text, "ids": stream.ids, "finish_reason": stream.finish_reason}
                | ({"tokens": token_objects(text_of, stream)} if probabilities else {})
                for stream in progress.streams
            ],
        }  # fmt: skip
        say(json.dumps(report, indent=2))
    if sys.stderr.isatty():
        print(f"{printable(progress.summary(len(ids)))}; --seed {seed}", file=sys.stderr)
    if progress.interrupted:
        raise typer.Exit(130)
