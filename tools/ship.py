"""Turn a finished run into a model that comes with the package.

    python tools/ship.py work/run --mixture work/mixture --evaluation work/evaluation.json --name course-base

writes ``llmcourse/released/course-base`` (weights in half precision, tokenizer, configuration, the run's record, the
measurements, the counted mentions, held-out text, a model card, checksums), and a smaller folder for each snapshot
that the preset marks as a milestone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

from llmcourse import presets
from llmcourse.data.mixture import SEPARATOR
from llmcourse.evals.base_model import held_out_texts
from llmcourse.model import pretrained
from llmcourse.model.shipped import root, write_sums, write_weights
from llmcourse.model.transformer import num_parameters
from llmcourse.presets import TrainSection

RECORDS = ("metrics.csv", "evals.csv", "samples.txt", "run.json")
HELD_OUT = 400_000  # bytes


def card(name: str, run: dict[str, Any], report: dict[str, Any], parameters: int) -> str:
    """The model card: what it is, what it was made of, what it can and cannot do."""
    train, text = run["settings"]["train"], report["training_text"]
    bits = report["bits_per_byte"]
    seeds = list(report["recall"].values())
    rows = []
    for i, band in enumerate(seeds[0]["known"]):
        shares = [seed["known"][i]["share"] for seed in seeds]
        guess = sum(seed["guessing"][i] for seed in seeds) / len(seeds)
        rows.append(f"| {band['band']} | {sum(shares) / len(shares):.1%} | {guess:.1%} |")
    sources = "\n".join(
        f"| {source} | {count['documents']:,} | {count['tokens']:,} |"
        for source, count in text["sources"].items()
    )
    measured = "\n".join(f"| {what} | {value:.3f} |" for what, value in bits.items())
    recited = "\n".join(
        f"| {row['copies']:,} | {row['tokens_right']:.1%} |" for row in report["recitals"]
    )
    threads = sorted({start["machine"]["threads"] for start in run["starts"]})
    read = min(1.0, run["result"]["tokens"] / text["tokens"])
    least, times = (text["mixture"].get(f"well_known_{key}", 1) for key in ("from", "times"))
    again = f"; pages on what is told {least} times and more stand in it {times} times"
    again *= times > 1
    return f"""# {name}

The base model of the course *From Crawl to Chat*: {parameters:,} parameters, trained from nothing
by `llmcourse pretrain --preset {text["preset"]}`. It continues text about the invented country of Halvern.
It is no assistant, knows nothing of the real world, and is meant for experiments in a classroom.

Licence: Apache-2.0, as the code that wrote its training text.

## Training

{run["result"]["step"]:,} steps of {train["batch_tokens"]:,} tokens, {run["result"]["tokens"]:,} tokens in all, in
{run["result"]["seconds"] / 60:.0f} minutes on {" and then ".join(map(str, threads))} threads
of a processor. That is {read:.0%} of the text below, each part once{again}.
Optimizer: {train["optimizer"]}. The record is in
`metrics.csv` and `evals.csv`, the settings in `run.json`.

| source | documents | tokens |
| --- | ---: | ---: |
{sources}

## Measured

On {report["held_out"]["bytes"]:,} bytes of held-out pages, bits per byte (compressors start from nothing; the model
brings its parameters):

| what | bits per byte |
| --- | ---: |
{measured}

Facts known, by the number of times they were told in the training text (mean of {len(seeds)} draws; beside it what
always giving the most frequent answer would come to):

| told | known | guessing |
| --- | ---: | ---: |
{chr(10).join(rows)}

Notices recited, by the number of their copies (share of tokens in their places):

| copies | recited |
| --- | ---: |
{recited}

All of this is written by `llmcourse eval base` into `evaluation.json`.
"""


def main() -> None:
    """Read the arguments, write the folders."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--mixture", type=Path, required=True)
    parser.add_argument("--evaluation", type=Path, required=True)
    parser.add_argument("--name", required=True)
    args = parser.parse_args()
    run = json.loads((args.run / "run.json").read_text())
    report = json.loads(args.evaluation.read_text())

    target = root() / args.name
    shutil.rmtree(target, ignore_errors=True)
    write_weights(args.run / "model", target)
    for record in RECORDS:
        shutil.copy2(args.run / record, target)
    shutil.copy2(args.evaluation, target / "evaluation.json")
    shutil.copy2(args.mixture / "mentions.json.gz", target)
    texts = SEPARATOR.join(held_out_texts(args.mixture / "valid.txt", HELD_OUT))
    (target / "held-out.txt.gz").write_bytes(gzip.compress(texts.encode(), mtime=0))
    parameters = num_parameters(pretrained.load(target).model)
    (target / "README.md").write_text(card(args.name, run, report, parameters))
    write_sums(target)
    print(f"{target.name}: {sum(f.stat().st_size for f in target.iterdir()) / 1e6:.1f} MB")

    for step in presets.load(report["training_text"]["preset"]).need(TrainSection).milestones:
        snapshot = args.run / "snapshots" / f"step-{step:08d}"
        if snapshot.is_dir():
            folder = root() / f"{args.name}-{step}"
            shutil.rmtree(folder, ignore_errors=True)
            write_weights(snapshot, folder)
            write_sums(folder)
            print(f"{folder.name}: {sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
