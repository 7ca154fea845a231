"""Addresses: one spelling for each page; and the order in which they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcourse.data.frontier import Frontier, canonical_url, host_of
from llmcourse.data.links import links_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("http://example.com:80/a", "http://example.com/a"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("http://example.com:8080/a", "http://example.com:8080/a"),
        ("http://example.com./a", "http://example.com/a"),
        ("http://example.com/a/./b/../c", "http://example.com/a/c"),
        ("http://example.com/../../a", "http://example.com/a"),
        ("http://example.com/a/..", "http://example.com/"),
        ("http://example.com/a/b/.", "http://example.com/a/b/"),
        ("http://example.com/a//b", "http://example.com/a//b"),
        ("http://example.com/a#part", "http://example.com/a"),
        ("http://example.com/%7euser/%2F", "http://example.com/~user/%2F"),
        ("http://example.com/a b/é", "http://example.com/a%20b/%C3%A9"),
        ("http://example.com/100%", "http://example.com/100%25"),
        ("http://example.com/?utm_source=x&q=1&fbclid=2", "http://example.com/?q=1"),
        ("http://example.com/?utm_source=x", "http://example.com/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://[::1]:8000/", "http://[::1]:8000/"),
        ("  http://example.com/  ", "http://example.com/"),
    ],
)
def test_canonical(url: str, expected: str) -> None:
    assert canonical_url(url) == expected


@pytest.mark.parametrize(
    "url",
    ["mailto:a@b.example", "javascript:void(0)", "ftp://example.com/", "data:text/html,x", "http://",
     "http://user:secret@example.com/", "http://example.com:port/", "/relative", "",
     "http://" + "a" * 70 + ".example/", "http://[::1/"],
)  # fmt: skip
def test_not_followed(url: str) -> None:
    assert canonical_url(url) is None


def test_relative_to_a_page() -> None:
    base = "http://example.com/a/b?q=1"
    assert canonical_url("c", base) == "http://example.com/a/c"
    assert canonical_url("../c", base) == "http://example.com/c"
    assert canonical_url("?x=2", base) == "http://example.com/a/b?x=2"
    assert canonical_url("//other.example/", base) == "http://other.example/"
    assert canonical_url("mailto:x@y.example", base) is None


def test_tracking_may_stay() -> None:
    url = "http://example.com/?utm_source=x"
    assert canonical_url(url, drop_tracking=False) == url


@given(st.text(max_size=40))
def test_canonical_is_final(rest: str) -> None:
    once = canonical_url("http://example.com/" + rest)
    if once is not None:
        assert canonical_url(once) == once
        once.encode("ascii")


def test_breadth_first_and_hosts_in_turn() -> None:
    frontier = Frontier()
    for url in ("http://a.example/1", "http://a.example/2", "http://b.example/1"):
        assert frontier.add(url, 0)
    assert not frontier.add("http://a.example/1", 3), "each address once"
    assert len(frontier) == 3
    order = []
    while (item := frontier.pop()) is not None:
        order.append(item[0])
    assert order == ["http://a.example/1", "http://b.example/1", "http://a.example/2"]
    assert frontier.pop() is None


def test_give_up_a_host() -> None:
    frontier = Frontier()
    frontier.add("http://a.example/1", 0)
    frontier.add("http://b.example/1", 0)
    assert frontier.give_up("a.example") == ["http://a.example/1"]
    assert frontier.give_up("unknown.example") == []
    assert frontier.pop() == ("http://b.example/1", 0)
    assert host_of("http://a.example:81/x") == "a.example:81"


def test_links_in_their_order() -> None:
    html = b"""<a href="/b">1</a><a href="a#x">2</a><a rel="NoFollow" href="/no">3</a>
    <map><area href="c"></map><a>none</a><a href="mailto:x@y.example">mail</a>"""
    assert links_of(html, "http://h.example/d/e") == [
        "http://h.example/b", "http://h.example/d/a", "http://h.example/d/c"]  # fmt: skip


def test_links_follow_base_and_meta() -> None:
    assert links_of(b'<base href="/x/"><a href="y">1</a>', "http://h.example/") == [
        "http://h.example/x/y"]  # fmt: skip
    assert links_of(b'<base href="ftp://z/"><a href="y">1</a>', "http://h.example/") == [
        "http://h.example/y"]  # fmt: skip
    nofollow = b'<meta name="ROBOTS" content="noindex, NoFollow"><a href="y">1</a>'
    assert links_of(nofollow, "http://h.example/") == []


@pytest.mark.parametrize(
    "html", [b"", b"   ", b"\x00\xff\xfe", b"<!-- -->", b"<a href='http://[x/'>"]
)
def test_links_of_nothing(html: bytes) -> None:
    assert links_of(html, "http://h.example/") == []
