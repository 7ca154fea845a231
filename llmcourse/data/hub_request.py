"""What is asked of the hub: how much of which text, in whose tokens, and whether there is room for it.

Taught in chapter 06.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import CourseError
from .hub_tokens import TOKENIZERS

REPOSITORIES = {
    "fineweb-edu": "HuggingFaceFW/fineweb-edu",
    "fineweb": "HuggingFaceFW/fineweb",
}
# Random samples, with somewhat fewer tokens than their names say: GPT-2's tokens, counted by their makers.
SAMPLES = {
    9_500_000_000: "sample/10BT",
    95_000_000_000: "sample/100BT",
    340_000_000_000: "sample/350BT",
}
RECORD = "fetched.json"


@dataclass(frozen=True)
class Request:
    """What is to be in the folder at the end.

    Args:
        repository: On the hub.
        folder: In the repository.
        tokenizer: Whose tokens.
        tokens: How many to train on …
        valid_tokens: … and how many, at the beginning, to hold out; up to the end of the document.
        tokens_per_shard: Of the shards.
    """

    repository: str
    folder: str
    tokenizer: str
    tokens: int
    valid_tokens: int
    tokens_per_shard: int


def parse_count(text: str) -> int:
    """A number of tokens as people write it: ``10B``, ``1.5M``, ``300k``, ``4096``.

    Raises:
        CourseError: if it is none.
    """
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)\s*([kMBT]?)", text.strip())
    if not match:
        raise CourseError(f"{text!r} is no number of tokens", hint="for example 10B, 300M or 5k")
    number = float(match[1].replace("_", ""))
    return round(number * {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}[match[2]])


def read_record(path: Path, request: Request) -> dict[str, Any] | None:
    """What was asked for in this folder before; it must be the same."""
    try:
        record = dict(json.loads(path.read_bytes()))
        files, revision = list(record["files"]), str(record["revision"])
    except FileNotFoundError:
        if (path.parent / "train").exists():
            raise CourseError(
                f"{path.parent} holds shards that were not fetched", hint="choose another folder"
            ) from None
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{path} cannot be read", hint=f"remove {path.parent}") from error
    for name, value in asdict(request).items():
        if record.get(name) != value:
            raise CourseError(
                f"{path.parent} was fetched with {name} {record.get(name)!r}, not {value!r}",
                hint="choose another folder, or remove it",
            )
    return {"revision": revision, "files": files}


def check_disk(out: Path, request: Request) -> None:
    """Twice the tokens (parts, and what is made of them) must find room."""
    folder = next(f for f in (out, *out.absolute().parents) if f.exists())
    itemsize = 2 if TOKENIZERS[request.tokenizer] <= 1 << 16 else 4
    there = sum(f.stat().st_size for f in (out / "parts").glob("*/*.bin"))
    need = 2 * itemsize * (request.tokens + request.valid_tokens) - there
    free = shutil.disk_usage(folder).free
    if need > free:
        raise CourseError(
            f"{need / 1e9:,.1f} GB are needed in {folder}, and {free / 1e9:,.1f} GB are free",
            hint="choose another disk, or ask for fewer tokens",
        )


def repository_of(name: str) -> str:
    if name not in REPOSITORIES:
        raise CourseError(
            f"no data set is called {name!r}", hint=f"known: {', '.join(REPOSITORIES)}"
        )
    return REPOSITORIES[name]


def sample_of(tokens: int) -> str:
    """The smallest sample that surely has so many."""
    for most, folder in SAMPLES.items():
        if tokens <= most:
            return folder
    raise CourseError(
        f"{tokens:,} tokens are more than the largest sample has", hint="at most 340B"
    )
