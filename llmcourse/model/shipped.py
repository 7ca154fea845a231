"""The course's own models, which come with the package: found by name, checked before they are used.

    folder("course-base")        the base model of chapter 06
    folder("course-base-200")    the same run after 200 steps

Each is a folder under ``llmcourse/released`` with a model card, the weights in half precision, and a list of
checksums. Taught in chapter 07.
"""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from importlib import resources
from pathlib import Path

from ..assets import atomic_write
from ..errors import CourseError

SUMS = "SHA256SUMS"


def root() -> Path:
    """The folder in which the course's models lie."""
    return Path(str(resources.files("llmcourse") / "released"))


def names() -> list[str]:
    """The models that come with the package."""
    return sorted(path.parent.name for path in root().glob(f"*/{SUMS}"))


def folder(name: str) -> Path:
    """The folder of a model, after a look at all its files.

    Raises:
        CourseError: if there is none of this name, or a file is missing or not what was shipped.
    """
    if name not in names():
        raise CourseError(
            f"no model called {name!r} comes with the course",
            hint=f"known: {', '.join(names())}" if names() else "install the package again",
        )
    path = root() / name
    _check(path)
    return path


@cache
def _check(path: Path) -> None:
    for line in (path / SUMS).read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        file = path / name
        if not file.is_file():
            raise CourseError(f"{file} is missing", hint="install the package again")
        if sha256(file) != expected:
            raise CourseError(f"{file} is damaged", hint="install the package again")


def sha256(path: Path) -> str:
    """The checksum of a file, as hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_weights(source: Path, target: Path) -> None:
    """A run's model as it is shipped: weights in half precision, configuration and tokenizer."""
    from .pretrained import load
    from .weights.own import save

    loaded = load(source)
    loaded.model.half()
    target.mkdir(parents=True, exist_ok=True)
    save(loaded.model, target)
    shutil.copy2(source / "tokenizer.json", target)


def write_sums(path: Path) -> None:
    """List the checksums of all files of a folder, in `sha256sum`'s format."""
    files = sorted(f for f in path.iterdir() if f.is_file() and f.name != SUMS)
    text = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
    with atomic_write(path / SUMS) as temporary:
        temporary.write_text(text, encoding="utf-8")
