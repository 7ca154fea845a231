"""Every page of the built book, as a browser draws it.

Each test looks at one kind of fault on all pages and lists what it found, page by page.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tools.inspect_pages import Visit

pytestmark = pytest.mark.browser

LINKED = ("widget-view+json", '"LinkModel"')


def assert_none(visits: list[Visit], kind: str) -> None:
    """Fail with a line for each fault of this kind on any page."""
    lines = [f"{visit.name}: {fault}" for visit in visits for fault in visit.faults()[kind]]
    assert not lines, f"{kind}:\n  " + "\n  ".join(lines)


def test_no_request_leaves_the_machine(visits: list[Visit]) -> None:
    assert_none(visits, "requests off the machine")


def test_every_resource_is_there(visits: list[Visit]) -> None:
    assert_none(visits, "failed requests")


def test_no_console_error(visits: list[Visit]) -> None:
    assert_none(visits, "console errors")


def test_formulas_are_typeset(visits: list[Visit]) -> None:
    assert_none(visits, "formulas not typeset")
    assert any(visit.math for visit in visits), "no formula in the whole book?"


def test_widgets_are_drawn(visits: list[Visit], html: Path) -> None:
    assert_none(visits, "widgets not drawn")
    with_state = {
        visit.name
        for visit in visits
        if "application/vnd.jupyter.widget-view+json"
        in (html / visit.name).read_text(encoding="utf-8")
    }
    assert with_state == {visit.name for visit in visits if visit.widgets}
    assert with_state, "no widget in the whole book?"


def test_pictures_have_words(visits: list[Visit]) -> None:
    assert_none(visits, "pictures without words")


def test_no_page_scrolls_sideways(visits: list[Visit]) -> None:
    assert_none(visits, "sideways scrolling")


def test_axe_finds_nothing_serious(visits: list[Visit]) -> None:
    """WCAG 2 and good practice, at 1280 and 375 px, in light and dark."""
    assert_none(visits, "accessibility")


def test_search_finds_byte_pair(page: Page, address: str) -> None:
    page.goto(f"{address}/search.html?q=byte+pair")
    hits = page.locator("#search-results ul.search li a")
    hits.first.wait_for()
    found = [hit.get_attribute("href") or "" for hit in hits.all()]
    assert any("02-tokenization.html" in href for href in found), found


def test_theme_switch_is_kept(page: Page, address: str, html: Path) -> None:
    """The reader's choice of theme holds on the next page."""
    first, second = [p.name for p in sorted((html / "notebooks").glob("[0-9]*.html"))][:2]
    page.goto(f"{address}/notebooks/{first}")
    seen = set()
    for _ in range(3):
        page.locator(".theme-switch-button").first.click()
        seen.add(page.evaluate("document.documentElement.dataset.mode"))
    assert seen == {"auto", "light", "dark"}
    while page.evaluate("document.documentElement.dataset.mode") != "dark":
        page.locator(".theme-switch-button").first.click()
    page.goto(f"{address}/notebooks/{second}")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_static_widget_answers_without_a_kernel(page: Page, address: str, html: Path) -> None:
    """A choice that is linked in the browser shows something else, in a page with no kernel."""
    linked = [
        path.name
        for path in sorted((html / "notebooks").glob("*.html"))
        if all(mark in path.read_text(encoding="utf-8") for mark in LINKED)
    ]
    assert linked, "no chapter has a linked widget: has the token explorer gone?"
    page.goto(f"{address}/notebooks/{linked[0]}")
    chooser = page.locator(".widget-vbox :is(.widget-dropdown select, .widget-toggle-button)").first
    chooser.wait_for()
    whole = page.locator(".widget-vbox").first
    before = whole.inner_text()
    if chooser.evaluate("element => element.tagName") == "SELECT":
        chooser.select_option(index=1)
    else:
        page.locator(".widget-vbox .widget-toggle-button").nth(1).click()
    page.wait_for_function(
        "([box, text]) => box.innerText !== text", arg=[whole.element_handle(), before]
    )
