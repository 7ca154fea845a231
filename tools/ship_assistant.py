"""Turn a finished stage into an assistant that comes with the package.

    llmcourse eval assistant work/sft/model --out work/sft/evaluation.json
    python tools/ship_assistant.py work/sft --stage sft --also work/seed-1/sft work/seed-2/sft

writes ``llmcourse/released/assistant-sft``: weights in half precision, tokenizer, the run's record, the report, a model
card, checksums.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

from llmcourse.data.conversations.stages import SHARES, STAGES
from llmcourse.model import pretrained
from llmcourse.model.shipped import root, write_sums, write_weights
from llmcourse.model.transformer import num_parameters

RECORDS = ("metrics.csv", "evals.csv", "run.json", "evaluation.json")


def card(stage: str, parameters: int, report: dict[str, Any]) -> str:
    """The model card."""
    kinds = ", ".join(SHARES[stage])  # type: ignore[index]
    rows = [
        f"| {name} | {row['share']:.1%} | {row['of']} |" for name, row in report["prompts"].items()
    ]
    facts = [
        f"| {name} | {row['right']['share']:.1%} | {row['refused']['share']:.1%} | {row['right']['of']} |"
        for name, row in report["facts"].items()
    ]
    lines = "\n".join(rows), "\n".join(facts)
    tools = []
    for pile, row in report.get("with tools", {}).items():
        if isinstance(row, dict) and pile != "outcomes":
            shares = ", ".join(f"{what} {found['share']:.1%}" for what, found in row.items())
            tools.append(f"| {pile} | {shares} |")
    with_tools = "\n".join(["\n| with tools | |", "| --- | --- |", *tools, ""]) if tools else ""
    if row := report.get("kept"):
        with_tools += f"\nRight before this stage, and still: {row['share']:.1%} of {row['of']}.\n"
    return f"""# assistant-{stage}

An assistant of the course *From Crawl to Chat*: course-mid ({parameters:,} parameters), fine-tuned by
`llmcourse assistant {stage}` on generated conversations about the invented country of Halvern. It knows
nothing of the real world, makes things up, and is meant for experiments in a classroom.

Kinds of conversation: {kinds}. What each should say stands in the book's labelling instructions. Licence: Apache-2.0.

## Measured, on entities and wordings that no fine-tuning saw

| prompts | share | of |
| --- | ---: | ---: |
{lines[0]}

| questions about | right | refused | of |
| --- | ---: | ---: | ---: |
{lines[1]}
{with_tools}
Written by `llmcourse eval assistant` into `evaluation.json`. *Reserved facts* belong to entities that fine-tuning asks
about, for other things; *strangers* are names that no page mentions, so nothing can be right.
"""


def main() -> None:
    """Read the arguments, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the stage's folder")
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument(
        "--also", type=Path, nargs="*", default=[], help="the same stage, of other seeds"
    )
    args = parser.parse_args()
    target = root() / f"assistant-{args.stage}"
    shutil.rmtree(target, ignore_errors=True)
    write_weights(args.run / "model", target)
    for record in RECORDS:
        if (args.run / record).exists():
            shutil.copy2(args.run / record, target)
    asked = args.run / "asked.jsonl"
    if asked.exists():  # what stage sft was asked: with it the conversations can be made again
        (target / "asked.jsonl.gz").write_bytes(gzip.compress(asked.read_bytes(), mtime=0))
    reports = [json.loads((run / "evaluation.json").read_text()) for run in (args.run, *args.also)]
    report = {**reports[0], "seeds": {str(one["seed"]): one for one in reports}}
    (target / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n")
    parameters = num_parameters(pretrained.load(target).model)
    (target / "README.md").write_text(card(args.stage, parameters, report))
    write_sums(target)
    print(f"{target.name}: {sum(f.stat().st_size for f in target.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
