"""Seeds, devices and versions: what a run depends on besides its code."""

from __future__ import annotations

import os
import platform
import random
import sys
from importlib import metadata


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and, if it has been imported, torch's generators.

    Code of the course draws from explicit generators; this is for the libraries that do not.
    """
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(seed)


def pick_device(prefer: str = "auto") -> str:
    """The device to compute on: ``cuda`` or ``mps`` when there is one, else ``cpu``.

    Args:
        prefer: ``auto``, or a device that must exist.

    Raises:
        llmcourse.errors.CourseError: if the preferred device is not there.
    """
    import torch

    from .errors import CourseError

    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if prefer == "auto":
        return next((name for name in ("cuda", "mps") if available[name]), "cpu")
    if not available.get(prefer.split(":")[0], False):
        raise CourseError(f"there is no device {prefer!r} here", hint="use --device auto")
    return prefer


def cores() -> int:
    """How many processor cores this process may use (not how many the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def version_of(distribution: str) -> str | None:
    """The installed version of a distribution, or None. Nothing is imported."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def environment(*distributions: str) -> str:
    """One line for a chapter's first cell: Python, the platform, and the versions that matter."""
    parts = [f"Python {platform.python_version()}", f"{platform.system()} {platform.machine()}"]
    parts += [f"{name} {version_of(name) or 'missing'}" for name in ("llmcourse", *distributions)]
    return " · ".join(parts)
