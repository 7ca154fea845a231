"""A nest of values as two things a file can hold: JSON, and tensors with labels.

An optimizer's state is dictionaries and lists, of tensors, numbers and strings. JSON holds all but the
tensors, and safetensors holds tensors by name; so each tensor goes on a shelf and leaves its label.

Taught in chapter 06.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import CourseError


class Shelf:
    """Takes tensors out of any nest of values and leaves labels in their places."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._label: dict[object, str] = {}

    def put(self, value: Any, where: str) -> Any:
        """`value` as something JSON can hold. A tensor becomes ``{"tensor": label}``."""
        if isinstance(value, Tensor):
            return {"tensor": self._store(value, where)}
        if isinstance(value, dict):
            items = [[_plain(k, where), self.put(v, f"{where}.{k}")] for k, v in value.items()]
            return {"dict": items}  # pairs: JSON's own keys would all become strings
        if isinstance(value, (list, tuple)):
            items = [self.put(v, f"{where}.{i}") for i, v in enumerate(value)]
            return {"tuple" if isinstance(value, tuple) else "list": items}
        return _plain(value, where)

    def _store(self, tensor: Tensor, where: str) -> str:
        if tensor.layout != torch.strided or tensor.is_meta:
            raise CourseError(
                f"{where} cannot be stored: it is {'without memory' if tensor.is_meta else tensor.layout}",
                hint="make it an ordinary tensor",
            )
        # The same memory, seen the same way, is the same tensor: it is stored once.
        view = (tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and view in self._label:
            return self._label[view]
        self._label[view] = where
        # A copy, so that tensors which overlap in memory do not in the file.
        self.tensors[where] = tensor.detach().to("cpu", copy=True).contiguous()
        return where


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise CourseError(
        f"{where} cannot be stored: it is a {type(value).__name__}",
        hint="checkpoints hold tensors, numbers, strings, lists and dictionaries",
    )


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `Shelf.put`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: unpack(item, tensors) for key, item in content}
    items = [unpack(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
