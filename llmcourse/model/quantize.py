"""Weights in 8 bits: a quarter of the memory, a quarter of the time it takes to read them.

Each output row of a weight matrix gets one scale, its greatest number / 127, and every number becomes
the nearest whole multiple of it: an int8. This is *per-channel symmetric weight-only* quantisation
(the weights of LLM.int8(), arXiv:2208.07339, without its outliers). Activations stay as they are.

Not here: formats of files that are quantised already (GGUF).

Taught in chapter 05.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

FEW_ROWS = 16
"""Up to so many rows of x the weights are multiplied as int8; above, they are unpacked first."""

STRIDE = 32
"""Inputs that the int8 product takes at a time."""

BLOCK = 4096
"""Rows of the weight unpacked at a time: the block stays in the processor's cache."""


def quantize_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight [N, K] as whole numbers from −127 to 127, and a scale for each row.

    The scale is a bfloat16, as the fast product wants it, and is rounded *before* the numbers are:
    so its own rounding costs no accuracy.

    Returns:
        int8 [N, K] and bfloat16 scales [N]; weight ≈ int8 · scale.
    """
    greatest = weight.detach().float().abs().amax(dim=-1)
    scales = (greatest / 127).bfloat16()
    # A scale of 0 would divide by 0: a row of zeros has scale 1.
    scales = torch.where(scales == 0, torch.ones_like(scales), scales)
    q = (weight.detach().float() / scales.float()[:, None]).round().clamp(-127, 127)
    return q.to(torch.int8), scales


def dequantize_int8(q: Tensor, scales: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The numbers that `quantize_int8` kept: int8 [N, K] · scales [N] → [N, K]."""
    return (q.float() * scales.float()[:, None]).to(dtype)


def has_int8_product(device: torch.device | str = "cpu") -> bool:
    """Whether PyTorch can multiply by int8 weights on this device without unpacking them."""
    return torch.device(device).type == "cpu" and hasattr(torch, "_weight_int8pack_mm")


def int8_linear(x: Tensor, q: Tensor, scales: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weightᵀ + bias with a quantised weight. [*, K], int8 [N, K], scales [N] → [*, N], bfloat16.

    Few rows: the weights are read as int8, and reading is what takes the time. Many rows: arithmetic
    takes the time, and that is fastest in bfloat16, into which every int8 fits exactly.
    """
    rows = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
    whole = q.shape[1] % STRIDE == 0  # PyTorch's kernel reads past the end of other rows
    if rows.shape[0] <= FEW_ROWS and whole and has_int8_product(x.device):
        y = torch._weight_int8pack_mm(rows.contiguous(), q, scales)
    else:
        blocks = zip(torch.split(q, BLOCK), torch.split(scales, BLOCK), strict=True)
        y = torch.cat([F.linear(rows, block.bfloat16()) * scale for block, scale in blocks], dim=-1)
    if bias is not None:
        y = y + bias.to(y.dtype)
    return y.view(*x.shape[:-1], q.shape[0])
