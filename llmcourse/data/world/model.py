"""What the World is made of once it is written: facts, pages, sites.

Everything that the chapter measures is recorded here while the page is being made, so that "was this
page a duplicate?" and "which e-mail addresses stood on it?" are look-ups and never guesses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

GOOD_KINDS = ("article", "story", "forum", "diary", "list")
DIRT_KINDS = ("exact-duplicate", "near-duplicate", "foreign", "spam", "blocked", "thin")
# Neither good nor dirt: link hubs, pages for the experiment on the language threshold, and pages
# that robots.txt forbids.
OTHER_KINDS = ("index", "mixed", "private")
KINDS = GOOD_KINDS + DIRT_KINDS + OTHER_KINDS


class Fact(NamedTuple):
    """One thing that is true in the World, e.g. ``Fact("Brenavel", "market day", "Tuesday")``.

    ``object`` is written exactly as it appears in the text of the subject's page.
    """

    subject: str
    relation: str
    object: str


@dataclass(frozen=True)
class Page:
    """One web page and everything the generator knows about it.

    Attributes:
        host: The site's host name.
        path: The path, with the query if there is one; ``"/"`` is the site's index.
        title: The page's heading.
        html: The body of the response, in the encoding the page really has.
        content_type: The value of the ``Content-Type`` header.
        kind: One of :data:`KINDS`.
        language: ISO 639-1 code of the (main) language of the prose.
        text: The prose that a good extractor should find, one paragraph a line, without the title.
        original: URL of the page that this one duplicates, if it does.
        emails: E-mail addresses planted in the prose.
        phones: Telephone numbers planted in the prose.
        ips: IPv4 addresses planted in the prose.
        lookalikes: Things that look like personal data and are none; a mask must leave them alone.
    """

    host: str
    path: str
    title: str
    html: bytes
    content_type: str
    kind: str
    language: str
    text: str
    original: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    lookalikes: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{self.host}{self.path}"

    @property
    def good(self) -> bool:
        """Whether a filter that drops this page has made a mistake."""
        return self.kind in GOOD_KINDS


@dataclass
class Site:
    """One host: its pages by path, and its robots.txt."""

    host: str
    pages: dict[str, Page] = field(default_factory=dict)
    robots_txt: str = ""


@dataclass
class World:
    """A country that does not exist, as a small web about it. Make one with :meth:`generate`.

    Taught in chapter 01.
    """

    seed: int
    sites: dict[str, Site]
    facts: list[Fact]
    blocked_domains: frozenset[str]

    @classmethod
    def generate(cls, seed: int = 0, articles: int = 300) -> World:
        """Invent the country and write its web. The same arguments give the same bytes.

        Args:
            seed: Any integer; another seed, another country.
            articles: About how many good pages to write; dirt is added in proportion.

        Raises:
            CourseError: If ``articles`` is too small to show every kind of page.
        """
        from llmcourse.data.world.generate import generate

        return generate(seed, articles)

    @property
    def seeds(self) -> list[str]:
        """The addresses at which a crawl starts: every site's index."""
        return [f"http://{host}/" for host in self.sites]

    def pages(self, kind: str | None = None) -> Iterator[Page]:
        """All pages, or those of one kind, in a fixed order.

        Raises:
            ValueError: If there is no such kind.
        """
        if kind is not None and kind not in KINDS:
            raise ValueError(f"no pages of kind {kind!r}; the kinds are {', '.join(KINDS)}")
        for site in self.sites.values():
            for page in site.pages.values():
                if kind is None or page.kind == kind:
                    yield page

    def good_pages(self) -> Iterator[Page]:
        """The pages that a perfect filter keeps."""
        return (page for page in self.pages() if page.good)

    def page(self, url: str) -> Page:
        """The page at ``url``.

        Raises:
            KeyError: If there is none.
        """
        host, slash, path = url.removeprefix("http://").partition("/")
        return self.sites[host].pages[slash + path or "/"]

    def manifest(self) -> dict[str, dict[str, Any]]:
        """What is known of every page, ready for ``json.dump``: url → kind, language, …"""
        return {
            page.url: {
                "kind": page.kind,
                "language": page.language,
                "title": page.title,
                "original": page.original,
                "emails": list(page.emails),
                "phones": list(page.phones),
                "ips": list(page.ips),
                "lookalikes": list(page.lookalikes),
            }
            for page in self.pages()
        }

    def digest(self) -> str:
        """SHA-256 over every byte that a crawler could fetch, and over the manifest and the facts."""
        sha = hashlib.sha256()
        for site in self.sites.values():
            sha.update(site.robots_txt.encode())
            for page in site.pages.values():
                sha.update(page.url.encode() + b"\0" + page.content_type.encode() + b"\0")
                sha.update(page.html + b"\0" + page.text.encode() + b"\0")
        sha.update(json.dumps([self.manifest(), self.facts], ensure_ascii=False).encode())
        return sha.hexdigest()
