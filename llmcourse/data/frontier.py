"""The frontier: which page comes next, and when two addresses are the same page.

Taught in chapter 01.
"""

from __future__ import annotations

import re
from collections import deque
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

#: Parameters that say where a reader came from, and never which page this is.
TRACKING = re.compile(r"^(utm_[a-z]+|gclid|fbclid|msclkid|mc_[ce]id|igshid)$", re.IGNORECASE)

_DEFAULT_PORT = {"http": 80, "https": 443}
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def canonical_url(url: str, base: str | None = None, *, drop_tracking: bool = True) -> str | None:
    """One spelling for each page, or None for an address that this crawler does not follow.

    The fragment goes; scheme and host become lower case; the default port, ``.`` and ``..`` in the
    path and needless percent escapes go; what must be escaped is (RFC 3986, section 6.2.2).

    Args:
        url: An address as it stands in a link, absolute or relative.
        base: The address of the page that the link was found on.
        drop_tracking: Whether to leave out parameters such as ``utm_source``.
    """
    try:
        parts = urlsplit(urljoin(base, url.strip()) if base else url.strip())
        port = parts.port
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii").lower()
    except (ValueError, UnicodeError):
        return None
    if parts.scheme not in _DEFAULT_PORT or not host or parts.username is not None:
        return None
    if ":" in host:  # an IPv6 address wears brackets
        host = f"[{host}]"
    if port not in (None, _DEFAULT_PORT[parts.scheme]):
        host = f"{host}:{port}"
    path = _without_dots(_escaped(parts.path, keep="/:@!$&'()*+,;=")) or "/"
    query = _escaped(parts.query, keep="/?:@!$&'()*+,;=")
    if drop_tracking and query:
        pairs = [pair for pair in query.split("&") if not TRACKING.match(pair.partition("=")[0])]
        query = "&".join(pairs)
    return urlunsplit(SplitResult(parts.scheme, host, path, query, ""))


def host_of(url: str) -> str:
    """The host of a canonical URL, with its port if that is not the default one."""
    return urlsplit(url).netloc


def _escaped(text: str, keep: str) -> str:
    """Escape what must be, undo escapes that need not be, and write the rest in upper case."""

    def one(match: re.Match[str]) -> str:
        escape = match.group(0)
        return char if (char := unquote(escape)) in _UNRESERVED else escape.upper()

    text = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)
    text = re.sub(r"%[0-9A-Fa-f]{2}", one, text)
    return quote(text, safe=keep + "%", errors="replace")


def _without_dots(path: str) -> str:
    """Resolve ``.`` and ``..`` (RFC 3986, section 5.2.4)."""
    if not path.startswith("/"):
        path = "/" + path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):  # the last one named a folder
        kept.append("")
    return "/" + "/".join(kept)


class Frontier:
    """Addresses waiting to be fetched: breadth first in each host, the hosts taking turns.

    Turns keep one slow or patient host from holding up the others, and the order in which pages
    come out depends on nothing but the order in which links were found.
    """

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._queues: dict[str, deque[tuple[str, int]]] = {}
        self._turns: deque[str] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, url: str, depth: int) -> bool:
        """Put a canonical address in its host's queue; False if it has been here before."""
        if url in self.seen:
            return False
        self.seen.add(url)
        host = host_of(url)
        if host not in self._queues:
            self._queues[host] = deque()
            self._turns.append(host)
        self._queues[host].append((url, depth))
        return True

    def pop(self) -> tuple[str, int] | None:
        """The next address and its depth (0 for a seed), or None when nothing waits."""
        for _ in range(len(self._turns)):
            host = self._turns[0]
            self._turns.rotate(-1)
            if self._queues[host]:
                return self._queues[host].popleft()
        return None

    def give_up(self, host: str) -> list[str]:
        """Forget what waits for a host that does not answer; returns the addresses dropped."""
        dropped = [url for url, _ in self._queues.get(host, ())]
        if host in self._queues:
            self._queues[host].clear()
        return dropped
