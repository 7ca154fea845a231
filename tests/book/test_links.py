"""Every internal link of the built book leads to a page, and every `#fragment` to a place in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import lxml.html
import pytest

# Where a page names a file that the browser loads by itself, and where it only offers a link.
LOADED = (("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"))
LOADED_LINKS = {"stylesheet", "icon", "shortcut icon", "preload", "modulepreload", "preconnect"}
HERE = "http://book.invalid/"


@cache
def parsed(path: Path) -> lxml.html.HtmlElement:
    return lxml.html.fromstring(path.read_bytes())


@cache
def anchors(path: Path) -> frozenset[str]:
    """Every place that a fragment can name."""
    page = parsed(path)
    return frozenset(page.xpath("//@id")) | frozenset(page.xpath("//a/@name"))


def loaded(page: lxml.html.HtmlElement) -> Iterator[str]:
    """Addresses that a browser fetches without being asked."""
    for tag, attribute in LOADED:
        yield from page.xpath(f"//{tag}/@{attribute}")
    for link in page.iter("link"):
        if LOADED_LINKS & set((link.get("rel") or "").lower().split()):
            yield link.get("href", "")


def offered(page: lxml.html.HtmlElement) -> Iterator[str]:
    """Addresses that a reader can go to, in HTML and in inline drawings."""
    yield from page.xpath("//a/@href | //area/@href | //form/@action")
    yield from page.xpath("//*[local-name()='a']/@*[name()='xlink:href']")


def problem(html: Path, name: str, address: str) -> str | None:
    """What is wrong with an address on the page `name`, or None."""
    if not address.startswith("#"):
        try:
            parts = urlsplit(urljoin(HERE + name, address))
        except ValueError as error:
            return f"{address}: {error}"
    else:
        parts = urlsplit(HERE + name + address)
    if not parts.geturl().startswith(HERE):
        return None
    target = html / unquote(parts.path).lstrip("/")
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return f"{address}: no such file"
    fragment = unquote(parts.fragment)
    if fragment and target.suffix == ".html" and fragment != "top":
        return None if fragment in anchors(target) else f"{address}: no such place in that page"
    return None


def html_files(html: Path) -> list[Path]:
    """All pages of the book, redirects too."""
    files = (path for path in html.rglob("*.html") if path.relative_to(html).parts[0] != "_static")
    return sorted(files)


def test_no_internal_link_is_broken(html: Path) -> None:
    broken, followed = [], 0
    for path in html_files(html):
        name = path.relative_to(html).as_posix()
        for address in {*loaded(parsed(path)), *offered(parsed(path))}:
            followed += 1
            if fault := problem(html, name, address):
                broken.append(f"{name}: {fault}")
    assert not broken, "broken links:\n  " + "\n  ".join(sorted(broken))
    assert followed > 100, f"only {followed} links found: does this test still see the pages?"


def test_nothing_is_loaded_from_elsewhere(html: Path) -> None:
    """What a browser fetches by itself lies in the book; an iframe of a video would not."""
    outside = [
        f"{path.relative_to(html)}: {address}"
        for path in html_files(html)
        for address in loaded(parsed(path))
        if urlsplit(address).netloc or address.startswith("//")
    ]
    assert not outside, "loaded from elsewhere:\n  " + "\n  ".join(outside)


def test_the_first_page_leads_into_the_book(html: Path) -> None:
    """`index.html`, what a server shows first, redirects to a page that exists."""
    refresh = parsed(html / "index.html").xpath(
        "//meta[translate(@http-equiv, 'REFSH', 'refsh')='refresh']/@content"
    )
    if not refresh:
        pytest.skip("index.html is a page of its own")
    target = refresh[0].split("url=", 1)[1]
    assert (html / target).is_file()


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ("there.html", None),
        ("there.html#place", None),
        ("#here", None),
        ("#", None),
        ("https://example.org/x", None),
        ("mailto:a@b.example", None),
        ("gone.html", "no such file"),
        ("there.html#gone", "no such place"),
        ("#gone", "no such place"),
        ("../outside.html", "no such file"),
    ],
)
def test_the_checker_itself(tmp_path: Path, address: str, wrong: str | None) -> None:
    (tmp_path / "here.html").write_text('<html><body><p id="here">x</p></body></html>')
    (tmp_path / "there.html").write_text('<html><body><a name="place">x</a></body></html>')
    found = problem(tmp_path, "here.html", address)
    assert found is None if wrong is None else wrong in (found or "")
