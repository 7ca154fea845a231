"""Everything about a run that is not written in its settings but follows from them and the machine.

It is printed before the first step and saved beside the results: who reads the loss curve should not
have to guess what it was made with. Taught in chapter 06.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import CourseError
from ..model.config import ModelConfig
from ..model.transformer import num_parameters
from ..presets import TrainSection
from . import hardware, precision
from .compiling import wants_compile
from .flops import flops_per_token
from .sources import Source
from .team import Team


@dataclass(frozen=True)
class Derived:
    """What follows from a run's settings on this machine.

    Args:
        parameters: To learn; a tied exit counts once.
        tokens: That the whole run trains on.
        tokens_per_parameter: Chinchilla's measure of how long that is: about 20 is the best use of a
            given amount of computing (arXiv:2203.15556).
        epochs: How often the run reads its data; None if they are not there yet.
        processes: That share each batch.
        micro_batch: Rows on each process at once …
        accumulation: … and how often, for one step.
        device: Of each process.
        precision: Of the products.
        compiled: Whether the step is compiled.
        flops_per_token: Forward and backward.
        flops: Of the whole run.
        peak_flops: FLOP/s of all devices together, at most; None: unknown.
    """

    parameters: int
    tokens: int
    tokens_per_parameter: float
    epochs: float | None
    processes: int
    micro_batch: int
    accumulation: int
    device: str
    precision: precision.Name
    compiled: bool
    flops_per_token: int
    flops: int
    peak_flops: float | None

    def lines(self) -> list[tuple[str, str]]:
        """For people: names and values."""
        peak = "unknown" if self.peak_flops is None else f"{self.peak_flops:.3g} FLOP/s"
        return [
            ("parameters", f"{self.parameters:,}"),
            ("tokens", f"{self.tokens:,}, {self.tokens_per_parameter:.1f} per parameter"),
            (
                "epochs",
                "not known: there are no data yet" if self.epochs is None else f"{self.epochs:.2f}",
            ),
            ("processes", f"{self.processes} on {self.device}"),
            ("rows", f"{self.micro_batch} at once × {self.accumulation} × {self.processes}"),
            ("precision", self.precision),
            ("compiled", "yes" if self.compiled else "no"),
            ("computing", f"{self.flops_per_token:.3g} FLOPs a token, {self.flops:.3g} in all"),
            ("peak", peak),
        ]


def derive(config: ModelConfig, train: TrainSection, source: Source | None, team: Team) -> Derived:
    """Work out what a run comes to, and refuse what cannot be.

    Args:
        config: The model.
        train: The settings.
        source: The data; None if they are not there yet.
        team: Who takes part.

    Raises:
        CourseError: if settings, data, model and machine do not fit together.
    """
    if source is not None and source.vocab_size > config.vocab_size:
        raise CourseError(
            f"the data have {source.vocab_size:,} symbols and the model {config.vocab_size:,}",
            hint="are they another tokenizer's?",
        )
    if train.context > config.context_length:
        raise CourseError(
            f"rows of {train.context} tokens, and the model sees {config.context_length} at once",
            hint="make context smaller",
        )
    if train.rows % team.world_size:
        raise CourseError(
            f"{team.world_size} processes cannot share {train.rows} rows evenly",
            hint="take a number of processes that divides it",
        )
    share = train.rows // team.world_size
    micro = max(n for n in range(1, min(train.micro_batch, share) + 1) if share % n == 0)
    chosen = precision.choose(team.device, train.precision)
    per_token = flops_per_token(config, train.context)
    flops = per_token * train.total_tokens
    peak = _peak(team.device, chosen)
    parameters = num_parameters(config)
    return Derived(
        parameters=parameters,
        tokens=train.total_tokens,
        tokens_per_parameter=train.total_tokens / parameters,
        epochs=None if source is None else _text_tokens(train) / source.tokens,
        processes=team.world_size,
        micro_batch=micro,
        accumulation=share // micro,
        device=team.device.type,
        precision=chosen.name,
        compiled=wants_compile(team.device, train.compile, flops),
        flops_per_token=per_token,
        flops=flops,
        peak_flops=None if peak is None else peak * team.world_size,
    )


def _peak(device: torch.device, chosen: precision.Precision) -> float | None:
    """FLOP/s of one device at most: a GPU's from its datasheet, a processor's measured; None: unknown."""
    if device.type == "cpu":
        return hardware.cpu_peak(chosen.name)
    gpu = hardware.recognise(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return None if gpu is None else gpu.peak(chosen.name)


def _text_tokens(train: TrainSection) -> int:
    """Tokens of the data that a run reads: all but those of the drill."""
    return (train.steps - train.drill_steps) * train.batch_tokens
