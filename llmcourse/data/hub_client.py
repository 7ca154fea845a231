"""The hub, reduced to the two questions asked of it: which files are there, and this one, please.

Whatever goes wrong comes back as one line that says what to do. Files arrive under their own names and
are resumed by the hub's own client; which of its many errors means what is written here.

Taught in chapter 06.
"""

from __future__ import annotations

import errno
import importlib
from pathlib import Path
from typing import Any, Protocol

from ..errors import CourseError

AGAIN = "what has arrived is kept: check the network and run it again"


class Hub(Protocol):
    """What is asked of a place with data sets."""

    def files(self, repository: str, folder: str, revision: str) -> tuple[str, list[str]]:
        """The exact revision that a name such as ``main`` means now, and the Parquet files in a folder."""

    def fetch(
        self, repository: str, file: str, revision: str, into: Path, again: bool = False
    ) -> Path:
        """Bring a file into a folder, or find it there; `again`: what is there is damaged."""


class HuggingFaceHub:
    """Hugging Face's hub, through its own client (`huggingface_hub`), with the user's own token if any.

    Args:
        endpoint: Another server that speaks the same language; by default what the client is set to.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        try:
            self._module: Any = importlib.import_module("huggingface_hub")
        except ImportError as error:
            raise CourseError(
                "huggingface_hub is not installed", hint="pip install huggingface_hub pyarrow"
            ) from error
        self._api = self._module.HfApi(endpoint=endpoint, library_name="llmcourse")

    def files(self, repository: str, folder: str, revision: str) -> tuple[str, list[str]]:
        """See `Hub`.

        Raises:
            CourseError: if the hub cannot be reached, or has no such data set, revision or files.
        """
        try:
            exact = self._api.repo_info(repository, revision=revision, repo_type="dataset").sha
            entries = list(
                self._api.list_repo_tree(repository, folder, revision=exact, repo_type="dataset")
            )
        except Exception as error:  # of three libraries, whose errors have no common ancestor
            raise _explained(error, f"{repository}, {folder}, {revision}") from error
        names = sorted(entry.path for entry in entries if entry.path.endswith(".parquet"))
        if not names:
            raise CourseError(
                f"{repository} has no Parquet files in {folder}", hint="has it been moved?"
            )
        return exact, names

    def fetch(
        self, repository: str, file: str, revision: str, into: Path, again: bool = False
    ) -> Path:
        """See `Hub`.

        Raises:
            CourseError: if the hub cannot be reached or has no such file, or the disk is full.
        """
        try:
            return Path(
                self._api.hf_hub_download(
                    repository, file, revision=revision, repo_type="dataset",
                    local_dir=into, force_download=again,
                )
            )  # fmt: skip
        except Exception as error:
            raise _explained(error, f"{repository}, {file}") from error


def _explained(error: Exception, what: str) -> CourseError:
    """An error of the hub's client, or of what it is built on, in one line."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    kinds = {cls.__name__ for cls in type(error).__mro__}
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return CourseError(f"the disk is full: {what}", hint="make room and run it again")
    if "GatedRepoError" in kinds:
        return CourseError(f"{what}: access must be asked for", hint="hf auth login")
    if "LocalEntryNotFoundError" not in kinds:  # that one means: no network, and nothing cached
        for kind, thing in (
            ("RevisionNotFoundError", "revision"),
            ("EntryNotFoundError", "file"),
            ("RepositoryNotFoundError", "data set"),
        ):
            if kind in kinds:
                return CourseError(
                    f"the hub has no such {thing}: {what}",
                    hint="it may have been moved: look at the data set's page",
                )
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None:
            return CourseError(f"the hub answered {status}: {what}", hint=AGAIN)
    if cause := error.__cause__:
        reason = " ".join(str(cause).split())[:120] or reason
    return CourseError(f"cannot reach the hub: {reason}", hint=AGAIN)
