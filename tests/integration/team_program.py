"""What torchrun starts in the tests: a tiny transformer, trained by whoever takes part.

    python team_program.py RESULT '{"strategy": "fsdp", "steps": 30, ...}'

Rank 0 adds a line of JSON to the file RESULT for each step: the step and the loss of the global batch.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.train.distributed import Team, accumulate, clip, join, leave, parallelise
from llmcourse.train.loop import make_optimizers
from llmcourse.train.losses import cross_entropy
from llmcourse.train.snapshots import load_snapshot, save_snapshot

# Odd sizes, so that rows do not divide evenly among processes.
CONFIG = ModelConfig(
    vocab_size=21, context_length=16, n_layers=2, n_heads=2, width=20, hidden=35, tied=True
)
ROWS, MICRO = 8, 2  # of the global batch, and of what a process holds at once


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same rows for any team: each letter is followed by the one `stride` places on."""
    generator = torch.Generator().manual_seed(1000 + step)
    starts = torch.randint(0, 21, (ROWS, 1), generator=generator)
    strides = torch.randint(1, 3, (ROWS, 1), generator=generator)
    ids = (starts + strides * torch.arange(17)) % 21
    return ids[:, :-1], ids[:, 1:]


def run(team: Team, result: Path, setting: dict) -> None:
    torch.manual_seed(0 if team.is_main else 99)  # the others' weights must not matter
    model = parallelise(
        Transformer(CONFIG), team, setting.get("strategy", "ddp"),
        activation_checkpointing=setting.get("checkpointing", False),
    )  # fmt: skip
    optimizers = make_optimizers(model, setting.get("optimizer", "adamw"), lr=1e-2)
    folder, first = setting.get("folder"), 0
    if folder and (found := load_snapshot(folder, model, optimizers, team)):
        first, extra = found
        assert extra == {"next": first}
    each = ROWS // team.world_size
    for step in range(first, setting["steps"]):
        x, y = (t[team.rank * each : (team.rank + 1) * each] for t in batch(step))
        total = torch.zeros(())
        micro = list(zip(x.split(MICRO), y.split(MICRO), strict=True))
        for optimizer in optimizers:
            optimizer.zero_grad()
        for n, (inputs, targets) in enumerate(micro):
            with accumulate(model, last=n == len(micro) - 1):
                loss = cross_entropy(model(inputs), targets) / len(micro)
                loss.backward()
            total += loss.detach()
        norm = clip(model, 1.0, team)
        assert not team.any(not bool(norm.isfinite()))
        for optimizer in optimizers:
            optimizer.step()
        loss = team.mean(total).item()
        if team.is_main:
            with result.open("a") as file:
                file.write(json.dumps([step, loss, norm.item()]) + "\n")
        if folder and (step + 1) % setting.get("every", 10) == 0:
            save_snapshot(folder, step + 1, model, optimizers, {"next": step + 1}, team, keep=2)
        marker = setting.get("die")
        last = team.rank == team.world_size - 1
        if marker and step == setting["die_at"] and last and not Path(marker).exists():
            Path(marker).touch()
            os._exit(9)


if __name__ == "__main__":
    team = join("cpu", timeout_s=60)  # once: a program cannot meet the same team twice
    for one in json.loads(sys.argv[2]):
        run(team, Path(sys.argv[1] + "." + one["name"]), one)
    leave(team)
