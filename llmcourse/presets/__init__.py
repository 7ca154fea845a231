"""Presets: one dial for the whole course.

A preset is a small TOML file beside this one. Everything a run needs follows from it; what is
derived is printed and saved beside the results, and contradictions are refused when it is read.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import CourseError

if TYPE_CHECKING:
    from ..model.config import ModelConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


S = TypeVar("S", bound="Section")


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


class MixtureSection(Section):
    """The training text of the course model (chapter 06).

    Args:
        seed: Of everything.
        size: Share of the whole World's entities (about 5,000 at 1).
        tales: Pages that tell no facts.
        exercises: Pages of the schoolbook.
        readings: Reading exercises, with names that stand on no other page.
        desk: Pages of the reference desk: questions about things of other Worlds, looked up and read out.
        window: Readings and pages of the desk are kept whole within windows of so many tokens, where they fit; 0: not.
        notices: Whether to add notices repeated up to 1,000 times.
        pydoc_pages: Pages of Python's documentation to crawl for prose.
        held_out: Share of the documents kept for evaluation.
        well_known_from: Pages mostly about facts that are told at least so often …
        well_known_times: … come so many times.
    """

    seed: int = Field(default=0, ge=0)
    size: float = Field(default=1.0, gt=0, le=1)
    tales: int = Field(ge=0)
    exercises: int = Field(ge=0)
    readings: int = Field(default=0, ge=0)
    desk: int = Field(default=0, ge=0)
    window: int = Field(default=0, ge=0)
    notices: bool = True
    pydoc_pages: int = Field(default=0, ge=0)
    held_out: float = Field(default=0.01, gt=0, lt=0.5)
    well_known_from: int = Field(default=100, ge=1)
    well_known_times: int = Field(default=1, ge=1, le=10)


class MidSection(Section):
    """The text of mid-training (chapter 07).

    Args:
        base: The base model that reads it; its tokenizer is used.
        world: The preset whose World is told of.
        tokens: How many, about.
        desk: Share of pages of the reference desk; the others are about what is well known.
        articles: Of these, the share of articles …
        notes: … and of short notes on several things; the others ask and answer.
        window: Pages of the desk are kept whole within windows of so many tokens; 0: not.
        held_out: Share of the documents kept for evaluation.
        seed: Of everything.
    """

    base: str
    world: str
    tokens: int = Field(ge=1_000)
    desk: float = Field(ge=0, le=1)
    articles: float = Field(ge=0, le=1)
    notes: float = Field(ge=0, le=1)
    window: int = Field(default=0, ge=0)
    held_out: float = Field(default=0.01, gt=0, lt=0.5)
    seed: int = Field(default=0, ge=0)


class ModelSection(Section):
    """The transformer (chapter 04): a named configuration, and what differs from it."""

    config: str
    context_length: int | None = Field(default=None, ge=1)
    vocab_size: int | None = Field(default=None, ge=1)

    def build(self) -> ModelConfig:
        """The configuration.

        Raises:
            CourseError: if there is none of this name.
        """
        from ..model.config import config_from, named

        fields = named(self.config).model_dump()
        changes = self.model_dump(include={"context_length", "vocab_size"}, exclude_none=True)
        return config_from({**fields, **changes}, f"the model of preset section {self.config}")


class TrainSection(Section):
    """A pretraining run (chapter 06).

    Args:
        data: Where the tokens come from: ``mixture``, the course's own (chapter 06); ``mid``, its second text
            (chapter 07); ``fineweb-edu``, shards from the hub; ``letters``, chapter 04's letters to sort.
        start: A model to begin with, a name or a folder; by default the weights are drawn.
        batch_tokens: Tokens of one step, over all processes and micro-batches.
        micro_batch: Rows that one process holds at once; the rest of a batch is accumulated.
        context: Tokens in a row, T.
        steps: Steps of the optimizer.
        drill_steps: So many of them, the first ones, are on random tokens said again (`train.drill`).
        optimizer: ``adamw``, or ``muon`` for the blocks' matrices with AdamW for the rest.
        lr, min_lr, warmup_steps: The schedule: up in a line, down in half a cosine.
        weight_decay, beta1, beta2, clip: Of the optimizer.
        precision: ``auto`` chooses by device; ``native`` takes bf16 on processors too that multiply it.
        compile: ``auto`` compiles where it was measured to win.
        strategy: How several processes share the work: ``ddp``, a copy each; ``fsdp``, a part each.
        activation_checkpointing: Forget what is inside a block and compute it again on the way back.
        order: How windows are drawn from the tokens; see `ShardLoader`.
        eval_every, eval_tokens: Held-out text every so many steps, so many tokens of it.
        sample_every, save_every: Texts, a snapshot, every so many steps; 0 for never.
        prompts: What the texts begin with; an empty one is the beginning of a document …
        sample_tokens: … and how many tokens of each are written.
        keep: Snapshots kept; older ones are removed, except …
        milestones: … those of these steps.
        seed: Of weights and batches.
        expected: What the run should come to, on which hardware, in words.
    """

    data: Literal["mixture", "mid", "fineweb-edu", "letters"]
    start: str | None = None
    batch_tokens: int = Field(ge=1)
    micro_batch: int = Field(ge=1)
    context: int = Field(ge=1)
    steps: int = Field(ge=1)
    drill_steps: int = Field(default=0, ge=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(gt=0)
    min_lr: float = Field(default=0.0, ge=0)
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.1, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    clip: float = Field(default=1.0, gt=0)
    precision: Literal["auto", "native", "fp32", "bf16", "fp16"] = "auto"
    compile: Literal["auto", "yes", "no"] = "auto"
    strategy: Literal["ddp", "fsdp"] = "ddp"
    activation_checkpointing: bool = False
    order: Literal["random", "epoch", "sequential"] = "epoch"
    eval_every: int = Field(default=250, ge=0)
    eval_tokens: int = Field(default=100_000, ge=0)
    sample_every: int = Field(default=0, ge=0)
    prompts: tuple[str, ...] = ("",)
    sample_tokens: int = Field(default=64, ge=1)
    save_every: int = Field(default=0, ge=0)
    keep: int = Field(default=2, ge=1)
    milestones: tuple[int, ...] = ()
    seed: int = Field(default=0, ge=0)
    expected: str = ""

    @model_validator(mode="after")
    def _adds_up(self) -> TrainSection:
        if self.batch_tokens % self.context:
            raise ValueError("batch_tokens is not a multiple of context")
        if (self.batch_tokens // self.context) % self.micro_batch:
            raise ValueError("the rows of a batch are not a multiple of micro_batch")
        if self.warmup_steps > self.steps:
            raise ValueError("warmup_steps is more than steps")
        if self.drill_steps > self.steps:
            raise ValueError("drill_steps is more than steps")
        if self.min_lr > self.lr:
            raise ValueError("min_lr is more than lr")
        return self

    @property
    def rows(self) -> int:
        """Rows of the global batch."""
        return self.batch_tokens // self.context

    @property
    def total_tokens(self) -> int:
        """Tokens of the whole run."""
        return self.batch_tokens * self.steps


class LoraSection(Section):
    """Low-rank adapters instead of all weights (chapter 08).

    Args:
        rank: Of each adapter.
        alpha: Its strength is alpha / rank.
        targets: Which matrices get one, by their names.
        seed: Of the adapters' first weights.
    """

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    targets: tuple[str, ...] = Field(default=("q", "v"), min_length=1)
    seed: int = Field(default=0, ge=0)


class SFTSection(Section):
    """Fine-tuning on conversations (chapter 08).

    Args:
        epochs: How often each conversation is read …
        steps: … or how many steps there are; one of the two.
        lr: Greatest learning rate.
        min_lr: The last one; a tenth of `lr` if it is not given.
        warmup_steps: Steps in which the rate rises.
        optimizer: As in [train].
        beta1: Of AdamW …
        beta2: … likewise.
        weight_decay: How much of each weight goes at each step, in units of the rate.
        clip: Gradients longer than this are shortened.
        batch_tokens: Places in a step, padding included …
        micro_tokens: … and how many go through the model at once.
        context: Tokens of the longest conversation; by default the model's context.
        layout: Conversations in rows of their own, or several in a row, kept apart by a mask.
        lora: Adapters instead of all weights.
        precision: As in [train].
        compile: As in [train].
        eval_every: Steps between evaluations; 0: none.
        save_every: Steps between snapshots; 0: only at the end.
        keep: How many snapshots stay.
        seed: Of the order.
        expected: What should come out.
    """

    epochs: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    lr: float = Field(gt=0)
    min_lr: float | None = Field(default=None, ge=0)
    warmup_steps: int | None = Field(default=None, ge=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=1.0, gt=0)
    batch_tokens: int = Field(default=8192, ge=1)
    micro_tokens: int = Field(default=4096, ge=1)
    context: int | None = Field(default=None, ge=1)
    layout: Literal["padded", "packed"] = "padded"
    lora: LoraSection | None = None
    precision: Literal["auto", "native", "fp32", "bf16", "fp16"] = "auto"
    compile: Literal["auto", "yes", "no"] = "auto"
    eval_every: int = Field(default=0, ge=0)
    save_every: int = Field(default=0, ge=0)
    keep: int = Field(default=2, ge=1)
    seed: int = Field(default=0, ge=0)
    expected: str = ""

    @model_validator(mode="after")
    def _adds_up(self) -> SFTSection:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps: give one of them")
        if self.min_lr is not None and self.min_lr > self.lr:
            raise ValueError("min_lr is more than lr")
        return self


class Preset(Section):
    """Everything that one name stands for. A section that a preset does without is None."""

    name: str
    description: str
    world: WorldSection | None = None
    crawl: CrawlSection | None = None
    filter: FilterSection | None = None
    tokenizer: TokenizerSection | None = None
    shards: ShardSection | None = None
    mixture: MixtureSection | None = None
    mid: MidSection | None = None
    model: ModelSection | None = None
    train: TrainSection | None = None
    sft: SFTSection | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Preset:
        narrow = self.shards is not None and self.shards.dtype == "uint16"
        if narrow and self.tokenizer and self.tokenizer.vocab_size > 2**16:
            raise ValueError("shards.dtype is uint16, but tokenizer.vocab_size needs uint32")
        if self.train and self.model:
            config = self.model.build()
            if self.train.context > config.context_length:
                raise ValueError("train.context is longer than the model's context_length")
            if self.tokenizer and config.vocab_size < self.tokenizer.vocab_size:
                raise ValueError("model.vocab_size is smaller than tokenizer.vocab_size")
        elif self.train:
            raise ValueError("train: there is no [model] to train")
        return self

    def need(self, kind: type[S]) -> S:
        """The section of this kind.

        Raises:
            CourseError: if the preset does without one.
        """
        for name in type(self).model_fields:
            if isinstance(section := getattr(self, name), kind):
                return section
        raise CourseError(
            f"preset {self.name} has no [{kind.__name__.removesuffix('Section').lower()}]",
            hint="`llmcourse presets` lists the others",
        )

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
        return _checked(name, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"preset {name}: not TOML: {error}") from error


def change(preset: Preset, section: str, changes: dict[str, Any]) -> Preset:
    """A preset with some settings of a section replaced.

    Raises:
        CourseError: if it does without that section, or for a contradiction, naming the setting.
    """
    content = preset.model_dump(mode="json", exclude_none=True, exclude={"name"})
    if section not in content:
        raise CourseError(
            f"preset {preset.name} has no [{section}]", hint="`llmcourse presets` lists the others"
        )
    content[section] |= changes
    return _checked(preset.name, content)


def _checked(name: str, content: dict[str, Any]) -> Preset:
    try:
        return Preset.model_validate({"name": name, **content})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "preset"
        raise CourseError(f"preset {name}: {where}: {first['msg']}") from error
