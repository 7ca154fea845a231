"""LoRA: training a few numbers beside a model's matrices instead of the matrices themselves.

A matrix W [out, in] stays as it is, and a product of two thin ones is added to it: W + (alpha / rank) B A,
with A [rank, in] and B [out, rank]. What fine-tuning changes has a low rank, so little is lost, and of
gradients and the optimizer's state there is only what A and B need. B begins as zeros: before the first
step the model answers exactly as it did. Afterwards the product can be added to W once and for all.

Hu et al., "LoRA: low-rank adaptation of large language models" (arXiv:2106.09685), section 4.1.
Taught in chapter 08.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CourseError
from ..model.layers import Linear

FORMAT = "llmcourse adapter, version 1"
FILE_NAME = "adapter.safetensors"


@dataclass(frozen=True)
class LoraConfig:
    """Which matrices get an adapter, and of what size.

    Args:
        rank: Rows of A and columns of B.
        alpha: The product is multiplied by alpha / rank, so that another rank needs no other learning rate.
        targets: Last parts of the names of linear layers: ``q``, ``k``, ``v`` and ``out`` of attention,
            ``w1``, ``w2`` and ``w3`` of the MLP. The paper's choice is ``q`` and ``v`` (section 7.1).
        seed: Of A.
    """

    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ("q", "v")
    seed: int = 0


@dataclass(frozen=True)
class Counts:
    """How many numbers are trained, of how many."""

    trainable: int
    total: int

    @property
    def share(self) -> float:
        """The part that is trained, 0 … 1."""
        return self.trainable / self.total


class LoraLinear(Linear):
    """A linear layer with an adapter beside it: y = x Wᵀ (+ b) + (alpha / rank) · x Aᵀ Bᵀ.

    The layer's own parameters keep their names; `A` and `B` are new, and in float32 at least.
    """

    def __init__(self, linear: Linear, config: LoraConfig, generator: torch.Generator) -> None:
        nn.Module.__init__(self)  # not Linear's, which would draw a weight only to lose it
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias, self.config = linear.weight, linear.bias, config
        kind = torch.promote_types(linear.weight.dtype, torch.float32)
        # Drawn on the CPU, so that the same seed gives the same numbers everywhere.
        a = torch.randn(config.rank, self.in_features, generator=generator) / self.in_features**0.5
        self.A = nn.Parameter(a.to(linear.weight.device, kind))
        self.B = nn.Parameter(self.A.new_zeros(self.out_features, config.rank))

    @property
    def scale(self) -> float:
        """What the product is multiplied by."""
        return self.config.alpha / self.config.rank

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.linear(x, self.weight, self.bias)
        thin = nn.functional.linear(x, self.A.to(x.dtype))  # [..., rank]
        return y + self.scale * nn.functional.linear(thin, self.B.to(x.dtype))

    @torch.no_grad()
    def merged(self) -> Linear:
        """A plain layer that computes the same; it shares the bias, not the weight."""
        with torch.device("meta"):  # nothing is drawn
            plain = Linear(self.in_features, self.out_features)
        wide = self.weight.to(self.A.dtype) + self.scale * (self.B @ self.A)
        plain.weight, plain.bias = nn.Parameter(wide.to(self.weight.dtype)), self.bias
        return plain


def apply_lora(
    model: nn.Module,
    rank: int = 8,
    alpha: float = 16.0,
    targets: tuple[str, ...] = ("q", "v"),
    seed: int = 0,
) -> Counts:
    """Give a model adapters, in place, and freeze everything else.

    Args:
        model: With `Linear` layers.
        rank: See `LoraConfig`, as the others.
        alpha: …
        targets: …
        seed: …

    Returns:
        How many numbers are trained now, and how many there are.

    Raises:
        CourseError: if a setting makes no sense, a target is no linear layer of the model, or the model
            has adapters. Nothing has been changed then.

    Taught in chapter 08.
    """
    if rank < 1 or not 0 < alpha < math.inf or not targets or seed < 0:
        raise CourseError(
            f"LoRA with rank {rank}, alpha {alpha}, {len(targets)} targets and seed {seed}",
            hint="rank ≥ 1, alpha > 0, at least one target, seed ≥ 0",
        )
    if has_lora(model):
        raise CourseError("the model has an adapter", hint="`merge` it first, or train it as it is")
    linear = {name: m for name, m in model.named_modules() if isinstance(m, Linear)}
    known = sorted({name.split(".")[-1] for name in linear})
    for target in targets:
        if target not in known:
            raise CourseError(
                f"the model has no linear layer called {target!r}",
                hint=f"it has {', '.join(known) or 'none'}",
            )
    config = LoraConfig(rank, float(alpha), tuple(targets), seed)
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for name, layer in linear.items():
        if name.split(".")[-1] in targets:
            _replace(model, name, LoraLinear(layer, config, generator))
    return counts(model)


def has_lora(model: nn.Module) -> bool:
    """Whether some layer has an adapter."""
    return any(isinstance(module, LoraLinear) for module in model.modules())


def merge(model: nn.Module) -> None:
    """Add every adapter to its matrix, in place: a plain model again, all of it trainable.

    Logits stay the same but for rounding.

    Raises:
        CourseError: if there is no adapter.

    Taught in chapter 08.
    """
    _need(model)
    for name, layer in list(_adapters(model)):
        _replace(model, name, layer.merged())
    model.requires_grad_(True)


def counts(model: nn.Module) -> Counts:
    """How many numbers are trained, and how many there are; a tied exit counts once."""
    params = list(model.parameters())
    return Counts(sum(p.numel() for p in params if p.requires_grad), sum(p.numel() for p in params))


def adapter_of(model: nn.Module) -> nn.Module:
    """A module that holds the model's adapters, the same parameters under the same names, and nothing else.

    It computes nothing: it is what snapshots are made of while the rest stays as it was.

    Raises:
        CourseError: if there is no adapter.
    """
    _need(model)
    root = nn.Module()
    for name, layer in _adapters(model):
        place = root
        for part in name.split("."):
            if not hasattr(place, part):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.register_parameter("A", layer.A)
        place.register_parameter("B", layer.B)
    return root


def save_adapter(model: nn.Module, path: str | Path) -> Path:
    """Write the adapters alone, with their settings in the header, all at once or not at all.

    Args:
        model: With adapters.
        path: A file, or a folder, which gets an ``adapter.safetensors``.

    Returns:
        The file.

    Raises:
        CourseError: if there is no adapter, or the file cannot be written.

    Taught in chapter 08.
    """
    from ..model.weights.safetensors_files import write_file

    _need(model)
    path = _file(path)
    config = next(layer.config for _, layer in _adapters(model))
    write_file(
        path,
        {k: v.detach().cpu().contiguous() for k, v in adapter_of(model).state_dict().items()},
        {"format": FORMAT, "config": json.dumps(asdict(config))},
    )
    return path


@torch.no_grad()
def load_adapter(model: nn.Module, path: str | Path) -> LoraConfig:
    """Give a model the adapters that `save_adapter` wrote; its own are replaced if they are of the same kind.

    Raises:
        CourseError: if the file is missing, damaged or no adapter, or does not fit the model.

    Taught in chapter 08.
    """
    path = _file(path)
    tensors, config = _read(path)
    had = has_lora(model)
    if not had:
        apply_lora(model, config.rank, config.alpha, config.targets, config.seed)
    own = adapter_of(model).state_dict()
    scales = {layer.scale for _, layer in _adapters(model)}
    fits = {n: t.shape for n, t in own.items()} == {n: t.shape for n, t in tensors.items()}
    finite = all(bool(t.isfinite().all()) for t in tensors.values())
    if not fits or not finite or scales != {config.alpha / config.rank}:
        if not had:
            merge(model)  # B is zeros: this only takes the adapters away
        raise CourseError(
            f"{path} does not fit the model" if finite else f"{path} has numbers that are none",
            hint="take the adapter of this model, on a model without adapters",
        )
    for name, tensor in own.items():  # the parameters' own memory
        tensor.copy_(tensors[name])
    return config


def _read(path: Path) -> tuple[dict[str, Tensor], LoraConfig]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CourseError(f"there is no file {path}", hint="is the path right?")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError("another format")
            fields: dict[str, Any] = json.loads(metadata["config"])
            config = LoraConfig(**{**fields, "targets": tuple(fields["targets"])})
            names = list(file.keys())
            return {name: file.get_tensor(name).clone() for name in names}, config
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{path} is no adapter: {error}", hint="use another copy") from error


def _file(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".safetensors" else path / FILE_NAME


def _adapters(model: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    for name, module in model.named_modules():
        if isinstance(module, LoraLinear):
            yield name, module


def _need(model: nn.Module) -> None:
    if not has_lora(model):
        raise CourseError("the model has no adapter", hint="`apply_lora` gives it one")


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
