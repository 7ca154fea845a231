"""The BPE ladder against itself, and our encoder against tiktoken and Hugging Face's tokenizers.

    python -m benchmarks.tokenizer --bytes 133000 --vocab-size 500
    python -m benchmarks.tokenizer --bytes 1000000 --vocab-size 4096 --skip-clear

Every training sees the same text, in this order of the rungs, one after the other; every encoder is
fed the same vocabulary. The last line is one JSON object with all the numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from llmcourse.tokenizer import GPT2_PATTERN, Tokenizer, train_bpe_from_text
from llmcourse.tokenizer.bpe_clear import train_bpe_clear
from llmcourse.tokenizer.bpe_fast import train_bpe_fast_from_text
from llmcourse.tokenizer.files import save_gpt2
from llmcourse.tokenizer.training import compare_merges

T = TypeVar("T")
SPECIAL = ["<|endoftext|>"]


def sample_text(size: int) -> str:
    """English that every Python brings along: its language reference, then its library's source.

    Args:
        size: How many bytes of UTF-8.
    """
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[name] for name in sorted(topics))
    library = Path(json.__file__).parents[1]
    for path in sorted(library.glob("*.py")):
        if len(text) >= size:
            break
        text += path.read_text(encoding="utf-8")
    return text.encode("utf-8")[:size].decode("utf-8", "ignore")


def timed(function: Callable[[], T], repeats: int = 1) -> tuple[T, float]:
    """A function's result and the shortest time of some runs, in seconds."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return result, best


def bench_training(text: str, vocab_size: int, *, clear: bool) -> dict[str, Any]:
    """Seconds of each rung, and whether their merges are equal."""
    rungs: dict[str, Callable[[], tuple[dict[int, bytes], list[tuple[bytes, bytes]]]]] = {
        "incremental": lambda: train_bpe_from_text(text, vocab_size, SPECIAL, ties="oldest"),
        "rustbpe": lambda: train_bpe_fast_from_text(text, vocab_size, SPECIAL),
        "tokenizers": lambda: train_bpe_fast_from_text(
            text, vocab_size, SPECIAL, engine="tokenizers"
        ),
    }
    if clear:
        rungs = {
            "clear": lambda: train_bpe_clear(text, vocab_size, SPECIAL, ties="oldest"),
            **rungs,
        }
    seconds, merges = {}, {}
    for name, train in rungs.items():
        (_, merges[name]), seconds[name] = timed(train)
    (_, greatest), seconds["incremental, greatest first"] = timed(
        lambda: train_bpe_from_text(text, vocab_size, SPECIAL)
    )
    other_rule = compare_merges(greatest, merges["incremental"])
    return {
        "seconds": seconds,
        "equal_merges": all(made == merges["incremental"] for made in merges.values()),
        "merges": len(greatest),
        "other_tie_rule": {
            "first_difference": other_rule.first_difference,
            "shared_merges": other_rule.shared_merges,
            "shared_tokens": other_rule.shared_tokens,
        },
    }


def bench_encoding(text: str, vocab_size: int, repeats: int) -> dict[str, Any]:
    """Megabytes per second of encoders that share a vocabulary; whether their ids are equal."""
    from tokenizers import Regex, models, pre_tokenizers
    from tokenizers import Tokenizer as HuggingFace

    vocab, merges = train_bpe_from_text(text, vocab_size, SPECIAL)
    ours = Tokenizer(vocab, merges, SPECIAL)
    tiktoken = ours.to_tiktoken()
    with tempfile.TemporaryDirectory() as folder:
        paths = str(Path(folder) / "vocab.json"), str(Path(folder) / "merges.txt")
        save_gpt2(*paths, vocab, merges)
        theirs = HuggingFace(models.BPE.from_file(*paths))
    theirs.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(GPT2_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )

    def cold() -> list[int]:
        return Tokenizer(vocab, merges, SPECIAL).encode(text)

    encoders: dict[str, Callable[[], Sequence[int]]] = {
        "ours, first time": cold,
        "ours, words cached": lambda: ours.encode(text),
        "tokenizers": lambda: theirs.encode(text).ids,
        "tiktoken": lambda: tiktoken.encode_ordinary(text),
    }
    speed, ids = {}, {}
    megabytes = len(text.encode("utf-8")) / 1e6
    for name, encode in encoders.items():
        ids[name], seconds = timed(encode, repeats)
        speed[name] = megabytes / seconds
    expected = list(ids["tiktoken"])
    return {
        "megabytes_per_second": speed,
        "equal_ids": all(list(got) == expected for got in ids.values()),
        "bytes_per_token": megabytes * 1e6 / len(expected),
    }


def table(title: str, unit: str, numbers: dict[str, float], base: str, *, inverse: bool) -> None:
    """Print numbers and how many times better than `base` each is."""
    print(f"\n{title:32} {unit:>10} {'× ' + base:>20}")
    for name, number in numbers.items():
        ratio = numbers[base] / number if inverse else number / numbers[base]
        print(f"{name:32} {number:10.3f} {ratio:20.3g}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if all results are equal where they must be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tokenizer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bytes", type=int, default=133_000, help="size of the text")
    parser.add_argument("--vocab-size", type=int, default=500, help="tokens, special ones included")
    parser.add_argument("--repeats", type=int, default=3, help="encodings; the best counts")
    parser.add_argument("--skip-clear", action="store_true", help="leave out the slow first rung")
    options = parser.parse_args(arguments)

    text = sample_text(options.bytes)
    size = len(text.encode("utf-8"))
    print(f"{size:,} bytes of English and Python, vocabulary {options.vocab_size:,}")
    training = bench_training(text, options.vocab_size, clear=not options.skip_clear)
    encoding = bench_encoding(text, options.vocab_size, options.repeats)
    table("training", "seconds", training["seconds"], "incremental", inverse=True)
    table("encoding", "MB/s", encoding["megabytes_per_second"], "ours, first time", inverse=False)
    print(f"\nmerges equal: {training['equal_merges']}; ids equal: {encoding['equal_ids']}\n")
    result = {
        "benchmark": "tokenizer",
        "bytes": size,
        "vocab_size": options.vocab_size,
        "python": sys.version.split()[0],
        "training": training,
        "encoding": encoding,
    }
    print(json.dumps(result))
    return 0 if training["equal_merges"] and encoding["equal_ids"] else 1


if __name__ == "__main__":
    sys.exit(main())
