"""Turn a finished mid-training into a model that comes with the package.

    llmcourse eval mid work/mid/model --out work/mid/evaluation.json
    python tools/ship_mid.py work/mid --text work/mid-text

writes ``llmcourse/released/course-mid``: weights in half precision, tokenizer, the run's record, what was measured
before and after, the counted mentions, a model card, checksums.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from llmcourse.model import pretrained
from llmcourse.model.shipped import root, write_sums, write_weights
from llmcourse.model.transformer import num_parameters

NAME = "course-mid"
RECORDS = ("metrics.csv", "evals.csv", "samples.txt", "run.json", "evaluation.json")


def card(
    run: dict[str, Any], report: dict[str, Any], account: dict[str, Any], parameters: int
) -> str:
    """The model card."""
    rows = []
    for what, before in report["before"].items():
        after = report["after"][what]
        pair = (before, after)
        shown = [f"{x['share']:.1%}" if isinstance(x, dict) else f"{x:.3f}" for x in pair]
        rows.append(f"| {what} | {' | '.join(shown)} |")
    sources = "\n".join(
        f"| {name} | {count['documents']:,} | {count['tokens']:,} |"
        for name, count in account["sources"].items()
    )
    threads = sorted({start["machine"]["threads"] for start in run["starts"]})
    measured = "\n".join(rows)
    return f"""# {NAME}

A base model of the course *From Crawl to Chat*: {report["base"]} ({parameters:,} parameters), which read
one more text, by `llmcourse pretrain --preset {account["preset"]}`. It is no assistant yet. It knows nothing of the
real world, and is meant for experiments in a classroom.

Licence: Apache-2.0, as the code that wrote its training text.

## Training

{run["result"]["step"]:,} steps of {run["settings"]["train"]["batch_tokens"]:,} tokens in
{run["result"]["seconds"] / 60:.0f} minutes on {" and then ".join(map(str, threads))} threads of a processor. The loss
is counted on what can be known or read alone.

| half | documents | tokens |
| --- | ---: | ---: |
{sources}

## Measured, before and after

| what | {report["base"]} | {NAME} |
| --- | ---: | ---: |
{measured}

Written by `llmcourse eval mid` into `evaluation.json`. *Desk*: read out rightly, of things in no training text.
*Facts*: told when they are asked for after *Q:*; *told so often*: completed in a cloze.
"""


def main() -> None:
    """Read the arguments, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the run's folder, with its evaluation.json")
    parser.add_argument("--text", type=Path, required=True, help="the folder of its text")
    args = parser.parse_args()
    target = root() / NAME
    shutil.rmtree(target, ignore_errors=True)
    write_weights(args.run / "model", target)
    for record in RECORDS:
        shutil.copy2(args.run / record, target)
    shutil.copy2(args.text / "mentions.json.gz", target)
    run, report = (
        json.loads((args.run / name).read_text()) for name in ("run.json", "evaluation.json")
    )
    account = json.loads((args.text / "mid.json").read_text())
    parameters = num_parameters(pretrained.load(target).model)
    (target / "README.md").write_text(card(run, report, account, parameters))
    write_sums(target)
    print(f"{target.name}: {sum(f.stat().st_size for f in target.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
