"""Tensors of which every process has some rows: torch's `DTensor`, and what we ask of it.

FSDP deals the rows of each parameter out like `torch.chunk`: of 10 rows, four processes get 3, 3, 3
and 1. Sums over single numbers (AdamW) never notice. What needs the whole matrix (Muon, a file) says so
here. An ordinary tensor passes through every function unchanged, and nothing is imported for it.

Taught in chapter 06.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a `DTensor`."""
    return hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """What this process has of a tensor: some rows of a sharded one, all of any other. No copy."""
    return cast(Tensor, cast(Any, tensor).to_local()) if is_sharded(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, the same on every process. All must call it, for every tensor in the same order."""
    return cast(Tensor, cast(Any, tensor).full_tensor()) if is_sharded(tensor) else tensor


def part_of(complete: Tensor, like: Tensor) -> Tensor:
    """Of a tensor that every process has, the part that it has of `like`. Nothing is sent."""
    if not is_sharded(like):
        return complete
    from torch.distributed.tensor import distribute_tensor

    dtensor = cast(Any, like)
    return distribute_tensor(complete, dtensor.device_mesh, dtensor.placements, src_data_rank=None)


def rows_of(tensor: Tensor) -> tuple[int, int] | None:
    """The first row that this process has and the first after them; None if it has no range of rows."""
    if not is_sharded(tensor):
        return None
    mesh, placements = cast(Any, tensor).device_mesh, cast(Any, tensor).placements
    if mesh.ndim != 1 or not placements[0].is_shard(0):
        return None
    each = -(-tensor.shape[0] // mesh.size())  # rounded up
    first = min(each * mesh.get_local_rank(), tensor.shape[0])
    return first, first + local(tensor).shape[0]


def with_rows(rows: Tensor, like: Tensor) -> Tensor:
    """A tensor of the shape of `like`, of which this process has these rows; see `rows_of`."""
    from torch.distributed.tensor import DTensor

    mesh, placements = cast(Any, like).device_mesh, cast(Any, like).placements
    return DTensor.from_local(rows, mesh, placements, shape=like.shape, stride=like.stride())
