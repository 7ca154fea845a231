"""Chapter 01 in one test: the World served, crawled, filtered, and compared with what is known of it."""

from __future__ import annotations

import pytest

from llmcourse.data.audit import AuditRow, audit
from llmcourse.data.crawl import CrawlReport, crawl
from llmcourse.data.fineweb import build
from llmcourse.data.report import FunnelReport
from llmcourse.data.sites import serve_world
from llmcourse.data.warc import read_warc
from llmcourse.data.world import World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world() -> World:
    return World.generate(seed=0, articles=300)


@pytest.fixture(scope="module")
def crawled(world: World, tmp_path_factory: pytest.TempPathFactory) -> CrawlReport:
    path = tmp_path_factory.mktemp("world") / "world.warc.gz"
    with serve_world(world) as site:
        return crawl(
            site.seeds, path, resolve=site.resolve, max_pages=10_000, delay=0, progress=False
        )


@pytest.fixture(scope="module")
def report(
    world: World, crawled: CrawlReport, tmp_path_factory: pytest.TempPathFactory
) -> FunnelReport:
    output = tmp_path_factory.mktemp("build") / "out"
    return build(crawled.warc, output, blocked_domains=world.blocked_domains, progress=False)


@pytest.fixture(scope="module")
def rows(world: World, report: FunnelReport) -> dict[str, AuditRow]:
    return {row.name: row for row in audit(report, world.manifest())}


def test_the_crawl_finds_every_page_that_may_be_read(world: World, crawled: CrawlReport) -> None:
    reader = read_warc(crawled.warc)
    found = {page.url for page in reader}
    assert reader.damaged == []
    assert found == {page.url for page in world.pages() if page.kind != "private"}


@pytest.mark.parametrize(
    "name",
    ["exact-duplicate", "near-duplicate", "groups of duplicates", "spam", "blocked", "thin", "private",
     "emails", "phones", "ips", "lookalikes"],
)  # fmt: skip
def test_what_must_hold_without_exception(rows: dict[str, AuditRow], name: str) -> None:
    assert rows[name].planted > 0
    assert rows[name].missed == ()


def test_what_must_hold_nearly_always(rows: dict[str, AuditRow]) -> None:
    assert rows["good pages"].share >= 0.99, rows["good pages"].missed
    assert rows["foreign"].share >= 0.98, rows["foreign"].missed


def test_extraction_finds_the_prose_and_not_the_navigation(
    world: World, report: FunnelReport
) -> None:
    texts = report.texts_before_masks()
    shares = []
    for page in world.good_pages():
        if page.url in texts:
            paragraphs = [p for p in page.text.split("\n") if len(p) > 80]
            shares.append(sum(p in texts[page.url] for p in paragraphs) / max(1, len(paragraphs)))
    assert sum(share == 1 for share in shares) / len(shares) > 0.9
