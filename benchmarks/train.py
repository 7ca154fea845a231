"""Our training step against a plain nanoGPT-style one, side by side, on a processor.

    python -m benchmarks.train
    python -m benchmarks.train --quick

The same architecture with the same weights sees the same batches; contestants take turns, and the
median of the turns' ratios counts. In float32 the losses must be the same to 1e-4 at every step; what
bfloat16 does to them is printed. The last line is one JSON object with all the numbers.

On a machine that others use, set OMP_WAIT_POLICY=passive, or take --threads 1 --clock cpu.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.plain_gpt import GPT, Step, plain_step
from benchmarks.tokenizer import sample_text
from llmcourse.data.batches import get_batch
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer, num_parameters
from llmcourse.train.compiling import why_not
from llmcourse.train.optim import AdamW, clip_grad_norm, parameter_groups
from llmcourse.train.speed import multiplies_bf16, prepare

LR = 3e-4  # there is no warm-up: with more, a rounding in the first steps grows into another run
TARGET = 1.3  # times the plain step, as fast as it goes here
SAME = 1e-4  # nats, between losses in float32
REFERENCE = "plain"


@dataclass(frozen=True)
class Setting:
    """One comparison. The first is nanoGPT's for a processor: shakespeare_char on a laptop."""

    context: int
    rows: int
    vocab: int
    layers: int = 4
    heads: int = 4
    width: int = 128

    @property
    def name(self) -> str:
        return f"T {self.context}, {self.rows} rows, V {self.vocab}"

    @property
    def tokens(self) -> int:
        return self.context * self.rows

    def config(self) -> ModelConfig:
        return ModelConfig(
            vocab_size=self.vocab, context_length=self.context, n_layers=self.layers, n_heads=self.heads,
            width=self.width, hidden=4 * self.width, position="learned", norm="layer", mlp="gelu",
        )  # fmt: skip


SETTINGS = (
    Setting(64, 12, 65), Setting(256, 16, 65), Setting(64, 12, 2048), Setting(256, 16, 2048),
)  # fmt: skip


def text_ids(text: str, vocab: int) -> Tensor:
    """Characters as ids below 65, or pairs of them as ids below `vocab`: something that can be learnt."""
    alphabet = {c: i for i, c in enumerate(sorted(set(text), key=text.count, reverse=True)[:64])}
    ids = torch.tensor([alphabet.get(c, 64) for c in text])
    if vocab <= 65:
        return ids % vocab
    even = len(ids) // 2 * 2
    return (ids[0:even:2] * 65 + ids[1:even:2]) % vocab


def to_plain(model: Transformer) -> GPT:
    """The same weights in the plain model."""
    c = model.config
    plain = GPT(c.vocab_size, c.context_length, c.n_layers, c.n_heads, c.width)
    ours = model.state_dict()
    state = {
        "wte.weight": ours["embedding.weight"], "wpe.weight": ours["positions.weight"],
        "lm_head.weight": ours["embedding.weight"], "ln_f.weight": ours["norm.weight"],
    }  # fmt: skip
    for n in range(c.n_layers):
        a, b = f"blocks.{n}", f"h.{n}"
        state |= {
            f"{b}.ln_1.weight": ours[f"{a}.attention_norm.weight"],
            f"{b}.ln_2.weight": ours[f"{a}.mlp_norm.weight"],
            f"{b}.attn.c_attn.weight": torch.cat(
                [ours[f"{a}.attention.{p}.weight"] for p in "qkv"]
            ),
            f"{b}.attn.c_proj.weight": ours[f"{a}.attention.out.weight"],
            f"{b}.mlp.c_fc.weight": ours[f"{a}.mlp.w1.weight"],
            f"{b}.mlp.c_proj.weight": ours[f"{a}.mlp.w2.weight"],
        }
    plain.load_state_dict(state)
    assert sum(p.numel() for p in plain.parameters()) == num_parameters(model)
    return plain


def our_step(model: Transformer, dtype: torch.dtype, compiled: bool) -> Step:
    """One step as `llmcourse.train.pretrain` makes it, without its records: batch → the loss before it."""
    optimizer = AdamW(parameter_groups(model, weight_decay=0.1), lr=LR, betas=(0.9, 0.99))
    loss_of = prepare(model, torch.device("cpu"), dtype, compiled)
    short = dtype != torch.float32

    def step(x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype) if short else contextlib.nullcontext():
            loss = loss_of(model, x, y)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        model.zero_grad(set_to_none=True)
        return loss.detach()

    return step


def contestants(setting: Setting, compile_: bool, bf16: bool) -> dict[str, Step]:
    """Everybody, each with a model of their own, all with the same weights."""

    def fresh() -> Transformer:
        torch.manual_seed(0)
        return Transformer(setting.config())

    fp32 = torch.float32
    steps = {
        REFERENCE: plain_step(to_plain(fresh()), LR),
        "ours, not compiled": our_step(fresh(), fp32, False),
    }
    if compile_:
        steps["plain, compiled"] = plain_step(to_plain(fresh()), LR, compiled=True)
        steps["ours, fp32"] = our_step(fresh(), fp32, True)
    if bf16:
        steps["ours, bf16"] = our_step(fresh(), torch.bfloat16, compile_)
    return steps


def compare(
    setting: Setting, steps: dict[str, Step], batches: Sequence[tuple[Tensor, Tensor]],
    turns: int, per_turn: int, clock: Callable[[], float],
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Losses over the batches first, which also compiles; then everybody in turn, by the clock."""
    losses: dict[str, list[float]] = {}
    begun: dict[str, float] = {}
    for name, step in steps.items():
        began = time.perf_counter()
        losses[name] = [step(*batches[0]).item()]
        begun[name] = time.perf_counter() - began
        losses[name] += [step(x, y).item() for x, y in batches[1:]]
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(turns):
        for name, step in steps.items():
            start = clock()
            for i in range(per_turn):
                step(*batches[(turn * per_turn + i) % len(batches)])
            seconds[name].append(clock() - start)
    tokens = setting.tokens * per_turn
    return {
        name: {
            "tokens_per_second": tokens / statistics.median(times),
            "spread": (max(times) - min(times)) / statistics.median(times),
            "ratio": statistics.median(
                a / b for a, b in zip(seconds[REFERENCE], times, strict=True)
            ),
            "first_step_seconds": begun[name],
            "last_loss": losses[name][-1],
            "loss_difference": max(
                abs(a - b) for a, b in zip(losses[REFERENCE], losses[name], strict=True)
            ),
        }
        for name, times in seconds.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if the losses agree and, without --quick, the target is met."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--steps", type=int, default=40, help="whose losses are compared")
    parser.add_argument("--turns", type=int, default=7, help="the median counts")
    parser.add_argument("--seconds", type=float, default=0.5, help="about, of a turn")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall",
        help="cpu: computing time of all threads, for a machine that others use too",
    )  # fmt: skip
    parser.add_argument("--settings", type=int, nargs="+", help=f"some of 0 … {len(SETTINGS) - 1}")
    parser.add_argument("--no-compile", action="store_true", help="as without a C++ compiler")
    parser.add_argument(
        "--quick", action="store_true", help="a tiny model: is everything in order?"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    settings = [SETTINGS[i] for i in options.settings] if options.settings else list(SETTINGS)
    if options.quick:
        settings = [Setting(16, 4, 65, layers=1, heads=2, width=16)]
        options.steps, options.turns, options.seconds, options.no_compile = 5, 1, 0.0, True
    obstacle = "not asked for" if options.no_compile else why_not(torch.device("cpu"))
    if obstacle:
        print(f"nothing is compiled: {obstacle}")
    bf16 = multiplies_bf16() or options.quick
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    text = sample_text(20_000 if options.quick else 400_000)

    measured: dict[str, dict[str, dict[str, Any]]] = {}
    for setting in settings:
        torch.compiler.reset()  # or it tires of compiling the same function for ever new models
        ids = text_ids(text, setting.vocab)
        chance = torch.Generator().manual_seed(0)
        batches = [
            get_batch(ids, setting.rows, setting.context, generator=chance)
            for _ in range(options.steps)
        ]
        steps = contestants(setting, not obstacle, bf16)
        began = time.perf_counter()
        steps[REFERENCE](*batches[0])
        per_turn = max(1, round(options.seconds / (time.perf_counter() - began)))
        steps = contestants(setting, not obstacle, bf16)  # nobody is a step ahead
        rows = compare(setting, steps, batches, options.turns, per_turn, clock)
        measured[setting.name] = rows
        print(f"\n{setting.name}: {setting.tokens:,} tokens a step,", end=" ")
        print(f"{num_parameters(setting.config()):,} parameters")
        print(f"{'':20} {'tokens/s':>10} {'ratio':>7} {'spread':>7} {'first step':>11} {'loss':>8}")
        for name, row in rows.items():
            print(
                f"{name:20} {row['tokens_per_second']:10,.0f} {row['ratio']:7.2f} {row['spread']:7.0%}"
                f" {row['first_step_seconds']:9.1f} s {row['last_loss']:8.4f}"
                f" (differs by at most {row['loss_difference']:.1e})"
            )

    equal = all(
        row["loss_difference"] <= SAME
        for rows in measured.values()
        for name, row in rows.items()
        if not name.endswith("bf16")
    )
    ratios = {
        setting: {name[6:]: row["ratio"] for name, row in rows.items() if name.startswith("ours, ")}
        for setting, rows in measured.items()
    }
    best = {setting: max(row.values()) for setting, row in ratios.items()}
    met = {setting: ratio >= TARGET for setting, ratio in best.items()}
    print(f"\nlosses in float32 the same to {SAME:g}: {'yes' if equal else 'NO'}")
    print(f"× plain (target {TARGET}, in whatever precision is fastest here):")
    for name, row in ratios.items():
        shown = ", ".join(f"{ratio:.2f} {how}" for how, ratio in row.items())
        print(f"  {name}: {shown}: {'met' if met[name] else 'MISSED'}")
    print()
    result = {
        "benchmark": "train",
        "torch": torch.__version__,
        "threads": options.threads,
        "clock": options.clock,
        "turns": options.turns,
        "compiled": not obstacle,
        "multiplies_bf16": multiplies_bf16(),
        "measured": measured,
        "ratios": ratios,
        "equal_losses": equal,
        "target": TARGET,
        "met": met,
    }
    print(json.dumps(result))
    return 0 if equal and (options.quick or all(met.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
