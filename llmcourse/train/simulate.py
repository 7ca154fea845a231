"""A training step of many GPUs, on none: what each would hold, from torch itself.

The run is real but for two things. Tensors are *fake*: they have a shape, a type and a device, but no
numbers (`FakeTensorMode`). And the other processes are: a group of the backend ``fake`` takes part in
every sum and sends nothing. So torch's own FSDP shards this book's model, gathers a block, runs
it, averages gradients and steps the optimizer; and torch's own tracker notes each storage that
is made and let go. What it says of rank 0 is compared with the formulas of `memory`.

Blocks are alike: each adds the same to every figure. So two models are run, with 3 and 4 blocks, and
the rest is a straight line: a second instead of a quarter of a minute for 48 blocks. `whole=True` runs
them all; a test has both.

What it cannot know: allocations of CUDA, NCCL and cuBLAS, gaps between blocks of memory, and what
`torch.compile` would not keep. Attention is the CPU's flash kernel, which keeps what the GPU's keeps.

Taught in chapter 06.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from ..errors import CourseError
from ..model.config import ModelConfig
from ..model.transformer import Transformer
from .loop import make_optimizers
from .memory import OptimizerName

FEW = 3  # blocks of the smaller of the two models


def simulate(
    config: ModelConfig,
    ranks: int = 8,
    *,
    micro_batch: int = 1,
    context: int | None = None,
    precision: torch.dtype = torch.bfloat16,
    optimizer: OptimizerName = "adamw",
    activation_checkpointing: bool = False,
    accumulated: bool = False,
    whole: bool = False,
) -> dict[str, int]:
    """What rank 0 holds in a training step under FSDP, in bytes.

    Args:
        config: The shape of the model.
        ranks: How many GPUs to pretend.
        micro_batch: Rows that a GPU holds at once.
        context: Tokens in a row, T; by default the model's context length.
        precision: Of the matrix products.
        optimizer: ``adamw`` or ``muon``.
        activation_checkpointing: Keep only what enters a block.
        accumulated: Run two micro-batches, and average gradients after the second.
        whole: Run all blocks, however many.

    Returns:
        ``parameters``, ``gradients``, ``optimizer``: this rank's parts, float32. ``activations``: what
        the forward pass left, without logits. ``peak``: the most at any moment before the optimizer
        steps, with the optimizer's state.

    Raises:
        CourseError: if this process is already one of a group, or torch is too old.
    """
    run = functools.partial(
        _run, ranks=ranks, micro_batch=micro_batch, context=context or config.context_length,
        precision=precision, optimizer=optimizer, checkpointing=activation_checkpointing,
        micro_batches=2 if accumulated else 1,
    )  # fmt: skip
    if whole or config.n_layers <= FEW + 1:
        return run(config)
    few = run(config.model_copy(update={"n_layers": FEW}))
    more = run(config.model_copy(update={"n_layers": FEW + 1}))
    return {name: few[name] + (config.n_layers - FEW) * (more[name] - few[name]) for name in few}


def _run(
    config: ModelConfig,
    *,
    ranks: int,
    micro_batch: int,
    context: int,
    precision: torch.dtype,
    optimizer: OptimizerName,
    checkpointing: bool,
    micro_batches: int,
) -> dict[str, int]:
    try:
        from torch._subclasses.fake_tensor import FakeTensorMode
        from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
        from torch.distributed.fsdp import fully_shard  # noqa: F401  # used below; of the same age
    except ImportError as error:
        raise CourseError(
            f"torch {torch.__version__} cannot be simulated", hint="take torch 2.6 or later"
        ) from error

    with _group(ranks) as mesh, FakeTensorMode(allow_non_fake_inputs=True):
        model = _sharded(Transformer(config), mesh, precision, checkpointing)
        optimizers = make_optimizers(model, optimizer)
        ids = torch.zeros(micro_batch, context, dtype=torch.long)
        tracker = FSDPMemTracker(model)
        tracker.track_inputs((ids,))
        with tracker:
            for n in range(micro_batches):
                model.set_requires_gradient_sync(n == micro_batches - 1)
                logits = model(ids)
                left = _total(tracker, "current", "Activation")
                activations = left - logits.numel() * logits.element_size()
                loss = _loss(logits, ids)
                del logits
                loss.backward()  # type: ignore[no-untyped-call]
                tracker.reset_mod_stats()  # its account of each module; the peak stays
        peak = _total(tracker, "peak")
        parameters = sum(map(_held, model.parameters()))
        gradients = sum(_held(p.grad) for p in model.parameters() if p.grad is not None)
        for each in optimizers:
            each.step()
        states = [s for each in optimizers for s in each.state.values()]
        state = sum(_held(v) for s in states for v in s.values() if isinstance(v, Tensor))
    return {
        "parameters": parameters,
        "gradients": gradients,
        "optimizer": state,
        "activations": activations,
        "peak": peak + state,
    }


def _sharded(
    model: nn.Module, mesh: DeviceMesh, precision: torch.dtype, checkpointing: bool
) -> Any:
    """As `llmcourse.train.distributed.parallelise` does it, which also sends parameters around."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    from torch.utils.checkpoint import checkpoint

    inside = MixedPrecisionPolicy(precision, torch.float32, cast_forward_inputs=False)
    for block in model.blocks:  # type: ignore[union-attr]
        if checkpointing:
            block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
        fully_shard(block, mesh=mesh, mp_policy=inside)
    return fully_shard(model, mesh=mesh, mp_policy=MixedPrecisionPolicy(precision, torch.float32))


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """torch's, which looks at no number; ours looks whether targets are symbols. Both need as much."""
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


@contextmanager
def _group(ranks: int) -> Iterator[DeviceMesh]:
    """This process as rank 0 of a group whose other members agree with everything and do nothing."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    if dist.is_initialized():
        raise CourseError(
            "this process already takes part in a run", hint="simulate in a process of its own"
        )
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    try:
        yield init_device_mesh("cpu", (ranks,))
    finally:
        dist.destroy_process_group()


def _held(tensor: Tensor) -> int:
    """Bytes of this rank's part of a tensor."""
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return int(local.numel() * local.element_size())


def _total(tracker: Any, when: str, kind: str = "Total") -> int:
    """Bytes of one kind, over all devices, now (``current``) or at the worst moment (``peak``)."""
    snapshot = tracker.get_tracker_snapshot(when)
    return sum(
        n
        for by_kind in snapshot.values()
        for name, n in by_kind.items()
        if str(getattr(name, "value", name)) == kind
    )
