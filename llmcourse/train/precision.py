"""In which numbers to compute: float32 with its 24 bits of mantissa, or half as many bits, faster.

The parameters stay float32, always: a step changes a weight by a thousandth of itself, which 8 bits of
mantissa cannot express. What may be shorter are the products. *bfloat16* has float32's range and 8
bits; nothing else has to change. *float16* has 11 bits and a small range: gradients would vanish below
6e-8, so the loss is multiplied by a large factor first and the gradients are divided by it again
(`LossScaler`), as in "Mixed precision training" (arXiv:1710.03740, section 3.2).

Taught in chapter 06.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import CourseError
from .speed import multiplies_bf16

Name = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """What is computed in, on which kind of device; see `choose`."""

    name: Name
    device_type: str

    @property
    def dtype(self) -> torch.dtype:
        """Of the products."""
        return DTYPES[self.name]

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Around a forward pass: matrix products in `dtype`, sums and norms in float32."""
        if self.name == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device_type, self.dtype)


def choose(device: torch.device, setting: str = "auto") -> Precision:
    """The precision to train in.

    ``auto``: bf16 on GPUs that multiply it (NVIDIA's since 2020), fp16 on older ones, fp32 elsewhere.
    ``native``: the same, and bf16 on processors that have instructions for it (AMD's since 2022, Intel's
    since 2023). Without those bf16 is very slow there.

    Raises:
        CourseError: if the device does not compute in what is asked for.
    """
    native = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if setting == "native" and device.type == "cpu":
        setting = "bf16" if multiplies_bf16() else "fp32"
    if setting in ("auto", "native"):
        setting = "fp32" if device.type != "cuda" else "bf16" if native else "fp16"
    if setting not in DTYPES:
        raise CourseError(
            f"no precision is called {setting!r}", hint="auto, native, fp32, bf16 or fp16"
        )
    if setting == "fp16" and device.type != "cuda":
        raise CourseError(f"fp16 does not train on {device.type}", hint="take fp32 or bf16")
    if setting == "bf16" and device.type == "cuda" and not native:
        raise CourseError("this GPU does not multiply bf16", hint="take fp16, or auto")
    return Precision(setting, device.type)  # type: ignore[arg-type]  # one of DTYPES


class LossScaler:
    """A factor that keeps float16's gradients in range: as large as goes, found by trying.

    Doubled after 2,000 good steps, halved when a gradient overflows; the step is left out then. The
    rules are those of `torch.amp.GradScaler`; this one judges by the length of the *whole* gradient, so
    that all processes agree, also where each has only a part. Without fp16 the factor stays 1.

    Attributes:
        scale: The factor; the loss is multiplied by it.
        good: Steps since it last changed.
    """

    GROWTH_INTERVAL = 2000

    def __init__(self, enabled: bool, scale: float = 2.0**16) -> None:
        self.enabled = enabled
        self.scale = scale if enabled else 1.0
        self.good = 0

    def unscale(self, params: Iterable[Tensor]) -> None:
        """Divide the gradients by the factor, in place."""
        if self.enabled:
            for param in params:
                if param.grad is not None:
                    param.grad.mul_(1 / self.scale)

    def update(self, grad_norm: float) -> bool:
        """After each backward pass: may the step be made?

        Returns:
            False if the gradient overflowed; try again with the next batch.

        Raises:
            CourseError: if it overflows however small the factor: the gradient really is infinite.
        """
        if not self.enabled:
            return True
        if math.isfinite(grad_norm):
            self.good += 1
            if self.good == self.GROWTH_INTERVAL:
                self.scale, self.good = self.scale * 2, 0
            return True
        if self.scale < 1:
            raise CourseError(
                "the gradient overflows float16 however the loss is scaled",
                hint="train with a smaller learning rate, or in fp32",
            )
        self.scale, self.good = self.scale / 2, 0
        return False

    def state_dict(self) -> dict[str, float]:
        return {"scale": self.scale, "good": self.good}

    def load_state_dict(self, state: dict[str, float]) -> None:
        if self.enabled:
            self.scale, self.good = float(state["scale"]), int(state["good"])
