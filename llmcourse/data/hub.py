"""FineWeb and FineWeb-Edu by name: from the hub to shards of tokens, as much as a run needs.

Chapter 01 makes such text from a crawl; this fetches what Hugging Face made of all of Common Crawl
(Penedo et al., arXiv:2406.17557). The files of a random sample are taken in their order, one at a time: fetched,
cut into tokens, thrown away, until there are enough. Each is a *part*, a finished set of shards of its own;
at the end parts become ``train`` and ``valid``. A fetch that is interrupted goes on after its last part.

Taught in chapter 06.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..assets import atomic_write
from ..errors import CourseError
from ..presets import ModelSection, Preset, ShardSection, TrainSection
from ..runtime import cores
from .hub_client import Hub, HuggingFaceHub
from .hub_request import RECORD, Request, check_disk, read_record, repository_of, sample_of
from .hub_tokens import (
    END,
    TOKENIZERS,
    Array,
    DamagedFile,
    Encoder,
    documents,
    encoding,
    tokenizer_for,
    tokenizer_named,
)
from .shards import INDEX, ShardSet, write_shards

_BLOCK = 1 << 20


def prepare_fineweb(
    preset: Preset, folder: str | Path, *, hub: Hub | None = None, progress: bool = True
) -> Path:
    """A preset's tokens in a folder, fetched if they are not there: what `pretrain` asks for.

    The tokenizer follows from the model's vocabulary: 50,257 is GPT-2's, 100,277 GPT-4's.

    Args:
        preset: With a model and a run on ``fineweb-edu``.
        folder: Where; see `fetch_fineweb`.
        hub: Where from; by default Hugging Face's.
        progress: Whether to show a bar.

    Raises:
        CourseError: as `fetch_fineweb`, or if the model is for no published tokenizer.
    """
    train = preset.need(TrainSection)
    shards = preset.shards or ShardSection(tokens_per_shard=100_000_000)
    return fetch_fineweb(
        train.data,
        folder,
        tokens=train.total_tokens + 1,
        valid_tokens=train.eval_tokens + 1 if train.eval_every and train.eval_tokens else 0,
        tokenizer=tokenizer_for(preset.need(ModelSection).build().vocab_size),
        tokens_per_shard=shards.tokens_per_shard,
        hub=hub,
        progress=progress,
    )


def fetch_fineweb(
    name: str,
    out: str | Path,
    *,
    tokens: int,
    valid_tokens: int = 10_000_000,
    tokenizer: str = "gpt2",
    tokens_per_shard: int = 100_000_000,
    revision: str = "main",
    workers: int | None = None,
    hub: Hub | None = None,
    progress: bool = True,
) -> Path:
    """Fetch as many tokens of FineWeb as are asked for, or go on fetching them.

    Args:
        name: ``fineweb-edu`` or ``fineweb``.
        out: The folder; at the end it has ``train``, ``valid``, ``tokenizer.json`` and ``fetched.json``
            (what was fetched, in which revision).
        tokens: How many to train on.
        valid_tokens: How many more to hold out; 0 for none.
        tokenizer: ``gpt2`` or ``cl100k``.
        tokens_per_shard: Of the shards.
        revision: Of the data set, when the fetch begins; it goes on with what that was then.
        workers: Processes that tokenize; by default as many as there are cores.
        hub: Where from; by default Hugging Face's.
        progress: Whether to show a bar of the tokens that are there.

    Returns:
        The folder.

    Raises:
        CourseError: if the name is unknown, the hub cannot be reached, a file is missing or damaged twice,
            the disk is too small, or the folder holds the tokens of another request.
    """
    out = Path(out)
    request = Request(
        repository_of(name), sample_of(tokens + valid_tokens), tokenizer, tokens, valid_tokens, tokens_per_shard
    )  # fmt: skip
    if tokenizer not in TOKENIZERS:
        tokenizer_named(tokenizer)  # it says which there are
    if tokens < 1 or valid_tokens < 0:
        raise CourseError(f"{tokens} tokens, {valid_tokens} held out", hint="--tokens 10B")
    record = read_record(out / RECORD, request)
    if not _finished(out):
        check_disk(out, request)
        hub = hub or HuggingFaceHub()
        if record is None:
            exact, files = hub.files(request.repository, request.folder, revision)
            record = {"revision": exact, "files": files}
            with atomic_write(out / RECORD) as path:
                path.write_text(json.dumps(asdict(request) | record, indent=1), encoding="utf-8")
        with encoding(tokenizer, workers or cores()) as encode:
            parts = _gather(out, request, record, hub, encode, progress)
        _assemble(out, request, parts)
    shutil.rmtree(out / "parts", ignore_errors=True)
    shutil.rmtree(out / "files", ignore_errors=True)
    return out


def _gather(
    out: Path, request: Request, record: dict[str, Any], hub: Hub, encode: Encoder, progress: bool
) -> list[ShardSet]:
    """Parts with enough tokens, those that are there already first."""
    from tqdm import tqdm

    wanted = request.tokens + request.valid_tokens
    parts: list[ShardSet] = []
    have = 0
    bar = tqdm(
        total=wanted, unit="tok", unit_scale=True, desc=request.repository,
        disable=None if progress else True, file=sys.stderr,
    )  # fmt: skip
    with bar:
        for file in record["files"]:
            folder = out / "parts" / Path(file).stem
            if not (folder / INDEX).exists():
                _make_part(out, request, record["revision"], file, folder, hub, encode)
            part = ShardSet.open(folder, verify=False)
            parts.append(part)
            bar.update(min(len(part), max(0, wanted - have)))
            have += len(part)
            # What is held out goes on to the end of a document, so a little more may be needed.
            if have >= wanted and _cut(parts, request) + request.tokens <= have:
                return parts
    raise CourseError(
        f"{request.repository}, {request.folder}, has {have:,} tokens, fewer than the {wanted:,} asked for",
        hint="ask for fewer",
    )


def _make_part(
    out: Path, request: Request, revision: str, file: str, folder: Path, hub: Hub, encode: Encoder
) -> None:
    """Fetch a file and write its tokens; a file that turns out damaged is fetched once more."""
    for again in (False, True):
        path = hub.fetch(request.repository, file, revision, out / "files", again)
        try:
            write_shards(
                encode(documents(path)), folder,
                vocab_size=TOKENIZERS[request.tokenizer], tokens_per_shard=request.tokens_per_shard,
            )  # fmt: skip
        except DamagedFile as error:
            path.unlink(missing_ok=True)
            if again:
                raise DamagedFile(
                    error.message,
                    hint="it is damaged on the hub, or the disk fails: try again later",
                ) from error
        else:
            path.unlink()
            return


def _assemble(out: Path, request: Request, parts: list[ShardSet]) -> None:
    """The parts, one after the other, as what is held out and what is trained on."""
    cut = _cut(parts, request)
    settings: Any = {
        "vocab_size": TOKENIZERS[request.tokenizer],
        "tokens_per_shard": request.tokens_per_shard,
    }
    if cut:
        write_shards(_tokens(parts, 0, cut), out / "valid", **settings)
    tokenizer_named(request.tokenizer).save(out)
    write_shards(_tokens(parts, cut, cut + request.tokens), out / "train", **settings)


def _cut(parts: list[ShardSet], request: Request) -> int:
    """Where training begins: after the document in which the last token that is held out lies."""
    if not request.valid_tokens:
        return 0
    end = tokenizer_named(request.tokenizer).special_tokens[END]
    start = request.valid_tokens - 1
    for block in _tokens(parts, start, sum(map(len, parts))):
        found = (block == end).nonzero()[0]
        if len(found):
            return start + int(found[0]) + 1
        start += len(block)
    return start


def _tokens(parts: list[ShardSet], start: int, stop: int) -> Iterator[Array]:
    """Tokens `start` to `stop` of all parts together, a million at a time."""
    for part in parts:
        for low in range(max(0, start), min(stop, len(part)), _BLOCK):
            yield part.read(low, min(low + _BLOCK, stop, len(part)))
        start, stop = start - len(part), stop - len(part)


def _finished(out: Path) -> bool:
    """Training shards are written last, so where they are, all is."""
    return (out / "train" / INDEX).exists()
