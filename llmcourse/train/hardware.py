"""How fast a machine could compute at most, and how much it can hold.

A graphics card's maker prints a peak: multiplications and additions a second when every unit is
busy at every tick. No training run reaches it; what share it reaches is called *model FLOPs
utilisation* (MFU), and every estimate of time and money is a peak times a guess at that share.

The figures are for dense matrices. Datasheets like to print twice as much, "with sparsity": with
half of all weights zero, in a pattern of two out of four, which nobody trains with.

Taught in chapter 06.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ..errors import CourseError

Precision = Literal["bf16", "fp16", "fp32"]
TERA = 10**12
GB = 10**9


@dataclass(frozen=True)
class Gpu:
    """A graphics card, as its maker describes it.

    Args:
        name: What to call it on the command line.
        title: Its full name.
        bf16: Peak of matrix products in bfloat16 with float32 sums, dense, FLOP/s; None: it has none.
        fp16: The same in float16.
        fp32: The same for float32 matrices: through tensor cores as TF32 where there is that (10 bits
            of mantissa; ``torch.set_float32_matmul_precision("high")``), else plain.
        memory: Bytes. The printed GB, taken as 10⁹; the driver finds up to 7 % more.
        bandwidth: Bytes a second between memory and the units that compute.
        source: The datasheet.
        names: How drivers name it, for `recognise`.
    """

    name: str
    title: str
    bf16: float | None
    fp16: float
    fp32: float
    memory: int
    bandwidth: float
    source: str
    names: tuple[str, ...] = ()

    def peak(self, precision: Precision = "bf16") -> float:
        """FLOP/s at most, in a precision.

        Raises:
            CourseError: if the card cannot compute in it.
        """
        value: float | None = getattr(self, precision)
        if value is None:
            raise CourseError(
                f"{self.title} has no tensor cores for {precision}", hint="train in fp16 on it"
            )
        return value

    @property
    def precision(self) -> Precision:
        """What to train in: bf16 where there is it, for it has float32's range; else fp16."""
        return "fp16" if self.bf16 is None else "bf16"


def _gpu(
    name: str,
    title: str,
    tera: tuple[float | None, float, float],
    memory_gb: float,
    gb_per_second: float,
    source: str,
    *names: str,
) -> Gpu:
    bf16, fp16, fp32 = tera
    return Gpu(
        name, title, None if bf16 is None else bf16 * TERA, fp16 * TERA, fp32 * TERA,
        int(memory_gb * GB), gb_per_second * GB, source, names,
    )  # fmt: skip


GPUS: dict[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        # Printed with sparsity: bf16 1,979 and TF32 989 (H100, H200); 4,500 and 2,200 (B200); 242 and 120 (L4).
        _gpu("h100", "NVIDIA H100 SXM 80 GB", (989.5, 989.5, 494.7), 80, 3350,
             "NVIDIA H100 Tensor Core GPU datasheet", "H100 80GB HBM3", "H100 SXM"),
        _gpu("h200", "NVIDIA H200 SXM 141 GB", (989.5, 989.5, 494.7), 141, 4800,
             "NVIDIA H200 Tensor Core GPU datasheet", "H200"),
        _gpu("b200", "NVIDIA B200 (HGX) 180 GB", (2250, 2250, 1100), 180, 8000,
             "NVIDIA Blackwell architecture technical brief, HGX B200", "B200"),
        _gpu("a100-80", "NVIDIA A100 SXM 80 GB", (312, 312, 156), 80, 2039,
             "NVIDIA A100 Tensor Core GPU datasheet", "A100-SXM4-80GB", "A100 80GB", "A100-PCIE-80GB"),
        _gpu("a100-40", "NVIDIA A100 SXM 40 GB", (312, 312, 156), 40, 1555,
             "NVIDIA A100 Tensor Core GPU datasheet", "A100-SXM4-40GB", "A100-PCIE-40GB"),
        _gpu("rtx4090", "NVIDIA GeForce RTX 4090", (165.2, 165.2, 82.6), 24, 1008,
             "NVIDIA Ada GPU architecture whitepaper, appendix A", "RTX 4090"),
        _gpu("l4", "NVIDIA L4", (121, 121, 60), 24, 300,
             "NVIDIA L4 Tensor Core GPU datasheet", "NVIDIA L4"),
        # No bfloat16 before Ampere, and no TF32.
        _gpu("t4", "NVIDIA T4", (None, 65, 8.1), 16, 320,
             "NVIDIA T4 Tensor Core GPU datasheet", "Tesla T4"),
        _gpu("v100", "NVIDIA V100 SXM2 32 GB", (None, 125, 15.7), 32, 900,
             "NVIDIA V100 Tensor Core GPU datasheet", "V100-SXM2-32GB"),
    )
}  # fmt: skip


def gpu_named(name: str) -> Gpu:
    """The card of this name.

    Raises:
        CourseError: if it is not in the table.
    """
    if name not in GPUS:
        raise CourseError(f"no GPU is called {name!r}", hint=f"known: {', '.join(sorted(GPUS))}")
    return GPUS[name]


def recognise(device_name: str) -> Gpu | None:
    """The card that a driver means (`torch.cuda.get_device_name`), or None.

    The variants of a card differ by tens of per cent: a name that fits none exactly is not guessed at.
    """
    for gpu in GPUS.values():
        if any(device_name.endswith(known) for known in gpu.names):
            return gpu
    return None


@cache
def cpu_peak(precision: Precision = "fp32", size: int = 768, seconds: float = 0.3) -> float:
    """FLOP/s that this processor reaches at most, measured: the best of some square matrix products.

    Of as many threads as torch uses now, and remembered for the process. Nothing else in training
    multiplies faster, so it serves as the peak in an MFU; with other work on the machine it comes
    out too low.

    Args:
        precision: Of the matrices.
        size: Rows and columns; a product takes 2 · size³ FLOPs.
        seconds: How long to try.
    """
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
    a = torch.ones(size, size, dtype=dtype)
    b = torch.ones(size, size, dtype=dtype)
    a @ b  # the first one also allocates
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - began)
        if best > seconds:  # slow in this precision: one look is enough
            break
    return 2 * size**3 / best
