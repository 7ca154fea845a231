"""Puts drafts on sites: addresses, links between pages, templates, encodings, indexes, robots.txt."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from html import escape

from llmcourse.data.world.entities import Entity
from llmcourse.data.world.html import TEMPLATES, Link, View
from llmcourse.data.world.model import Page, Site
from llmcourse.data.world.names import MEN, WOMEN
from llmcourse.data.world.personal import ascii_only
from llmcourse.data.world.writing.draft import Draft


@dataclass(frozen=True)
class Host:
    """How one site does things: its template, and the encoding that its pages declare or keep quiet.

    Attributes:
        title: The site's name.
        template: Key of :data:`llmcourse.data.world.html.TEMPLATES`.
        encoding: The encoding of the bytes.
        in_meta: Whether the page names its encoding in a ``<meta>`` tag.
        in_header: Whether the server names it in ``Content-Type``.
        curly: Whether the editors type curly quotes.
        forbidden: The path that robots.txt forbids.
    """

    title: str
    template: str
    encoding: str = "utf-8"
    in_meta: bool = True
    in_header: bool = False
    curly: bool = False
    forbidden: str = "/private/"


HOSTS: dict[str, Host] = {
    "encyclopaedia.world.example": Host("Encyclopaedia of Halvern", "encyclopaedia"),
    "stories.world.example": Host("Stories", "plain", in_meta=False, forbidden="/drafts/"),
    "forum.world.example": Host(
        "The Landing Stage", "forum", in_meta=False, in_header=True, forbidden="/members/"
    ),
    "diaries.world.example": Host("Other People's Diaries", "blog", "windows-1252", curly=True),
    "almanac.world.example": Host("The Penny Almanac", "almanac", "iso-8859-1"),
    "voices.world.example": Host("Voices", "blog", in_header=True),
    "mirror.halvern.example": Host("Halvern Mirror", "mirror", in_header=True, forbidden="/tmp/"),
    "golden-goose-casino.example": Host("Golden Goose", "mirror"),
    "cards.golden-goose-casino.example": Host("Golden Goose Cards", "blog", "windows-1252"),
    "velvet-lantern-nights.example": Host("Velvet Lantern", "blog"),
    "late-hours-lounge.example": Host("Late Hours", "plain", in_meta=False),
    "quick-crown-loans.example": Host("Quick Crown", "encyclopaedia"),
    "lucky-wheel-slots.example": Host("Lucky Wheel", "almanac", "iso-8859-1"),
}
# What a block list holds: registered domains. A page on a subdomain is blocked with its domain.
BLOCKED_DOMAINS = frozenset(
    {
        "golden-goose-casino.example",
        "velvet-lantern-nights.example",
        "late-hours-lounge.example",
        "quick-crown-loans.example",
        "lucky-wheel-slots.example",
    }
)
_LINKS_PER_PAGE = 6


def slug(text: str) -> str:
    """*Half a Wall: A Story from Lorolt* → ``half-a-wall-a-story-from-lorolt``."""
    return re.sub(r"[^a-z0-9]+", "-", ascii_only(text).lower()).strip("-") or "page"


def curl(text: str) -> str:
    """Straight quotes to curly ones, as an editor's keyboard makes them in windows-1252."""
    text = re.sub(r'(^|[\s(])"', "\\1\u201c", text).replace('"', "\u201d")
    return text.replace("'", "\u2019")


@dataclass
class Placed:
    """A draft with an address."""

    draft: Draft
    host: str
    path: str
    original: str | None = None
    template: str | None = None  # when it is not the host's own
    encoding: str | None = None
    links: list[Link] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address."""
        return f"http://{self.host}{self.path}"


class Publisher:
    """Collects placed drafts, then renders all of them at once, links and indexes included."""

    def __init__(self, entities: list[Entity], rng: random.Random) -> None:
        self.rng = rng
        self.placed: dict[str, Placed] = {}
        self._facts = {entity.name: entity.facts() for entity in entities}
        self._homes: dict[str, str] = {}  # entity name → address of its article

    def place(
        self,
        draft: Draft,
        host: str,
        path: str | None = None,
        original: str | None = None,
        template: str | None = None,
        encoding: str | None = None,
    ) -> Placed:
        """Gives a draft an address; without ``path``, one made of its section and title."""
        if HOSTS[host].curly:
            draft.paragraphs = [curl(p) for p in draft.paragraphs]
        if path is None:
            path = stem = f"/{draft.section}/{slug(draft.title)}"
            number = 2
            while f"http://{host}{path}" in self.placed:
                path, number = f"{stem}-{number}", number + 1
        placed = Placed(draft, host, path, original, template, encoding)
        if placed.url in self.placed:
            raise ValueError(f"two pages at {placed.url}")
        self.placed[placed.url] = placed
        if draft.subject is not None:
            self._homes[draft.subject] = placed.url
        if original is not None:
            self.placed[original].links.append(("Another copy of this page", placed.url))
        return placed

    def _linked(self, placed: Placed, names: re.Pattern[str]) -> list[str]:
        """The paragraphs as HTML: the first mention of each entity links to its article."""
        seen, budget = {placed.draft.subject}, _LINKS_PER_PAGE
        blocks = []
        for paragraph in placed.draft.paragraphs:
            block = escape(paragraph, quote=False)
            for match in names.finditer(block):
                name = match.group(0)
                if budget and name not in seen:
                    seen.add(name)
                    budget -= 1
                    link = f'<a href="{self._homes[name]}">{name}</a>'
                    block = block[: match.start()] + link + block[match.end() :]
                    break  # one link in a paragraph, so that none looks like a menu
            blocks.append(block)
        return blocks

    def _page(self, placed: Placed, names: re.Pattern[str]) -> Page:
        draft, host = placed.draft, HOSTS[placed.host]
        encoding = placed.encoding or host.encoding
        charset = encoding if host.in_meta or placed.encoding else None
        part = placed.path.split("/")[1]
        section = f"/{part}/"
        facts = self._facts.get(draft.subject or "", [])
        view = View(
            heading=draft.title,
            blocks=self._linked(placed, names),
            layout=draft.layout,
            site=host.title,
            nav=[("Home", "/"), *([(part.title(), section)] if section != host.forbidden else [])],
            links=placed.links,
            charset=charset,
            infobox=[(fact.relation.capitalize(), fact.object) for fact in facts],
            names=[
                f"{self.rng.choice(WOMEN + MEN)}_{self.rng.randint(1, 99)}"
                for _ in draft.paragraphs
            ],
            rng=self.rng,
        )
        html = TEMPLATES[placed.template or host.template](view)
        header = encoding if host.in_header and not placed.encoding else None
        return Page(
            host=placed.host,
            path=placed.path,
            title=draft.title,
            # Characters that the encoding lacks become references, as editors of the time did it.
            html=html.encode(encoding, "xmlcharrefreplace"),
            content_type=f"text/html; charset={header}" if header else "text/html",
            kind=draft.kind,
            language=draft.language,
            text=draft.text,
            original=placed.original,
            emails=tuple(draft.emails),
            phones=tuple(draft.phones),
            ips=tuple(draft.ips),
            lookalikes=tuple(draft.lookalikes),
        )

    def _index(self, host: str, path: str, title: str, links: list[Link]) -> Page:
        """A page of nothing but links."""
        rows = "\n".join(
            f'<li><a href="{escape(to)}">{escape(words)}</a></li>' for words, to in links
        )
        html = (
            f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f"</head><body><h1>{escape(title)}</h1>\n<ul>\n{rows}\n</ul></body></html>\n"
        )
        return Page(host, path, title, html.encode(), "text/html", "index", "en", "")

    def publish(self) -> dict[str, Site]:
        """All sites with all their pages, every one of which can be reached from ``/``.

        A section's index lists its pages, the host's index lists its sections, so that nothing is
        more than two links away. robots.txt forbids one path, to which the index links all the same.
        """
        names = re.compile(
            r"\b(?:" + "|".join(map(re.escape, sorted(self._homes, key=len, reverse=True))) + r")\b"
        )
        sites = {host: Site(host) for host in HOSTS}
        sections: dict[str, dict[str, list[Link]]] = {host: {} for host in HOSTS}
        for placed in self.placed.values():
            links = sections[placed.host].setdefault(placed.path.split("/")[1], [])
            links.append((placed.draft.title, placed.path))
        for host, how in HOSTS.items():
            pages = sites[host].pages
            front = [
                (name.title(), f"/{name}/")
                for name in sections[host]
                if f"/{name}/" != how.forbidden
            ]
            others = [
                (how.title, f"http://{other}/") for other, how in HOSTS.items() if other != host
            ]
            pages["/"] = self._index(host, "/", how.title, [*front, *others])
            for name, links in sections[host].items():
                if f"/{name}/" != how.forbidden:
                    title = f"{how.title}: {name}"
                    pages[f"/{name}/"] = self._index(host, f"/{name}/", title, links)
                else:  # the forbidden path has no index, so the front page links to its pages
                    pages["/"] = self._index(host, "/", how.title, [*front, *others, *links])
            sites[
                host
            ].robots_txt = f"# {how.title}\nUser-agent: *\nDisallow: {how.forbidden}\nAllow: /\n"
        for placed in self.placed.values():
            sites[placed.host].pages[placed.path] = self._page(placed, names)
        return sites
