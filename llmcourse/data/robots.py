"""robots.txt: what a site asks crawlers to leave alone, and how long to wait between requests.

RFC 9309: a missing file (4xx) allows everything; a file that cannot be had (5xx, no answer)
allows nothing, because the site may have said no.

Taught in chapter 01.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

from .fetch import FetchError, Response

#: RFC 9309, section 2.5: a crawler must read this much, and need not read more.
MAX_ROBOTS_BYTES = 500 * 1024


class Robots:
    """The rules of every host met so far, fetched once each.

    Args:
        get: Fetches one URL (`fetch` with its settings filled in).
        user_agent: Who asks; rules may be different for each crawler.
    """

    def __init__(self, get: Callable[[str], Response], user_agent: str) -> None:
        self._get, self._agent = get, user_agent
        self._rules: dict[str, RobotFileParser] = {}
        self._silent: set[str] = set()

    def allows(self, url: str) -> bool:
        """Whether the site lets us fetch this address."""
        return self._for(url).can_fetch(self._agent, url)

    def why_not(self, url: str) -> str:
        """Why an address that is not allowed is not."""
        self._for(url)
        silent = _site(url) in self._silent
        return "robots.txt cannot be had" if silent else "forbidden by robots.txt"

    def delay(self, url: str) -> float:
        """The site's Crawl-delay for us, in seconds; 0 if it names none."""
        return float(self._for(url).crawl_delay(self._agent) or 0)

    def _for(self, url: str) -> RobotFileParser:
        site = _site(url)
        if site not in self._rules:
            self._rules[site] = self._read(f"{site}/robots.txt")
        return self._rules[site]

    def _read(self, url: str) -> RobotFileParser:
        rules = RobotFileParser(url)
        try:
            answer = self._get(url)
            for _ in range(5):  # RFC 9309, section 2.3.1.2: follow five redirects at least
                if answer.status not in (301, 302, 303, 307, 308):
                    break
                answer = self._get(urljoin(answer.url, answer.header("location")))
        except FetchError:
            return self._nothing(url, rules)
        if answer.status == 200:
            rules.parse(answer.body[:MAX_ROBOTS_BYTES].decode("utf-8-sig", "replace").splitlines())
        elif 300 <= answer.status < 500:  # none, or a circle: RFC 9309 takes both for "no file"
            rules.parse([])
        else:
            return self._nothing(url, rules)
        return rules

    def _nothing(self, url: str, rules: RobotFileParser) -> RobotFileParser:
        """The rules of a site that may have said no."""
        self._silent.add(_site(url))
        rules.parse(["User-agent: *", "Disallow: /"])
        return rules


def _site(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
