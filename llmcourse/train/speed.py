"""The same training step, sooner: what was measured to be worth its lines, in one place.

Neither thing here changes what is computed, only the order in which numbers are added, so results
agree to rounding:

- the model and its loss compiled into one program (`torch.compile`), so that norms, activations and
  sums are a few passes over memory instead of dozens;
- attention in blocks of queries, on processors that multiply bfloat16: PyTorch's fused attention is
  no faster there in bfloat16 than in float32, while matrix products are twice as fast.

The model itself stays as it is written in chapter 04. AdamW's part is in `one_pass`, and what threads
do while they wait in `threads`. `python -m benchmarks.train` measures all of it against a plain loop.

Taught in chapter 06.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..model.attention import Attention, attend, causal_mask
from .losses import IGNORE

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Model, ids [B, T] and targets [B, T] → the mean loss, a scalar."""


def next_token_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy of a batch: the number of `losses.cross_entropy`, by torch's fused function.

    That one needs no copy of the logits for the gradient, and does not look at the targets first.
    """
    logits = model(x).float()
    return functional.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=IGNORE)


def prepare(
    model: nn.Module,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    compiled: bool = False,
) -> Loss:
    """How to compute the loss of a batch fastest here.

    Measured for the course model (2.75 M parameters, T = 256, 8 rows at once) on an AMD EPYC with
    bfloat16 instructions (Zen 4), forward and backward, against float32 as it is written, on one core
    (on two, shared with others): bfloat16 1.5 × (1.3), compiled 1.2 × (1.3), both 1.7 × (1.65), and
    with attention in blocks 2.2 × (1.8). Compiling takes half a minute to two, once: torch keeps the
    result on disk, and the next run has it in 8 s.

    Args:
        model: Any module, ids → logits, wrapped for several processes or not. The course's attention
            modules inside it may be told another way to attend (`blocked_attention`).
        device: Where it computes …
        dtype: … and in what: the type of the `torch.autocast` around the calls; float32 for none.
        compiled: Whether to compile, see `compiling.wants_compile`. The first call does it. If it
            fails, what an earlier run left unfinished on disk is removed and it is tried once more;
            if that fails too, the loss is computed without, with a warning.

    Returns:
        The function to call, under autocast, as ``loss(model, x, y)``. Batches of another shape are
        compiled anew, so keep to one.

    Taught in chapter 06.
    """
    blocked = device.type == "cpu" and dtype == torch.bfloat16 and compiled
    _attend_with(model, blocked_attention if blocked else attend)
    return _Compiled() if compiled else next_token_loss


def _attend_with(model: nn.Module, how: Callable[..., Tensor]) -> None:
    for module in model.modules():
        if isinstance(module, Attention):
            module.attend = how


class _Compiled:
    """`next_token_loss`, compiled if that can be done."""

    def __init__(self) -> None:
        self.function: Loss | None = None

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        if self.function is None:
            return self._first_call(model, x, y)
        return self.function(model, x, y)

    def _first_call(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        from torch._dynamo.exc import BackendCompilerFailed

        self.function = torch.compile(next_token_loss, dynamic=False)
        with _backward_too():
            try:
                return self.function(model, x, y)
            except BackendCompilerFailed:
                _forget_unfinished()
            try:
                return self.function(model, x, y)
            except BackendCompilerFailed as error:
                reason = " ".join(str(error).split())[:200]
                warnings.warn(f"not compiled, and slower for it: {reason}", stacklevel=3)
        self.function = next_token_loss
        _attend_with(model, attend)
        return next_token_loss(model, x, y)


def _forget_unfinished() -> None:
    """Remove what a run left that was killed while it compiled: torch would trip over it for ever.

    Libraries are kept on disk under the name that the next run will look for, and the linker makes an
    empty file first.
    """
    from torch._inductor import codecache, utils

    for library in Path(cast(Any, codecache).cache_dir()).glob("*/*.so"):
        with contextlib.suppress(OSError):  # another process was quicker
            if library.stat().st_size == 0:
                library.unlink()
    torch.compiler.reset()
    if hasattr(utils, "clear_caches"):  # what it remembers of failures in this process
        utils.clear_caches()


def _backward_too() -> contextlib.AbstractContextManager[Any]:
    """Compile the backward pass with the forward one, not when it is needed: failures come at once."""
    from torch._functorch import config

    if not hasattr(config, "force_non_lazy_backward_lowering"):
        return contextlib.nullcontext()
    patch = cast(Any, config).patch(force_non_lazy_backward_lowering=True)
    return cast("contextlib.AbstractContextManager[Any]", patch)


def blocked_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, block: int = 64
) -> Tensor:
    """Causal attention as plain matrix products, block by block of queries.

    A block of queries meets only the keys up to its own end, so that of the products that causality
    makes worthless nearly half are left out, and the T × T weights are never there at once. The same
    numbers as `attend`, to rounding; softmax is in float32.

    Worth it where it is compiled and matrix products are much faster than PyTorch's own kernel: in
    bfloat16 on a Zen 4 core, T = 256, forward and backward take half as long.

    Args:
        q: [B, H, T, hd].
        k: [B, H, T, hd].
        v: [B, H, T, hd].
        mask: If there is one, or a cache has made k longer than q, this is left to `attend`.
        block: Queries at once.
    """
    T = q.shape[-2]
    if mask is not None or k.shape[-2] != T:
        return attend(q, k, v, mask)
    parts = []
    for start in range(0, T, block):
        end = min(start + block, T)
        scores = q[..., start:end, :] @ k[..., :end, :].transpose(-2, -1)
        scores = scores.float() / math.sqrt(q.shape[-1])
        may = causal_mask(end - start, end, q.device)
        weights = torch.softmax(scores.masked_fill(~may, -math.inf), dim=-1)
        parts.append(weights.to(v.dtype) @ v[..., :end, :])
    return torch.cat(parts, dim=-2)


def multiplies_bf16() -> bool:
    """Whether this processor has instructions for matrix products in bfloat16.

    AVX-512 BF16 (AMD since Zen 4, 2022) or AMX (Intel since Sapphire Rapids, 2023). Without them
    bfloat16 is much slower than float32.
    """
    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
