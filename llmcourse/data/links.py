"""The links of a page.

Taught in chapter 01.
"""

from __future__ import annotations

from .frontier import canonical_url
from .html import decode_html


def links_of(html: bytes, url: str, charset: str | None = None) -> list[str]:
    """The addresses that a page links to, absolute, in their order on the page.

    A page whose ``<meta name="robots">`` says ``nofollow`` has none, and a link marked so is left
    out.
    """
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    try:
        tree = document_fromstring(
            decode_html(html, charset).encode(), parser=HTMLParser(encoding="utf-8")
        )
    except (etree.LxmlError, ValueError):  # an empty page
        return []
    robots = " ".join(tree.xpath("//meta[translate(@name,'ROBTS','robts')='robots']/@content"))
    if "nofollow" in robots.lower():
        return []
    stated = next(iter(tree.xpath("//base/@href")), "")
    base = canonical_url(stated, url, drop_tracking=False) or url
    found = []
    for anchor in tree.xpath("//a[@href] | //area[@href]"):
        if "nofollow" in (anchor.get("rel") or "").lower():
            continue
        link = canonical_url(anchor.get("href"), base, drop_tracking=False)
        if link is not None:
            found.append(link)
    return found
