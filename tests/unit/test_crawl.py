"""Whole crawls over loopback, and what they write."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from warcio.archiveiterator import ArchiveIterator

from llmcourse.data import crawl as crawl_module
from llmcourse.data.crawl import CrawlReport, crawl
from llmcourse.data.sites import PYDOC_DENY, PYDOC_HOST, ServedSite, serve_pydoc, serve_world
from llmcourse.data.warc import read_warc
from llmcourse.errors import CourseError

HOST = "www.world.example"


def page(html: str, content_type: str = "text/html; charset=utf-8") -> SimpleNamespace:
    return SimpleNamespace(html=html.encode(), content_type=content_type)


def world(**sites: dict[str, Any]) -> SimpleNamespace:
    """The shape of a World, in miniature."""
    made = {}
    for name, pages in sites.items():
        host = name.replace("_", ".")
        robots = pages.pop("robots.txt", "")
        made[host] = SimpleNamespace(pages=pages, robots_txt=robots)
    return SimpleNamespace(sites=made, seeds=[f"http://{host}/" for host in made])


def linking(*links: str) -> SimpleNamespace:
    return page("<body>" + "".join(f'<a href="{link}">x</a> ' for link in links) + "</body>")


@contextlib.contextmanager
def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[dict[str, tuple[str, int]]]:
    """Any handler as the host `HOST`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield {HOST: ("127.0.0.1", server.server_address[1])}
    finally:
        server.shutdown()
        server.server_close()


def scripted(answers: dict[str, tuple[int, dict[str, str], bytes]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in {"Content-Type": "text/html", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


def go(site: ServedSite, path: Path, **options: Any) -> CrawlReport:
    settings: dict[str, Any] = {"delay": 0, "progress": False} | options
    return crawl(site.seeds, path, resolve=site.resolve, **settings)


def test_whole_site_in_breadth_first_order(tmp_path: Path) -> None:
    made = world(
        www_world_example={
            "/": linking("/a", "/b", "http://other.example/", "/missing", "/picture", "#top"),
            "/a": linking("/deep", "/private/x"),
            "/b": page("<p>ä</p>", "text/html; charset=iso-8859-1"),
            "/deep": linking("/deeper"),
            "/deeper": page("plain words", "text/plain; charset=utf-8"),
            "/private/x": page("secret"),
            "/picture": page("GIF89a", "image/gif"),
            "robots.txt": "User-agent: *\nDisallow: /private\n",
        },
        forum_world_example={"/": page("<p>hello</p>")},
    )
    path = tmp_path / "site.warc.gz"
    with serve_world(made) as site:
        report = go(site, path)
    assert report.pages == 6
    assert report.hosts == {HOST: 5, "forum.world.example": 1}
    assert {reason: entry.count for reason, entry in report.skipped.items()} == {
        "another host": 1, "forbidden by robots.txt": 1, "status 404": 1, "type image/gif": 1}  # fmt: skip
    assert [p.url for p in read_warc(path)] == [
        "http://www.world.example/", "http://forum.world.example/", "http://www.world.example/a",
        "http://www.world.example/b", "http://www.world.example/deep"]  # fmt: skip
    assert "forbidden by robots.txt" in str(report)
    json.dumps(report.to_dict())
    assert not path.with_name("site.warc.gz.partial").exists()


def test_records_follow_the_standard(tmp_path: Path) -> None:
    made = world(www_world_example={"/": page("<p>hello</p>")})
    path = tmp_path / "site.warc.gz"
    with serve_world(made) as site:
        go(site, path, user_agent="tester/1")
    with path.open("rb") as file:
        iterator = ArchiveIterator(file, check_digests="raise")
        records = []
        for record in iterator:
            records.append(
                (
                    record.rec_type,
                    record.rec_headers,
                    record.http_headers,
                    record.content_stream().read(),
                )
            )
    assert [record[0] for record in records] == ["warcinfo", "response", "request"]
    _, response, http, body = records[1]
    assert response.protocol == "WARC/1.1"
    assert response.get_header("WARC-Target-URI") == "http://www.world.example/"
    assert response.get_header("WARC-Payload-Digest").startswith("sha1:")
    assert response.get_header("WARC-Identified-Payload-Type") == "text/html"
    assert body == b"<p>hello</p>"
    assert http.get_header("Content-Length") == "12"
    assert records[2][1].get_header("WARC-Concurrent-To") == response.get_header("WARC-Record-ID")
    assert records[2][2].get_header("User-Agent") == "tester/1"
    ids = []
    for name in ("a.warc.gz", "b.warc.gz"):
        with serve_world(made) as site:
            go(site, tmp_path / name)
        ids.append([p.record_id for p in read_warc(tmp_path / name)])
    assert ids[0] == ids[1], "the same page has the same id in every crawl"


def test_uncompressed_archive(tmp_path: Path) -> None:
    with serve_world(world(www_world_example={"/": page("<p>hello</p>")})) as site:
        go(site, tmp_path / "site.warc")
    assert (tmp_path / "site.warc").read_bytes().startswith(b"WARC/1.1\r\n")
    assert [p.html for p in read_warc(tmp_path / "site.warc")] == [b"<p>hello</p>"]


def test_limits(tmp_path: Path) -> None:
    pages = {"/": linking(*(f"/{i}" for i in range(9)))} | {
        f"/{i}": linking(f"/{i}/x") for i in range(9)
    }
    made = world(www_world_example=pages)
    with serve_world(made) as site:
        few = go(site, tmp_path / "few.warc.gz", max_pages=4)
        flat = go(site, tmp_path / "flat.warc.gz", max_depth=1)
        light = go(site, tmp_path / "light.warc.gz", max_total_bytes=300)
        small = go(site, tmp_path / "small.warc.gz", max_bytes=100)
        picky = go(site, tmp_path / "picky.warc.gz", deny=[r"/[0-6]$"])
    assert few.pages == 4
    assert few.skipped["over the page limit"].count == 9
    assert flat.pages == 10
    assert flat.skipped["too deep"].count == 9
    assert light.bytes >= 300
    assert light.skipped["over the byte limit"].count > 0
    assert small.pages == 0
    assert small.skipped["too large"].examples == ["http://www.world.example/"]
    assert picky.skipped["on the deny list"].count == 7
    assert len(picky.skipped["on the deny list"].examples) == 3


REDIRECTS = {
    "/robots.txt": (404, {}, b""),
    "/": (200, {}, "".join(f'<a href="/{x}">x</a>' for x in
          ("to", "twice", "loop", "self", "long0", "away", "nowhere", "denied", "forbidden")).encode()),
    "/to": (301, {"Location": "/target"}, b""),
    "/target": (200, {}, b"<p>target</p>"),
    "/twice": (302, {"Location": "/target"}, b""),
    "/loop": (302, {"Location": "/loop2"}, b""),
    "/loop2": (302, {"Location": "/loop"}, b""),
    "/self": (307, {"Location": "/self#again"}, b""),
    **{f"/long{i}": (302, {"Location": f"/long{i + 1}"}, b"") for i in range(9)},
    "/away": (301, {"Location": "http://other.example/"}, b""),
    "/nowhere": (301, {}, b""),
    "/denied": (301, {"Location": "/getfile"}, b""),
    "/forbidden": (301, {"Location": "/private"}, b""),
}  # fmt: skip


def test_redirects(tmp_path: Path) -> None:
    answers = REDIRECTS | {"/robots.txt": (200, {}, b"User-agent: *\nDisallow: /private")}
    with serve(scripted(answers)) as resolve:
        report = crawl([f"http://{HOST}/"], tmp_path / "x.warc.gz", resolve=resolve, delay=0,
                       deny=["getfile"], progress=False)  # fmt: skip
    assert [p.url for p in read_warc(tmp_path / "x.warc.gz")] == [
        f"http://{HOST}/",
        f"http://{HOST}/target",
    ]
    assert {reason: entry.count for reason, entry in report.skipped.items()} == {
        "redirect to a page already seen": 1, "redirect in a circle": 2, "too many redirects": 1,
        "redirect to another host": 1, "redirect to nowhere": 1, "on the deny list": 1,
        "forbidden by robots.txt": 1}  # fmt: skip


def test_a_site_whose_robots_cannot_be_had_is_left_alone(tmp_path: Path) -> None:
    answers = {"/robots.txt": (500, {}, b""), "/": (200, {}, b"<p>x</p>")}
    with serve(scripted(answers)) as resolve:
        report = crawl(
            [f"http://{HOST}/"], tmp_path / "x.warc.gz", resolve=resolve, delay=0, progress=False
        )
    assert report.pages == 0
    assert list(report.skipped) == ["robots.txt cannot be had"]


def test_a_host_that_stops_answering_is_given_up(tmp_path: Path) -> None:
    class Sleepy(scripted({"/robots.txt": (404, {}, b"")})):  # type: ignore[misc]
        def do_GET(self) -> None:
            if self.path in ("/robots.txt", "/"):
                links = "".join(f'<a href="/{i}">x</a>' for i in range(20)).encode()
                self.send_response(200 if self.path == "/" else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(links)))
                self.end_headers()
                self.wfile.write(links)
            else:
                time.sleep(1)

    with serve(Sleepy) as resolve:
        report = crawl([f"http://{HOST}/"], tmp_path / "x.warc.gz", resolve=resolve, delay=0,
                       timeout=0.15, progress=False)  # fmt: skip
    assert report.pages == 1
    assert report.skipped["timed out"].count == crawl_module.PATIENCE
    assert report.skipped["host does not answer"].count == 20 - crawl_module.PATIENCE


def test_waits_between_requests_to_one_host(tmp_path: Path) -> None:
    made = world(www_world_example={"/": linking("/a"), "/a": page("x")})
    began = time.monotonic()
    with serve_world(made) as site:
        go(site, tmp_path / "x.warc.gz", delay=0.2)
    assert time.monotonic() - began >= 0.2


def test_crawl_delay_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(crawl_module.time, "sleep", slept.append)
    made = world(www_world_example={
        "/": linking("/a"), "/a": page("x"), "robots.txt": "User-agent: *\nCrawl-delay: 7\n"})  # fmt: skip
    with serve_world(made) as site:
        go(site, tmp_path / "x.warc.gz")
    assert 6.5 < max(slept) <= 7


def test_unwritable_folder_is_refused_before_the_first_request(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CourseError, match="cannot write"):
        crawl(["http://nobody.invalid/"], tmp_path / "file" / "x.warc.gz", progress=False)


@pytest.mark.parametrize("seeds", [[], ["not an address"], ["ftp://example.com/"]])
def test_bad_seeds(seeds: list[str], tmp_path: Path) -> None:
    with pytest.raises(CourseError):
        crawl(seeds, tmp_path / "x.warc.gz", progress=False)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_crawl_leaves_no_result_and_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = world(www_world_example={"/": linking("/a"), "/a": page("<p>a</p>")})
    path = tmp_path / "x.warc.gz"

    def interrupt(*args: object) -> list[str]:
        raise KeyboardInterrupt

    with serve_world(made) as site:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(crawl_module, "links_of", interrupt)
            go(site, path)
        assert [p.name for p in tmp_path.iterdir()] == ["x.warc.gz.partial"]
        assert go(site, path).pages == 2
    assert [p.name for p in tmp_path.iterdir()] == ["x.warc.gz"]


def test_progress_bar_goes_to_stderr(tmp_path: Path) -> None:
    code = (
        "import sys; from llmcourse.data.crawl import crawl\n"
        "crawl(['http://h.invalid/'], sys.argv[1], resolve={'h.invalid': ('127.0.0.1', 9)}, delay=0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.warc.gz")], capture_output=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == b""


def test_world_server_answers_as_it_should() -> None:
    made = world(www_world_example={"/": page("hi"), "/x?y=1": page("query"), "/é": page("accent")})
    with serve_world(made) as site:

        def ask(method: str, path: str, host: str = HOST) -> tuple[int, bytes, str | None]:
            connection = HTTPConnection(*site.address)
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host)
            connection.putheader("Connection", "close")
            connection.endheaders()
            answer = connection.getresponse()
            result = answer.status, answer.read(), answer.getheader("Content-Type")
            connection.close()
            return result

        assert ask("GET", "/") == (200, b"hi", "text/html; charset=utf-8")
        assert ask("GET", "/", HOST.upper() + ":80")[0] == 200
        assert ask("GET", "/x?y=1")[1] == b"query"
        assert ask("GET", "/%C3%A9")[1] == b"accent"
        assert ask("HEAD", "/")[:2] == (200, b"")
        assert ask("GET", "/nothing")[0] == 404
        assert ask("GET", "/", "unknown.example")[0] == 404
        assert ask("POST", "/")[0] == 405
        assert ask("GET", "/robots.txt") == (200, b"", "text/plain; charset=utf-8")
    with pytest.raises(OSError):
        ask("GET", "/")


def test_pydoc_serves_the_standard_library_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "readers_module.py").write_text("open('imported', 'w').close()")
    monkeypatch.chdir(tmp_path)
    with serve_pydoc() as site:
        report = go(site, tmp_path / "x.warc.gz", deny=site.deny, max_pages=12)
        index = [p for p in read_warc(tmp_path / "x.warc.gz") if p.url == f"http://{PYDOC_HOST}/"]
    assert report.pages == 12
    assert report.hosts == {PYDOC_HOST: 12}
    assert b"json" in index[0].html
    assert b"warcio" not in index[0].html, "only the standard library"
    assert b"readers_module" not in index[0].html, "nothing of the current folder"
    assert not (tmp_path / "imported").exists()
    with pytest.raises(OSError):
        HTTPConnection(*site.address, timeout=1).request("GET", "/")


@pytest.mark.parametrize(
    ("url", "denied"),
    [("antigravity.html", True), ("this.html", True), ("idlelib.run.html", True), ("turtle.html", True),
     ("json.tool.html", False), ("test.support.html", True), ("unittest.__main__.html", True),
     ("getfile?key=/etc/passwd", True), ("topic?key=ASSERTION", False), ("thisisfine.html", False),
     ("search?key=x", True), ("os.html", False), ("doctest.html", False), ("topics", False),
     ("_testcapi.html", True), ("ctypes.test.test_x.html", True)],
)  # fmt: skip
def test_modules_that_act_on_import_are_left_alone(url: str, denied: bool) -> None:
    address = f"http://{PYDOC_HOST}/{url}"
    assert any(re.search(pattern, address) for pattern in PYDOC_DENY) is denied


def test_pydoc_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/echo")
    with pytest.raises(CourseError, match="did not get ready"), serve_pydoc(timeout=2):
        pass
