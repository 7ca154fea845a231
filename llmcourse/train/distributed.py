"""One model on several processes: a copy each (DDP), or a part each (FSDP).

**DDP**, distributed data parallel: every process has the whole model and its own rows of the batch.
On the way back gradients are averaged, while the rest of the backward pass still runs, so all make
the same step. **FSDP**, fully sharded data parallel (ZeRO stage 3, arXiv:1910.02054): each process
keeps only its rows of every matrix, of its gradient and of the optimizer's state. A block's matrices
are put together just before they are needed and let go just after: less memory, more to send.

Both are torch's own. This file decides what they are given: in which parts, from whose numbers, how
often to talk. It needs one process to do nothing, and takes any module. Taught in chapter 06.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from ..errors import CourseError
from .optim import clip_grad_norm
from .sharding import is_sharded, local
from .team import Team, join, leave

__all__ = ["Team", "accumulate", "clip", "join", "leave", "parallelise", "unwrap"]

Strategy = Literal["ddp", "fsdp"]


def parallelise(
    model: nn.Module,
    team: Team,
    strategy: Strategy = "ddp",
    *,
    precision: torch.dtype | None = None,
    activation_checkpointing: bool = False,
    parts: Sequence[nn.Module] | None = None,
) -> nn.Module:
    """Move a model to the team's device and make it the whole team's.

    Everybody begins with the parameters and buffers of rank 0. Frozen parameters stay frozen, tied
    ones tied. Make the optimizers afterwards, from what is returned: under FSDP the parameters are new
    objects, of which each process has a part.

    Args:
        model: Any module; changed in place.
        team: Who takes part. One process needs no strategy and gets the model itself.
        strategy: ``ddp`` or ``fsdp``.
        precision: What FSDP computes in (bfloat16, float16); the parameters that the optimizer moves
            and the sums of gradients stay float32. None: in whatever the parameters are. DDP and a
            single process leave this to `torch.autocast`.
        activation_checkpointing: Keep nothing of a part but what went in, and compute the rest again on the
            way back: about a third more computing, for memory of one part instead of all.
        parts: What is sharded and computed again one at a time; by default the model's ``blocks``, if
            it has such a list. A part must be used by calling it.

    Returns:
        The model to train; see `unwrap`.

    Raises:
        CourseError: if the strategy is unknown, or torch is too old for FSDP.
    """
    if strategy not in ("ddp", "fsdp"):
        raise CourseError(f"no strategy is called {strategy!r}", hint="known: ddp, fsdp")
    if parts is None:
        blocks = getattr(model, "blocks", None)
        parts = list(blocks) if isinstance(blocks, nn.ModuleList) else []
    if activation_checkpointing:
        for part in parts or [model]:
            _forget_inside(part)
    if team.backend is None:
        return model.to(team.device)
    if strategy == "fsdp":
        return _shard(model, team, parts, precision)
    model.to(team.device)
    if not any(p.requires_grad for p in model.parameters()):
        _from_rank_0(model, team.device)  # there are no gradients to average, and DDP would refuse
        return model
    on_gpu = [team.device] if team.device.type == "cuda" else None
    # gradient_as_bucket_view: gradients live where they are sent from, not in a second copy.
    return DistributedDataParallel(model, device_ids=on_gpu, gradient_as_bucket_view=True)


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside what `parallelise` or `torch.compile` returned, with its own attributes and names."""
    while True:
        if isinstance(model, DistributedDataParallel):
            model = cast(nn.Module, model.module)
        elif hasattr(model, "_orig_mod"):
            model = cast(nn.Module, model._orig_mod)
        else:
            return model


@contextlib.contextmanager
def accumulate(model: nn.Module, last: bool) -> Iterator[None]:
    """Around forward and backward of one micro-batch: gradients are sent at the `last` one only.

    Before that each process adds up its own, which gives the same sum with less to send. Under FSDP it
    costs memory: until the last micro-batch every process keeps whole gradients.
    """
    if isinstance(model, DistributedDataParallel):
        with contextlib.nullcontext() if last else model.no_sync():
            yield
    else:
        if _is_fsdp(model):
            cast(Any, model).set_requires_gradient_sync(last)
            cast(Any, model).set_is_last_backward(last)
        yield


@torch.no_grad()
def clip(model_or_params: nn.Module | Iterable[Tensor], max_norm: float, team: Team) -> Tensor:
    """`clip_grad_norm` for a team: the length is that of the whole gradient, wherever its parts are.

    Returns:
        The length before, the same on every process. If it is infinite or NaN, nothing is changed.

    Raises:
        CourseError: if `max_norm` is negative or NaN.
    """
    if isinstance(model_or_params, nn.Module):
        model_or_params = model_or_params.parameters()
    params = [p for p in model_or_params if p.grad is not None]
    grads = [cast(Tensor, p.grad) for p in params]
    if not any(is_sharded(g) for g in grads):
        return clip_grad_norm(params, max_norm)
    if not max_norm >= 0:
        raise CourseError(f"gradients cannot be clipped to {max_norm}", hint="max_norm ≥ 0")
    # Each adds the squares of its rows. What everybody has whole would be added by all: a share each.
    squares = [
        torch.linalg.vector_norm(local(g), dtype=torch.promote_types(g.dtype, torch.float32))
        .square()
        .div(1 if is_sharded(g) else team.world_size)
        for g in grads
    ]
    norm = team.sum(torch.stack(squares).sum()).sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    factor = torch.where(norm.isfinite(), factor, torch.ones_like(factor))
    for g in grads:
        local(g).mul_(factor)
    return norm


def put_away(model: nn.Module) -> None:
    """Let go of matrices that a forward pass under FSDP put together, so that parameters are parts again."""
    for module in model.modules():
        if _is_fsdp(module):
            cast(Any, module).reshard()


def _is_fsdp(module: nn.Module) -> bool:
    return hasattr(module, "set_requires_gradient_sync")


def _forget_inside(part: nn.Module) -> None:
    again = functools.partial(checkpoint, part.forward, use_reentrant=False)
    part.forward = again  # the part keeps its class and its names


def _from_rank_0(module: nn.Module, device: torch.device) -> None:
    """Move what is not sharded yet to the device, and give it the numbers that rank 0 has."""
    for tensor in (*module.parameters(), *module.buffers()):
        if not is_sharded(tensor):
            data = tensor.detach().to(device).contiguous()
            dist.broadcast(data, 0)
            tensor.data = data


def _shard(
    model: nn.Module, team: Team, parts: Sequence[nn.Module], precision: torch.dtype | None
) -> nn.Module:
    try:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    except ImportError as error:
        raise CourseError(
            f"torch {torch.__version__} has no FSDP2", hint="install torch 2.6 or later, or use ddp"
        ) from error
    for name, param in model.named_parameters():
        if param.ndim == 0:
            raise CourseError(
                f"{name} is a single number, and FSDP deals out rows",
                hint="make it a vector of one",
            )
    mesh = init_device_mesh(team.device.type, (team.world_size,), mesh_dim_names=("shard",))
    sums = None if precision is None else torch.float32
    # What goes into a part (rotations, for example) is as exact as the model made it; the model itself
    # takes what its user gives it.
    for part in _separate(model, parts):
        _from_rank_0(part, team.device)  # one part at a time: a GPU never holds the whole model
        policy = MixedPrecisionPolicy(precision, sums, cast_forward_inputs=False)
        fully_shard(part, mesh=mesh, mp_policy=policy)
    _from_rank_0(model, team.device)
    fully_shard(model, mesh=mesh, mp_policy=MixedPrecisionPolicy(precision, sums))
    # The outermost matrices stay together for the backward pass. Where none will come, nobody else would
    # let them go, and the parameters would not be those that the optimizer moves.
    model.register_forward_hook(lambda *_: None if torch.is_grad_enabled() else put_away(model))
    return model


def _separate(model: nn.Module, parts: Sequence[nn.Module]) -> list[nn.Module]:
    """The parts that share no parameter with anything outside; the others stay with the model."""
    homes: dict[nn.Parameter, list[nn.Module]] = {}
    for module in model.modules():
        for param in module.parameters(recurse=False):
            homes.setdefault(param, []).append(module)

    def closed(part: nn.Module) -> bool:
        inside = set(part.modules())
        return part is not model and all(inside.issuperset(homes[p]) for p in part.parameters())

    return [part for part in parts if closed(part)]
