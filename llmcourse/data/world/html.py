"""Seven ways in which the web wraps a text: the chrome around the prose, good and bad.

Each template takes a :class:`View` and returns markup. What an extractor should keep is the heading
and the body; everything else is dirt: navigation, banners, sidebars, scripts, styles, comments,
advertisements, tables for layout, tags that are never closed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

Link = tuple[str, str]  # words, address


@dataclass
class View:
    """What a template shows.

    Attributes:
        heading: The page's title.
        blocks: Paragraphs as HTML, entity links already in place.
        layout: ``"prose"``, ``"posts"``, ``"entries"`` or ``"list"``.
        site: The site's title.
        nav: The site's menu.
        links: Further links of this page (a print version, a mirror, related pages).
        charset: What the page says of itself, or nothing.
        infobox: Rows for a box beside the text.
        names: Screen names for forum posts.
        rng: For small differences between the pages of a site.
    """

    heading: str
    blocks: list[str]
    layout: str
    site: str
    nav: list[Link]
    links: list[Link]
    charset: str | None
    infobox: list[tuple[str, str]]
    names: list[str]
    rng: random.Random


def anchors(links: list[Link], between: str = "\n") -> str:
    """The links as ``<a>`` elements."""
    return between.join(f'<a href="{escape(to)}">{escape(words)}</a>' for words, to in links)


def _items(links: list[Link]) -> str:
    return "\n".join(f"<li>{anchors([link])}</li>" for link in links)


def body(view: View, end: str = "</p>") -> str:
    """The prose. ``end=""`` leaves paragraphs open, as much of the web does."""
    if view.layout != "list":
        return "\n".join(f"<p>{block}{end}" for block in view.blocks)
    first, *items, last = view.blocks
    rows = "\n".join(f"<li>{item}</li>" for item in items)
    return f"<p>{first}{end}\n<ul>\n{rows}\n</ul>\n<p>{last}{end}"


ADVERTS = (
    "Boots that do not leak! Now 20% off at Harbour Street.",
    "Umbrellas, umbrellas, umbrellas. Free delivery by ferry.",
    "You are the 1,000,000th visitor. Click here to claim your goose.",
    "Mattresses: last days of the great sale.",
    "Learn the accordion in nine days, or your money back.",
)
COOKIES = "This site uses cookies. By reading on you accept our cookie policy. OK"


def encyclopaedia(view: View) -> str:
    """Tidy HTML5: article, aside with a table of facts, cookie banner, a script with braces."""
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in view.infobox)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
{_meta(view.charset)}<title>{escape(view.heading)} - {escape(view.site)}</title>
<style>body {{ font-family: serif; margin: 0 }} .cookie-banner {{ position: fixed; bottom: 0 }}</style>
<script>window.dataLayer = window.dataLayer || []; function track(e) {{ dataLayer.push(e); }}</script>
</head>
<body>
<div class="cookie-banner"><p>{COOKIES}</p></div>
<header class="masthead"><a href="/">{escape(view.site)}</a> <span>What is known of Halvern</span></header>
<nav><ul>
{_items(view.nav)}
</ul></nav>
<article>
<h1>{escape(view.heading)}</h1>
{body(view)}
</article>
<aside class="infobox"><table><caption>{escape(view.heading)} at a glance</caption>{rows}</table></aside>
<div class="sidebar"><h3>Read also</h3><ul>
{_items(view.links)}
</ul></div>
<div class="related-ads"><p>{view.rng.choice(ADVERTS)}</p></div>
<footer><p>About | Contact | Terms of use | Privacy policy</p><p>All wrongs reserved.</p></footer>
<script src="/assets/menu.js"></script>
</body>
</html>
"""


def almanac(view: View) -> str:
    """A page of 1998: tables for layout, capitals, font tags, paragraphs that never end."""
    return f"""<HTML><HEAD>{_meta(view.charset, old=True)}<TITLE>{escape(view.heading)}</TITLE></HEAD>
<BODY BGCOLOR="#FFFFEE" TEXT="#000000" onload="status='Welcome!'">
<CENTER><FONT SIZE="5"><B>{escape(view.site)}</B></FONT><BR>{view.rng.choice(ADVERTS)}</CENTER>
<TABLE WIDTH="100%" BORDER="0"><TR><TD WIDTH="140" VALIGN="top" CLASS="menu">
{anchors(view.nav, "<BR>")}
<P><FONT COLOR="red">New!</FONT> <A HREF="/">Guest book
<TD VALIGN="top">
<DIV ID="content">
<H1>{escape(view.heading)}</H1>
{body(view, end="")}
</DIV>
<TR><TD COLSPAN="2" ALIGN="center"><FONT SIZE="1">Best viewed at 800 x 600. {anchors(view.links, " - ")}
</TABLE>
<!-- counter: 0004711 -->
</BODY>
"""


def blog(view: View) -> str:
    """A soup of divs with a sidebar, share buttons, and readers' comments that are not the text."""
    rng = view.rng
    return f"""<html><head>{_meta(view.charset, old=True)}
<title>{escape(view.heading)} | {escape(view.site)}</title>
<link rel="stylesheet" href="/theme.css"></head>
<body class="blog"><div id="wrap">
<div id="navigation"><div class="menu">{anchors(view.nav, " &middot; ")}</div></div>
<div class="cookie-notice">{COOKIES}</div>
<div class="post-entry">
<h1>{escape(view.heading)}</h1>
{body(view)}
</div>
<div class="share-buttons"><span>Share this</span> <span>Like ({rng.randint(2, 90)})</span></div>
<div class="sidebar widget"><h4>Archive</h4>{anchors(view.links, "<br>")}
<p>{rng.choice(ADVERTS)}</p></div>
<div id="comments"><h4>{rng.randint(2, 9)} comments</h4>
<div class="comment"><p>So true!!!</p></div><div class="comment"><p>first</p></div></div>
<div class="footer">Powered by PaperMill 2.1.7</div>
</div><script>if (window.top !== window) {{ window.top.location = window.location; }}</script></body></html>
"""


def forum(view: View) -> str:
    """Posts between blocks about who wrote them, with buttons under each."""
    posts = []
    for number, (name, block) in enumerate(zip(view.names, view.blocks, strict=True), 1):
        posts.append(
            f"""<div class="post-row">
<div class="author-box"><b>{escape(name)}</b><br>Posts: {view.rng.randint(3, 4000)}<br>Member</div>
<div class="said"><p>{block}</p></div>
<div class="post-buttons"><span>Quote</span> <span>Report</span> <span>#{number}</span></div>
</div>"""
        )
    rows = "\n".join(posts)
    return f"""<!doctype html>
<html><head><title>{escape(view.heading)} :: {escape(view.site)}</title>
<style type="text/css">.post-row {{ border-bottom: 1px solid #ccc }}</style></head>
<body>
<div class="navbar">{anchors(view.nav, " &raquo; ")} | <span>Log in</span> | <span>Register</span></div>
<div class="banner-top">{view.rng.choice(ADVERTS)}</div>
<div id="content">
<h1>{escape(view.heading)}</h1>
{rows}
</div>
<div class="pagination-menu">Page 1 of 1</div>
<div class="sidebar">{anchors(view.links, "<br>")}</div>
<div class="footer">All times are local. Powered by BulletinBoard 3.0.12</div>
<!-- 14 queries, 0.032 s -->
</body></html>
"""


def plain(view: View) -> str:
    """Typed by hand, without a charset; tags overlap or stay open."""
    return f"""<html>
<head><title>{escape(view.heading)}</title>
<body>
<!-- do not edit, ask Gervase -->
<div class="nav"><b><i>{anchors(view.nav, " | ")}</b></i></div>
<hr>
<div class="story">
<h1>{escape(view.heading)}</h1>
{body(view, end="")}
</div>
<hr><div class="footer"><font size=1>{anchors(view.links, " | ")}<br>Last change: yesterday
"""


def printed(view: View) -> str:
    """The version for the printer: almost nothing but the text."""
    return f"""<!DOCTYPE html><html><head>{_meta(view.charset)}<meta name="robots" content="index">
<title>Print: {escape(view.heading)}</title></head><body onload="window.print()">
<div class="noprint">{anchors(view.nav, " ")} <button>Print</button></div>
<div id="content"><h1>{escape(view.heading)}</h1>
{body(view)}
</div>
<div class="footer">Printed from {escape(view.site)}. {anchors(view.links)}</div></body></html>
"""


def mirror(view: View) -> str:
    """Somebody else's copy: other chrome, more advertising."""
    ads = "".join(
        f'<div class="ad-box banner">{text}</div>' for text in view.rng.sample(ADVERTS, 3)
    )
    return f"""<!DOCTYPE html>
<html><head>{_meta(view.charset)}<title>{escape(view.heading)} free online copy</title>
<script>var ads = {{"slot": {view.rng.randint(1, 99)}, "size": [300, 250]}};</script></head>
<body><div id="topnav">{anchors(view.nav, " / ")}</div>{ads}
<main><section class="article-body">
<h1>{escape(view.heading)}</h1>
{body(view)}
</section></main>
<div class="newsletter"><p>Sign up for our newsletter and never miss a goose again.</p></div>
<div class="sidebar">{anchors(view.links, "<br>")}</div>
<footer>{escape(view.site)} is not responsible for anything.</footer>
</body></html>
"""


def _meta(charset: str | None, old: bool = False) -> str:
    if charset is None:
        return ""
    if old:
        return f'<meta http-equiv="Content-Type" content="text/html; charset={charset}">\n'
    return f'<meta charset="{charset}">\n'


TEMPLATES: dict[str, Callable[[View], str]] = {
    "encyclopaedia": encyclopaedia,
    "almanac": almanac,
    "blog": blog,
    "forum": forum,
    "plain": plain,
    "printed": printed,
    "mirror": mirror,
}
