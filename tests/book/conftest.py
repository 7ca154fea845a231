"""The built book, a server, a browser: shared by the tests of the rendered pages.

`make book` first. Pictures of faulty pages are left in `_build/screenshots`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import browser, inspect_pages  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def unavailable(reason: str) -> NoReturn:
    """Skip with the reason; where CI is set, fail: there nothing is left out silently."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def html() -> Path:
    """The folder of the built book."""
    if not (browser.HTML / "search.html").exists():
        unavailable(f"no built book in {browser.HTML}: run `make book`")
    return browser.HTML


@pytest.fixture(scope="session")
def address(html: Path) -> Iterator[str]:
    """The book on loopback."""
    with browser.serve(html) as where:
        yield where


@pytest.fixture(scope="session")
def chromium(html: Path) -> Iterator[Browser]:
    """One browser for all tests."""
    executable = browser.find_chromium()
    if executable is None:
        pytest.skip("no Chromium: install one (Debian: apt install chromium) or set CHROMIUM=path")
    pytest.importorskip("playwright", reason="no playwright: pip install -e .[test]")
    with browser.chromium(executable) as started:
        yield started


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """An empty tab in a profile of its own."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context.new_page()


@pytest.fixture(scope="session")
def visits(html: Path, address: str, chromium: Browser) -> list[inspect_pages.Visit]:
    """Every page, opened once and looked at in both widths and both themes."""
    if not inspect_pages.AXE.exists():
        unavailable("no axe-core in .cache/axe: run `make book`")
    return inspect_pages.visit_all(chromium, address, browser.pages(html))
