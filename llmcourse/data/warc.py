"""Reading WARC files: the web as an archive keeps it, in whatever state the file is.

A WARC (ISO 28500) is a row of records, each compressed on its own, so that one can be read without
the others. Common Crawl's files are of this kind, and so are ours. Reading starts again after
damage at the next record; what had to be passed over is counted, with its place in the file.

datatrove's own reader stops a whole file at the first bad byte; this one takes its place in the
pipeline (``steps.ReadWarc``), so there is one way of reading and not two.

Taught in chapter 01.
"""

from __future__ import annotations

import io
import re
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from ..errors import CourseError

COMMON_CRAWL = "https://data.commoncrawl.org/"
HTML_TYPES = ("text/html", "application/xhtml+xml")
#: A record that unpacks to more than this is taken for a bomb. Common Crawl cuts pages at 5 MiB.
MAX_RECORD = 64 * 1024 * 1024
_GZIP = b"\x1f\x8b\x08"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class WarcPage:
    """A web page from an archive.

    Args:
        url: Its address.
        html: Its bytes, as the server sent them, with HTTP's encodings undone.
        charset: What the server's header claims about the characters, or None.
        date: When it was fetched, as ISO 8601.
        record_id: The archive's own name for it.
        offset: Where its record starts in the file.
    """

    url: str
    html: bytes
    charset: str | None
    date: str
    record_id: str
    offset: int


@dataclass(frozen=True)
class Damage:
    """Something in an archive that could not be read: where, and why."""

    offset: int
    reason: str


class read_warc:
    """Iterate over the web pages (HTML responses with status 200) of a WARC file.

    Args:
        path_or_url: A file, an http(s) or other fsspec address, or a path as Common Crawl lists
            them (``crawl-data/CC-MAIN-…/….warc.gz``), which is read from its server as a stream.
        max_record: Bound on one record, unpacked.

    Attributes:
        damaged: What was passed over so far. Complete when the iteration has ended.

    Raises:
        CourseError: if the file cannot be opened, or is no WARC at all.
    """

    def __init__(self, path_or_url: str | Path, *, max_record: int = MAX_RECORD) -> None:
        self.path = str(path_or_url)
        self.damaged: list[Damage] = []
        self._max_record = max_record

    def __iter__(self) -> Iterator[WarcPage]:
        self.damaged.clear()
        for item in scan_warc(self.path, max_record=self._max_record):
            if isinstance(item, Damage):
                self.damaged.append(item)
            else:
                yield item


def scan_warc(
    path_or_url: str | Path, *, max_record: int = MAX_RECORD
) -> Iterator[WarcPage | Damage]:
    """`read_warc`, with the damage in its place between the pages."""
    path = str(path_or_url)
    with _open(path) as file:
        records = _records(_Window(file), max_record)
        readable = False
        try:
            for offset, record in records:
                item = record if isinstance(record, Damage) else _parse(offset, record, max_record)
                readable = readable or not isinstance(item, Damage)
                if item is not None:
                    yield item
        except OSError as error:  # the network went away in mid-file
            raise CourseError(f"reading {path} broke off: {error}", hint="run it again") from error
    if not readable:
        raise CourseError(f"{path} has no readable WARC record", hint="fetch or crawl it again")


def page_at(path_or_url: str | Path, offset: int, *, max_record: int = MAX_RECORD) -> WarcPage:
    """The one page whose record starts at an offset, without reading what stands before it.

    Raises:
        CourseError: if there is no page there.
    """
    with _open(str(path_or_url), offset) as file:
        _, record = next(_records(_Window(file), max_record), (0, Damage(0, "nothing")))
    page = None if isinstance(record, Damage) else _parse(offset, record, max_record)
    if not isinstance(page, WarcPage):
        raise CourseError(
            f"{path_or_url} has no page at byte {offset}", hint="has the file changed?"
        )
    return page


def _open(path: str, offset: int = 0) -> IO[bytes]:
    """A stream from a byte of a file on; addresses are read as they come, never stored."""
    if path.startswith("crawl-data/") and not Path(path).exists():
        path = COMMON_CRAWL + path
    try:
        if path.startswith(("http://", "https://")):
            request = urllib.request.Request(path, headers={"User-Agent": "llmcourse"})
            if offset:
                request.add_header("Range", f"bytes={offset}-")
            stream: IO[bytes] = urllib.request.urlopen(request, timeout=60)
            return stream
        if "://" in path:
            import fsspec

            stream = fsspec.open(path, "rb", compression=None).open()
        else:
            stream = Path(path).open("rb")  # noqa: SIM115  (the caller closes it)
        stream.seek(offset)
        return stream
    except Exception as error:  # fsspec has no common base for what its many file systems raise
        reason = getattr(error, "strerror", None) or error
        raise CourseError(
            f"cannot open {path}: {reason}", hint="check the path or the network"
        ) from error


def _records(window: _Window, limit: int) -> Iterator[tuple[int, bytes | Damage]]:
    """One record after the other: (offset, its bytes unpacked, or what was wrong with it).

    After damage the next record is looked for by the bytes that records start with.
    """
    window.fill(5)
    plain = window.data.startswith(b"WARC/")
    read, mark = (_plain, b"WARC/1.") if plain else (_inflate, _GZIP)
    damaged = False
    while window.fill(1):
        content, used, problem = read(window, limit)
        if not problem:
            damaged = False
            yield window.base, content
            window.drop(used)
            continue
        if not damaged:  # one report for a stretch of damage, however many false starts are in it
            yield window.base, Damage(window.base, problem)
        damaged = True
        window.drop(1)
        window.seek(mark)


class _Window:
    """The part of a stream that is being looked at, and where it lies in the file."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.data, self.base = file, bytearray(), 0

    def fill(self, size: int) -> bool:
        """Have so many bytes at hand; False if the stream ends before."""
        while len(self.data) < size:
            if not (block := self.file.read(_BLOCK)):
                return False
            self.data += block
        return True

    def drop(self, size: int) -> None:
        """Move the window's start forward."""
        del self.data[:size]
        self.base += size

    def seek(self, mark: bytes) -> bool:
        """Move the window's start to the next place where these bytes stand; False at the end."""
        while (place := self.data.find(mark)) < 0:
            self.drop(max(0, len(self.data) - len(mark) + 1))  # the mark may be cut in two
            if not self.fill(len(self.data) + 1):
                return False
        self.drop(place)
        return True


def _inflate(window: _Window, limit: int) -> tuple[bytes, int, str]:
    """The member at the window's start: its content, its compressed length, what is wrong."""
    engine, content, used = zlib.decompressobj(wbits=31), bytearray(), 0
    while not engine.eof:
        if not window.fill(used + 1):
            return b"", used, "truncated record"
        piece = bytes(window.data[used : used + _BLOCK])
        try:
            content += engine.decompress(piece, limit + 1 - len(content))
        except zlib.error:
            return b"", used, "corrupt record"
        if len(content) > limit:
            return b"", used, "too large record"
        used += len(piece) - len(engine.unused_data) - len(engine.unconsumed_tail)
    return bytes(content), used, "" if content.startswith(b"WARC/") else "corrupt record"


def _plain(window: _Window, limit: int) -> tuple[bytes, int, str]:
    """The same for an uncompressed record, whose header tells its length."""
    window.fill(_BLOCK)
    head = window.data.find(b"\r\n\r\n")
    if head < 0:
        return b"", 0, "truncated record"
    header = bytes(window.data[:head])
    length = re.search(rb"(?im)^content-length:\s*(\d+)\s*$", header)
    if not header.startswith(b"WARC/") or length is None or b"WARC/1." in header[5:]:
        return b"", 0, "corrupt record"
    size = head + 4 + int(length.group(1))
    if size > limit:
        return b"", 0, "too large record"
    if not window.fill(size):
        return b"", 0, "truncated record"
    if window.fill(size + 4) and window.data[size : size + 4] != b"\r\n\r\n":
        return b"", 0, "corrupt record"  # the length is wrong
    return bytes(window.data[:size]), min(size + 4, len(window.data)), ""


def _parse(offset: int, record: bytes, limit: int) -> WarcPage | Damage | None:
    """A record's page; None if it holds something else (a request, an image, an error page)."""
    from warcio.exceptions import ArchiveLoadFailed
    from warcio.recordloader import ArcWarcRecordLoader
    from warcio.statusandheaders import StatusAndHeadersParserException

    try:
        loaded: Any = ArcWarcRecordLoader().parse_record_stream(io.BytesIO(record))
        header = loaded.rec_headers.get_header
        if not loaded.rec_type:
            return Damage(offset, "corrupt record")
        if len(record) < record.index(b"\r\n\r\n") + 4 + int(header("Content-Length")):
            return Damage(offset, "truncated record")
        if loaded.rec_type != "response" or loaded.http_headers is None:
            return None
        content_type = Message()
        content_type["content-type"] = loaded.http_headers.get_header("Content-Type") or ""
        kind = header("WARC-Identified-Payload-Type") or content_type.get_content_type()
        if loaded.http_headers.get_statuscode() != "200" or kind not in HTML_TYPES:
            return None
        html = loaded.content_stream().read(limit + 1)
    except (ArchiveLoadFailed, StatusAndHeadersParserException, EOFError, ValueError, TypeError,
            AttributeError, zlib.error) as error:  # fmt: skip
        return Damage(offset, f"corrupt record ({type(error).__name__})")
    if len(html) > limit:
        return Damage(offset, "too large record")
    charset = content_type.get_param("charset")
    return WarcPage(
        url=header("WARC-Target-URI") or "",
        html=html,
        charset=charset.strip() if isinstance(charset, str) else None,
        date=header("WARC-Date") or "",
        record_id=header("WARC-Record-ID") or "",
        offset=offset,
    )
