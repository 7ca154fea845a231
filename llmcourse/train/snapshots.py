"""Snapshots: everything a run needs to go on, in a folder that is whole or not there.

    run/step-00001000/config.json, model.safetensors    a model like any release
                      optimizer-00000.safetensors, …     what each process has of the optimizers' state
                      snapshot.json                      step, settings, and what the caller adds
                      SHA256SUMS                         of all the others; `sha256sum -c` checks it

Written under another name, flushed to disk, and renamed: whatever dies when, no half of one is ever
mistaken for a snapshot. Read on any number of processes, under any strategy. No pickles: opening one
runs nothing. For a model and an optimizer in a single file: `llmcourse.train.checkpoint`.

Taught in chapter 06.
"""

from __future__ import annotations

import json
import operator
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from ..assets import atomic_write, sha256_of
from ..errors import CourseError
from .distributed import put_away, unwrap
from .rows import Rows, RowShelf
from .snapshot_files import (
    damage,
    growing,
    need_shared,
    publish,
    rotate,
    snapshot_name,
    snapshots_in,
    sweep,
    write_sums,
)
from .state import (
    check_optimizers,
    check_weights,
    collect_optimizers,
    collect_weights,
    put_optimizers,
    put_weights,
)
from .team import Team

FORMAT = "llmcourse-snapshot-1"
WEIGHTS, JSON = "model.safetensors", "snapshot.json"

T = TypeVar("T")


def save_snapshot(
    folder: str | Path,
    step: int,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    extra: dict[str, Any],
    team: Team,
    *,
    keep: int = 2,
    milestones: Sequence[int] = (),
    beside: Sequence[Path] = (),
) -> Path:
    """Write a snapshot. Every process calls it; `folder` is one that all of them see.

    Args:
        folder: Where a run's snapshots are; made if need be.
        step: How many steps have been made. A snapshot of the same step is replaced.
        model: As `parallelise` returned it.
        optimizers: Of its parameters.
        extra: Anything JSON can hold: random generators, the place in the data. Rank 0's is stored.
        team: Who takes part.
        keep: So many of the newest stay; older ones are removed …
        milestones: … except those of these steps.
        beside: Small files to copy into it, a tokenizer for example.

    Returns:
        The new folder.

    Raises:
        CourseError: on every process, if any of them cannot write its part (a full disk). Nothing that
            was there before has changed then, and nothing is left of the attempt.

    Taught in chapter 06.
    """
    step = operator.index(step)
    if step < 0 or keep < 1:
        raise CourseError(f"a snapshot of step {step}, keep {keep}", hint="step ≥ 0, keep ≥ 1")
    folder = Path(folder)
    final = folder / snapshot_name(step)
    partial = growing(final)
    # What has to be sent is sent first. Then each writes by itself, and may fail by itself.
    put_away(model)
    model = unwrap(model)
    weights = collect_weights(model, team)
    shelf = RowShelf(keeps_whole=team.is_main)
    content = {
        "format": FORMAT,
        "step": step,
        "world_size": team.world_size,
        "optimizers": collect_optimizers(model, optimizers, shelf),
        "extra": extra,
    }

    def begin() -> None:
        if team.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            partial.mkdir()

    def write() -> str:
        need_shared(partial, team)
        if team.is_main:
            _write_weights(partial, model, weights)
            with atomic_write(partial / JSON) as temporary:
                temporary.write_text(json.dumps(content), encoding="utf-8")
            for path in beside:
                with atomic_write(partial / path.name) as temporary:
                    shutil.copyfile(path, temporary)
        return _write_state(partial / _state_name(team.rank), shelf)

    def finish() -> None:
        if team.is_main:
            write_sums(partial, {_state_name(rank): own for rank, own in enumerate(sums) if own})
            publish(partial, final)
            rotate(folder, step, keep, milestones)

    try:
        _all(team, begin)
        sums = team.gather_text(_all(team, write))
        _all(team, finish)
    except BaseException:  # an interrupt, too
        if team.is_main:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    return final


def load_snapshot(
    folder: str | Path, model: nn.Module, optimizers: Sequence[Optimizer], team: Team
) -> tuple[int, dict[str, Any]] | None:
    """Put the newest whole snapshot back. Every process calls it.

    The number of processes and the strategy may be others than when it was written. A damaged snapshot is
    passed over with a warning that says which file it is and what is used instead.

    Args:
        folder: Where a run's snapshots are.
        model: As `parallelise` returned it, of the same shape.
        optimizers: Of the same kinds, for the same parameters; none to load the weights alone.
        team: Who takes part.

    Returns:
        The step and what the caller added, or None if there is no snapshot.

    Raises:
        CourseError: if there are snapshots, but none is whole; or if they are another model's or other
            optimizers'. Nothing has been changed then.

    Taught in chapter 06.
    """
    folder = Path(folder)
    _all(team, lambda: sweep(folder) if team.is_main else None)
    path, damaged = _newest_whole(folder, team)
    if path is None:
        if damaged:
            raise CourseError(
                f"no snapshot in {folder} is whole: {'; '.join(damaged)}",
                hint="get one back from a copy, or start anew in another folder",
            )
        return None
    if damaged and team.is_main:
        warnings.warn(f"{'; '.join(damaged)}; {path} is used instead", stacklevel=2)
    content = json.loads((path / JSON).read_text(encoding="utf-8"))
    if content.get("format") != FORMAT:
        raise CourseError(f"{path / JSON} is not a {FORMAT}", hint="start in another folder")
    weights, state = Rows([path / WEIGHTS]), Rows(sorted(path.glob("optimizer-*.safetensors")))
    put_away(model)
    model = unwrap(model)
    check_weights(model, weights, str(path))
    if optimizers:
        check_optimizers(model, optimizers, content["optimizers"], str(path))
    put_weights(model, weights)
    if optimizers:
        put_optimizers(model, optimizers, content["optimizers"], state)
    return int(content["step"]), content["extra"]


def _newest_whole(folder: Path, team: Team) -> tuple[Path | None, list[str]]:
    """The newest snapshot that is whole, and what is wrong with those that are newer."""
    names = [path.name for path in reversed(snapshots_in(folder))]
    damaged: list[str] = []
    while True:
        # Rank 0 says which is next: two machines may see a shared folder at different moments.
        name = team.gather_text(names[len(damaged)] if len(damaged) < len(names) else "")[0]
        if not name:
            return None, damaged
        wrong = damage(folder / name, (WEIGHTS, JSON), team)
        if not wrong:
            return folder / name, damaged
        damaged.append(wrong)


def _write_weights(folder: Path, model: nn.Module, weights: dict[str, Tensor]) -> None:
    from ..model.transformer import Transformer, meta_model
    from ..model.weights.own import save
    from ..model.weights.safetensors_files import write_file

    if isinstance(
        model, Transformer
    ):  # with its configuration, as `llmcourse.model.weights` reads it
        whole = meta_model(model.config)
        whole.load_state_dict(weights, assign=True)
        save(whole, folder)
    else:
        write_file(folder / WEIGHTS, weights, {})


def _write_state(path: Path, shelf: RowShelf) -> str:
    """Write this process's part of the optimizers' state, if it has any; return its SHA-256."""
    from ..model.weights.safetensors_files import write_file

    if not shelf.tensors:
        return ""
    write_file(path, shelf.tensors, shelf.metadata())
    return sha256_of(path)


def _state_name(rank: int) -> str:
    return f"optimizer-{rank:05d}.safetensors"


def _all(team: Team, action: Callable[[], T]) -> T:
    """Do something on every process; if it fails on one, it fails on all, and nobody waits in vain."""
    problem = ""
    cause: Exception | None = None
    try:
        result = action()
    except CourseError as error:
        problem, cause = error.message, error
    except (OSError, TypeError, ValueError) as error:  # the latter two: extra is nothing for JSON
        problem, cause = f"{type(error).__name__}: {error}", error
    for text in team.gather_text(problem):
        if text:
            raise CourseError(text, hint="is the disk full, or may you not write there?") from cause
    return result
