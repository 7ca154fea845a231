"""A training run before it is paid for: parameters, FLOPs, memory, hours and dollars.

Everything is arithmetic on the shape of the model and the settings of the run; nothing is measured, and
two numbers are guesses that you make: which share of the peak the machine will reach (`mfu`), and what
the framework takes of memory for itself (`memory.OVERHEAD`).

Taught in chapter 06.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import CourseError
from ..model.config import ModelConfig
from ..presets import Preset, TrainSection
from .flops import attention_flops, flops_per_token, implied_mfu, parameters
from .hardware import Gpu, Precision, gpu_named
from .memory import Memory, Strategy, memory_of


@dataclass(frozen=True)
class Plan:
    """What a run comes to.

    Args:
        name: The preset's, or ``model``.
        config: The shape of the model.
        train: The settings of the run.
        gpu, gpus: The machine.
        price: Dollars for a GPU-hour.
        mfu: Which share of the peak is reached: a guess; 0.3 to 0.5 is usual.
        precision: Of the matrix products.
        strategy: How GPUs share the work …
        activation_checkpointing: … and whether activations are computed again: what `fits` is about.
        micro_batch: Rows that a GPU holds at once.
        compiled: Whether `torch.compile` is counted on.
        parameters: By part.
        memory: Bytes on each GPU, for each strategy with and without activation checkpointing.
    """

    name: str
    config: ModelConfig
    train: TrainSection
    gpu: Gpu
    gpus: int
    price: float
    mfu: float
    precision: Precision
    strategy: Strategy
    activation_checkpointing: bool
    micro_batch: int
    compiled: bool
    parameters: dict[str, int]
    memory: dict[tuple[Strategy, bool], Memory]

    @property
    def total_parameters(self) -> int:
        """A tied exit counts once."""
        return sum(self.parameters.values())

    @property
    def accumulation(self) -> int:
        """Micro-batches of a step on each GPU."""
        return self.train.rows // (self.gpus * self.micro_batch)

    @property
    def flops_per_token(self) -> int:
        """Of the model, forward and backward (`flops.flops_per_token`)."""
        return flops_per_token(self.config, self.train.context)

    @property
    def recomputed_per_token(self) -> int:
        """What activation checkpointing computes a second time: the blocks' forward pass."""
        if not self.activation_checkpointing:
            return 0
        blocks = self.parameters["attention"] + self.parameters["MLP"]
        return 2 * blocks + attention_flops(self.config, self.train.context) // 3

    @property
    def flops(self) -> int:
        """Of the model over the whole run."""
        return self.flops_per_token * self.train.total_tokens

    @property
    def seconds_per_step(self) -> float:
        """If `mfu` of the peak is reached; what is computed again takes its time as well."""
        work = (self.flops_per_token + self.recomputed_per_token) * self.train.batch_tokens
        return work / (self.gpu.peak(self.precision) * self.gpus * self.mfu)

    @property
    def hours(self) -> float:
        """Of the whole run, evaluation and snapshots left out."""
        return self.seconds_per_step * self.train.steps / 3600

    @property
    def dollars(self) -> float:
        """For all GPUs."""
        return self.hours * self.gpus * self.price

    @property
    def need(self) -> Memory:
        """Memory in the way that was chosen."""
        return self.memory[self.strategy, self.activation_checkpointing]

    @property
    def fits(self) -> bool:
        """Whether a GPU can hold it, the guess for the framework included."""
        return self.need.total <= self.gpu.memory

    def timed(self, seconds_per_step: float) -> Timed:
        """What follows if a step takes so long: as measured, or as told."""
        hours = seconds_per_step * self.train.steps / 3600
        shares = [
            implied_mfu(
                seconds_per_step, self.config, self.train.batch_tokens, self.gpu, self.gpus,
                context=self.train.context, precision=self.precision, causal=causal,
            )
            for causal in (False, True)
        ]  # fmt: skip
        return Timed(seconds_per_step, hours, hours * self.gpus * self.price, *shares)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        memory = {
            _title(strategy, again): {**asdict(m), "total": m.total, "fits": m.total <= self.gpu.memory}
            for (strategy, again), m in self.memory.items()
        }  # fmt: skip
        return {
            "name": self.name, "gpu": self.gpu.name, "gpus": self.gpus, "price": self.price,
            "mfu": self.mfu, "precision": self.precision, "compiled": self.compiled,
            "chosen": _title(self.strategy, self.activation_checkpointing), "fits": self.fits,
            "parameters": {**self.parameters, "total": self.total_parameters},
            "tokens_per_step": self.train.batch_tokens, "steps": self.train.steps,
            "tokens": self.train.total_tokens, "context": self.train.context,
            "micro_batch": self.micro_batch, "accumulation": self.accumulation,
            "flops_per_token": self.flops_per_token, "recomputed_per_token": self.recomputed_per_token,
            "flops": self.flops, "memory": memory, "gpu_memory": self.gpu.memory,
            "seconds_per_step": self.seconds_per_step, "hours": self.hours, "dollars": self.dollars,
        }  # fmt: skip


@dataclass(frozen=True)
class Timed:
    """What follows from the length of a step.

    Args:
        seconds_per_step: The length.
        hours: Of the run.
        dollars: At the plan's price.
        mfu: The share of the peak …
        mfu_causal: … and with attention counted as what the causal mask leaves over, as llm.c does.
    """

    seconds_per_step: float
    hours: float
    dollars: float
    mfu: float
    mfu_causal: float


def plan(
    what: Preset | ModelConfig,
    train: TrainSection | None = None,
    *,
    gpu: str | Gpu = "h100",
    gpus: int = 8,
    price: float = 3.0,
    mfu: float = 0.4,
    strategy: Strategy | None = None,
    activation_checkpointing: bool | None = None,
    micro_batch: int | None = None,
    compiled: bool | None = None,
) -> Plan:
    """Plan a run.

    Args:
        what: A preset with a model and a training run; or a model's shape, and then `train` as well.
        train: The settings of the run; by default the preset's.
        gpu: A card, or its name in `hardware.GPUS`.
        gpus: How many.
        price: Dollars for an hour of one of them.
        mfu: Which share of the peak they reach.
        strategy, activation_checkpointing, micro_batch: By default as the run has them.
        compiled: Whether to count on `torch.compile`; by default unless the run says no.

    Raises:
        CourseError: if a number makes no sense, the batch cannot be shared evenly, the preset has no
            run to plan, or the card cannot compute in the run's precision.
    """
    if isinstance(what, Preset):
        train = train or what.need(TrainSection)
        name, config = what.name, _model_of(what)
    else:
        name, config = "model", what
    if train is None:
        raise CourseError("there is no run to plan", hint="give the settings of one, as `train`")
    card = gpu_named(gpu) if isinstance(gpu, str) else gpu
    micro_batch = train.micro_batch if micro_batch is None else micro_batch
    if gpus < 1 or micro_batch < 1:
        raise CourseError(f"{gpus} GPUs with {micro_batch} rows each", hint="at least 1 of either")
    if not 0 < mfu <= 1 or not 0 <= price < float("inf"):
        raise CourseError(f"mfu {mfu}, price {price}", hint="0 < mfu ≤ 1, and price ≥ 0")
    if train.rows % (gpus * micro_batch):
        raise CourseError(
            f"{train.rows} rows of a batch cannot be shared evenly by {gpus} GPUs, {micro_batch} at a time",
            hint="choose --gpus and --micro-batch so that their product divides it",
        )
    setting = train.precision
    precision: Precision = card.precision if setting in ("auto", "native") else setting  # type: ignore[assignment]
    card.peak(precision)  # can it?
    compiled = train.compile != "no" if compiled is None else compiled
    ways: list[Strategy] = ["ddp", "fsdp"] if gpus > 1 else ["ddp"]
    memory = {
        (way, again): memory_of(
            config, micro_batch=micro_batch, context=train.context, strategy=way, ranks=gpus,
            precision=precision, optimizer=train.optimizer, activation_checkpointing=again,
            compiled=compiled, accumulated=train.rows > gpus * micro_batch,
        )
        for way in ways
        for again in (False, True)
    }  # fmt: skip
    return Plan(
        name, config, train, card, gpus, price, mfu, precision,
        # One GPU has nobody to share with.
        "ddp" if gpus == 1 else strategy or train.strategy,
        train.activation_checkpointing if activation_checkpointing is None else activation_checkpointing,
        micro_batch, compiled, parameters(config), memory,
    )  # fmt: skip


def _model_of(preset: Preset) -> ModelConfig:
    from ..presets import ModelSection

    return preset.need(ModelSection).build()


def _title(strategy: str, again: bool) -> str:
    return f"{strategy}, recomputing" if again else strategy
