"""Pictures of the built book's pages: every page, wide and narrow, light and dark.

    python tools/screenshots.py                    # all, into _build/screenshots
    python tools/screenshots.py notebooks/02       # those whose path contains this
    python tools/screenshots.py --top 1000         # only the first 1000 px of each

For people: to look at what a change did, and for the README. The tests do not compare pictures.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import browser as tools


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pages", nargs="*", help="parts of the wanted pages' paths; none: all")
    parser.add_argument("--widths", type=int, nargs="+", default=tools.WIDTHS, metavar="PX")
    parser.add_argument("--themes", nargs="+", default=tools.THEMES, choices=tools.THEMES)
    parser.add_argument("--top", type=int, metavar="PX", help="only this much of each page's top")
    parser.add_argument("--out", type=Path, default=tools.SCREENSHOTS)
    options = parser.parse_args(arguments)

    executable = tools.find_chromium()
    if executable is None:
        print("no Chromium found; install one or set CHROMIUM=path", file=sys.stderr)
        return 1
    names = [n for n in tools.pages() if not options.pages or any(p in n for p in options.pages)]
    if not names:
        print(f"no such page in {tools.HTML}; `make book` builds them", file=sys.stderr)
        return 1
    with tools.serve(tools.HTML) as address, tools.chromium(executable) as browser:
        for width in options.widths:
            for theme in options.themes:
                height = options.top or 900
                with browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=theme
                ) as context:
                    for name in names:
                        page = context.new_page()
                        page.goto(f"{address}/{name}")
                        tools.settle(page)
                        suffix = f"-{width}-{theme}"
                        whole = options.top is None
                        print(tools.picture(page, name, options.out, suffix, whole=whole))
                        page.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
