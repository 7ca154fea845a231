"""A Chromium for the built book: what the browser tests and `tools/screenshots.py` share.

Playwright drives the Chromium that the machine has (its own browser downloads are not used), over
a server on loopback. The browser is told that no other host exists, and every request it makes is
recorded, so a page that would fetch something from elsewhere is caught even with no network.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Response

ROOT = Path(__file__).resolve().parent.parent
HTML = Path(os.environ.get("BOOK_HTML", ROOT / "_build" / "html"))
SCREENSHOTS = HTML.parent / "screenshots"

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
WIDTHS = (1280, 375)
THEMES = ("light", "dark")
PATIENCE = 10_000  # milliseconds that a page's widgets may take


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome: `$CHROMIUM`, then the PATH, then the usual places."""
    if named := os.environ.get("CHROMIUM"):
        return shutil.which(named)
    on_path = (shutil.which(name) for name in NAMES)
    in_place = (place for place in PLACES if Path(place).exists())
    return next((found for found in on_path if found), None) or next(in_place, None)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback; yields its address, `http://127.0.0.1:PORT`."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextlib.contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """One headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, headless=True, args=list(FLAGS)
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Record:
    """What a page did while it was open: everything in here is a fault, one line each."""

    address: str
    off_machine: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def on_request(self, request: Request) -> None:
        if not request.url.startswith((self.address + "/", "data:", "blob:", "about:")):
            self.off_machine.append(request.url)

    def on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.failed.append(f"{response.status} {response.url}")

    def on_request_failed(self, request: Request) -> None:
        # A page that is left early aborts its own downloads: that is no fault.
        if request.url.startswith(self.address) and "ERR_ABORTED" not in (request.failure or ""):
            self.failed.append(f"{request.failure} {request.url}")


def watch(page: Page, address: str) -> Record:
    """Record what `page` requests, and what goes wrong in it."""
    record = Record(address)
    page.on("request", record.on_request)
    page.on("response", record.on_response)
    page.on("requestfailed", record.on_request_failed)
    page.on("pageerror", lambda error: record.console.append(f"uncaught: {error}"))
    page.on(
        "console",
        lambda message: (
            record.console.append(f"{message.text} ({message.location['url']})")
            if message.type == "error"
            else None
        ),
    )
    return record


def settle(page: Page) -> None:
    """Wait until formulas are typeset, fonts have come and widgets are drawn."""
    from playwright.sync_api import TimeoutError as TimedOut

    page.wait_for_load_state("networkidle")
    page.evaluate(
        """async () => {
            if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
            await document.fonts.ready;
        }"""
    )
    with contextlib.suppress(TimedOut):  # whoever asks for UNDRAWN will be told which are not
        page.wait_for_function(f"() => ({UNDRAWN})().length === 0", timeout=PATIENCE)


# Widgets whose view is missing: the manager puts it before the script that describes it.
UNDRAWN = """() => [...document.querySelectorAll(
        'script[type="application/vnd.jupyter.widget-view+json"]')]
    .filter(tag => !tag.parentElement.querySelector('.widget-subarea > .jupyter-widgets'))
    .map(tag => tag.textContent.trim())"""


def set_theme(page: Page, theme: str) -> None:
    """Light or dark, as the theme's own switch does it."""
    page.evaluate(
        """theme => {
            localStorage.setItem('mode', theme);
            localStorage.setItem('theme', theme);
            document.documentElement.dataset.mode = theme;
            document.documentElement.dataset.theme = theme;
        }""",
        theme,
    )


def picture_path(name: str, folder: Path, suffix: str = "") -> Path:
    """Where the picture of a page lies: `notebooks/01.html` becomes `notebooks-01.png`."""
    return folder / (name.removesuffix(".html").replace("/", "-") + suffix + ".png")


def picture(page: Page, name: str, folder: Path, suffix: str = "", *, whole: bool = True) -> Path:
    """Save a picture of the whole page, or of what the window shows; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = picture_path(name, folder, suffix)
    page.screenshot(path=path, full_page=whole)
    return path


def pages(html: Path = HTML) -> list[str]:
    """The book's pages as paths below `html`; not redirects, the theme's parts or copied assets."""
    found = []
    for path in sorted(html.rglob("*.html")):
        place = path.relative_to(html)
        if place.parts[0].startswith("_") or place.parts[0] == "vendor":
            continue
        if 'http-equiv="refresh"' not in path.read_text(encoding="utf-8")[:1000].lower():
            found.append(place.as_posix())
    return found


if __name__ == "__main__":  # `python3 tools/browser.py` tells whether there is one, and where
    found = find_chromium()
    print(found or "no Chromium found; set CHROMIUM=path")
    sys.exit(found is None)
