"""A small honest crawler: from a few start addresses to one WARC file.

What "honest" means here: it says who it is, asks robots.txt first, waits between requests, stays on
the hosts it was given, and takes no more than it said it would.

Taught in chapter 01.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CourseError
from .fetch import FetchError, Resolve, Response, fetch
from .frontier import Frontier, canonical_url, host_of
from .links import links_of
from .robots import Robots
from .warc_writer import WarcWriter

USER_AGENT = "llmcourse-crawler/0.1"
PAGE_TYPES = ("text/html", "application/xhtml+xml", "text/plain")
MAX_REDIRECTS = 5
#: After so many failures in a row a host is taken to be down, and the rest of its queue is dropped.
PATIENCE = 3
EXAMPLES = 3


@dataclass
class Skipped:
    """How often something was skipped for one reason, and the first addresses it happened to."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class CrawlReport:
    """What a crawl brought home, and what it left behind and why.

    Args:
        warc: The file written.
        pages: Pages in it.
        bytes: Their size, decompressed.
        seconds: How long the crawl took.
        hosts: Pages by host.
        skipped: By reason: a count and up to three addresses.
    """

    warc: str
    pages: int = 0
    bytes: int = 0
    seconds: float = 0.0
    hosts: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)

    def skip(self, reason: str, url: str) -> None:
        """Count an address that was not kept."""
        entry = self.skipped.setdefault(reason, Skipped())
        entry.count += 1
        if len(entry.examples) < EXAMPLES:
            entry.examples.append(url)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def table(self) -> str:
        """The report as lines of text: hosts first, then the reasons for skipping."""
        rows = [(str(n), host, "") for host, n in sorted(self.hosts.items())]
        rows += [
            (str(entry.count), f"skipped: {reason}", entry.examples[0])
            for reason, entry in sorted(
                self.skipped.items(), key=lambda item: (-item[1].count, item[0])
            )
        ]
        wide = max((len(row[1]) for row in rows), default=0)
        head = f"{self.pages} pages, {self.bytes:,} bytes, {self.seconds:.1f} s → {self.warc}"
        return "\n".join(
            [head, *(f"{n:>7}  {what:<{wide}}  {url}".rstrip() for n, what, url in rows)]
        )

    def __str__(self) -> str:
        return self.table()


def crawl(
    seeds: Iterable[str],
    warc_path: str | Path,
    *,
    resolve: Resolve | None = None,
    max_pages: int = 1000,
    max_depth: int = 20,
    delay: float = 1.0,
    timeout: float = 10.0,
    connect_timeout: float = 5.0,
    max_bytes: int = 5_000_000,
    max_total_bytes: int = 2_000_000_000,
    deny: Iterable[str] = (),
    user_agent: str = USER_AGENT,
    drop_tracking: bool = True,
    progress: bool = True,
) -> CrawlReport:
    """Fetch pages breadth first from the seeds' hosts and write them to a WARC/1.1 file.

    The file has the ending ``.partial`` until it is whole, so an interrupted crawl leaves nothing
    that could be taken for a result; running the crawl again starts it again.

    Args:
        seeds: Start addresses; only their hosts are visited.
        warc_path: Where the archive goes; the name usually ends in ``.warc.gz``.
        resolve: For a host, the (address, port) to connect to, as curl's ``--resolve``.
        max_pages: Stop after so many pages.
        max_depth: Links to follow from a seed (which has depth 0).
        delay: Seconds between two requests to one host; a longer Crawl-delay wins.
        timeout: Seconds for one whole response.
        connect_timeout: Seconds for making a connection.
        max_bytes: Bound on one page; a longer one is skipped, compressed or not.
        max_total_bytes: Stop when so many bytes of pages have been kept.
        deny: Regular expressions; an address in which one is found is not fetched.
        user_agent: Name sent with each request and looked up in robots.txt.
        drop_tracking: Whether ``?utm_source=…`` and its like are cut off addresses.
        progress: Show a progress bar.

    Raises:
        CourseError: if a seed is not a web address or the file cannot be written; nothing has been
            requested then.
    """
    urls: list[str] = []
    for seed in seeds:
        url = canonical_url(seed, drop_tracking=drop_tracking)
        if url is None:
            raise CourseError(
                f"{seed!r} is not a web address", hint="give seeds as http://host/path"
            )
        urls.append(url)
    if not urls:
        raise CourseError("a crawl needs at least one start address", hint="give a list of seeds")

    def get(url: str) -> Response:
        return fetch(url, resolve=resolve, timeout=timeout, connect_timeout=connect_timeout,
                     max_bytes=max_bytes, user_agent=user_agent)  # fmt: skip

    report = CrawlReport(str(warc_path))
    with WarcWriter(warc_path, user_agent) as warc:
        crawler = _Crawler(urls, get, Robots(get, user_agent), warc, report)
        crawler.deny = [re.compile(pattern) for pattern in deny]
        crawler.max_depth, crawler.delay, crawler.drop_tracking = max_depth, delay, drop_tracking
        crawler.run(max_pages, max_total_bytes, progress)
    return report


class _NotKept(Exception):
    """An address that gave no page; the message is the reason."""


class _Crawler:
    """The state of one crawl."""

    def __init__(self, seeds: list[str], get: Any, robots: Robots, warc: WarcWriter,
                 report: CrawlReport) -> None:  # fmt: skip
        self.get, self.robots, self.warc, self.report = get, robots, warc, report
        self.hosts = {host_of(url) for url in seeds}
        self.frontier = Frontier()
        for url in seeds:
            self.frontier.add(url, 0)
        self.deny: list[re.Pattern[str]] = []
        self.max_depth, self.delay, self.drop_tracking = 20, 1.0, True
        self._next_visit: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def run(self, max_pages: int, max_total_bytes: int, progress: bool) -> None:
        from tqdm import tqdm

        started = time.monotonic()
        with tqdm(
            total=max_pages, desc="crawl", unit="page", disable=None if progress else True
        ) as bar:
            while (item := self.frontier.pop()) is not None:
                if self.report.pages >= max_pages or self.report.bytes >= max_total_bytes:
                    limit = "page" if self.report.pages >= max_pages else "byte"
                    self.report.skip(f"over the {limit} limit", item[0])
                    continue  # the rest of the frontier is counted, not fetched
                url, depth = item
                try:
                    page = self._visit(url)
                except _NotKept as reason:
                    self.report.skip(str(reason), url)
                    continue
                self.warc.write(page)
                self.report.pages += 1
                self.report.bytes += len(page.body)
                host = host_of(page.url)
                self.report.hosts[host] = self.report.hosts.get(host, 0) + 1
                bar.update()
                if page.content_type != "text/plain":
                    for link in links_of(page.body, page.url, page.charset):
                        self._found(link, depth + 1)
        self.report.seconds = time.monotonic() - started

    def _found(self, link: str, depth: int) -> None:
        """A link on a page: into the frontier, or counted with the reason why not."""
        url = canonical_url(link, drop_tracking=self.drop_tracking)
        if url is None or url in self.frontier.seen:
            return
        if host_of(url) not in self.hosts:
            reason = "another host"
        elif any(pattern.search(url) for pattern in self.deny):
            reason = "on the deny list"
        elif depth > self.max_depth:
            self.report.skip("too deep", url)
            return  # not marked as seen: a shorter way to it may still turn up
        else:
            self.frontier.add(url, depth)
            return
        self.frontier.seen.add(url)
        self.report.skip(reason, url)

    def _visit(self, url: str) -> Response:
        """Fetch one address, following redirects.

        Raises:
            _NotKept: with the reason, if there is nothing to keep.
        """
        chain = [url]
        while True:
            current, host = chain[-1], host_of(chain[-1])
            if not self.robots.allows(current):
                raise _NotKept(self.robots.why_not(current))
            self._wait(current, host)
            try:
                answer: Response = self.get(current)
            except FetchError as error:
                self._failed(str(error), host)
                raise _NotKept(str(error)) from error
            self._failures[host] = 0
            if answer.status not in (301, 302, 303, 307, 308):
                break
            target = canonical_url(
                answer.header("location"), current, drop_tracking=self.drop_tracking
            )
            if target is None or not answer.header("location"):
                raise _NotKept("redirect to nowhere")
            if target in chain:
                raise _NotKept("redirect in a circle")
            if len(chain) > MAX_REDIRECTS:
                raise _NotKept("too many redirects")
            if host_of(target) != host:
                raise _NotKept("redirect to another host")
            if any(pattern.search(target) for pattern in self.deny):
                raise _NotKept("on the deny list")
            if target in self.frontier.seen:
                raise _NotKept("redirect to a page already seen")
            self.frontier.seen.add(target)
            chain.append(target)
        if answer.status != 200:
            raise _NotKept(f"status {answer.status}")
        if answer.content_type not in PAGE_TYPES:
            raise _NotKept(f"type {answer.content_type or 'unknown'}")
        return answer

    def _failed(self, reason: str, host: str) -> None:
        """Count failures in a row, and give up a host that seems to be down."""
        if reason not in ("timed out", "connection failed"):
            return
        self._failures[host] = self._failures.get(host, 0) + 1
        if self._failures[host] >= PATIENCE:
            for waiting in self.frontier.give_up(host):
                self.report.skip("host does not answer", waiting)

    def _wait(self, url: str, host: str) -> None:
        """Sleep until this host may be asked again."""
        time.sleep(max(0.0, self._next_visit.get(host, 0.0) - time.monotonic()))
        self._next_visit[host] = time.monotonic() + max(self.delay, self.robots.delay(url))
