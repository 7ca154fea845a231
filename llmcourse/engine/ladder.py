"""From the naive loop to the engine, one change at a time, each timed and compared.

A token of one stream needs every weight once: the machine reads them all, computes two operations with
each, and waits for the next. So speed is bytes: those that have to be read for a token, over those the
memory gives in a second. The cache saves arithmetic, the layout comes closer to the memory's speed,
smaller numbers lower the bytes, and a batch shares them between streams.

Taught in chapter 05.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..errors import CourseError
from ..model.transformer import Transformer
from .engine import Engine
from .fast import FastModel, bytes_per_token
from .naive import generate_naive
from .sampling import Sampling
from .weights import Weights

CHANGES = ("cache", "layout", "bf16", "int8", "batch")
"""What `climb` changes, in this order. Each stays for the rungs that follow.

8 bits come before the batch, because they help one stream most: with 16 streams arithmetic takes the
time, and there 16 bits are faster (``changes=("cache", "layout", "bf16", "batch", "int8")`` shows it).
"""


@dataclass(frozen=True)
class Rung:
    """One way of generating, measured.

    Attributes:
        name: ``naive``, or what was changed.
        streams: Generated side by side.
        tokens_per_second: New tokens of all streams together; median of the repeats.
        seconds: Of one run, prompts included; median.
        bytes_read_per_token: Weights and cache that must be read for one token of one stream.
        equal_to_naive: Whether the tokens are those of the naive loop.
        same_tokens: The part of them before the first difference.
        tokens: What was generated, for each stream.
    """

    name: str
    streams: int
    tokens_per_second: float
    seconds: float
    bytes_read_per_token: float
    equal_to_naive: bool
    same_tokens: float
    tokens: list[list[int]]

    def limit(self, bandwidth: float) -> float:
        """Tokens per second that this memory (bytes/s) allows at most."""
        return bandwidth / self.bytes_read_per_token


@torch.inference_mode()
def climb(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    new_tokens: int = 16,
    *,
    repeats: int = 3,
    changes: Sequence[str] = CHANGES,
    naive_prompts: int | None = None,
) -> list[Rung]:
    """Measure the rungs from the naive loop upwards. Greedy, so that the tokens can be compared.

    Args:
        model: Its weights in float32.
        prompts: Token ids. Rungs before ``batch`` generate after the first prompt only; from
            ``batch`` on after all of them at once.
        new_tokens: For each stream.
        repeats: Runs of each rung; the median counts.
        changes: Which of `CHANGES`, in any order.
        naive_prompts: After how many prompts the naive loop is run, untimed, to compare the batch
            with (default: all; it takes its time).

    Raises:
        CourseError: if a change is unknown, there is no prompt, or a number is below 1.
    """
    if unknown := set(changes) - set(CHANGES):
        raise CourseError(f"no such change: {', '.join(sorted(unknown))}", hint=f"one of {CHANGES}")
    if not prompts or new_tokens < 1 or repeats < 1:
        raise CourseError(
            f"{len(prompts)} prompts, {new_tokens} new tokens, {repeats} repeats: nothing to measure",
            hint="at least one of each",
        )
    greedy = Sampling(temperature=0)
    expected = [generate_naive(model, prompts[0], greedy, new_tokens)]
    if "batch" in changes:
        others = prompts[1 : len(prompts) if naive_prompts is None else naive_prompts]
        expected += [generate_naive(model, prompt, greedy, new_tokens) for prompt in others]

    def measure(name: str, streams: int, weights: int, run: Callable[[], list[list[int]]]) -> Rung:
        run()  # once unmeasured: memory is taken, tables are made
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            tokens = run()
            times.append(time.perf_counter() - start)
        seconds = statistics.median(times)
        made = sum(map(len, tokens))
        # Keys and values of every token that stands before, half of the new ones on average.
        before = sum(map(len, prompts[:streams])) / streams + new_tokens / 2
        cached = 0.0 if name == "naive" else before * _cache_bytes(model)
        compared = list(zip(tokens, expected, strict=False))
        same = sum(_same(a, b) for a, b in compared) / sum(len(b) for _, b in compared)
        return Rung(
            name, streams, made / seconds, seconds, weights / streams + cached, same == 1, same, tokens
        )  # fmt: skip

    rungs = [
        measure(
            "naive", 1, bytes_per_token(model), lambda: [generate_naive(model, prompts[0], greedy, new_tokens)]
        )
    ]  # fmt: skip
    layout, streams = False, 1
    weights: Weights = "fp32"
    for change in changes:
        layout |= change in ("layout", "bf16", "int8")
        streams = len(prompts) if change == "batch" else streams
        weights = change if change in ("bf16", "int8") else weights  # type: ignore[assignment]  # narrowed
        engine = Engine(
            FastModel(model, weights) if layout else model, max_streams=streams, rearrange=False
        )

        def run(engine: Engine = engine, streams: int = streams) -> list[list[int]]:
            made = engine.generate(prompts[:streams], greedy, new_tokens)
            return [generation.ids for generation in made]

        rungs.append(measure(change, streams, bytes_per_token(engine.model), run))
    return rungs


def memory_bandwidth(megabytes: int = 256, repeats: int = 7) -> float:
    """Bytes per second that this machine's processor reads from memory: the best of some runs.

    A vector larger than most processors' caches is added up, which needs every number and hardly any
    arithmetic. (A matrix product reads a little slower; none of those tried here read faster.)
    """
    numbers = torch.ones(max(megabytes * 2**20 // 4, 1))
    best = float("inf")
    with torch.inference_mode():
        for _ in range(repeats):
            start = time.perf_counter()
            numbers.sum()
            best = min(best, time.perf_counter() - start)
    return numbers.nbytes / best


def _cache_bytes(model: Transformer) -> int:
    """Bytes of keys and values for one token."""
    c = model.config
    return 2 * c.n_layers * c.n_kv_heads * c.head_dim * model.embedding.weight.element_size()


def _same(tokens: Sequence[int], expected: Sequence[int]) -> int:
    """How many tokens agree before the first that does not."""
    pairs = zip(tokens, expected, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(tokens), len(expected)))
