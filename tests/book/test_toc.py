"""What the table of contents names is in the built book, and no chapter is left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lxml.html
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def entries(node: Any) -> Iterator[str]:
    """Every `root:` and `file:` of a table of contents, in order."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"root", "file"}:
                yield str(value)
            else:
                yield from entries(value)
    elif isinstance(node, list):
        for value in node:
            yield from entries(value)


@pytest.fixture(scope="module")
def toc() -> list[str]:
    return list(entries(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))))


def test_every_entry_is_a_page(html: Path, toc: list[str]) -> None:
    missing = [entry for entry in toc if not (html / f"{entry}.html").is_file()]
    assert toc
    assert not missing, f"in _toc.yml, not in the book: {missing}"


def test_every_entry_is_in_the_navigation(html: Path, toc: list[str]) -> None:
    """A reader who opens the first page sees a link to each of the others."""
    first = lxml.html.fromstring((html / f"{toc[0]}.html").read_bytes())
    first.make_links_absolute(f"http://book.invalid/{toc[0]}.html")
    linked = {href.split("#")[0] for href in first.xpath("//nav//a/@href")}
    unlinked = [e for e in toc[1:] if f"http://book.invalid/{e}.html" not in linked]
    assert not unlinked, f"not in the navigation: {unlinked}"


def test_every_entry_has_one_title(html: Path, toc: list[str]) -> None:
    titles = {}
    for entry in toc:
        page = lxml.html.fromstring((html / f"{entry}.html").read_bytes())
        headings = page.xpath("//article//h1")
        assert len(headings) == 1, f"{entry} has {len(headings)} titles"
        titles[entry] = headings[0].text_content().rstrip("#¶ ").strip()
    assert all(titles.values()), titles
    assert len(set(titles.values())) == len(titles), f"two pages share a title: {titles}"


def test_every_chapter_is_in_the_table(toc: list[str]) -> None:
    """A notebook that nobody can find is as good as missing."""
    chapters = sorted(path.stem for path in (ROOT / "book" / "chapters").glob("[0-9][0-9]-*.md"))
    named = [Path(entry).name for entry in toc if entry.startswith("notebooks/")]
    assert sorted(named) == chapters
    assert named == sorted(named), "chapters stand in the order of their numbers"
