"""Folders that are whole or not there: names, checksums, and taking turns on a disk.

A folder cannot be written in one step, but it can be renamed in one. So it grows under a name that
nobody reads, every file is flushed to the disk, and then it takes its place. Its list of checksums tells
later whether the disk kept what it was given. Taught in chapter 06.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..assets import atomic_write, sha256_of
from ..errors import CourseError
from .team import Team

SUMS = "SHA256SUMS"
_NAME = re.compile(r"step-(\d{8,})")
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\\]+)")


def snapshot_name(step: int) -> str:
    """The folder of a step: ``step-00001000``."""
    return f"step-{step:08d}"


def step_of(path: Path) -> int:
    """The step of a snapshot's folder; −1 for any other path."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def snapshots_in(folder: str | Path) -> list[Path]:
    """The snapshots in a folder, oldest first, unchecked; none if there is no such folder."""
    folder = Path(folder)
    found = folder.iterdir() if folder.is_dir() else iter(())
    return sorted((p for p in found if step_of(p) >= 0 and p.is_dir()), key=step_of)


def growing(path: Path) -> Path:
    """Where a snapshot grows, and where one goes to be removed: a name that nobody reads."""
    return path.with_name(f".{path.name}.partial")


def sweep(folder: Path) -> None:
    """Clear away what an interrupted run left, so that only whole folders remain."""
    for old in folder.glob("step-*.replaced"):
        if old.with_suffix("").exists():
            remove(old)
        else:  # interrupted between moving the old one away and the new one in
            old.rename(old.with_suffix(""))
    for partial in folder.glob(".step-*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def publish(partial: Path, final: Path) -> None:
    """Give a finished folder its name, in place of one that had it before."""
    flush(partial)
    old = final.with_name(f"{final.name}.replaced")
    if final.exists():
        final.rename(old)
    partial.rename(final)
    flush(final.parent)
    remove(old)


def remove(path: Path) -> None:
    """Remove a folder, first of all from view. Nothing happens if there is none."""
    if path.exists():
        path.rename(growing(path))
        shutil.rmtree(growing(path), ignore_errors=True)


def rotate(folder: Path, step: int, keep: int, milestones: Sequence[int]) -> None:
    """Of the snapshots up to a step, leave the newest `keep` and the milestones.

    Later ones belong to a run that was gone back on; each is replaced when its step comes again.
    """
    past = [path for path in snapshots_in(folder) if step_of(path) <= step]
    for path in past[:-keep]:
        if step_of(path) not in milestones:
            remove(path)


def flush(folder: Path) -> None:
    """Have the disk store which names a folder has. (Files are flushed as they are written.)"""
    if os.name == "posix":  # elsewhere a folder cannot be opened, and need not be
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_sums(folder: Path, known: dict[str, str]) -> None:
    """Write the checksums of all files in a folder; some are known already."""
    names = sorted(path.name for path in folder.iterdir())
    lines = [f"{known.get(name) or sha256_of(folder / name)}  {name}\n" for name in names]
    with atomic_write(folder / SUMS) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def damage(path: Path, needed: Sequence[str], team: Team) -> str:
    """What is wrong with a snapshot, naming the file; empty if nothing is.

    The processes share the reading, and all get the same answer.
    """
    own = ""
    try:
        text = (path / SUMS).read_text(encoding="utf-8")
        sums = {m[2]: m[1] for line in text.splitlines() if (m := _LINE.fullmatch(line))}
        every_line = len(sums) == len(text.splitlines()) and text.endswith("\n")
        if not every_line or not set(needed) <= set(sums):
            own = f"{path / SUMS} is damaged"
        for name, sha256 in sorted(sums.items())[team.rank :: team.world_size]:
            if not (path / name).is_file():
                own = f"{path / name} is missing"
            elif sha256_of(path / name) != sha256:
                own = f"{path / name} is damaged: its SHA-256 is not that of {SUMS}"
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        own = f"{path / SUMS} cannot be read: {reason}"
    return next(filter(None, team.gather_text(own)), "")


def need_shared(partial: Path, team: Team) -> None:
    """Make sure that this process sees the folder which rank 0 made.

    Raises:
        CourseError: if it does not.
    """
    if not partial.is_dir():
        raise CourseError(
            f"process {team.rank} does not see {partial.parent} as process 0 does",
            hint="keep snapshots in a folder that all machines share",
        )
