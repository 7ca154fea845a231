"""The World: the same bytes from the same seed, and nothing in it that is not on record."""

from __future__ import annotations

import html as html_module
import ipaddress
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter, deque
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import pytest

from llmcourse.data.world import DIRT_KINDS, GOOD_KINDS, KINDS, Page, World
from llmcourse.data.world.writing.draft import Novelty, jaccard, shingles
from llmcourse.errors import CourseError


@pytest.fixture(scope="module")
def world() -> World:
    return World.generate(seed=0)


def charset_of(page: Page) -> str:
    """What a browser would take the page to be: the header, else the meta tag, else UTF-8."""
    header = re.search(r"charset=([\w-]+)", page.content_type)
    meta = re.search(rb"charset=\"?([\w-]+)", page.html)
    return header.group(1) if header else meta.group(1).decode() if meta else "utf-8"


def visible(page: Page) -> str:
    return html_module.unescape(re.sub(r"<[^>]*>", "", page.html.decode(charset_of(page))))


def test_same_seed_same_bytes(world: World) -> None:
    assert World.generate(seed=0).digest() == world.digest()
    assert World.generate(seed=1).digest() != world.digest()


@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_independent_of_the_hash_seed(world: World, hash_seed: str) -> None:
    code = "from llmcourse.data.world import World; print(World.generate(seed=0).digest())"
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == world.digest()


def test_quick() -> None:
    start = time.perf_counter()
    World.generate(seed=7)
    assert time.perf_counter() - start < 3


def test_counts(world: World) -> None:
    kinds = Counter(page.kind for page in world.pages())
    assert set(kinds) == set(KINDS)
    assert sum(kinds[kind] for kind in GOOD_KINDS) == 300 == len(list(world.good_pages()))
    assert {kind: kinds[kind] for kind in (*DIRT_KINDS, "mixed")} == {
        "exact-duplicate": 25,
        "near-duplicate": 25,
        "foreign": 60,
        "spam": 20,
        "blocked": 20,
        "thin": 15,
        "mixed": 6,
    }


@pytest.mark.parametrize("articles", [60, 150, pytest.param(600, marks=pytest.mark.slow)])
def test_other_sizes(articles: int) -> None:
    small = World.generate(seed=2, articles=articles)
    assert abs(len(list(small.good_pages())) - articles) <= 3
    assert {page.kind for page in small.pages()} == set(KINDS)


@pytest.mark.parametrize("articles", [-1, 0, 59, 601, 10**6])
def test_impossible_sizes(articles: int) -> None:
    with pytest.raises(CourseError, match=f"a World of {articles} articles"):
        World.generate(articles=articles)


def test_addresses(world: World) -> None:
    urls = [page.url for page in world.pages()]
    assert len(urls) == len(set(urls))
    for host, site in world.sites.items():
        assert host.endswith(".example")
        assert site.host == host
        for path, page in site.pages.items():
            assert (page.host, page.path) == (host, path)
            assert re.fullmatch(r"/[\x21-\x7e]*", path)
            assert world.page(page.url) is page
    with pytest.raises(KeyError):
        world.page("http://encyclopaedia.world.example/nowhere")
    with pytest.raises(ValueError, match="no pages of kind 'clean'"):
        list(world.pages("clean"))


def test_manifest_is_json(world: World) -> None:
    manifest = world.manifest()
    assert json.loads(json.dumps(manifest)) == manifest
    assert len(manifest) == len(list(world.pages()))
    page = next(page for page in world.pages() if page.emails)
    assert manifest[page.url]["emails"] == list(page.emails)
    assert manifest[page.url]["kind"] == page.kind


def crawl(world: World, seed: str) -> tuple[dict[str, int], set[str]]:
    """Every URL of the seed's host that can be reached, with its depth; and those forbidden."""
    host = urlsplit(seed).netloc
    robots = RobotFileParser()
    robots.parse(world.sites[host].robots_txt.splitlines())
    depth, forbidden, queue = {seed: 0}, set[str](), deque([seed])
    while queue:
        url = queue.popleft()
        page = world.page(url)
        links = re.findall(r'<a\s+href="([^"]*)"', page.html.decode(charset_of(page)), re.I)
        for link in links:
            to = urljoin(url, html_module.unescape(link))
            if urlsplit(to).netloc != host or to in depth:
                assert urlsplit(to).netloc in world.sites
                continue
            if not robots.can_fetch("anyone", to):
                forbidden.add(to)
                continue
            depth[to] = depth[url] + 1
            queue.append(to)
    return depth, forbidden


def test_every_page_can_be_reached_except_the_forbidden(world: World) -> None:
    for seed in world.seeds:
        site = world.sites[urlsplit(seed).netloc]
        depth, forbidden = crawl(world, seed)  # a dead link would be a KeyError
        private = {page.url for page in site.pages.values() if page.kind == "private"}
        assert private
        assert forbidden == private
        assert set(depth) == {page.url for page in site.pages.values()} - private
        assert max(depth.values()) <= 4
    assert {urlsplit(seed).netloc for seed in world.seeds} == set(world.sites)


def test_prose_is_in_the_html(world: World) -> None:
    for page in world.pages():
        shown = visible(page)
        for paragraph in page.text.splitlines():
            assert paragraph in shown, page.url


def test_encodings_are_real(world: World) -> None:
    encodings = Counter(charset_of(page) for page in world.good_pages())
    assert set(encodings) == {"utf-8", "windows-1252", "iso-8859-1"}
    silent = [p for p in world.good_pages() if b"charset" not in p.html + p.content_type.encode()]
    assert silent
    not_utf8 = 0
    for page in world.pages():
        try:
            page.html.decode("utf-8")
        except UnicodeDecodeError:
            not_utf8 += 1
    assert not_utf8 >= 25


def test_dirt_surrounds_the_prose(world: World) -> None:
    markup = b"".join(page.html for page in world.pages()).lower()
    for dirt in (b"<script", b"<style", b"<nav", b"cookie", b"sidebar", b"footer", b"<!--"):
        assert dirt in markup
    for page in world.good_pages():
        assert "cookie" not in page.text.lower()
    # Broken markup: paragraphs that are opened and never closed.
    almanac = world.sites["almanac.world.example"].pages.values()
    assert any(page.html.count(b"<p>") > page.html.count(b"</p>") for page in almanac)


def test_good_pages_read_well(world: World) -> None:
    for page in world.good_pages():
        assert 150 <= len(page.text.split()) <= 500, page.url
        assert not re.search(r"[{}\[\]|]|\(n\)|  | [,.;]|,,", page.text), page.url
        assert not re.search(r"\b(the|a|of|to|and|is|was|she|he) \1\b", page.text), page.url
        assert not re.search(r"\ba [aeio]\w+", page.text.replace("a one", "")), page.url
        assert not re.search(r"\ban [b-df-gj-np-tv-z]\w+", page.text), page.url
        for line in page.text.splitlines():
            # A capital, or what an English sentence may begin with: a figure or a quotation mark.
            assert re.match(r"[A-ZÉÖÅ0-9\"“]", line), line
            assert re.search(r"[.!?][\"”’)]?$|[\w>]\.$", line), line


def test_good_pages_differ() -> None:
    for seed in range(2):
        novelty, greatest = Novelty(), 0.0
        for page in World.generate(seed).good_pages():
            grams = shingles(page.text)
            greatest = max(greatest, novelty.overlap(grams))
            novelty.remember(grams)
        assert greatest < 0.25


def test_facts_stand_on_their_subjects_pages(world: World) -> None:
    pages = {page.title.lower(): page for page in world.pages("article")}
    objects: dict[tuple[str, str], set[str]] = {}
    for fact in world.facts:
        page = pages.get(fact.subject.lower()) or pages[f"the river {fact.subject}".lower()]
        assert fact.object.lower() in page.text.lower(), fact
        objects.setdefault((fact.subject, fact.relation), set()).add(fact.object)
    several = {relation for (_, relation), found in objects.items() if len(found) > 1}
    assert several <= {"passes"}
    assert len(world.facts) > 1000


def test_facts_agree_on_all_pages(world: World) -> None:
    facts = {(fact.subject, fact.relation): fact.object for fact in world.facts}
    people = {subject for subject, relation in facts if relation == "birthplace"}
    towns = {subject for subject, relation in facts if relation == "market day"}
    checked = 0
    for page in world.good_pages():
        for name, born, died in re.findall(r"(\w+ \w+) \((\d{4}) to (\d{4})\)", page.text):
            assert name in people
            assert (facts[name, "born"], facts[name, "died"]) == (born, died)
            checked += 1
        if page.kind == "list":
            for line in page.text.splitlines():
                named = [town for town in towns if re.search(rf"\b{town}\b", line)]
                days = re.findall(r"market.*?\b(\w+day)\b|on a (\w+day), when", line)
                if len(named) == 1 and days:
                    assert {facts[named[0], "market day"]} == {"".join(day) for day in days}, line
                    checked += 1
    assert checked > 5


def test_exact_duplicates(world: World) -> None:
    copies = list(world.pages("exact-duplicate"))
    for copy in copies:
        assert copy.original is not None
        original = world.page(copy.original)
        assert original.good
        assert (copy.text, copy.title) == (original.text, original.title)
        assert copy.html != original.html or "?" in copy.path
        assert (copy.emails, copy.phones, copy.ips) == (
            original.emails,
            original.phones,
            original.ips,
        )
    ways = {"?" in c.path or c.path.startswith("/print") or c.host for c in copies}
    assert len(ways) > 1
    assert any("?" in c.path for c in copies) and any(c.path.startswith("/print") for c in copies)
    assert any(c.host != world.page(c.original or "").host for c in copies)


def test_near_duplicates(world: World) -> None:
    for copy in world.pages("near-duplicate"):
        original = world.page(copy.original or "")
        assert original.good
        assert copy.text != original.text
        similarity = jaccard(shingles(copy.text), shingles(original.text))
        assert 0.92 <= similarity < 1
        # 14 bands of 8 hashes then miss it less often than once in a thousand.
        assert (1 - similarity**8) ** 14 < 0.001


def test_one_copy_of_an_original(world: World) -> None:
    originals = [page.original for page in world.pages() if page.original]
    assert len(originals) == len(set(originals)) == 50


def test_personal_data_is_in_the_prose(world: World) -> None:
    marked = [p for p in world.good_pages() if p.emails or p.phones or p.ips]
    assert len(marked) == 40
    for page in world.pages():
        for value in (*page.emails, *page.phones, *page.ips, *page.lookalikes):
            assert value in page.text, (value, page.url)
    emails = [email for page in marked for email in page.emails]
    phones = [phone for page in marked for phone in page.phones]
    ips = [ip for page in marked for ip in page.ips]
    assert min(len(emails), len(phones), len(ips)) >= 12
    assert len(set(emails + phones + ips)) == len(emails + phones + ips)
    assert any("+" in email for email in emails)
    assert len({re.sub(r"\d", "9", phone) for phone in phones}) >= 6
    for ip in ips:
        blocks = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
        assert any(ipaddress.ip_address(ip) in ipaddress.ip_network(b) for b in blocks)
    for email in emails:
        assert re.fullmatch(r"[\w.+-]+@([\w-]+\.)*example(\.(com|org|net))?", email)
    for phone in phones:
        digits = re.sub(r"\D", "", phone)
        assert digits[-7:-2] == "55501" or digits.startswith("4420794")


def test_no_personal_data_off_the_record(world: World) -> None:
    for page in world.good_pages():
        found = set(re.findall(r"[\w.+-]+@[\w-]+\.[\w.-]*\w", page.text))
        assert found == set(page.emails), page.url
        for candidate in re.findall(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)", page.text):
            assert candidate in page.ips + page.lookalikes, page.url
        long_numbers = re.findall(r"\d(?:[ ().-]{0,2}\d){9,}", page.text)
        known = "".join(page.phones + page.ips + page.lookalikes)
        for number in long_numbers:
            assert re.sub(r"\D", "", number) in re.sub(r"\D", "", known), page.url


def test_lookalikes_are_no_personal_data(world: World) -> None:
    pages = [page for page in world.good_pages() if page.lookalikes]
    assert len(pages) == 30
    for page in pages:
        for value in page.lookalikes:
            assert "@" not in value
            assert not re.fullmatch(r"\+?[\d()-. ]{10,12}", value)
            with pytest.raises(ValueError):
                ipaddress.ip_address(value)


def test_foreign_pages(world: World) -> None:
    by_language: dict[str, set[str]] = {}
    for page in world.pages("foreign"):
        by_language.setdefault(page.language, set()).add(page.text)
        if page.language in ("ja", "zh"):
            assert len(page.text) > 150
        else:
            assert len(page.text.split()) >= 100
    assert len(by_language) >= 10
    assert "en" not in by_language
    assert all(len(texts) >= 4 for texts in by_language.values())


def test_blocked_pages(world: World) -> None:
    def blocked(host: str) -> bool:
        return any(host == d or host.endswith("." + d) for d in world.blocked_domains)

    for page in world.pages():
        assert blocked(page.host) == (
            page.kind == "blocked" or (page.kind in ("index", "private") and blocked(page.host))
        )
    hosts = {page.host for page in world.pages("blocked")}
    assert len(world.blocked_domains) >= 5
    assert hosts - world.blocked_domains  # a subdomain of a blocked domain
    assert world.blocked_domains <= hosts


def test_spam_and_thin_pages_are_on_good_hosts(world: World) -> None:
    good_hosts = {page.host for page in world.good_pages()}
    for page in (*world.pages("spam"), *world.pages("thin")):
        assert page.host in good_hosts
    assert all(len(page.text.split()) < 50 for page in world.pages("thin"))
