"""Where the files of a released model are on this machine, without fetching any.

Fetching is `llmcourse.model.pretrained.load`'s.
"""

from __future__ import annotations

from pathlib import Path

from .. import assets
from ..errors import CourseError
from ..model import shipped
from ..model.pretrained import ALIASES, HUB, SMOLLM2

NEEDED = ("config.json", "tokenizer.json", "model.safetensors")
"""Files without which a repository of the hub cannot be loaded."""


def place(name: str) -> tuple[Path | None, str]:
    """The files of a model that `load` knows by name, and where that is.

    Returns:
        A GGUF file or a folder, and ``cache`` (the course's), ``package``, or ``hub cache``;
        None and ``hub`` where they would have to be fetched.
    """
    known = ALIASES.get(name.lower(), name.lower())
    if known in shipped.names():
        return shipped.folder(known), "package"
    if known == ALIASES["smollm2"]:
        path, where = assets.locate(SMOLLM2)
        if path is not None:
            return path, where
    folder = _in_hub_cache(HUB[known])
    return (folder, "hub cache") if folder is not None else (None, "hub")


def find(name_or_path: str) -> Path:
    """The file or the folder that somebody means by a name or a path.

    Raises:
        CourseError: if there is no such thing on this machine.
    """
    known = ALIASES.get(name_or_path.lower(), name_or_path.lower())
    if known in HUB or known in shipped.names():
        path, _ = place(name_or_path)
        if path is None:
            raise CourseError(
                f"{name_or_path} is not on this machine",
                hint=f"llmcourse generate --model {name_or_path} fetches it from the hub",
            )
        return path
    path = Path(name_or_path).expanduser()
    if not path.exists():
        raise CourseError(
            f"no model is called {name_or_path!r}, and there is no such file or folder",
            hint="llmcourse model list has the names",
        )
    if (
        path.is_dir()
        and not (path / "config.json").exists()
        and (ggufs := list(path.glob("*.gguf")))
    ):
        raise CourseError(f"{path} is a folder of GGUF files", hint=f"give one: {min(ggufs)}")
    return path


def _in_hub_cache(repository: str) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = [try_to_load_from_cache(repository, name) for name in NEEDED]
    if all(isinstance(path, str) for path in found):  # what the hub itself lacks is another object
        return Path(found[0]).parent
    return None
