"""Tensors in files by rows: each process writes the rows it has, any process reads the rows it needs.

Two processes wrote rows 0–4 and 5–9 of a matrix into two safetensors files; three want 0–3, 4–7 and 8–9;
or one wants all. The files' headers say which rows they hold, so nobody need know who wrote them, and
nobody reads more than it keeps. Taught in chapter 06.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CourseError
from .nested import Shelf
from .sharding import is_sharded, local, part_of, rows_of, whole, with_rows


class RowShelf(Shelf):
    """A shelf for what one process writes: its rows of sharded tensors, and of the others all or nothing.

    Args:
        keeps_whole: Whether this process writes what everybody has.

    Attributes:
        rows: Of each label whose tensor is some rows of a larger one: the first, and how many there are
            altogether.
    """

    def __init__(self, keeps_whole: bool) -> None:
        super().__init__()
        self.keeps_whole = keeps_whole
        self.rows: dict[str, tuple[int, int]] = {}

    def _store(self, tensor: Tensor, where: str) -> str:
        place = rows_of(tensor)
        if place is not None:
            self.rows[where] = (place[0], tensor.shape[0])
            return super()._store(local(tensor), where)
        tensor = whole(tensor)
        return super()._store(tensor, where) if self.keeps_whole else where

    def metadata(self) -> dict[str, str]:
        """What `Rows` wants to find in the file's header."""
        return {"rows": json.dumps(self.rows)}


class Rows:
    """Tensors that lie in one or several safetensors files, whole or by rows. Only headers are read."""

    def __init__(self, paths: Sequence[Path]) -> None:
        from safetensors import SafetensorError, safe_open

        self._pieces: dict[str, list[tuple[int, Any]]] = {}
        self._shape: dict[str, tuple[int, ...]] = {}
        for path in paths:
            try:
                file: Any = safe_open(path, framework="pt", device="cpu")
                rows = json.loads((file.metadata() or {}).get("rows", "{}"))
                for label in file.keys():  # noqa: SIM118
                    shape = tuple(file.get_slice(label).get_shape())
                    first, total = rows.get(label, (0, shape[0] if shape else 1))
                    self._pieces.setdefault(label, []).append((first, file))
                    self._shape[label] = (total, *shape[1:]) if shape else ()
            except (OSError, SafetensorError, ValueError, TypeError) as error:
                raise CourseError(f"{path} cannot be read: {error}", hint="use another") from error

    def __contains__(self, label: str) -> bool:
        return label in self._pieces

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def shape(self, label: str) -> tuple[int, ...]:
        """Of the whole tensor.

        Raises:
            CourseError: if it is in none of the files.
        """
        if label not in self._shape:
            raise CourseError(f"{label} is in no file", hint="is a file missing?")
        return self._shape[label]

    def read(self, label: str, first: int, last: int) -> Tensor:
        """Rows `first` to `last`, the latter excluded, as a copy.

        Raises:
            CourseError: if some of them are in none of the files.
        """
        found = []
        at = first
        for begin, file in sorted(self._pieces[label], key=lambda piece: piece[0]):
            stored = file.get_slice(label)
            end = begin + stored.get_shape()[0]
            if begin <= at < min(end, last):
                found.append(stored[at - begin : min(end, last) - begin])
                at = min(end, last)
        if at < last:
            raise CourseError(
                f"rows {at} to {last} of {label} are in no file", hint="is a file missing?"
            )
        if not found:  # more processes than rows: this one has none
            found = [self._pieces[label][0][1].get_slice(label)[0:0]]
        return torch.cat(found)

    def like(self, label: str, tensor: Tensor) -> Tensor:
        """The tensor, sharded as `tensor` is if it has its shape."""
        shape = self.shape(label)
        same = shape == tuple(tensor.shape)
        place = rows_of(tensor) if same else None
        if place is not None:
            return with_rows(self.read(label, *place).to(tensor.device), tensor)
        value = self.read(label, 0, shape[0]) if shape else self._number(label)
        return part_of(value.to(tensor.device), tensor) if same and is_sharded(tensor) else value

    def _number(self, label: str) -> Tensor:
        tensor: Tensor = self._pieces[label][0][1].get_tensor(label)
        return tensor.clone()


class Like(Mapping[str, Tensor]):
    """`Rows` as a mapping whose every tensor comes back as `Rows.like` one parameter; for `unpack`."""

    def __init__(self, rows: Rows, parameter: Tensor) -> None:
        self._rows, self._parameter = rows, parameter

    def __getitem__(self, label: str) -> Tensor:
        return self._rows.like(label, self._parameter)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return sum(1 for _ in self._rows)
