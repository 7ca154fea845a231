"""Stopping, and going on as if nothing had happened: a model, its optimizer and a step, in one file.

The file is a safetensors file: tensors, and a line of JSON that says where they belong. Unlike a
pickle it can be opened without running anything, whoever it came from. Any module and any optimizer
will do whose state is made of tensors, numbers, strings, and lists and dictionaries of them.

It is written all at once or not at all, and loading changes nothing before everything has been
checked. Random generators and the place in the data are not in it: that is `pretrain`'s matter.

Taught in chapter 06.
"""

from __future__ import annotations

import json
import operator
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..assets import atomic_write
from ..errors import CourseError
from .nested import Shelf, unpack

FORMAT = "llmcourse-checkpoint-1"


def save_checkpoint(
    path: str | os.PathLike[str],
    model: nn.Module,
    optimizer: Optimizer | None = None,
    iteration: int = 0,
) -> None:
    """Write a model, its optimizer and how many steps they have made.

    Args:
        path: The file; its folder is made if need be.
        model: Any module. A tensor that has two names (a tied exit) is stored once.
        optimizer: Any optimizer of the model's parameters, or None for the model alone.
        iteration: A number to find again.

    Raises:
        CourseError: if the file cannot be written, or some state is nothing that can be stored.

    Taught in chapter 06.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    shelf = Shelf()
    content = {
        "format": FORMAT,
        "iteration": operator.index(iteration),  # an integer, numpy's too; not 2.5
        "model": {name: shelf.put(v, f"model.{name}") for name, v in model.state_dict().items()},
        "optimizer": None,
    }
    if optimizer is not None:
        content["optimizer"] = {
            "kind": type(optimizer).__name__,
            "shapes": _shapes(optimizer),
            "state": shelf.put(optimizer.state_dict(), "optimizer"),
        }
    try:
        with atomic_write(Path(path)) as temporary:
            save_file(shelf.tensors, temporary, metadata={"checkpoint": json.dumps(content)})
    except (OSError, SafetensorError) as error:
        raise CourseError(
            f"cannot write {path}: {error}", hint="is it a folder, or is the disk full?"
        ) from error


def load_checkpoint(
    path: str | os.PathLike[str], model: nn.Module, optimizer: Optimizer | None = None
) -> int:
    """Put back what `save_checkpoint` wrote, and return the iteration.

    Args:
        path: The file.
        model: A module of the same shape; its numbers are replaced, wherever they are (device) and
            whatever they are (dtype).
        optimizer: An optimizer of the same kind for the same parameters; None leaves what the file
            has of one.

    Raises:
        CourseError: if the file is missing, cut short or another kind of file, or belongs to
            another model or optimizer. Nothing has been changed then.

    Taught in chapter 06.
    """
    path = Path(path)
    content, tensors = _read(path)
    stored = {name: unpack(value, tensors) for name, value in content["model"].items()}
    _check_model(path, model, stored)
    if optimizer is not None:
        _check_optimizer(path, optimizer, content["optimizer"])
    model.load_state_dict(stored)
    if optimizer is not None:
        optimizer.load_state_dict(unpack(content["optimizer"]["state"], tensors))
    return int(content["iteration"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CourseError(f"there is no file {path}", hint="is the path right?")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            text = (file.metadata() or {}).get("checkpoint", "")
            content = json.loads(text) if text else None
            if not isinstance(content, dict) or content.get("format") != FORMAT:
                raise CourseError(
                    f"{path} is a safetensors file, but no checkpoint of a training run",
                    hint="weights alone are loaded by llmcourse.model.weights",
                )
            # Copies: what is read would otherwise go on living in the file.
            return content, {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise CourseError(
            f"cannot read {path}: {error.strerror or error}", hint="may you read it?"
        ) from error
    except (SafetensorError, ValueError) as error:
        raise CourseError(
            f"{path} is no checkpoint, or a damaged one: {error}", hint="use an earlier one"
        ) from error


def _check_model(path: Path, model: nn.Module, stored: dict[str, Any]) -> None:
    own = model.state_dict()
    for name in own:
        if name not in stored:
            raise CourseError(f"{path} has no {name}", hint="is it another model's checkpoint?")
    seen: dict[int, str] = {}
    for name, value in stored.items():
        if name not in own:
            raise CourseError(
                f"{path} has {name}, and the model has no such tensor",
                hint="is it another model's checkpoint?",
            )
        if not isinstance(value, Tensor):
            continue
        if value.shape != own[name].shape:
            raise CourseError(
                f"{path}: {name} is {list(value.shape)}, in the model {list(own[name].shape)}",
                hint="make the model with the configuration it was saved with",
            )
        if own[name].numel() and not own[name].is_meta:
            twin = seen.setdefault(own[name].data_ptr(), name)
            other = stored[twin]
            if other.shape == value.shape and not torch.equal(other, value):
                raise CourseError(
                    f"{path}: {twin} and {name} differ, and the model has one tensor for both",
                    hint="make the model with the configuration it was saved with",
                )


def _check_optimizer(path: Path, optimizer: Optimizer, stored: dict[str, Any] | None) -> None:
    kind = type(optimizer).__name__
    if stored is None:
        raise CourseError(f"{path} holds no optimizer", hint="load it with optimizer=None")
    if stored["kind"] != kind:
        raise CourseError(
            f"{path} holds the state of {stored['kind']}, not of {kind}",
            hint=f"make a {stored['kind']}, or load with optimizer=None",
        )
    if stored["shapes"] != (own := _shapes(optimizer)):
        groups = [[len(g) for g in shapes] for shapes in (stored["shapes"], own)]
        raise CourseError(
            f"{path}: the optimizer had groups of {groups[0]} parameters, this one of {groups[1]}"
            if groups[0] != groups[1]
            else f"{path}: the optimizer's parameters had other shapes or another order",
            hint="make it from the same parameters in the same order",
        )


def _shapes(optimizer: Optimizer) -> list[list[list[int]]]:
    return [[list(p.shape) for p in group["params"]] for group in optimizer.param_groups]
