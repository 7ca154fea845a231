"""Our engine against transformers' `generate`, side by side, on SmolLM2-135M's shape.

    python -m benchmarks.generate
    python -m benchmarks.generate --quick

All contestants have the same weights and prompts and generate greedily; they take turns, and the median
of the turns counts. Real weights if they are there, otherwise random ones: the speed is the same. The
last line is one JSON object with all the numbers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from benchmarks.tokenizer import sample_text
from llmcourse.engine import Engine, FastModel, Sampling
from llmcourse.engine.ladder import climb, memory_bandwidth
from llmcourse.errors import CourseError
from llmcourse.evals.bits_per_byte import bits_per_byte
from llmcourse.model.config import ModelConfig, named
from llmcourse.model.transformer import Transformer

GREEDY = Sampling(temperature=0)
TARGETS = {"one stream, fp32": 1.7, "16 streams, fp32": 1.5, "one stream, int8": 4.0}


class ByteTokenizer:
    """256 bytes and a start token: for random weights, which know no better."""

    special_tokens: ClassVar[dict[str, int]] = {"<|endoftext|>": 256}

    def encode_ordinary(self, text: str) -> list[int]:
        return list(text.encode("utf-8"))


def load(quick: bool) -> tuple[Transformer, Any, bool]:
    """(model, tokenizer, whether the weights are real)."""
    if not quick:
        try:
            from llmcourse.model import pretrained

            loaded = pretrained.load("smollm2")
            return loaded.model.eval(), loaded.tokenizer, True
        except (ImportError, CourseError) as error:
            print(f"random weights: {error}")
    torch.manual_seed(0)
    small = ModelConfig(
        vocab_size=300, context_length=256, n_layers=2, n_heads=4, n_kv_heads=2, width=64, hidden=128
    )  # fmt: skip
    return Transformer(small if quick else named("smollm2-135m")).eval(), ByteTokenizer(), False


def to_transformers(model: Transformer) -> Any:
    """The same weights in transformers' `LlamaForCausalLM`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    c = model.config
    config = LlamaConfig(
        vocab_size=c.vocab_size, hidden_size=c.width, intermediate_size=c.hidden, num_hidden_layers=c.n_layers,
        num_attention_heads=c.n_heads, num_key_value_heads=c.n_kv_heads, head_dim=c.head_dim,
        max_position_embeddings=c.context_length, rms_norm_eps=c.norm_eps, tie_word_embeddings=c.tied,
        rope_parameters={"rope_type": "default", "rope_theta": c.rope_theta},
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    theirs = LlamaForCausalLM(config).eval()
    names = {
        "attention_norm": "input_layernorm", "attention.q": "self_attn.q_proj", "attention.k": "self_attn.k_proj",
        "attention.v": "self_attn.v_proj", "attention.out": "self_attn.o_proj",
        "mlp_norm": "post_attention_layernorm", "mlp.w1": "mlp.gate_proj", "mlp.w3": "mlp.up_proj",
        "mlp.w2": "mlp.down_proj",
    }  # fmt: skip
    ours = model.state_dict()
    state = {
        "model.embed_tokens.weight": ours["embedding.weight"],
        "model.norm.weight": ours["norm.weight"],
    }
    for n in range(c.n_layers):
        for a, b in names.items():
            state[f"model.layers.{n}.{b}.weight"] = ours[f"blocks.{n}.{a}.weight"]
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    theirs.tie_weights()
    return theirs


@torch.inference_mode()
def transformers_generate(theirs: Any, prompts: Sequence[Sequence[int]], n: int) -> list[list[int]]:
    """Greedy, cached, left-padded with a mask: how a ragged batch is done there."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    out = theirs.generate(
        input_ids=ids, attention_mask=mask, do_sample=False, use_cache=True, pad_token_id=0,
        min_new_tokens=n, max_new_tokens=n,
    )  # fmt: skip
    return [row.tolist() for row in out[:, longest:]]


def alternate(
    runs: dict[str, Callable[[], list[list[int]]]], turns: int
) -> dict[str, dict[str, Any]]:
    """Everybody once unmeasured, then `turns` rounds in which all take turns."""
    tokens = {name: run() for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(turns):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {
        name: {
            "tokens": tokens[name],
            "seconds": statistics.median(times),
            "spread": (max(times) - min(times)) / statistics.median(times),
            "tokens_per_second": sum(map(len, tokens[name])) / statistics.median(times),
        }
        for name, times in seconds.items()
    }


def same_part(a: Sequence[Sequence[int]], b: Sequence[Sequence[int]]) -> float:
    """The part of the tokens that agree before each stream's first difference."""
    same = 0
    for x, y in zip(a, b, strict=True):
        same += next((i for i, (p, q) in enumerate(zip(x, y, strict=True)) if p != q), len(x))
    return same / sum(map(len, a))


def ragged_prompts(tokenizer: Any, streams: int) -> list[list[int]]:
    """Beginnings of English text, of 12 to 57 tokens."""
    ids = tokenizer.encode_ordinary(sample_text(20_000))
    lengths = [12 + (7 * i) % 46 for i in range(streams)]
    return [ids[300 * i : 300 * i + length] for i, length in enumerate(lengths)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if the tokens agree and, without --quick, the targets are met."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--new-tokens", type=int, default=48, help="for each stream")
    parser.add_argument("--turns", type=int, default=5, help="measured runs; the median counts")
    parser.add_argument("--bytes", type=int, default=20_000, help="of text for bits per byte")
    parser.add_argument(
        "--quick", action="store_true", help="a tiny model: is everything in order?"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.quick:
        options.new_tokens, options.turns, options.bytes = 6, 1, 2_000

    import transformers
    from transformers.utils import logging

    logging.set_verbosity_error()
    model, tokenizer, real = load(options.quick)
    prompts, n = ragged_prompts(tokenizer, 16), options.new_tokens
    one = prompts[1:2]
    theirs = to_transformers(model)
    engines = {kind: Engine(FastModel(model, kind)) for kind in ("fp32", "bf16", "int8")}

    def peer(attention: str, which: list[list[int]]) -> Callable[[], list[list[int]]]:
        def run() -> list[list[int]]:
            theirs.set_attn_implementation(attention)
            return transformers_generate(theirs, which, n)

        return run

    def ours(kind: str, which: list[list[int]]) -> Callable[[], list[list[int]]]:
        return lambda: [g.ids for g in engines[kind].generate(which, GREEDY, n)]

    runs = {
        **{f"transformers {a}, one stream": peer(a, one) for a in ("eager", "sdpa")},
        **{f"one stream, {kind}": ours(kind, one) for kind in engines},
        **{f"transformers {a}, 16 streams": peer(a, prompts) for a in ("eager", "sdpa")},
        **{f"16 streams, {kind}": ours(kind, prompts) for kind in engines},
    }
    measured = alternate(runs, options.turns)
    best = {
        size: max(
            (measured[f"transformers {a}, {size}"]["tokens_per_second"], a)
            for a in ("eager", "sdpa")
        )
        for size in ("one stream", "16 streams")
    }
    ratios = {
        f"{size}, {kind}": measured[f"{size}, {kind}"]["tokens_per_second"] / best[size][0]
        for size in best
        for kind in engines
    }
    reference = {size: measured[f"transformers {best[size][1]}, {size}"]["tokens"] for size in best}
    same = {
        name: same_part(measured[name]["tokens"], reference[name.split(", ")[0]]) for name in ratios
    }

    text = sample_text(options.bytes)
    context = min(model.config.context_length, 512)
    bits = {
        kind: bits_per_byte(engine.model, tokenizer, text, context=context)
        for kind, engine in engines.items()
    }
    loss = {kind: bits[kind] / bits["fp32"] - 1 for kind in bits}
    bandwidth = memory_bandwidth(16 if options.quick else 256)
    limits = {kind: bandwidth / engine.model.nbytes for kind, engine in engines.items()}

    changes = ("cache", "layout", "batch", "int8")
    rungs = climb(model, prompts, min(n, 16), repeats=3, changes=changes, naive_prompts=4)
    alone = climb(model, one, min(n, 16), repeats=3, changes=("layout", "bf16", "int8"))[2:]
    ladder = [
        {
            "rung": rung.name,
            "streams": rung.streams,
            "tokens_per_second": rung.tokens_per_second,
            "ratio_to_naive": rung.tokens_per_second / rungs[0].tokens_per_second,
            "bytes_read_per_token": rung.bytes_read_per_token,
            "memory_limit": rung.limit(bandwidth),
            "same_tokens": rung.same_tokens,
        }
        for rung in (*rungs, *alone)
    ]

    print(f"\n{'':32} {'tokens/s':>10} {'× transformers':>15} {'same tokens':>12} {'spread':>8}")
    for name, row in measured.items():
        ratio = f"{ratios[name]:15.2f} {same[name]:12.1%}" if name in ratios else " " * 28
        print(f"{name:32} {row['tokens_per_second']:10.1f} {ratio} {row['spread']:8.0%}")
    print(f"\nmemory reads {bandwidth / 1e9:.1f} GB/s: one stream at most", end=" ")
    print(", ".join(f"{limit:.0f} tokens/s ({kind})" for kind, limit in limits.items()))
    print(
        "bits per byte:",
        ", ".join(f"{b:.4f} ({kind}, {loss[kind]:+.2%})" for kind, b in bits.items()),
    )
    print("\nthe ladder (one change at a time; the last two for one stream):")
    for row in ladder:
        print(
            f"  {row['rung']:8} {row['streams']:3} streams {row['tokens_per_second']:8.1f} tokens/s"
            f" {row['ratio_to_naive']:6.2f} × naive, memory allows {row['memory_limit']:8.1f}"
        )
    met = {name: ratios[name] >= target for name, target in TARGETS.items()}
    met["bits per byte, int8"] = loss["int8"] <= 0.01
    print(
        "targets:",
        ", ".join(f"{name}: {'met' if good else 'MISSED'}" for name, good in met.items()),
        "\n",
    )
    equal = all(same[f"{size}, fp32"] == 1 for size in best)
    result = {
        "benchmark": "generate",
        "real_weights": real,
        "threads": options.threads,
        "new_tokens": n,
        "turns": options.turns,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokens_per_second": {name: row["tokens_per_second"] for name, row in measured.items()},
        "spread": {name: row["spread"] for name, row in measured.items()},
        "peer_attention": {size: attention for size, (_, attention) in best.items()},
        "ratios": ratios,
        "same_tokens": same,
        "equal_tokens": equal,
        "bits_per_byte": bits,
        "bits_per_byte_loss": loss,
        "memory_bandwidth": bandwidth,
        "limits": limits,
        "ladder": ladder,
        "targets": TARGETS,
        "met": met,
    }
    print(json.dumps(result))
    return 0 if equal and (options.quick or all(met.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
