"""One request against servers that misbehave in every way we could think of."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import pytest

from llmcourse.data.fetch import FetchError, Response, fetch
from llmcourse.data.robots import Robots

Reply = Callable[[socket.socket, bytes], None]


@contextlib.contextmanager
def raw_server(reply: Reply) -> Iterator[tuple[str, int]]:
    """A server that does with each connection what it is told; hanging ones end with the block."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve(conn: socket.socket) -> None:
        with conn, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request and (data := conn.recv(4096)):
                request += data
            reply(conn, request)

    def loop() -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set():
                conn, _ = listener.accept()
                threading.Thread(target=serve, args=(conn,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    try:
        yield ("127.0.0.1", listener.getsockname()[1])
    finally:
        stop.set()
        listener.close()


def send(*parts: bytes) -> Reply:
    return lambda conn, request: conn.sendall(b"".join(parts))


def head(length: int | None = None, *lines: str, status: str = "200 OK") -> bytes:
    fields = [f"HTTP/1.1 {status}", "Content-Type: text/html; charset=utf-8", *lines]
    if length is not None:
        fields.append(f"Content-Length: {length}")
    return ("\r\n".join(fields) + "\r\n\r\n").encode()


def get(address: tuple[str, int], **options: object) -> Response:
    settings: dict[str, object] = {"timeout": 5.0, "max_bytes": 10_000} | options
    return fetch("http://site.example/path?q=1", resolve={"site.example": address}, **settings)  # type: ignore[arg-type]


def test_plain_page() -> None:
    seen = []

    def reply(conn: socket.socket, request: bytes) -> None:
        seen.append(request)
        conn.sendall(head(5) + b"hello" + b"more than was said")

    with raw_server(reply) as address:
        page = get(address, user_agent="tester/1")
    assert (page.status, page.body, page.content_type, page.charset) == (
        200,
        b"hello",
        "text/html",
        "utf-8",
    )
    assert seen[0].startswith(b"GET /path?q=1 HTTP/1.1\r\nHost: site.example\r\n")
    assert b"User-Agent: tester/1\r\n" in seen[0]
    assert page.header("missing") == ""


def test_chunked() -> None:
    body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    with raw_server(send(head(None, "Transfer-Encoding: chunked"), body)) as address:
        assert get(address).body == b"hello world"


def test_until_the_connection_closes() -> None:
    with raw_server(send(b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 5000)) as address:
        page = get(address)
    assert len(page.body) == 5000
    assert page.content_type == ""
    assert page.charset is None


TEXT = b"The market opens at dawn. " * 100
RAW = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("GZIP", gzip.compress(TEXT[:1000], mtime=0) + gzip.compress(TEXT[1000:])),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", RAW.compress(TEXT) + RAW.flush()),
        ("identity", TEXT),
    ],
)
def test_content_encodings(encoding: str, body: bytes) -> None:
    with raw_server(send(head(len(body), f"Content-Encoding: {encoding}"), body)) as address:
        assert get(address).body == TEXT


def test_empty_body_with_an_encoding() -> None:
    with raw_server(send(head(0, "Content-Encoding: gzip"))) as address:
        assert get(address).body == b""


BOMB = gzip.compress(b"\0" * 50_000_000, mtime=0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (head(len(BOMB), "Content-Encoding: gzip") + BOMB, "too large when decompressed"),
        (head(10**12), "too large"),
        (head(None) + b"x" * 20_000, "too large"),
        (head(100) + b"only this", "cut short"),
        (head(None, "Content-Encoding: gzip") + gzip.compress(TEXT, mtime=0)[:-20], "cut short"),
        (head(None, "Content-Encoding: gzip") + b"not gzip at all", "broken compression"),
        (head(None, "Content-Encoding: br") + b"?", "unknown content encoding"),
        (head(None, "Transfer-Encoding: chunked") + b"zz\r\nhello", "not proper HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not proper HTTP"),
        (b"", "connection failed"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "not proper HTTP"),
    ],
)  # fmt: skip
def test_refused(answer: bytes, reason: str) -> None:
    bound = 100_000 if len(answer) > 10_000 and b"gzip" in answer else 10_000
    with raw_server(send(answer)) as address, pytest.raises(FetchError) as error:
        get(address, max_bytes=bound)
    assert str(error.value) == reason


def drip(start: bytes) -> Reply:
    """Sends a byte now and then: each one in time, all of them never."""

    def reply(conn: socket.socket, request: bytes) -> None:
        conn.sendall(start)
        for _ in range(200):
            conn.sendall(b"x")
            time.sleep(0.05)

    return reply


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX-", head(10_000)])
def test_a_server_that_drips(start: bytes) -> None:
    began = time.monotonic()
    with raw_server(drip(start)) as address, pytest.raises(FetchError, match="timed out"):
        get(address, timeout=0.3)
    assert time.monotonic() - began < 2


def test_a_server_that_hangs() -> None:
    def hang(conn: socket.socket, request: bytes) -> None:
        time.sleep(3)

    with raw_server(hang) as address, pytest.raises(FetchError, match="timed out"):
        get(address, timeout=0.2)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = ("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(FetchError, match="connection failed"):
        get(address)


def test_no_time_at_all() -> None:
    with pytest.raises(FetchError, match="timed out"):
        get(("127.0.0.1", 9), timeout=0.0)


def test_https_needs_a_real_certificate() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_in_clear() -> None:
            conn, _ = listener.accept()
            with conn:
                conn.sendall(head(2) + b"hi")
                conn.recv(4096)

        threading.Thread(target=answer_in_clear, daemon=True).start()
        address = ("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(FetchError, match="connection failed"):
            fetch("https://site.example/", resolve={"site.example": address}, timeout=5)


def rules(text: str, status: int = 200) -> Robots:
    def answer(url: str) -> Response:
        return Response(url, status, "", [("Content-Type", "text/plain")], text.encode(), [], "/")

    return Robots(answer, "llmcourse-crawler/0.1")


def test_robots_rules_and_delay() -> None:
    robots = rules("User-agent: *\nDisallow: /private\nCrawl-delay: 2\n")
    assert robots.allows("http://h.example/open")
    assert not robots.allows("http://h.example/private/x")
    assert robots.delay("http://h.example/") == 2
    ours = rules("User-agent: llmcourse-crawler\nDisallow: /\n\nUser-agent: *\nDisallow:\n")
    assert not ours.allows("http://h.example/open")


@pytest.mark.parametrize(
    ("status", "allowed"), [(404, True), (403, True), (500, False), (503, False)]
)
def test_robots_missing_or_broken(status: int, allowed: bool) -> None:
    robots = rules("User-agent: *\nDisallow: /", status)
    assert robots.allows("http://h.example/x") is allowed
    assert robots.delay("http://h.example/x") == 0


def test_robots_unreachable_forbids() -> None:
    def fail(url: str) -> Response:
        raise FetchError("timed out")

    assert not Robots(fail, "x").allows("http://h.example/")


def test_robots_is_asked_once_and_follows_redirects() -> None:
    asked = []

    def get(url: str) -> Response:
        asked.append(url)
        if url.endswith("/robots.txt"):
            return Response(url, 301, "", [("Location", "/elsewhere.txt")], b"", [], "/")
        return Response(url, 200, "", [], b"\xef\xbb\xbfUser-agent: *\nDisallow: /no", [], "/")

    robots = Robots(get, "x")
    assert not robots.allows("http://h.example/no")
    assert robots.allows("http://h.example/yes")
    assert asked == ["http://h.example/robots.txt", "http://h.example/elsewhere.txt"]


def test_robots_in_a_circle_counts_as_missing() -> None:
    circle = Robots(lambda url: Response(url, 302, "", [("Location", url)], b"", [], "/"), "x")
    assert circle.allows("http://h.example/")
