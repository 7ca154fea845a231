"""Look at rendered pages as a reader's browser, and a screen reader, would.

    python tools/inspect_pages.py                  # every page of the built book
    python tools/inspect_pages.py notebooks/02     # those whose path contains this

Prints each fault in a line: console errors, requests off the machine, missing files, formulas and
widgets that were not drawn, pictures without words, sideways scrolling, and what axe-core calls
serious or critical, at two widths, in light and dark. `tests/book` asserts that there are none.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import browser as tools

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE = tools.ROOT / ".cache" / "axe" / "axe.min.js"

# Third parties' faults that cannot be mended here: (rule, part of the element's HTML, reason).
ALLOWED: tuple[tuple[str, str, str], ...] = ()

FORMULAS = """() => {
    const sources = [...document.querySelectorAll('.math')];
    const bad = sources.filter(s => !s.querySelector('mjx-container')
                                    || s.querySelector('mjx-merror, [data-mjx-error]'));
    return [sources.length, bad.map(s => s.textContent.trim().slice(0, 100))];
}"""

# Colours are measured at rest, not half-way between two themes.
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"

WIDGETS = """document.querySelectorAll(
    'script[type="application/vnd.jupyter.widget-view+json"]').length"""

# Pictures without words for those who cannot see them. A file's path is no description.
UNNAMED_PICTURES = """() => {
    // Not looked at: what is decoration, and what lies in a button, which has a name of its own.
    const hidden = e => e.closest(
        '[aria-hidden="true"], [role="presentation"], mjx-container, button, summary');
    const named = e => e.getAttribute('aria-label')
        || document.getElementById(e.getAttribute('aria-labelledby'))?.textContent.trim();
    const bad = [];
    for (const image of document.querySelectorAll('img')) {
        const alt = image.getAttribute('alt');
        const path = /\\.(png|svg|jpe?g|gif|webp)$/i.test(alt || '');
        if (!hidden(image) && (!(alt || named(image)) || path)) bad.push(image.outerHTML);
    }
    for (const drawing of document.querySelectorAll('svg')) {
        if (drawing.parentElement.closest('svg') || hidden(drawing)) continue;
        const title = drawing.querySelector(':scope > title')?.textContent.trim();
        if (!named(drawing) && !title) bad.push(drawing.outerHTML);
    }
    return bad.map(html => html.slice(0, 160));
}"""

RUN_AXE = """async rules => {
    const options = {resultTypes: ['violations']};
    if (rules) options.runOnly = {type: 'rule', values: rules};
    const {violations} = await axe.run(document, options);
    return violations.filter(v => ['serious', 'critical'].includes(v.impact)).flatMap(
        v => v.nodes.map(n => ({rule: v.id, impact: v.impact, target: n.target.flat().join(' '),
                                html: n.html.slice(0, 160), help: v.help,
                                why: [...n.any, ...n.all, ...n.none].map(c => c.message)[0]})));
}"""

# A page that scrolls sideways as a whole, and what sticks out of it.
TOO_WIDE = """() => {
    const room = document.documentElement.clientWidth;
    if (document.scrollingElement.scrollWidth <= room) return [];
    const clipped = e => e && e !== document.body
        && (getComputedStyle(e).overflowX !== 'visible' || clipped(e.parentElement));
    const wide = [...document.body.querySelectorAll('*')].filter(
        e => e.getBoundingClientRect().right > room + 1 && !clipped(e.parentElement)
             && getComputedStyle(e).position !== 'fixed');
    return wide.slice(-3).map(e => `${e.tagName.toLowerCase()}.${e.className}`.slice(0, 100)
        + ` ends at ${Math.round(e.getBoundingClientRect().right)} px`).concat(
        wide.length ? [] : [`scrolls to ${document.scrollingElement.scrollWidth} px`]);
}"""


@dataclass
class Visit:
    """What was found on one page: counts, and faults in words."""

    name: str
    record: tools.Record
    math: int = 0
    widgets: int = 0
    untypeset: list[str] = field(default_factory=list)
    undrawn: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    too_wide: list[str] = field(default_factory=list)
    inaccessible: list[str] = field(default_factory=list)

    def faults(self) -> dict[str, list[str]]:
        """Faults by kind."""
        return {
            "requests off the machine": self.record.off_machine,
            "failed requests": self.record.failed,
            "console errors": self.record.console,
            "formulas not typeset": self.untypeset,
            "widgets not drawn": self.undrawn,
            "pictures without words": self.unnamed,
            "sideways scrolling": self.too_wide,
            "accessibility": self.inaccessible,
        }


def look(page: Page, name: str, address: str, axe: str) -> Visit:
    """Open one page and note all that is wrong with it."""
    visit = Visit(name, tools.watch(page, address))
    page.goto(f"{address}/{name}")
    tools.settle(page)
    visit.math, visit.untypeset = page.evaluate(FORMULAS)
    visit.widgets, visit.undrawn = page.evaluate(f"[{WIDGETS}, ({tools.UNDRAWN})()]")
    visit.unnamed = page.evaluate(UNNAMED_PICTURES)
    page.evaluate(axe)
    page.add_style_tag(content=STILL)
    for width in tools.WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)  # the theme makes scrolling parts focusable a moment later
        for theme in tools.THEMES:
            tools.set_theme(page, theme)
            # Colours are all that a theme changes: in the dark only their rules are asked again.
            rules = None if theme == "light" else ["color-contrast", "link-in-text-block"]
            found = [told(node) for node in page.evaluate(RUN_AXE, rules) if not allowed(node)]
            visit.inaccessible += [f"{width} px, {theme}: {fault}" for fault in found]
        visit.too_wide += [f"{width} px: {line}" for line in page.evaluate(TOO_WIDE)]
    return visit


def allowed(node: dict[str, Any]) -> bool:
    """Whether a violation is one of `ALLOWED`."""
    return any(rule == node["rule"] and part in node["html"] for rule, part, _ in ALLOWED)


def told(node: dict[str, Any]) -> str:
    """A violation in one line."""
    return f"{node['impact']} {node['rule']} {node['target']}: {node['why']} · {node['html']}"


def visit_all(
    browser: Browser, address: str, names: list[str], pictures: Path = tools.SCREENSHOTS
) -> list[Visit]:
    """Look at each page, in one profile, so that scripts and fonts are read once.

    A faulty page's picture is left in the folder `pictures`.
    """
    axe = AXE.read_text(encoding="utf-8")
    visits = []
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        for name in names:
            page = context.new_page()
            visits.append(look(page, name, address, axe))
            if any(visits[-1].faults().values()):
                tools.picture(page, name, pictures)
            else:
                tools.picture_path(name, pictures).unlink(missing_ok=True)
            page.close()
    return visits


def main(wanted: list[str]) -> int:
    executable = tools.find_chromium()
    if executable is None:
        print("no Chromium found; set CHROMIUM=path", file=sys.stderr)
        return 1
    names = [n for n in tools.pages() if not wanted or any(part in n for part in wanted)]
    total = 0
    with tools.serve(tools.HTML) as address, tools.chromium(executable) as browser:
        for visit in visit_all(browser, address, names):
            faults = [f"  {k}: {f}" for k, found in visit.faults().items() for f in found]
            print(
                f"{visit.name}: {visit.math} formulas, {visit.widgets} widgets", *faults, sep="\n"
            )
            total += len(faults)
    print(f"{len(names)} pages, {total} faults")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
