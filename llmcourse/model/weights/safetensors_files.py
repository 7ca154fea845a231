"""Tensors in ``.safetensors`` files: one file, or several with an index.

A safetensors file is a length, a JSON header (name, type, shape, place) and the numbers; the
`safetensors` library checks that the places cover the file and do not overlap. What is added here:
errors that name the file, an index that cannot point out of its folder, and copies, so that the
model's numbers are its own. Taught in chapter 04.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from llmcourse.assets import atomic_write
from llmcourse.errors import CourseError
from llmcourse.tokenizer.json_object import read_json_object

from .extras import extra
from .stored import Stored

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
FLOATS = ("F64", "F32", "F16", "BF16")
# A shard is named by a file in the same folder: no slash, no drive, nothing hidden.
_SHARD = re.compile(r"\w[\w.\-]*\.safetensors", re.ASCII)


def open_folder(folder: Path) -> dict[str, Stored]:
    """The tensors of a folder: ``model.safetensors``, or else what the index lists.

    Raises:
        CourseError: if there is neither, or a file is damaged, or the index does not fit.
    """
    if (folder / SINGLE).exists():
        return open_file(folder / SINGLE)[0]
    if (folder / INDEX).exists():
        return _open_shards(folder)
    pickles = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
    raise CourseError(
        f"{folder} has neither {SINGLE} nor {INDEX}",
        hint="pickled weights (.bin, .pt) can run programs and are not read; get the safetensors"
        if pickles
        else "check the path",
    )


def open_file(path: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """The tensors of one file and its metadata; only the header is read.

    Raises:
        CourseError: if the file is missing, damaged, or holds tensors that are no floats.
    """
    safetensors = extra("safetensors")
    if not path.is_file():
        raise CourseError(
            f"{path} is {'no file' if path.exists() else 'missing'}", hint="check the path"
        )
    try:
        opened = safetensors.safe_open(path, framework="pt")
        metadata = dict(opened.metadata() or {})
        found: dict[str, Stored] = {}
        for name in opened.keys():  # noqa: SIM118 (it is no dictionary)
            entry = opened.get_slice(name)
            shape, dtype = tuple(entry.get_shape()), str(entry.get_dtype())
            found[name] = Stored(
                shape, dtype, functools.partial(_read, opened, name, dtype, path), path
            )
    except (safetensors.SafetensorError, OSError) as error:
        raise CourseError(f"{path} is damaged: {error}", hint="get the file again") from error
    return found, metadata


def write_file(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors into one file, all at once or not at all.

    Raises:
        CourseError: if it cannot be written.
    """
    library = extra("safetensors.torch")
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with atomic_write(path) as temporary:
            library.save_file(whole, temporary, metadata=metadata)
    except (extra("safetensors").SafetensorError, OSError) as error:
        raise CourseError(f"cannot write {path}: {error}", hint="is the disk full?") from error


def _read(opened: Any, name: str, dtype: str, path: Path) -> Tensor:
    safetensors = extra("safetensors")
    if dtype not in FLOATS:
        raise CourseError(
            f"{path}: {name} is {dtype}, which is no type for weights",
            hint=f"{', '.join(FLOATS)} are",
        )
    try:
        tensor = cast(Tensor, opened.get_tensor(name))
        return tensor.clone()  # the library's is the file itself, mapped into memory
    except (safetensors.SafetensorError, OSError) as error:
        raise CourseError(f"{path}: {name} cannot be read: {error}", hint="get it again") from error


def _open_shards(folder: Path) -> dict[str, Stored]:
    index = folder / INDEX
    listed = read_json_object(index).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise CourseError(f"{index} has no weight_map", hint="get the file again")
    for name, shard in listed.items():
        if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
            raise CourseError(
                f"{index}: {name[:100]} is said to be in {str(shard)[:100]!r}, which is no file name",
                hint="do not use this index: it may have been made to harm",
            )
    found: dict[str, Stored] = {}
    for shard in dict.fromkeys(listed.values()):
        for name, stored in open_file(folder / shard)[0].items():
            if name in found:
                raise CourseError(
                    f"{name} is in two files, {found[name].where.name} and {shard}",
                    hint="files of two releases are mixed in this folder; get them again",
                )
            if listed.get(name) != shard:
                raise CourseError(
                    f"{index} does not say that {name} is in {shard}", hint="get the files again"
                )
            found[name] = stored
    if absent := [name for name in listed if name not in found]:
        raise CourseError(
            f"{index}: {absent[0]} is not in {listed[absent[0]]}, nor are {len(absent) - 1:,} others",
            hint="get the files again",
        )
    return found
