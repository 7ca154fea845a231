"""What a run consists of, taken out of and put back into models and optimizers however they are spread.

Weights are collected whole on one process: a model is there to be used by others. An optimizer's state is
of no use to anybody else and two times as large, so each process keeps the rows it has. It is filed
under its parameters' names, which stay when the number of processes or the strategy changes.

Taught in chapter 06.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import CourseError
from .nested import unpack
from .rows import Like, Rows, RowShelf
from .sharding import local, whole
from .team import Team

_OTHER = "make the model and its optimizers as they were, or start in another folder"


@torch.no_grad()
def collect_weights(model: nn.Module, team: Team) -> dict[str, Tensor]:
    """Every tensor of a model's state, whole, in rank 0's memory; nothing on the others.

    Raises:
        CourseError: if the state has something that is no tensor.
    """
    collected: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, Tensor):
            raise CourseError(
                f"{name} is a {type(tensor).__name__}, not a tensor", hint="make it a buffer"
            )
        tensor = whole(tensor)  # everybody joins in, one tensor at a time
        if team.is_main:
            collected[name] = tensor.detach().to("cpu", copy=True).contiguous()
    return collected


def check_weights(model: nn.Module, stored: Rows, where: str) -> None:
    """Make sure that stored weights are this model's.

    Raises:
        CourseError: naming the tensor that is missing, too many, or of another shape.
    """
    own = model.state_dict()
    for name in own:
        if name not in stored:
            raise CourseError(f"{where} has no {name}", hint=_OTHER)
        if stored.shape(name) != tuple(own[name].shape):
            raise CourseError(
                f"{where}: {name} is {list(stored.shape(name))}, in the model {list(own[name].shape)}",
                hint=_OTHER,
            )
    for name in stored:
        if name not in own:
            raise CourseError(f"{where} has {name}, which the model has not", hint=_OTHER)


@torch.no_grad()
def put_weights(model: nn.Module, stored: Rows) -> None:
    """Copy stored weights into a model, each process its own rows."""
    for name, tensor in model.state_dict().items():
        local(tensor).copy_(local(stored.like(name, tensor)))


def collect_optimizers(
    model: nn.Module, optimizers: Sequence[Optimizer], shelf: RowShelf
) -> list[dict[str, Any]]:
    """The state of optimizers: tensors onto the shelf, and the rest, which JSON can hold.

    Raises:
        CourseError: if a parameter is none of the model's, or some state cannot be stored.
    """
    described = []
    for number, optimizer in enumerate(optimizers):
        names = _names(model, optimizer)
        flat = [name for group in names for name in group]
        state = optimizer.state_dict()
        settings = [
            {key: value for key, value in group.items() if key != "params"}
            for group in state["param_groups"]
        ]
        described.append(
            {
                "kind": type(optimizer).__name__,
                "names": names,
                "settings": shelf.put(settings, f"{number}.settings"),
                "state": {
                    flat[i]: shelf.put(entry, f"{number}.{flat[i]}")
                    for i, entry in state["state"].items()
                },
            }
        )
    return described


def check_optimizers(
    model: nn.Module, optimizers: Sequence[Optimizer], described: list[dict[str, Any]], where: str
) -> None:
    """Make sure that a stored state is that of these optimizers.

    Raises:
        CourseError: naming what differs.
    """
    kinds = [type(optimizer).__name__ for optimizer in optimizers]
    stored = [each["kind"] for each in described]
    if kinds != stored:
        raise CourseError(
            f"{where} has the state of {' and '.join(stored) or 'no optimizer'}, "
            f"not of {' and '.join(kinds)}",
            hint=_OTHER,
        )
    for optimizer, each in zip(optimizers, described, strict=True):
        if _names(model, optimizer) != each["names"]:
            raise CourseError(
                f"{where}: {each['kind']} had other parameters, or in other groups", hint=_OTHER
            )


def put_optimizers(
    model: nn.Module, optimizers: Sequence[Optimizer], described: list[dict[str, Any]], stored: Rows
) -> None:
    """Give optimizers their state back, each process its own rows."""
    for optimizer, each in zip(optimizers, described, strict=True):
        params = [p for group in optimizer.param_groups for p in group["params"]]
        flat = [name for group in each["names"] for name in group]
        state = {
            i: unpack(each["state"][name], Like(stored, params[i]))
            for i, name in enumerate(flat)
            if name in each["state"]
        }
        settings = unpack(each["settings"], Like(stored, torch.empty(0)))
        numbers = optimizer.state_dict()["param_groups"]
        groups = [{**s, "params": n["params"]} for s, n in zip(settings, numbers, strict=True)]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def _names(model: nn.Module, optimizer: Optimizer) -> list[list[str]]:
    """The names of an optimizer's parameters, group by group."""
    known = {parameter: name for name, parameter in model.named_parameters()}
    names = []
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p not in known:
                raise CourseError(
                    f"the optimizer has a parameter {list(p.shape)} that is none of the model's",
                    hint="make optimizers from what `parallelise` returned",
                )
        names.append([known[p] for p in group["params"]])
    return names
