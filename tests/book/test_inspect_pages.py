"""The inspector sees what it is there for: a page with each kind of fault, and one with none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tools.inspect_pages import Visit

pytestmark = pytest.mark.browser

SOUND = """<!doctype html><html lang="en"><head><title>Sound</title>
<link rel="icon" href="data:,"></head><body><main><h1>Sound</h1>
<p>Words.</p><img alt="a dot" width="9"
 src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">
<svg role="img" aria-label="a line" width="9" height="9"></svg></main></body></html>"""

FAULTY = """<!doctype html><html lang="en"><head><title>Faulty</title>
<link rel="icon" href="data:,"></head><body><main><h1>Faulty</h1>
<p style="color: #ccc; background: #fff">Pale words.</p>
<img alt="../_images/plot.png" width="9" src="missing.png">
<svg width="9" height="9"></svg>
<div style="width: 900px">Wide.</div>
<span class="math">\\(x\\)</span>
<div><script type="application/vnd.jupyter.widget-view+json">{"model_id": "1"}</script></div>
<script src="https://cdn.invalid/x.js"></script>
<script>console.error("ours")</script>
<script>undefined.uncaught</script></main></body></html>"""


@pytest.fixture(scope="module")
def seen(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Visit]:
    from tools import browser, inspect_pages

    if not inspect_pages.AXE.exists():
        pytest.skip("no axe-core in .cache/axe: run `make book`")
    folder = tmp_path_factory.mktemp("site")
    (folder / "sound.html").write_text(SOUND, encoding="utf-8")
    (folder / "faulty.html").write_text(FAULTY, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, browser.serve(folder) as address:
        patch.setattr(browser, "PATIENCE", 500)
        names = browser.pages(folder)
        visits = inspect_pages.visit_all(chromium, address, names, folder / "pictures")
    assert (folder / "pictures" / "faulty.png").stat().st_size > 1000
    return {visit.name: visit for visit in visits}


def test_a_sound_page_has_no_fault(seen: dict[str, Visit]) -> None:
    assert not any(seen["sound.html"].faults().values()), seen["sound.html"].faults()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("requests off the machine", "https://cdn.invalid/x.js"),
        ("failed requests", "404"),
        ("console errors", "ours"),
        ("console errors", "uncaught"),
        ("formulas not typeset", "x"),
        ("widgets not drawn", "model_id"),
        ("pictures without words", "plot.png"),
        ("pictures without words", "<svg"),
        ("sideways scrolling", "375 px"),
        ("accessibility", "color-contrast"),
    ],
)
def test_each_fault_is_seen(seen: dict[str, Visit], kind: str, words: str) -> None:
    found = seen["faulty.html"].faults()[kind]
    assert any(words in fault for fault in found), found
