"""The account of a build, from files written by hand; and the audit against a manifest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from lxml import html as lxml_html
from rich.console import Console

from llmcourse.data.audit import AuditRow, audit
from llmcourse.data.fetch import Response
from llmcourse.data.funnel import NEAR, SAME, STAGES
from llmcourse.data.report import FunnelReport
from llmcourse.data.warc import read_warc
from llmcourse.data.warc_writer import WarcWriter
from llmcourse.errors import CourseError

HOST = "http://h.example"


def count(text: str) -> int:
    return len(text.split())


class Build:
    """The files that a build of a few pages leaves, page by page."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.n = folder, 0
        self.files: dict[str, list[dict[str, Any]]] = {}
        self.warc: list[tuple[str, bytes]] = []

    def page(
        self, name: str, stop: str = "", reason: str = "", text: str = "one two three", **more: Any
    ) -> None:
        """A page that reaches a stage and is dropped there, or is kept."""
        order, self.n = [0, self.n], self.n + 1
        url = f"{HOST}/{name}"
        page = f"<p>{text}</p>".encode()
        self.warc.append((url, page))
        meta = {"url": url, "order": order, "html_bytes": len(page), **more}
        stages = list(STAGES)
        passed = stages.index(stop) if stop else len(stages)

        def put(where: str, body: str, **extra: Any) -> None:
            record = {"id": url, "text": body, "metadata": meta | extra}
            self.files.setdefault(where, []).append(record)

        cleaned = text.replace(" [edit]", "")
        if passed > stages.index("text"):
            put("extracted", text)
        if passed > stages.index("fineweb"):
            put("filtered", cleaned)
        if not stop:
            put("documents", cleaned.replace("a@b.example", "|||EMAIL_ADDRESS|||"),
                masked={"emails": cleaned.count("a@b.example"), "ips": 0, "phones": 0})  # fmt: skip
        else:
            late = stages.index(stop) > stages.index("c4")
            put(f"dropped/{stop}", cleaned if late else text, filter_reason=reason)

    def finish(self) -> FunnelReport:
        path = self.folder / "x.warc.gz"
        with WarcWriter(path, "test") as warc:
            for url, page in self.warc:
                warc.write(Response(url, 200, "OK", [("Content-Type", "text/html")], page, [], "/"))
        offsets = {page.url: page.offset for page in read_warc(path)}
        for where, records in self.files.items():
            (self.folder / where).mkdir(parents=True, exist_ok=True)
            for record in records:
                record["metadata"] |= {
                    "warc": str(path),
                    "offset": offsets.get(record["metadata"]["url"], 0),
                }
            for shard in (0, 1):  # as two tasks would have written it
                with gzip.open(self.folder / where / f"{shard:05d}.jsonl.gz", "wt") as file:
                    file.writelines(json.dumps(r) + "\n" for r in records[shard::2])
        return FunnelReport.summarise(self.folder, {"language": "en"}, {"filter": 1.0}, count)


@pytest.fixture
def report(tmp_path: Path) -> FunnelReport:
    build = Build(tmp_path)
    build.page("spam", "url", "blocked domain")
    build.page("first", text="The page by a@b.example here [edit]", minhash_cluster_id=0)
    build.page("empty", "text", "no text found")
    build.page("fremd", "language", "language de")
    build.page("short", "quality", "gopher_short_doc")
    build.page("odd", "quality", "something new")
    build.page("second", text="Another page", minhash_cluster_id=-1)
    build.page("list", "fineweb", "list_ratio", text="x y [edit]")
    build.page(
        "copy", "dedup", "", text="The page by a@b.example here [edit]", minhash_cluster_id=0
    )
    build.page("near", "dedup", "", text="The page by a@b.example there", minhash_cluster_id=0)
    return build.finish()


def test_the_funnel_adds_up(report: FunnelReport) -> None:
    assert [stage.documents for stage in report.stages] == [10, 9, 8, 7, 7, 5, 5, 4, 2, 2]
    assert [stage.name for stage in report.stages] == list(STAGES)
    html = [len(f"<p>{t}</p>") for t in ("one two three", "Another page")]
    assert report.stages[0].bytes - report.stages[1].bytes == html[0]
    assert report.stages[0].tokens is None
    assert report.stages[1].tokens is None
    assert report.stage("quality").dropped == {"fewer than 50 words": 1, "something new": 1}
    assert report.stage("dedup").dropped == {NEAR: 1, SAME: 1}
    c4, fineweb = report.stage("c4"), report.stage("fineweb")
    assert c4.bytes - fineweb.bytes == len("x y"), "sizes after C4 are of the cleaned text"
    assert report.stage("privacy").tokens == 5 + 2
    assert report.stage("privacy").bytes == len("The page by |||EMAIL_ADDRESS||| here") + len(
        "Another page"
    )
    assert report.masked == {"emails": 1, "ips": 0, "phones": 0}
    for before, after in zip(report.stages, report.stages[1:], strict=False):
        assert before.documents - sum(after.dropped.values()) == after.documents


def test_documents_in_the_order_of_the_crawl(report: FunnelReport) -> None:
    assert report.kept_urls() == [f"{HOST}/first", f"{HOST}/second"]
    first = next(report.documents())
    assert first["text"] == "The page by |||EMAIL_ADDRESS||| here"
    assert len(report.crawled_urls()) == 10


def test_what_was_dropped_and_why(report: FunnelReport) -> None:
    items = list(report.dropped("dedup"))
    assert [(item.url, item.reason, item.duplicate_of) for item in items] == [
        (f"{HOST}/copy", SAME, f"{HOST}/first"), (f"{HOST}/near", NEAR, f"{HOST}/first")]  # fmt: skip
    assert [item.reason for item in report.examples("quality", 5)] == [
        "fewer than 50 words",
        "something new",
    ]
    assert len(report.examples("quality", 1)) == 1
    assert report.examples("repetition") == []
    assert report.examples("quality")[0].start == "one two three"
    with pytest.raises(CourseError, match="no stage 'nonsense'"):
        list(report.dropped("nonsense"))


@pytest.mark.parametrize(
    ("name", "last", "verdict", "text"),
    [
        ("spam", "url", "blocked domain", None),
        ("empty", "text", "no text found", None),
        ("fremd", "language", "language de", None),
        ("copy", "dedup", SAME, None),
        ("first", "privacy", "kept", "The page by |||EMAIL_ADDRESS||| here"),
    ],
)
def test_a_page_has_a_history(
    report: FunnelReport, name: str, last: str, verdict: str, text: str | None
) -> None:
    page = report.page(f"{HOST}/{name}")
    assert page.html.startswith("<p>")
    assert list(page.verdicts)[-1] == last
    assert page.verdicts[last] == verdict
    assert page.text == text
    assert page.kept is (text is not None)
    assert (page.extracted is None) is (last in ("url", "text"))


def test_a_page_that_never_was(report: FunnelReport) -> None:
    with pytest.raises(CourseError, match="was not crawled"):
        report.page(f"{HOST}/never")


def test_saved_and_loaded(report: FunnelReport, tmp_path: Path) -> None:
    report.save()
    loaded = FunnelReport.load(tmp_path)
    assert loaded == report
    assert loaded.seconds == {"filter": 1.0}
    assert str(tmp_path) not in (tmp_path / "report.json").read_text(), "a build can be moved"
    assert FunnelReport.from_dict(report.to_dict(), tmp_path) == report


def test_tokens_can_be_counted_again(report: FunnelReport) -> None:
    report.count_tokens(len)
    assert report.stage("privacy").tokens == report.stage("privacy").bytes
    again = FunnelReport.summarise(report.folder, {})
    assert again.stage("privacy").tokens is None


def test_no_report(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="no finished build"):
        FunnelReport.load(tmp_path)
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(CourseError, match="damaged"):
        FunnelReport.load(tmp_path)
    (tmp_path / "report.json").write_text('{"stages": [{"odd": 1}]}')
    with pytest.raises(CourseError, match="damaged"):
        FunnelReport.load(tmp_path)


def test_an_empty_build(tmp_path: Path) -> None:
    report = FunnelReport.summarise(tmp_path, {}, count_tokens=count)
    assert {stage.documents for stage in report.stages} == {0}
    assert list(report.documents()) == []
    assert "Pages crawled" in str(report)


def test_damaged_records_stand_at_the_beginning(tmp_path: Path) -> None:
    build = Build(tmp_path)
    build.page("fine")
    build.files["dropped/damaged"] = [
        {
            "id": "d",
            "metadata": {"url": "", "order": [0, 9], "html_bytes": 0, "filter_reason": "corrupt"},
        }
    ]
    report = build.finish()
    assert report.stages[0].dropped == {"corrupt": 1}
    assert report.stages[0].documents == 1
    assert [item.reason for item in report.examples("crawled")] == ["corrupt"]


def test_the_table_in_three_forms(report: FunnelReport) -> None:
    report.stage("quality").dropped["<script>"] = 3
    (table,) = lxml_html.fromstring(report._repr_html_()).iter("table")
    assert table.findtext("caption")
    assert {cell.get("scope") for cell in table.iter("th")} == {"col", "row"}
    assert len(table.findall("tbody/tr")) == len(STAGES)
    assert not list(table.iter("script")), "reasons are escaped"
    plain = str(report)
    assert len(plain.splitlines()) == len(STAGES) + 1
    assert "1 blocked domain" in plain
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(report)
    assert "Text found" in console.export_text()


def test_many_reasons_are_cut_short(report: FunnelReport) -> None:
    report.stage("quality").dropped = {f"reason {i}": 1 for i in range(5)}
    assert "2 more" in str(report)


# -- the audit ------------------------------------------------------------------------------------


def entry(kind: str, original: str | None = None, **strings: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"emails": [], "phones": [], "ips": [], "lookalikes": []}
    return {"kind": kind, "language": "en", "original": original, **empty, **strings}


def rows_of(report: FunnelReport, manifest: dict[str, dict[str, Any]]) -> dict[str, AuditRow]:
    return {
        row.name: row
        for row in audit(report, {f"{HOST}/{name}": page for name, page in manifest.items()})
    }


def test_an_audit_where_all_is_well(report: FunnelReport) -> None:
    manifest = {
        "first": entry("article", emails=["a@b.example"], lookalikes=["here"]),
        "second": entry("diary", lookalikes=["cut away before"]),
        "copy": entry("exact-duplicate", f"{HOST}/first"),
        "near": entry("near-duplicate", f"{HOST}/copy"),
        "fremd": entry("foreign"),
        "spam": entry("blocked"),
        "hidden": entry("private"),
        "list": entry("index"),
    }
    rows = rows_of(report, manifest)
    assert all(row.holds for row in rows.values())
    assert rows["good pages"].planted == 2
    assert rows["groups of duplicates"].planted == 1
    assert rows["emails"].planted == 1
    assert rows["lookalikes"].planted == 1, "what a filter cut away is no merit of the masks"
    assert rows["phones"].share == 1


def test_an_audit_that_finds_fault(report: FunnelReport) -> None:
    manifest = {
        "first": entry("article", phones=["The page by"], lookalikes=["a@b.example"]),
        "second": entry("near-duplicate", f"{HOST}/first"),
        "short": entry("story"),
        "spam": entry("private"),
    }
    rows = rows_of(report, manifest)
    assert rows["good pages"].missed == (f"{HOST}/short",)
    assert rows["good pages"].share == 0.5
    assert rows["near-duplicate"].missed == (f"{HOST}/second",)
    assert not rows["groups of duplicates"].holds
    assert rows["private"].missed == (f"{HOST}/spam",)
    assert rows["phones"].missed == (f"The page by at {HOST}/first",)
    assert not rows["lookalikes"].holds


def test_a_copy_may_stand_in_for_its_original(report: FunnelReport) -> None:
    manifest = {"near": entry("article"), "first": entry("near-duplicate", f"{HOST}/near")}
    rows = rows_of(report, manifest)
    assert rows["good pages"].holds
    assert rows["near-duplicate"].holds
    both = {"near": entry("article"), "first": entry("exact-duplicate", f"{HOST}/near"),
            "second": entry("exact-duplicate", f"{HOST}/near")}  # fmt: skip
    assert rows_of(report, both)["exact-duplicate"].missed == (f"{HOST}/second",)
