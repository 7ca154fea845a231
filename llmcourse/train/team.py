"""The processes of one run, and what they tell each other.

`torchrun` starts the same program several times and tells each, in its environment, which one it is.
Each finds the others through a meeting point (*rendezvous*), and from then on they can do sums
together: on GPUs over NCCL, on processors over gloo. A program that nobody started in this way is a
team of one, and every method here does the obvious.

What is sent are tensors, never pickled objects. Taught in chapter 06.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import CourseError
from ..runtime import pick_device
from .meeting import name_of_meeting

LONGEST_TEXT = 1024  # bytes of what `gather_text` sends


@dataclass(frozen=True)
class Team:
    """Who takes part in a run.

    Args:
        rank: Which process this is, from 0 …
        world_size: … of how many.
        local_rank: Which one on this machine.
        device: Where it computes.
        backend: ``nccl`` or ``gloo``; None for a single process, which has nobody to talk to.

    Every method must be called by all processes, or those that do will wait for the others.
    """

    rank: int
    world_size: int
    local_rank: int
    device: torch.device
    backend: str | None

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes, prints and decides where one must."""
        return self.rank == 0

    def mean(self, x: Tensor) -> Tensor:
        """The mean over all processes of a tensor of the same shape. A new tensor, without gradient."""
        x = x.detach().clone()
        if self.backend is not None:
            dist.all_reduce(x)
            x /= self.world_size
        return x

    def sum(self, x: Tensor) -> Tensor:
        """The sum over all processes of a tensor of the same shape. A new tensor, without gradient."""
        x = x.detach().clone()
        if self.backend is not None:
            dist.all_reduce(x)
        return x

    def any(self, flag: bool) -> bool:
        """Has it happened on some process? All get the same answer, so that all can act on it."""
        if self.backend is None:
            return flag
        # On the CPU, over gloo, even where there are GPUs: nobody has to wait for a GPU to finish.
        seen = torch.tensor(int(flag))
        dist.all_reduce(seen, dist.ReduceOp.MAX)
        return bool(seen)

    def barrier(self) -> None:
        """Wait until everybody is here."""
        if self.backend is not None:
            dist.barrier()

    def gather_text(self, text: str) -> list[str]:
        """What each process has to say, in the order of ranks; cut after `LONGEST_TEXT` bytes of UTF-8."""
        data = text.encode()[:LONGEST_TEXT]
        if self.backend is None:
            return [data.decode(errors="ignore")]
        own = torch.zeros(LONGEST_TEXT, dtype=torch.uint8)
        own[: len(data)] = torch.tensor(list(data), dtype=torch.uint8)
        everybody = [torch.empty_like(own) for _ in range(self.world_size)]
        dist.all_gather(everybody, own)
        return [bytes(one.tolist()).rstrip(b"\0").decode(errors="ignore") for one in everybody]


def join(device: str = "auto", timeout_s: float = 600) -> Team:
    """Meet the others, if `torchrun` started any.

    Args:
        device: ``auto`` is a GPU each where there are GPUs, else the CPU; or ``cuda``, ``cpu``, ``mps``.
        timeout_s: How long to wait for another process, here and at every sum, before giving up.

    Raises:
        CourseError: if there is no such device, not enough of them, or the others cannot be reached.

    Taught in chapter 06.
    """
    rank, world_size, local_rank = _place()
    if world_size == 1:
        return Team(0, 1, 0, torch.device(pick_device(device)), None)
    name = pick_device(device)
    if device == "auto" and name == "mps":
        name = "cpu"  # several processes can talk over NCCL or gloo, and neither knows mps
    if name not in ("cpu", "cuda"):
        raise CourseError(
            f"{world_size} processes cannot share {name}", hint="use --device cuda, cpu or auto"
        )
    place = torch.device("cpu")
    if name == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise CourseError(
                f"process {local_rank} of this machine has no GPU: there are {torch.cuda.device_count()}",
                hint="start as many as there are: torchrun --nproc-per-node gpu",
            )
        place = torch.device("cuda", local_rank)
        torch.cuda.set_device(place)
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    timeout = timedelta(seconds=timeout_s)
    try:
        store, _, _ = next(rendezvous("env://", timeout=timeout))
        meeting = name_of_meeting(store, rank, world_size, timeout_s)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if name == "cuda" else "gloo",
            store=PrefixStore(meeting, store),
            rank=rank,
            world_size=world_size,
            timeout=timeout,
            device_id=place if name == "cuda" else None,
        )
    except (RuntimeError, ValueError) as error:  # torch's DistErrors are RuntimeErrors
        raise CourseError(
            f"process {rank} of {world_size} cannot reach the others: {_first_line(error)}",
            hint="start with torchrun, which says where they meet",
        ) from error
    return Team(rank, world_size, local_rank, place, "nccl" if name == "cuda" else "gloo")


def leave(team: Team) -> None:
    """Part, at the end of the program. Nothing can be sent afterwards."""
    if team.backend is not None and dist.is_initialized():
        dist.destroy_process_group()


def _place() -> tuple[int, int, int]:
    """Rank, world size and local rank as torchrun's environment has them; (0, 1, 0) without it."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    given = [os.environ.get(name) for name in names]
    if given[0] is None or given[1] is None:
        return 0, 1, 0
    try:
        rank, world_size, local_rank = (int(value or 0) for value in given)
        if not 0 <= rank < world_size or local_rank < 0:
            raise ValueError
    except ValueError:
        raise CourseError(
            "the environment has "
            + ", ".join(f"{n}={v}" for n, v in zip(names, given, strict=True)),
            hint="start with torchrun, or unset these for a single process",
        ) from None
    return rank, world_size, local_rank


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
