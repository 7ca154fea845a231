"""Reading archives that are whole, and archives that are not."""

from __future__ import annotations

import gzip
import io
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from llmcourse.data.fetch import Response
from llmcourse.data.warc import Damage, WarcPage, page_at, read_warc, scan_warc
from llmcourse.data.warc_writer import WarcWriter
from llmcourse.errors import CourseError

PAGES = 8


def body(i: int) -> bytes:
    words = random.Random(i).choices(
        ["river", "market", "bridge", "harbour", "weaver", "baker"], k=400
    )
    return f"<html><p>Page {i}. {' '.join(words)}</p></html>".encode()


def archive(path: Path, pages: int = PAGES) -> Path:
    with WarcWriter(path, "test") as warc:
        for i in range(pages):
            headers = [("Content-Type", "text/html; charset=UTF-8"), ("Content-Encoding", "gzip")]
            warc.write(
                Response(
                    f"http://h.example/{i}",
                    200,
                    "OK",
                    headers,
                    body(i),
                    [("Host", "h.example")],
                    f"/{i}",
                )
            )
    return path


@pytest.fixture(params=["x.warc.gz", "x.warc"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return archive(tmp_path / request.param)


def urls(pages: object) -> list[str]:
    return [page.url[-1] for page in pages]  # type: ignore[attr-defined]


def test_round_trip(path: Path) -> None:
    reader = read_warc(path)
    pages = list(reader)
    assert [page.html for page in pages] == [body(i) for i in range(PAGES)]
    assert {page.charset for page in pages} == {"UTF-8"}
    assert pages[0].date.endswith("Z")
    assert pages[0].record_id.startswith("<urn:uuid:")
    assert reader.damaged == []
    assert list(reader) == pages, "an archive can be read twice"


def test_one_page_by_its_offset(path: Path) -> None:
    for page in read_warc(path):
        assert page_at(path, page.offset) == page
    with pytest.raises(CourseError, match="no page at byte 0"):
        page_at(path, 0)  # the warcinfo record
    with pytest.raises(CourseError, match="no page"):
        page_at(path, path.stat().st_size)
    with pytest.raises(CourseError, match="no page"):
        page_at(path, 7)


def test_truncated_in_the_last_record(path: Path) -> None:
    data = path.read_bytes()
    last = max(page.offset for page in read_warc(path))
    path.write_bytes(data[: last + 100])
    reader = read_warc(path)
    assert urls(reader) == list("0123456")
    assert reader.damaged == [Damage(last, "truncated record")]


@pytest.mark.parametrize("victim", [0, 3, 7])
def test_bytes_overwritten_in_one_record(path: Path, victim: int) -> None:
    data = bytearray(path.read_bytes())
    offset = [page.offset for page in read_warc(path)][victim]
    data[offset : offset + 60] = b"\x1f\x8b\x08 false start" * 2 + b"?" * 28
    path.write_bytes(data)
    reader = read_warc(path)
    assert urls(reader) == [str(i) for i in range(PAGES) if i != victim]
    assert [item.offset for item in reader.damaged] == [offset], "one stretch, one report"
    assert "corrupt" in reader.damaged[0].reason


def test_a_piece_missing_in_the_middle(path: Path) -> None:
    data = path.read_bytes()
    offsets = [page.offset for page in read_warc(path)]
    path.write_bytes(data[: offsets[2] + 200] + data[offsets[3] :])
    reader = read_warc(path)
    assert urls(reader) == list("0134567")
    assert len(reader.damaged) == 1


def test_garbage_between_records(path: Path) -> None:
    data = path.read_bytes()
    offset = [page.offset for page in read_warc(path)][4]
    noise = random.Random(0).randbytes(3_000_000)
    path.write_bytes(data[:offset] + noise + data[offset:])
    reader = read_warc(path)
    assert urls(reader) == list("01234567")
    assert len(reader.damaged) >= 1


def test_a_bomb_in_an_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.warc.gz", 2)
    bomb = gzip.compress(b"WARC/1.0\r\n" + b" " * 50_000_000)
    path.write_bytes(bomb + path.read_bytes())
    reader = read_warc(path, max_record=1_000_000)
    assert urls(reader) == ["0", "1"]
    assert reader.damaged == [Damage(0, "too large record")]


def test_a_record_too_large_in_plain_writing(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.warc", 2)
    reader = read_warc(path, max_record=1000)
    assert list(reader.__iter__()) == []
    assert {item.reason for item in reader.damaged} == {"too large record"}


def test_a_length_that_lies(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.warc", 3)
    data = path.read_bytes()
    offset = [page.offset for page in read_warc(path)][1]
    length = data.index(b"Content-Length: ", offset) + 16
    path.write_bytes(data[:length] + b"9" + data[length + 1 :])
    reader = read_warc(path)
    assert urls(reader) == ["0", "2"]
    assert [item.offset for item in reader.damaged] == [offset]


def test_a_bomb_inside_a_record(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.warc.gz", 1)
    headers = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n"
    bomb = record(RESPONSE, headers + gzip.compress(b" " * 5_000_000))
    path.write_bytes(gzip.compress(bomb) + path.read_bytes())
    reader = read_warc(path, max_record=1_000_000)
    assert urls(reader) == ["0"]
    assert reader.damaged == [Damage(0, "too large record")]


def record(headers: str, content: bytes) -> bytes:
    return (
        f"WARC/1.0\r\n{headers}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        + content
        + b"\r\n\r\n"
    )


RESPONSE = "WARC-Type: response\r\nWARC-Target-URI: http://h.example/odd"


@pytest.mark.parametrize(
    ("strange", "expected"),
    [
        (record(RESPONSE, b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>fine"), "page"),
        (record(RESPONSE, b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=\"no-such\"\r\n\r\n\xff"), "page"),
        (record(RESPONSE, b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\n\r\nGIF"), "other"),
        (record(RESPONSE, b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\nno"), "other"),
        (record(RESPONSE, b"HTTP/1.1 200 OK\r\n\r\n"), "other"),
        (record("WARC-Type: metadata", b"a: b"), "other"),
        (record("WARC-Type: response", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nx"), "damage"),
        (record(RESPONSE, b"not http"), "damage"),
        (record(RESPONSE, b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n"
                + gzip.compress(b"packed")), "page"),
        (b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: many\r\n\r\n", "damage"),
        (b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://h.example/\r\nContent-Length: 999\r\n\r\nHTTP",
         "damage"),
    ],
)  # fmt: skip
def test_strange_records(strange: bytes, expected: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "x.warc.gz", 2)
    path.write_bytes(gzip.compress(strange) + path.read_bytes())
    found = list(scan_warc(path))
    assert urls(found[-2:]) == ["0", "1"]
    kinds = ["damage" if isinstance(item, Damage) else "page" for item in found[:-2]] or ["other"]
    assert kinds == [expected]


def test_as_common_crawl_writes_it(tmp_path: Path) -> None:
    """WARC/1.0, an identified type that overrules the header, and X-Crawl headers."""
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=True)
    http = StatusAndHeaders("200 OK", [("Content-Type", "application/unknown"), ("X-Crawl-Content-Encoding", "gzip"),
                                       ("Content-Length", "5")], protocol="HTTP/1.1")  # fmt: skip
    writer.write_record(writer.create_warc_record(
        "https://h.example/", "response", payload=io.BytesIO(b"<p>hi"), length=5, http_headers=http,
        warc_headers_dict={"WARC-Identified-Payload-Type": "text/html", "WARC-Truncated": "length"}))  # fmt: skip
    (tmp_path / "cc.warc.gz").write_bytes(out.getvalue())
    (page,) = read_warc(tmp_path / "cc.warc.gz")
    assert (page.url, page.html, page.charset) == ("https://h.example/", b"<p>hi", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no readable"), (b"<html>", "no readable"), (gzip.compress(b"text"), "no readable"),
     (b"\x1f\x8b\x08 nothing", "no readable"), (b"WARC/1.0\r\n", "no readable")],
)  # fmt: skip
def test_no_warc_at_all(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.warc.gz"
    path.write_bytes(content)
    with pytest.raises(CourseError, match=message):
        list(read_warc(path))


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="cannot open"):
        list(read_warc(tmp_path / "nowhere.warc.gz"))
    with pytest.raises(CourseError, match="cannot open nosuchprotocol"):
        list(read_warc("nosuchprotocol://x"))


def test_an_address_goes_the_same_way(path: Path) -> None:
    import fsspec

    with fsspec.open(f"memory://archives/{path.name}", "wb") as file:
        file.write(path.read_bytes())
    assert list(read_warc(f"memory://archives/{path.name}")) == list(read_warc(path))
    page = next(iter(read_warc(path)))
    assert page_at(f"memory://archives/{path.name}", page.offset) == page


def test_over_http_and_from_the_middle(path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "bytes=0-")
            self.send_response(206 if "Range" in self.headers else 200)
            self.end_headers()
            self.wfile.write(path.read_bytes()[int(wanted[6:-1]) :])

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/x.warc.gz"
        pages = list(read_warc(url))
        assert pages == list(read_warc(path))
        assert page_at(url, pages[3].offset) == pages[3]
        server.shutdown()


def test_a_network_that_goes_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmcourse.data import warc

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 0:
                raise OSError("connection reset")
            return super().read(1000)

    monkeypatch.setattr(warc, "_open", lambda _: Broken(path.read_bytes()))
    with pytest.raises(CourseError, match="broke off"):
        list(read_warc("http://far.example/x.warc.gz"))


def test_common_crawl_paths_become_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.request

    asked: list[str] = []

    def no_network(request: urllib.request.Request, *args: object, **kwargs: object) -> None:
        asked.append(request.full_url)
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(CourseError, match="no network"):
        list(read_warc("crawl-data/CC-MAIN-2025-05/x.warc.gz"))
    assert asked == ["https://data.commoncrawl.org/crawl-data/CC-MAIN-2025-05/x.warc.gz"]


@pytest.mark.network
def test_the_real_common_crawl() -> None:
    path = (
        "crawl-data/CC-MAIN-2024-10/segments/1707947473347.0/warc/"
        "CC-MAIN-20240220211055-20240221001055-00000.warc.gz"
    )
    page = next(iter(read_warc(path)))
    assert isinstance(page, WarcPage)
    assert page.html


def test_an_unfinished_archive_keeps_its_other_name(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), WarcWriter(tmp_path / "x.warc.gz", "test"):
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["x.warc.gz.partial"]
