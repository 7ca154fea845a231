"""From the bytes of a web page to its text.

Taught in chapter 01.
"""

from __future__ import annotations

import codecs
import re
from typing import Literal

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_META = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]+encoding\s*=\s*[\"']([A-Za-z0-9_.:-]+)", re.IGNORECASE)

#: Elements that hold no prose.
_HIDDEN = "script", "style", "template", "noscript", "head", "iframe", "svg", "textarea", "select"
#: Elements that start a line of their own.
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "legend",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "td",
        "th",
        "tr",
        "ul",
    ]
)


def text_from_html(
    html: bytes, *, charset: str | None = None, content: Literal["main", "all"] = "main"
) -> str:
    """The text of a web page. Never raises: a page without text gives an empty string.

    ``"main"`` is what FineWeb uses: Trafilatura with ``favor_precision``, which looks for the
    article and leaves out navigation, side bars and footers. Where it finds no article at all,
    every visible word is returned instead. ``"all"`` is every visible word of every page, as in
    Common Crawl's own text files (WET); FineWeb's authors measured that models trained on those are
    worse (Penedo et al. 2024, section 3.2).

    Args:
        html: The page as it came over the wire, decompressed.
        charset: What the HTTP header claims about its characters.
        content: What to keep.
    """
    page = decode_html(html, charset)
    return (main_text(page) if content == "main" else "") or visible_text(page)


def decode_html(html: bytes, charset: str | None = None) -> str:
    """Bytes to characters, whatever the page claims. Never raises.

    A byte order mark wins. Then UTF-8, if every byte fits: text in another encoding hardly ever
    does. Then what the HTTP header says, then what the page says of itself, then what the bytes
    look like (charset-normalizer). What still does not fit becomes U+FFFD.
    """
    for mark, name in _BOMS:
        if html.startswith(mark):
            return html.decode(name, "replace").lstrip("\ufeff").replace("\0", "")
    declared = [charset] if charset else []
    declared += [
        m.group(1).decode("ascii")
        for m in (_XML.search(html[:1024]), _META.search(html[:4096]))
        if m
    ]
    # Encodings that write everything in ASCII bytes would pass for UTF-8.
    ascii_like = b"\0" in html[:1024] or b"\x1b$" in html[:4096]
    for name in [*declared, "utf-8"] if ascii_like else ["utf-8", *declared]:
        try:
            return html.decode(_python_codec(name)).replace("\0", "")
        except (LookupError, ValueError):
            continue
    return html.decode(_guess(html[:65536]), "replace").replace("\0", "")


def _guess(html: bytes) -> str:
    """The encoding that the bytes look like; from a few odd ones nothing can be told but the commonest."""
    if sum(byte > 127 for byte in html) < 20:
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(
        html, cp_exclusion=["utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_7"]
    ).best()
    return best.encoding if best else "cp1252"


def _python_codec(label: str) -> str:
    """The encoding that browsers mean by a label (WHATWG): latin-1 is really Windows-1252."""
    import webencodings

    encoding = webencodings.lookup(label)
    if encoding is None:
        raise LookupError(label)
    return str(encoding.codec_info.name)


def main_text(page: str) -> str:
    """The article of a page with Trafilatura, in FineWeb's setting; empty if there is none.

    One setting differs: Trafilatura's own ``deduplicate`` drops a paragraph that it met a few times
    before, on any page. That makes a page's text depend on which pages its process saw earlier, so
    the result would change with the number of tasks. MinHash removes duplicates later, in the open.
    """
    from trafilatura import extract

    try:
        return extract(page, favor_precision=True, include_comments=False, deduplicate=False) or ""
    except Exception:  # a parser fed with the web meets everything; such a page has no text
        return ""


def visible_text(page: str) -> str:
    """Every word that a reader could see, one block a line, navigation and all."""
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    try:
        tree = document_fromstring(
            page.encode("utf-8", "replace"),
            parser=HTMLParser(encoding="utf-8", remove_comments=True),
        )
    except (etree.LxmlError, ValueError):
        return ""
    etree.strip_elements(tree, *_HIDDEN, with_tail=False)
    parts: list[str] = []
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        if not isinstance(element.tag, str):
            continue
        if element.tag in _BLOCKS:
            parts.append("\n")
        parts.append((element.text if event == "start" else element.tail) or "")
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)
