"""Presets: one dial for the whole course.

A preset is a small TOML file beside this one. Everything a run needs follows from it; what is
derived is printed and saved beside the results, and contradictions are refused when it is read.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import CourseError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Section(BaseModel):
    """A table of a preset: immutable, and no misspelt key goes unnoticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WorldSection(Section):
    """The generated encyclopaedia (chapter 01)."""

    seed: int = 0
    articles: int = Field(ge=20, le=100_000)


class CrawlSection(Section):
    """The crawl (chapter 01). Times in seconds, sizes in bytes."""

    pydoc_pages: int = Field(ge=0)
    max_pages: int = Field(ge=1)
    max_depth: int = Field(ge=0)
    delay: float = Field(ge=0)
    timeout: float = Field(gt=0)
    max_bytes: int = Field(ge=1_000)


class FilterSection(Section):
    """FineWeb's filters (chapter 01)."""

    language: str = Field(min_length=2, max_length=3)
    language_threshold: float = Field(ge=0, le=1)


class TokenizerSection(Section):
    """The course's own tokenizer (chapter 02)."""

    vocab_size: int = Field(ge=257, le=1_000_000)
    special_tokens: tuple[str, ...] = ("<|endoftext|>",)

    @model_validator(mode="after")
    def _room_for_everything(self) -> TokenizerSection:
        if len(set(self.special_tokens)) != len(self.special_tokens):
            raise ValueError("special_tokens: a token stands twice")
        if self.vocab_size < 256 + len(self.special_tokens):
            raise ValueError("vocab_size: less than 256 bytes and the special tokens need")
        return self


class ShardSection(Section):
    """Token shards (chapter 02)."""

    tokens_per_shard: int = Field(ge=1_000)
    dtype: Literal["uint16", "uint32"] = "uint16"


class Preset(Section):
    """Everything that one name stands for."""

    name: str
    description: str
    world: WorldSection
    crawl: CrawlSection
    filter: FilterSection
    tokenizer: TokenizerSection
    shards: ShardSection

    @model_validator(mode="after")
    def _ids_fit_their_type(self) -> Preset:
        if self.shards.dtype == "uint16" and self.tokenizer.vocab_size > 2**16:
            raise ValueError("shards.dtype is uint16, but tokenizer.vocab_size needs uint32")
        return self

    def fingerprint(self, *sections: str) -> str:
        """A short checksum of the named sections (all of them by default), for folder names."""
        chosen: dict[str, Any] = self.model_dump(include=set(sections) or None, mode="json")
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]


def names() -> list[str]:
    """The presets that ship with the package."""
    files = resources.files(__package__).iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def load(name: str) -> Preset:
    """Read and check a preset.

    Raises:
        CourseError: for an unknown name or a contradiction, naming the setting.
    """
    if name not in names():
        raise CourseError(f"no preset is called {name!r}", hint=f"one of: {', '.join(names())}")
    text = resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return parse(name, text)


def parse(name: str, text: str) -> Preset:
    """Read a preset from TOML text."""
    try:
        return Preset.model_validate({"name": name, **tomllib.loads(text)})
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"preset {name}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "preset"
        raise CourseError(f"preset {name}: {where}: {first['msg']}") from error
