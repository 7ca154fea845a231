"""Where a run's tokens come from: a folder of shards, or chapter 04's letters.

A *source* is asked three things: the batches of a process, the text that is held out, and what
identifies it, so that a run cannot go on with other data unnoticed.

Taught in chapter 06.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..assets import cache_dir
from ..data.letters import (
    CONTEXT,
    LETTERS,
    LetterLoader,
    letter_inputs,
    letter_rows,
    letter_tokenizer,
)
from ..data.loader import ShardLoader
from ..data.masked import MaskedLoader
from ..data.shards import INDEX, ShardSet
from ..errors import CourseError
from ..presets import ModelSection, Preset, TrainSection
from ..tokenizer import Tokenizer
from ..tokenizer.files import FILE_NAME
from .held_out import HeldOut, held_out_windows, token_lengths
from .team import Team

Batch = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


class Loader(Protocol):
    """Batches by their number; `ShardLoader` is one."""

    def batch(self, step: int) -> Batch: ...


class Source(Protocol):
    """Where tokens come from."""

    @property
    def vocab_size(self) -> int:
        """Every token is below this."""

    @property
    def tokenizer(self) -> Tokenizer | None:
        """What the tokens mean; None: unknown, so there are no samples and no bits per byte."""

    @property
    def tokens(self) -> int:
        """How many there are to learn from."""

    def loader(self, train: TrainSection, rank: int, world_size: int) -> Loader:
        """This process's rows of every batch; targets of -100 do not count."""

    def held_out(self, train: TrainSection) -> HeldOut | None:
        """What is kept for evaluation, if there is any."""

    def describe(self) -> dict[str, Any]:
        """What identifies the tokens, as JSON can hold it."""


@dataclass(frozen=True)
class ShardSource:
    """Shards of tokens.

    Args:
        train: To learn from.
        valid: Held out; None: nothing is.
        tokenizer: Whose tokens they are.
        mask: Zeros and ones: which tokens of `train` count; None: all do.
    """

    train: ShardSet
    valid: ShardSet | None = None
    tokenizer: Tokenizer | None = None
    mask: ShardSet | None = None

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> ShardSource:
        """A folder with ``train``, ``valid``, a tokenizer and perhaps ``mask``; or a set of shards alone.

        Raises:
            CourseError: if there are no shards, or some are missing, cut short or corrupt.
        """
        folder = Path(folder)
        alone = (folder / INDEX).exists()
        if not alone and not (folder / "train").is_dir():
            raise CourseError(
                f"{folder} has no shards: neither {INDEX} nor a folder train",
                hint="llmcourse tokenizer shards makes them of a text",
            )
        train = ShardSet.open(folder if alone else folder / "train", verify=verify)
        valid, mask = folder / "valid", folder / "mask"
        words = [place for place in (folder, folder / "tokenizer") if (place / FILE_NAME).exists()]
        return cls(
            train,
            ShardSet.open(valid, verify=verify) if not alone and valid.is_dir() else None,
            Tokenizer.load(words[0]) if words else None,
            ShardSet.open(mask, verify=verify) if not alone and mask.is_dir() else None,
        )

    @property
    def vocab_size(self) -> int:
        return self.train.vocab_size

    @property
    def tokens(self) -> int:
        return len(self.train)

    def loader(self, train: TrainSection, rank: int, world_size: int) -> Loader:
        settings: dict[str, Any] = {
            "batch_size": train.rows, "context": train.context, "seed": train.seed,
            "rank": rank, "world_size": world_size, "order": train.order,
        }  # fmt: skip
        if self.mask is not None:
            return MaskedLoader(self.train, self.mask, **settings)
        return ShardLoader(self.train, **settings)

    def held_out(self, train: TrainSection) -> HeldOut | None:
        if self.valid is None or not train.eval_every:
            return None
        return held_out_windows(self.valid, train.context, train.eval_tokens, self.tokenizer)

    def describe(self) -> dict[str, Any]:
        found = {
            "kind": "shards", "train": self.train.fingerprint,
            "valid": None if self.valid is None else self.valid.fingerprint,
            "tokenizer": None if self.tokenizer is None else _digest(self.tokenizer),
        }  # fmt: skip
        return found if self.mask is None else {**found, "mask": self.mask.fingerprint}


@dataclass(frozen=True)
class LetterSource:
    """Six letters to sort (`llmcourse.data.letters`)."""

    @property
    def vocab_size(self) -> int:
        return len(LETTERS)

    @property
    def tokenizer(self) -> Tokenizer:
        return letter_tokenizer()

    @property
    def tokens(self) -> int:
        return letter_rows(letter_inputs()[0])[0].size

    def loader(self, train: TrainSection, rank: int, world_size: int) -> LetterLoader:
        if train.context != CONTEXT:
            raise CourseError(
                f"a row of letters is {CONTEXT} long, not {train.context}",
                hint=f"set context to {CONTEXT}",
            )
        return LetterLoader(
            batch_size=train.rows, seed=train.seed, rank=rank, world_size=world_size
        )

    def held_out(self, train: TrainSection) -> HeldOut | None:
        if not train.eval_every:
            return None
        x, y = letter_rows(letter_inputs()[1])
        return HeldOut(x, y, token_lengths(self.tokenizer, self.vocab_size))

    def describe(self) -> dict[str, Any]:
        return {"kind": "letters"}


def source_of(preset: Preset, folder: Path | None, team: Team, *, progress: bool = True) -> Source:
    """A preset's data: in the folder that is given, or made or fetched first if need be.

    One process does it, and the others wait. What takes longer than they have patience for (ten
    minutes, see `join`) is better done before the run, by one.

    Raises:
        CourseError: if the data cannot be had, or are damaged.
    """
    kind = preset.need(TrainSection).data
    if kind == "letters":
        if folder is not None:
            raise CourseError(f"preset {preset.name} needs no data", hint="leave --data out")
        return LetterSource()
    if folder is None:
        path, problem = "", ""
        error: CourseError | None = None
        if team.is_main:
            try:
                path = str(_prepare(preset, progress))
            except CourseError as caught:
                error, problem = caught, caught.message
        if problem := team.gather_text(problem)[0]:
            raise error or CourseError(problem, hint="see the message of process 0")
        folder = Path(team.gather_text(path)[0])
    return ShardSource.open(folder, verify=team.is_main)


def data_folder(preset: Preset) -> Path:
    """Where a preset's tokens live in the cache, made or not."""
    train = preset.need(TrainSection)
    if train.data == "mixture":
        from ..data.mixture import mixture_folder

        return mixture_folder(preset)
    if train.data == "mid":
        from ..data.mid import mid_folder

        return mid_folder(preset)
    # What is fetched depends on these and nothing else, so presets that agree share it.
    vocab_size = preset.need(ModelSection).build().vocab_size
    held_out = train.eval_tokens if train.eval_every else 0
    mark = f"{vocab_size}-{train.total_tokens}-{held_out}-{preset.fingerprint('shards')}"
    return cache_dir() / train.data / mark


def _prepare(preset: Preset, progress: bool) -> Path:
    data = preset.need(TrainSection).data
    if data == "mixture":
        from ..data.mixture import prepare_mixture

        return prepare_mixture(preset, progress=progress)
    if data == "mid":
        from ..data.mid import prepare_mid

        return prepare_mid(preset)
    from ..data.hub import prepare_fineweb

    return prepare_fineweb(preset, data_folder(preset), progress=progress)


def _digest(tokenizer: Tokenizer) -> str:
    parts = sorted(tokenizer.vocab.items()), tokenizer.merges, tokenizer.pattern
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
