"""Two sites served on this machine, so that there is something real to crawl without a network.

`serve_world` serves the generated encyclopaedia (``llmcourse.data.world``) with all its hosts from
one server; `serve_pydoc` starts the documentation server that every Python brings along.

Taught in chapter 01.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from socketserver import TCPServer
from typing import IO, Any, Protocol
from urllib.parse import unquote

from ..errors import CourseError

PYDOC_HOST = "docs.python.example"

#: Pages of pydoc that a crawl leaves alone. pydoc imports what it documents, and some modules act
#: when they are imported (antigravity opens a browser, this prints a poem, idlelib opens windows);
#: tests and ``__main__`` modules are programs; the last three are tools of the server and no
#: documentation.
PYDOC_DENY = (
    r"/(antigravity|this|idlelib|turtledemo|turtle|tkinter|test|lib2to3|ensurepip|venv)\b",
    r"__main__|\b_?test(s|_\w+|support)?\.html|_test\w*\.html",
    r"/(getfile|search|get)\?",
)


@dataclass(frozen=True)
class ServedSite:
    """A site that answers on this machine while its ``with`` block lasts.

    Args:
        address: Where the server listens: (IP, port).
        resolve: For each host that it plays, the address; for `llmcourse.data.crawl.crawl`.
        seeds: Where a crawl should start.
        deny: Regular expressions of addresses that a crawl should leave alone.
    """

    address: tuple[str, int]
    resolve: dict[str, tuple[str, int]]
    seeds: list[str]
    deny: tuple[str, ...] = field(default=())


class _PageLike(Protocol):
    html: bytes
    content_type: str


class _SiteLike(Protocol):
    robots_txt: str

    @property
    def pages(self) -> Mapping[str, _PageLike]: ...


class WorldLike(Protocol):
    """What `serve_world` needs of a World; any generated web of this shape will do."""

    @property
    def sites(self) -> Mapping[str, Any]: ...
    @property
    def seeds(self) -> list[str]: ...


@contextlib.contextmanager
def serve_world(world: WorldLike) -> Iterator[ServedSite]:
    """Serve every host of a World from one server on 127.0.0.1, told apart by the Host header.

    Yields:
        The address, and for the crawler where each host is to be found.
    """
    with _Server(("127.0.0.1", 0), _handler(world.sites)) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()
        address = ("127.0.0.1", server.server_address[1])
        try:
            yield ServedSite(address, dict.fromkeys(world.sites, address), list(world.seeds))
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def server_bind(
        self,
    ) -> None:  # without http.server's look-up of this machine's name, which may hang
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]


def _handler(sites: Mapping[str, _SiteLike]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            site = sites.get(self.headers.get("Host", "").partition(":")[0].lower())
            path = self.path.partition("#")[0]
            if site is None:
                return self.answer(404, "no such host\n")
            if path == "/robots.txt":
                return self.answer(200, site.robots_txt)
            page = site.pages.get(path) or site.pages.get(unquote(path))
            if page is None:
                return self.answer(404, "no such page\n")
            return self.answer(200, page.html, page.content_type)

        do_HEAD = do_GET

        def refuse(self) -> None:
            self.close_connection = True  # the request may have a body, which nobody will read
            self.answer(405, "only GET and HEAD\n", allow="GET, HEAD")

        do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = refuse

        def answer(self, status: int, body: bytes | str, kind: str = "text/plain; charset=utf-8",
                   allow: str = "") -> None:  # fmt: skip
            data = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            if allow:
                self.send_header("Allow", allow)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@contextlib.contextmanager
def serve_pydoc(timeout: float = 20.0) -> Iterator[ServedSite]:
    """Run Python's own documentation server: the standard library, and nothing that was installed.

    Its pages are of two kinds: prose about the language (``/topics``) and one page for each module.
    It answers one request at a time.

    Args:
        timeout: Seconds to wait until it is ready.

    Raises:
        CourseError: if it does not get ready.
    """
    # -I and -S: no environment variables, no site-packages. -p 0: a free port; it says which.
    command = [sys.executable, "-I", "-S", "-u", "-m", "pydoc", "-n", "127.0.0.1", "-p", "0"]
    # pydoc puts its current folder on the search path and imports what it finds there: an empty one.
    keep = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    with tempfile.TemporaryDirectory() as empty:
        # The server runs until its standard input ends, so we hold on to the other side of that.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=empty,
            env={name: os.environ[name] for name in keep if name in os.environ},
        )
        try:
            address = ("127.0.0.1", _port_of(process, timeout))
            seeds = [f"http://{PYDOC_HOST}/{page}" for page in ("topics", "keywords", "")]
            yield ServedSite(address, {PYDOC_HOST: address}, seeds, PYDOC_DENY)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _port_of(process: subprocess.Popen[bytes], timeout: float) -> int:
    """The port that pydoc says it listens on. Its output is read to the end of its days: modules
    may print when they are imported, and a full pipe would stop the server."""
    lines: Queue[bytes] = Queue()

    def drain(pipe: IO[bytes]) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed at the end
            for line in pipe:
                lines.put(line)

    assert process.stdout is not None
    threading.Thread(target=drain, args=(process.stdout,), daemon=True).start()
    deadline, said = time.monotonic() + timeout, b""
    while (left := deadline - time.monotonic()) > 0 and (
        process.poll() is None or not lines.empty()
    ):
        with contextlib.suppress(Empty):
            said += lines.get(timeout=min(left, 0.2))
        if found := re.search(rb"http://127\.0\.0\.1:(\d+)/", said):
            return int(found.group(1))
    last = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    raise CourseError(f"pydoc's server did not get ready in {timeout:.0f} s: {last[0]}",
                      hint="try python -m pydoc -p 0 by hand")  # fmt: skip
