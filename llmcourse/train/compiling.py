"""Whether to let torch rewrite the training step as machine code of its own (`torch.compile`).

Compiled, neighbouring operations become one pass over memory; nothing else changes. It takes a minute
before the first step, and on a processor a C++ compiler. Taught in chapter 06.
"""

from __future__ import annotations

import os
import shutil

import torch

from ..errors import CourseError

CPU_WORTH = 3e13
"""FLOPs of a run from which compiling pays on a processor: it takes 20 to 40 s of two cores there, and
afterwards a step takes four fifths of its time, in bfloat16 less still (see `speed.prepare`). At 100
GFLOP/s, which two cores reach, this is five minutes."""


def compiler() -> str | None:
    """The C++ compiler that torch would call, or None."""
    return shutil.which(os.environ.get("CXX") or "g++") or shutil.which("clang++")


def wants_compile(device: torch.device, setting: str = "auto", flops: float = 0.0) -> bool:
    """Whether the step of a run should be compiled.

    Args:
        device: Where it computes.
        setting: ``yes``, ``no``, or ``auto``: on a GPU always; on a processor if there is a C++
            compiler and the run is long enough; elsewhere not.
        flops: Of the whole run.

    Raises:
        CourseError: if it is asked for and cannot be done.
    """
    if setting == "no":
        return False
    worth = device.type == "cuda" or (device.type == "cpu" and flops >= CPU_WORTH)
    if setting == "auto" and not worth:
        return False
    obstacle = why_not(device)
    if obstacle and setting == "yes":
        raise CourseError(f"cannot compile: {obstacle}", hint='train with compile = "no"')
    return not obstacle


def why_not(device: torch.device) -> str:
    """What keeps torch from compiling here; empty if nothing does. Tries it with one addition."""
    if device.type == "cpu" and compiler() is None:
        return "there is no C++ compiler (g++ or clang++)"
    try:
        torch.compile(_plus_one)(torch.ones(8, device=device))
    except Exception as error:  # of whatever kind: what is missing differs by machine
        return " ".join(str(error).split())[:160] or type(error).__name__
    return ""


def _plus_one(x: torch.Tensor) -> torch.Tensor:
    return x + 1
