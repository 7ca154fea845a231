"""One HTTP request, with a bound on everything that a hostile or broken server could stretch.

Built on the standard library's ``http.client``, because a crawler wants to see what a browser
hides: no redirect is followed unseen, the request and the response can be archived as they were
sent, and the socket is ours, so that one deadline covers connecting, headers and body together.

Taught in chapter 01.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined,unused-ignore]

Headers = list[tuple[str, str]]
Resolve = Mapping[str, tuple[str, int]]


class FetchError(Exception):
    """A page that cannot be had. The message is the reason, a few words for a table."""


@dataclass(frozen=True)
class Response:
    """What came back.

    Args:
        url: The address that was asked for.
        status: 200, 404, …
        reason: The words beside the status.
        headers: As the server sent them.
        body: The content with its transfer and content encodings undone.
        request_headers: What was sent.
        target: The path and query that were sent.
    """

    url: str
    status: int
    reason: str
    headers: Headers
    body: bytes
    request_headers: Headers
    target: str

    def header(self, name: str) -> str:
        """The first header of a name, or an empty string."""
        return next((v for k, v in self.headers if k.lower() == name.lower()), "")

    @property
    def content_type(self) -> str:
        """The media type alone: ``text/html``."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The character set that the server claims, or None."""
        message = Message()
        message["content-type"] = self.header("content-type")
        charset = message.get_param("charset")
        return charset.strip() if isinstance(charset, str) else None


def fetch(
    url: str,
    *,
    resolve: Resolve | None = None,
    timeout: float = 10.0,
    connect_timeout: float = 5.0,
    max_bytes: int = 5_000_000,
    user_agent: str = "llmcourse",
) -> Response:
    """GET one canonical URL. Redirects are returned, not followed.

    Args:
        url: http or https.
        resolve: For a host, the address to connect to instead of asking the name system
            (curl's ``--resolve``). The Host header and the archive keep the real name.
        timeout: Seconds for the whole answer, however many bytes it drips.
        connect_timeout: Seconds for the connection, which counts towards ``timeout`` too.
        max_bytes: Bound on the body, before and after decompression.
        user_agent: Who we say we are.

    Raises:
        FetchError: with a short reason, for everything that can go wrong on a network.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers: Headers = [
        ("Host", parts.netloc),
        ("User-Agent", user_agent),
        ("Accept", "text/html,application/xhtml+xml,text/plain;q=0.8"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Connection", "close"),
    ]
    address = (resolve or {}).get(parts.netloc) or (resolve or {}).get(parts.hostname or "")
    connection = _Connection(parts.scheme, parts.hostname or "", parts.port, address,
                             time.monotonic() + timeout, connect_timeout)  # fmt: skip
    try:
        connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = _body(answer, max_bytes)
    except FetchError:
        raise
    except TimeoutError as error:
        raise FetchError("timed out") from error
    except OSError as error:  # among them http.client's RemoteDisconnected
        raise FetchError("connection failed") from error
    except (http.client.HTTPException, ValueError) as error:
        raise FetchError("not proper HTTP") from error
    finally:
        connection.hang_up()
    return Response(url, answer.status, answer.reason, answer.getheaders(), body, headers, target)


def _body(answer: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """Read and decompress piece by piece, so that a bomb is noticed before it goes off."""
    if (answer.length or 0) > max_bytes:
        raise FetchError("too large")
    inflate = _Inflate(answer.headers.get("Content-Encoding", ""), max_bytes)
    expected, received = answer.length, 0
    while expected is None or received < expected:
        piece = answer.read1(1 << 16)
        if not piece:
            break
        received += len(piece)
        if received > max_bytes:
            raise FetchError("too large")
        inflate.feed(piece)
    if expected is not None and received < expected:
        raise FetchError("cut short")
    return inflate.finish(empty=received == 0)


class _Inflate:
    """Undo gzip or deflate, refusing to produce more than a bound."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        self.encoding = encoding.strip().lower()
        if self.encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise FetchError("unknown content encoding")
        self.plain = self.encoding in ("", "identity")
        self.max_bytes = max_bytes
        self.out = bytearray()
        self._engine = zlib.decompressobj(wbits=47)  # 47: gzip or zlib, told by the first bytes
        self._fresh = True

    def feed(self, piece: bytes) -> None:
        if self.plain:
            self.out += piece
            return
        while piece:
            try:
                self.out += self._engine.decompress(piece, self.max_bytes + 1 - len(self.out))
            except zlib.error as error:
                if self._fresh and self.encoding == "deflate":  # some servers leave the wrapper out
                    self._engine, self._fresh = zlib.decompressobj(wbits=-15), False
                    continue
                raise FetchError("broken compression") from error
            self._fresh = False
            if len(self.out) > self.max_bytes:
                raise FetchError("too large when decompressed")
            piece = self._engine.unconsumed_tail
            if self._engine.eof and self._engine.unused_data:  # gzip files may be glued together
                piece = self._engine.unused_data
                self._engine = zlib.decompressobj(wbits=47)

    def finish(self, *, empty: bool) -> bytes:
        if not self.plain and not empty and not self._engine.eof:
            raise FetchError("cut short")
        return bytes(self.out)


class _Connection(http.client.HTTPConnection):
    """A connection to a chosen address whose every read and write ends by one deadline."""

    def __init__(self, scheme: str, host: str, port: int | None, address: tuple[str, int] | None,
                 deadline: float, connect_timeout: float) -> None:  # fmt: skip
        port = port or (443 if scheme == "https" else 80)
        super().__init__(host, port)
        self._tls = scheme == "https"
        self._address = address or (host, port)
        self._deadline = deadline
        self._connect_timeout = connect_timeout
        self._raw: socket.socket | None = None

    def connect(self) -> None:
        patience = min(self._connect_timeout, _left(self._deadline))
        sock = socket.create_connection(self._address, timeout=patience)
        if self._tls:
            sock.settimeout(_left(self._deadline))
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=self.host)
        self._raw = sock
        self.sock: Any = _DeadlineSocket(sock, self._deadline)

    def hang_up(self) -> None:
        if self._raw is not None:
            self._raw.close()


class _DeadlineSocket:
    """The part of a socket that ``http.client`` uses, with a time left for each call."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock, self._deadline))

    def close(self) -> None:
        """http.client closes before the body has been read; `hang_up` does it after."""


class _DeadlineReader(io.RawIOBase):
    """Bytes from a socket until the deadline. A plain timeout would start anew with each byte."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left
