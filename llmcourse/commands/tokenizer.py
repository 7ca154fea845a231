"""`llmcourse tokenizer …`: train a vocabulary, and use it or GPT-4's (chapter 02)."""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CourseError

if TYPE_CHECKING:
    from ..tokenizer import Tokenizer

app = typer.Typer(
    help="Train a tokenizer, and encode and decode with it (chapter 02).", no_args_is_help=True
)

Which = Annotated[
    str, typer.Option("--tokenizer", "-t", help="A folder that `train` wrote, or gpt4.")
]


def load(which: str) -> Tokenizer:
    """GPT-4's tokenizer, or one of ours from a folder."""
    from ..tokenizer import Tokenizer
    from ..tokenizer.pretrained import gpt4

    return gpt4() if which == "gpt4" else Tokenizer.load(which)


def documents_of(path: Path, pattern: str) -> Iterator[Iterable[bytes]]:
    """The documents of `llmcourse data build`, or a text file as one; each in parts.

    The parts have the same pre-tokens alone as together, and no byte is lost, UTF-8 or not.
    """
    from ..tokenizer.pretokenize import (
        bytes_of_text,
        read_text,
        replace_lone_surrogates,
        stable_chunks,
    )

    if path.is_dir():
        from ..data.report import FunnelReport

        for document in FunnelReport.load(path).documents():
            yield [replace_lone_surrogates(document["text"]).encode("utf-8")]
    else:
        yield map(bytes_of_text, stable_chunks(read_text(path), (), pattern, minimum=1 << 20))


def standard_input() -> Iterator[str]:
    """Standard input as text; what is not UTF-8 as in `text_of_bytes`, line ends untouched."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    while data := sys.stdin.buffer.read(1 << 16):
        yield decoder.decode(data)
    yield decoder.decode(b"", final=True)


@app.command()
def train(
    source: Annotated[
        Path, typer.Argument(help="A text file, or a folder that `data build` wrote.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    vocab_size: Annotated[
        int, typer.Option(min=1, help="All tokens: 256 bytes, the special ones, the merges.")
    ] = 2048,
    special: Annotated[
        list[str] | None, typer.Option(help="A special token; may be given several times.")
    ] = None,
    fast: Annotated[
        bool, typer.Option(help="Train with the Rust library (breaks ties its own way).")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that split the text.")] = 1,
) -> None:
    """Learn a vocabulary by byte pair encoding.

    Example: `llmcourse tokenizer train work/clean --vocab-size 2048 --out work/tokenizer`
    """
    from ..tokenizer import Tokenizer, train_bpe, train_bpe_from_text
    from ..tokenizer.bpe_fast import train_bpe_fast, train_bpe_fast_from_text

    if not source.exists():
        raise CourseError(
            f"there is no {source}", hint="give a text file, or a folder that `data build` wrote"
        )
    names = special if special is not None else ["<|endoftext|>"]
    started = time.perf_counter()
    if source.is_dir():
        from ..data.report import FunnelReport

        texts = (document["text"] for document in FunnelReport.load(source).documents())
        if fast:
            vocab, merges = train_bpe_fast_from_text(texts, vocab_size, names)
        else:
            vocab, merges = train_bpe_from_text(
                texts, vocab_size, names, workers=workers, progress=True
            )
    elif fast:
        vocab, merges = train_bpe_fast(source, vocab_size, names)
    else:
        vocab, merges = train_bpe(source, vocab_size, names, workers=workers, progress=True)
    tokenizer = Tokenizer(vocab, merges, names)
    tokenizer.save(out)
    made = f"{len(merges):,} merges in {time.perf_counter() - started:.1f} s"
    if merges:
        longest = max((left + right for left, right in merges), key=len)
        shown = longest[:40].decode("utf-8", "replace")
        more = f"… ({len(longest):,} bytes)" if len(longest) > 40 else ""
        made += f"; the longest token is {shown!r}{more}"
    print(made)
    print(f"{out}: {tokenizer!r}")
    if len(tokenizer) < vocab_size:
        print(
            f"the text had nothing more to merge: {len(tokenizer):,} tokens instead of {vocab_size:,}"
        )


@app.command()
def encode(
    text: Annotated[str, typer.Argument(help="The text; `-` reads standard input.")],
    tokenizer: Which = "gpt4",
    pieces: Annotated[bool, typer.Option(help="Show each token beside its id.")] = False,
) -> None:
    """Text to token ids.

    Example: `llmcourse tokenizer encode "hello world"` prints `15339 1917`
    """
    from ..tokenizer.pretokenize import bytes_of_text, stable_chunks

    loaded = load(tokenizer)
    if pieces:
        from ..tokenizer.explain import segments

        content = "".join(standard_input()) if text == "-" else text
        for segment in segments(loaded, content):
            print(f"{segment.id:>7}  {segment.bytes.hex(' '):<24}  {segment.text!r}")
    elif text == "-":
        between = ""
        for chunk in stable_chunks(standard_input(), loaded.special_tokens, loaded.pattern):
            print(between, end="")
            print(*loaded.encode_bytes(bytes_of_text(chunk)), end="")
            between = " "
        print()
    else:
        print(*loaded.encode(text))


@app.command()
def decode(
    ids: Annotated[list[int], typer.Argument(help="Token ids.")],
    tokenizer: Which = "gpt4",
) -> None:
    """Token ids to text.

    Example: `llmcourse tokenizer decode 15339 1917` prints `hello world`
    """
    print(load(tokenizer).decode(ids))


@app.command()
def shards(
    source: Annotated[
        Path, typer.Argument(help="A text file, or a folder that `data build` wrote.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    tokenizer: Which = "gpt4",
    tokens_per_shard: Annotated[int, typer.Option(min=1, help="Tokens in one file.")] = 1_000_000,
) -> None:
    """Encode a corpus into token shards, the input of training.

    Example: `llmcourse tokenizer shards work/clean --tokenizer work/tokenizer --out work/shards`
    """
    from ..data.shards import write_shards

    loaded = load(tokenizer)
    end = loaded.special_tokens.get("<|endoftext|>")
    if end is None:
        raise CourseError(
            f"{tokenizer} has no <|endoftext|>", hint="train it with --special '<|endoftext|>'"
        )

    def stream() -> Iterator[list[int]]:
        for parts in documents_of(source, loaded.pattern):
            empty = True
            for part in parts:
                empty = False
                yield loaded.encode_bytes(part, "none")
            if not empty:
                yield [end]

    written = write_shards(
        stream(), out, vocab_size=loaded.n_vocab, tokens_per_shard=tokens_per_shard
    )
    print(f"{out}: {written!r}")
