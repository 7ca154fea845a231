"""How a weight lies in memory decides how fast one vector goes through it.

With one token at a time, each number of a weight is read once and used once: the time is the time to
read it. So the three ways here differ in how many bytes there are to read, and in which order.

Taught in chapter 05.
"""

from __future__ import annotations

import functools
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import CourseError
from ..model.quantize import int8_linear, quantize_int8

Weights = Literal["fp32", "bf16", "int8"]
"""How the weights are stored: 4, 2 or 1 bytes each."""


class Product(Protocol):
    """A linear layer: x [..., K] → [..., N], float32, or as the product gives it with `raw`."""

    def __call__(self, x: Tensor, raw: bool = False) -> Tensor: ...

    @property
    def nbytes(self) -> int:
        """Bytes read for one product."""


@functools.cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has oneDNN's packed products, and this processor can do them."""
    try:
        with torch.inference_mode():
            weight = torch.eye(16, dtype=dtype)
            packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
            y = torch.ops.mkldnn._linear_pointwise(weight, packed, None, "none", [], "")
            return bool(torch.equal(y, weight))
    except (AttributeError, RuntimeError):
        return False


class Dense:
    """A weight of float32 or bfloat16, packed: in blocks, in the order in which the product reads them.

    Packed by oneDNN, a float32 product with SmolLM2's exit takes 0.8 (one row) or 0.33 (16 rows) of the
    time it takes with [K, N] in memory, and that takes 0.6 of [N, K]'s for one row (measured on an AMD
    EPYC 9005, one thread). Without oneDNN it is [K, N] for float32 and [N, K] for bfloat16, and
    [N, K] on a GPU.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, pack: bool = True
    ) -> None:
        weight = weight.detach().to(dtype)
        self.dtype, self.nbytes = dtype, weight.nbytes
        self.bias = None if bias is None else bias.detach().to(dtype, copy=True)
        self.packed = pack and weight.device.type == "cpu" and can_pack(dtype)
        if self.packed:
            with torch.inference_mode():
                self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
        elif weight.device.type == "cpu" and dtype == torch.float32:
            self.weight = (
                weight.t().clone(memory_format=torch.contiguous_format).t()
            )  # [N, K] outside, [K, N] inside
        else:
            self.weight = weight.clone(memory_format=torch.contiguous_format)

    def __call__(self, x: Tensor, raw: bool = False) -> Tensor:
        x = x.to(self.dtype)
        if self.packed:
            y: Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self.weight, self.bias, "none", [], ""
            )
        else:
            y = F.linear(x, self.weight, self.bias)
        return y if raw else y.float()


class Int8:
    """A quarter of the bytes (`llmcourse.model.quantize`)."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight, self.scales = quantize_int8(weight)
        self.bias = None if bias is None else bias.detach().float()

    def __call__(self, x: Tensor, raw: bool = False) -> Tensor:
        y = int8_linear(x, self.weight, self.scales)
        if self.bias is not None:
            return y.float() + self.bias
        return y if raw else y.float()

    @property
    def nbytes(self) -> int:
        return self.weight.nbytes + self.scales.nbytes


class Table:
    """An embedding: ids [...] → rows [..., C], float32. As small as the products."""

    def __init__(self, weights: Weights, weight: Tensor, tied_to: Product | None = None) -> None:
        self.scales: Tensor | None = None
        if weights != "int8":
            # A packed exit cannot give its rows back: tied or not, these are held beside it.
            self.weight = weight.detach().to(_DTYPES[weights], copy=True)
        elif isinstance(tied_to, Int8):  # the same numbers
            self.weight, self.scales = tied_to.weight, tied_to.scales
        else:
            self.weight, self.scales = quantize_int8(weight)

    def __call__(self, ids: Tensor) -> Tensor:
        if self.scales is None:
            return F.embedding(ids, self.weight).float()
        return self.weight[ids].float() * self.scales[ids].float().unsqueeze(-1)


_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def product(
    weights: Weights, weight: Tensor, bias: Tensor | None = None, *, pack: bool = True
) -> Product:
    """A linear layer with its weight [N, K] stored one of the three ways.

    `pack=False` is for `torch.compile`, which cannot look into oneDNN's blocks.

    Raises:
        CourseError: if there is no such way.
    """
    if weights in _DTYPES:
        return Dense(weight, bias, _DTYPES[weights], pack)
    if weights == "int8":
        return Int8(weight, bias)
    raise CourseError(f"weights cannot be {weights!r}", hint="'fp32', 'bf16' or 'int8'")
