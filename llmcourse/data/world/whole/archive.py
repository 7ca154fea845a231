"""The whole World as a WARC file, page after page in a site's clothes, with an account beside it.

Fifty thousand pages need not travel over HTTP one by one: they are written into the archive as a crawl
would have left them. From there on they go through chapter 01's pipeline like any others.

Taught in chapter 06.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from ....assets import atomic_write
from ...fetch import Response
from ...warc_writer import WarcWriter
from ..html import TEMPLATES, View
from ..names import MEN, WOMEN
from .pages import Leaf

# Where a section of pages appears, and in which template.
_SITES = {
    "lists": ("almanac.world.example", "almanac"),
    "quizzes": ("almanac.world.example", "plain"),
    "questions": ("forum.world.example", "forum"),
    "threads": ("forum.world.example", "forum"),
    "stories": ("stories.world.example", "plain"),
    "talk": ("stories.world.example", "blog"),
    "diaries": ("diaries.world.example", "blog"),
    "letters": ("diaries.world.example", "printed"),
    "notes": ("voices.world.example", "blog"),
}
_ARTICLES = (
    ("encyclopaedia.world.example", "encyclopaedia"),
    ("schoolbook.world.example", "printed"),
    ("guide.world.example", "blog"),
    ("library.world.example", "mirror"),
)


def write_warc(leaves: Iterable[Leaf], path: Path, seed: int = 0) -> int:
    """Write pages into a WARC file, and ``<path>.facts.jsonl.gz`` beside it: what each page tells.

    Returns:
        How many pages.

    Raises:
        CourseError: if the file cannot be written.
    """
    rng, number = random.Random(seed), 0
    with (
        WarcWriter(path, "llmcourse") as warc,
        atomic_write(account_of(path)) as temporary,
        temporary.open("wb") as raw,
        # No date in the header: the same World gives the same account.
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as account,
    ):
        for number, leaf in enumerate(leaves, 1):
            host, template = _SITES.get(leaf.draft.section) or rng.choice(_ARTICLES)
            url = f"http://{host}/{leaf.draft.section}/{number}"
            warc.write(_response(url, leaf, template, rng))
            line = json.dumps({"url": url, "told": leaf.told}, ensure_ascii=False)
            account.write(line.encode() + b"\n")
    return number


def account_of(path: Path) -> Path:
    """The file that says what each page of an archive tells."""
    return path.with_name(path.name + ".facts.jsonl.gz")


def read_account(path: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Page by page: its address, and the facts that it tells."""
    with gzip.open(account_of(path), "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            yield record["url"], [(name, relation) for name, relation in record["told"]]


def _response(url: str, leaf: Leaf, template: str, rng: random.Random) -> Response:
    draft, host = leaf.draft, url.split("/")[2]
    view = View(
        heading=draft.title,
        blocks=[escape(p, quote=False) for p in draft.paragraphs],
        layout=draft.layout,
        site=host.split(".")[0].title(),
        nav=[("Home", "/"), (draft.section.title(), f"/{draft.section}/")],
        links=[],
        charset="utf-8",
        infobox=[],
        names=[f"{rng.choice(WOMEN + MEN)}_{rng.randint(1, 99)}" for _ in draft.paragraphs],
        rng=rng,
    )
    body = TEMPLATES[template](view).encode()
    headers = [("Content-Type", "text/html; charset=utf-8")]
    return Response(url, 200, "OK", headers, body, [("Host", host)], "/" + url.split("/", 3)[3])
