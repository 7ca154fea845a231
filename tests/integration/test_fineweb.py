"""The whole pipeline, run for real: what it keeps, that it does not depend on how it is run, that it can be killed."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmcourse.data import run as run_module
from llmcourse.data.fetch import Response
from llmcourse.data.fineweb import Machine, Settings, build
from llmcourse.data.report import FunnelReport
from llmcourse.data.run import run_stages
from llmcourse.data.warc_writer import WarcWriter
from llmcourse.errors import CourseError

pytestmark = pytest.mark.slow

SMALL = """the of and to in a that it was for on with as by at from be have this which or an are not their had were
they one all we can her has there been if more when will would who so no"""
LARGE = """river market bridge harbour weaver baker potter garden castle village winter summer letter council tower
street orchard miller island valley forest church school station museum library painter farmer soldier
merchant ferry lantern kitchen window mountain journey evening morning cathedral festival workshop apprentice
carpenter founded built kept carried painted followed remembered described crossed repaired opened closed
measured sold bought taught praised visited guarded restored quiet narrow famous wooden bright distant careful
gentle broken heavy early golden small patient curious"""


def prose(seed: int, paragraphs: int = 4) -> list[str]:
    """Something that every filter takes for English prose, and no two of it alike."""
    rng, small, large = random.Random(seed), SMALL.split(), LARGE.split()

    def sentence() -> str:
        words = [rng.choice(small if i % 2 else large) for i in range(rng.randint(9, 15))]
        return " ".join(["The", *words, rng.choice(large)]) + "."

    return [" ".join(sentence() for _ in range(5)) for _ in range(paragraphs)]


def page(paragraphs: list[str], title: str) -> bytes:
    body = "".join(f"<p>{p}</p>" for p in paragraphs)
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{title}</title></head><body>"
        f'<nav><ul><li><a href="/">Home</a></li><li><a href="/about">About us</a></li></ul></nav>'
        f"<main><article><h1>{title}</h1>{body}</article></main><footer><p>Imprint</p></footer></body></html>"
    ).encode()


GERMAN = "Der alte Müller stand lange am Fluss und wartete auf den Regen, der in diesem Sommer nicht kam. "
GOOD = 12


def pages() -> list[tuple[str, bytes, str]]:
    """(address, HTML, content type): good pages, and each kind of dirt."""
    host, found = "http://www.world.example", []
    for i in range(GOOD):
        text = prose(i)
        if i == 0:
            text[1] += (
                " Write to ana@mail.world.example, ring +44 20 7946 0123 or try 192.0.2.7. It was 1914-1918."
            )
        found.append((f"{host}/good{i}", page(text, f"Page {i}"), "text/html; charset=utf-8"))
        if i == 2:
            found.append((f"{host}/copy", page(text, f"Page {i}"), "text/html"))
        if i == 3:
            near = [text[0].replace("The", "This", 1), *text[1:]]
            found.append((f"{host}/near", page(near, f"Page {i}"), "text/html"))
    found.append((f"{host}/latin", page([p + " Café naïve." for p in prose(90)], "L").decode().replace(
        "<meta charset=utf-8>", "").encode("latin-1"), "text/html; charset=iso-8859-1"))  # fmt: skip
    found.append(("http://ads.spam.example/x", page(prose(91), "Blocked"), "text/html"))
    found.append((f"{host}/german", page([GERMAN * 4] * 3, "Seite"), "text/html"))
    found.append(
        (f"{host}/spam", page(["BUY CHEAP NOW!!! $$$ ### click here " * 40], "Spam"), "text/html")
    )
    found.append((f"{host}/thin", page(["Nothing to see here, move along."], "Thin"), "text/html"))
    found.append((f"{host}/empty", b"<html></html>", "text/html"))
    found.append((f"{host}/nul", b"\x00\x00", "text/html"))
    return found


def write_warc(path: Path, content: list[tuple[str, bytes, str]]) -> Path:
    with WarcWriter(path, "test") as warc:
        for url, html, kind in content:
            warc.write(Response(url, 200, "OK", [("Content-Type", kind)], html, [], "/"))
    return path


@pytest.fixture(scope="module")
def warc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_warc(tmp_path_factory.mktemp("crawl") / "site.warc.gz", pages())


BLOCKED = ["SPAM.example"]


def run(inputs: Any, output: Path, **options: Any) -> FunnelReport:
    settings: dict[str, Any] = {
        "blocked_domains": BLOCKED,
        "tasks": 2,
        "workers": 2,
        "progress": False,
    } | options
    return build(inputs, output, **settings)


@pytest.fixture(scope="module")
def built(warc: Path, tmp_path_factory: pytest.TempPathFactory) -> FunnelReport:
    return run(
        warc, tmp_path_factory.mktemp("build") / "out", count_tokens=lambda text: len(text.split())
    )


def content(report: FunnelReport) -> list[tuple[str, str]]:
    return [(document["url"], document["text"]) for document in report.documents()]


def test_good_pages_stay_and_dirt_goes(built: FunnelReport) -> None:
    host = "http://www.world.example"
    assert built.kept_urls() == [f"{host}/good{i}" for i in range(GOOD)] + [f"{host}/latin"]
    gone = {
        item.url.rsplit("/", 1)[1]: item.stage
        for stage in built.stages
        for item in built.dropped(stage.name)
    }
    assert gone == {"x": "url", "empty": "text", "nul": "text", "german": "language", "copy": "dedup",
                    "near": "dedup", "spam": gone["spam"], "thin": gone["thin"]}  # fmt: skip
    assert gone["spam"] in ("language", "repetition", "quality")
    assert built.stage("language").dropped["language de"] == 1


def test_the_report_counts_what_is_on_disk(built: FunnelReport) -> None:
    assert [s.documents for s in built.stages][:3] == [
        len(pages()),
        len(pages()) - 1,
        len(pages()) - 3,
    ]
    assert built.stages[0].bytes == sum(len(html) for _, html, _ in pages())
    texts = [text for _, text in content(built)]
    assert built.stages[-1].documents == len(texts)
    assert built.stages[-1].bytes == sum(len(text.encode()) for text in texts)
    assert built.stages[-1].tokens == sum(len(text.split()) for text in texts)
    assert FunnelReport.load(built.folder) == built
    files = {path.name for path in built.folder.iterdir()}
    assert {"documents", "dropped", "extracted", "filtered", "report.json", "pipeline.log"} <= files
    assert "minhash" not in files
    assert not built.folder.with_name("out.partial").exists()
    assert not built.folder.with_name("out.partial.lock").exists()


def test_personal_data_are_masked_and_years_are_not(built: FunnelReport) -> None:
    text = dict(content(built))["http://www.world.example/good0"]
    assert (
        "Write to |||EMAIL_ADDRESS|||, ring |||PHONE_NUMBER||| or try |||IP_ADDRESS|||. It was 1914-1918."
        in text
    )
    assert built.masked == {"emails": 1, "ips": 1, "phones": 1}
    assert "ana@mail.world.example" in built.texts_before_masks()["http://www.world.example/good0"]


def test_text_is_the_article_in_its_own_letters(built: FunnelReport) -> None:
    texts = dict(content(built))
    assert "Café naïve." in texts["http://www.world.example/latin"]
    for paragraph in prose(5):
        assert paragraph in texts["http://www.world.example/good5"]
    assert "About us" not in texts["http://www.world.example/good5"]
    history = built.page("http://www.world.example/near")
    assert history.html.startswith("<!doctype html>")
    assert list(history.verdicts)[-1] == "dedup"


def test_documents_do_not_depend_on_tasks_and_workers(
    built: FunnelReport, warc: Path, tmp_path: Path
) -> None:
    one = run(warc, tmp_path / "one", tasks=1, workers=1)
    many = run(warc, tmp_path / "many", tasks=50, workers=2)  # more tasks than documents
    assert content(one) == content(many) == content(built)
    assert one.to_dict()["stages"] == many.to_dict()["stages"]


def test_several_archives_and_a_folder_of_them(built: FunnelReport, tmp_path: Path) -> None:
    everything = pages()
    (tmp_path / "in").mkdir()
    write_warc(tmp_path / "in" / "a.warc.gz", everything[:9])
    write_warc(tmp_path / "in" / "b.warc", everything[9:])
    (tmp_path / "in" / "c.warc.gz.partial").write_bytes(b"half a crawl")
    assert content(run(tmp_path / "in", tmp_path / "out", tasks=2)) == content(built)


def test_a_damaged_archive_is_read_as_far_as_it_can_be(
    warc: Path, built: FunnelReport, tmp_path: Path
) -> None:
    from llmcourse.data.warc import read_warc

    data = bytearray(warc.read_bytes())
    offset = next(p.offset for p in read_warc(warc) if p.url.endswith("/good5"))
    data[offset + 40 : offset + 60] = b"?" * 20
    (tmp_path / "x.warc.gz").write_bytes(data[:-30])
    report = run(tmp_path / "x.warc.gz", tmp_path / "out")
    assert [url for url in built.kept_urls() if url not in report.kept_urls()] == [
        "http://www.world.example/good5"
    ]
    assert sum(report.stage("crawled").dropped.values()) >= 1


def test_a_crawl_of_nothing_but_dirt(tmp_path: Path) -> None:
    path = write_warc(
        tmp_path / "x.warc.gz", [("http://h.example/", b"<html></html>", "text/html")]
    )
    report = run(path, tmp_path / "out", count_tokens=len)
    assert [stage.documents for stage in report.stages] == [1, 1] + [0] * 8
    assert list(report.documents()) == []


def test_the_threshold_and_the_language_can_be_moved(warc: Path, tmp_path: Path) -> None:
    german = run(warc, tmp_path / "de", language="de", tasks=1, workers=1)
    assert german.stage("language").documents == 1
    strict = run(warc, tmp_path / "strict", language_threshold=1.0, tasks=1, workers=1)
    assert strict.stage("language").documents == 0


def test_a_finished_build_is_not_done_again(built: FunnelReport, warc: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in built.folder.rglob("*")}
    again = run(warc, built.folder, tasks=7, workers=1)
    assert again == built
    assert {p: p.stat().st_mtime_ns for p in built.folder.rglob("*")} == before
    counted = run(warc, built.folder, count_tokens=len)
    assert counted.stages[-1].tokens == sum(len(text) for _, text in content(built))
    built.count_tokens(lambda text: len(text.split()))
    built.save()


def test_other_settings_make_another_build_in_the_same_folder(warc: Path, tmp_path: Path) -> None:
    first = run(warc, tmp_path / "out", tasks=1, workers=1)
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "rest.txt").write_text("of a build with other settings")
    second = run(warc, tmp_path / "out", tasks=1, workers=1, blocked_domains=["www.world.example"])
    assert second.kept_urls() == ["http://ads.spam.example/x"]
    assert first.stages[1].documents != second.stages[1].documents
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (tmp_path / "out" / "rest.txt").exists()
    (tmp_path / "out" / "report.json").write_text("{ torn")
    third = run(warc, tmp_path / "out", tasks=1, workers=1, blocked_domains=["www.world.example"])
    assert third.stages == second.stages


# -- what cannot work is refused ------------------------------------------------------------------


def test_refused_before_anything_is_made(warc: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    (tmp_path / "none").mkdir()
    cases: list[tuple[str, Any, Path, dict[str, Any]]] = [
        ("no file", tmp_path / "nowhere.warc.gz", tmp_path / "o", {}),
        ("no WARC file to read", tmp_path / "none", tmp_path / "o", {}),
        ("unfinished crawl", tmp_path / "x.warc.gz.partial", tmp_path / "o", {}),
        ("cannot write", warc, tmp_path / "file" / "o", {}),
        ("not an earlier build", warc, tmp_path / "file", {}),
        ("not an earlier build", warc, tmp_path / "full", {}),
        ("between 0 and 1", warc, tmp_path / "o", {"language_threshold": 2}),
        ("no language code", warc, tmp_path / "o", {"language": "e n"}),
        ("tasks must be at least 1", warc, tmp_path / "o", {"tasks": -1}),
        ("buckets must be at least 1", warc, tmp_path / "o", {"buckets": 0}),
        ("no executor 'cloud'", warc, tmp_path / "o", {"executor": "cloud"}),
        ("partition and the time", warc, tmp_path / "o", {"executor": "slurm"}),
        (
            "no sbatch",
            warc,
            tmp_path / "o",
            {"executor": "slurm", "options": {"partition": "p", "time": "1"}},
        ),
    ]
    for message, inputs, output, options in cases:
        with pytest.raises(CourseError, match=message):
            run(inputs, output, **options)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "full", "none"}


def test_failures_of_the_pipeline_come_back_in_one_line(warc: Path, tmp_path: Path) -> None:
    (tmp_path / "x.warc.gz").write_bytes(b"no archive")
    with pytest.raises(CourseError, match="no readable WARC record"):
        run(tmp_path / "x.warc.gz", tmp_path / "out", tasks=1, workers=1)
    assert not (tmp_path / "out").exists()
    with pytest.raises(CourseError, match="no word tokenizer for language 'qqq'"):
        run(warc, tmp_path / "out", language="qqq")


def test_two_builds_do_not_share_a_folder(warc: Path, tmp_path: Path) -> None:
    import fasteners

    lock = fasteners.InterProcessLock(str(tmp_path / "out.partial.lock"))
    assert lock.acquire(blocking=False)
    script = (
        f"from llmcourse.data.fineweb import build; build({str(warc)!r}, {str(tmp_path / 'out')!r})"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    lock.release()
    assert "another build is writing" in result.stderr


# -- killed, and called in every way --------------------------------------------------------------


SCRIPT = """
import sys
from llmcourse.data.fineweb import build
print("imported", flush=True)
build(sys.argv[1], sys.argv[2], blocked_domains=["spam.example"], tasks=6, workers=2, progress=False)
print("built")
"""


def start(tmp_path: Path, warc: Path, script: str = SCRIPT) -> subprocess.Popen[str]:
    """A script without a __main__ guard, as people write them."""
    path = tmp_path / "script.py"
    path.write_text(script)
    return subprocess.Popen([sys.executable, str(path), str(warc), str(tmp_path / "out")],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


def test_from_a_script_without_a_guard(warc: Path, built: FunnelReport, tmp_path: Path) -> None:
    out, err = start(tmp_path, warc).communicate(timeout=120)
    assert (out, err) == ("imported\nbuilt\n", ""), "run once, and quietly"
    assert content(FunnelReport.load(tmp_path / "out")) == content(built)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_midway_then_run_again(
    how: signal.Signals, warc: Path, built: FunnelReport, tmp_path: Path
) -> None:
    process = start(tmp_path, warc)
    done = tmp_path / "out.partial" / "logs" / "filter" / "completions"
    deadline = time.monotonic() + 60
    while not (done.exists() and list(done.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.01)
    family = psutil.Process(process.pid).children(recursive=True)
    assert family, "killed too late to prove anything"
    process.send_signal(how)
    process.communicate(timeout=20)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, "no worker outlives the build"
    assert not (tmp_path / "out").exists(), "half a build is not a build"
    finished = {path.name: path.stat().st_mtime_ns for path in done.iterdir()}
    assert finished
    report = run(warc, tmp_path / "out", tasks=6)
    kept = {
        path.name: path.stat().st_mtime_ns
        for path in (tmp_path / "out/logs/filter/completions").iterdir()
    }
    assert {name: kept[name] for name in finished} == finished, (
        "what was finished is not done again"
    )
    assert content(report) == content(built)
    assert report.stages == FunnelReport.summarise(report.folder, {}).stages


def test_killed_when_all_but_the_name_was_done(
    built: FunnelReport, warc: Path, tmp_path: Path
) -> None:
    run(warc, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "out.partial")
    (tmp_path / "out.partial" / "report.json").unlink()
    assert content(run(warc, tmp_path / "out")) == content(built)


def test_stages_in_this_process(warc: Path, built: FunnelReport, tmp_path: Path) -> None:
    """What the child does, where coverage can see it."""
    settings = Settings(inputs=(str(warc),), blocked_domains=("spam.example",))
    messages: list[dict[str, Any]] = []
    run_stages(settings, Machine("local", 1, 1), tmp_path, messages.append)
    assert [m["done"] for m in messages if "done" in m] == [
        "filter",
        "signatures",
        "buckets",
        "clusters",
        "documents",
    ]
    report = FunnelReport.summarise(tmp_path, {})
    assert content(report) == content(built)
    with pytest.raises(CourseError, match="cannot open"):
        run_stages(
            Settings(inputs=(str(tmp_path / "gone"),)),
            Machine("local", 1, 1),
            tmp_path / "b",
            messages.append,
        )


def test_the_child_in_this_process(
    warc: Path, built: FunnelReport, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = {"inputs": [str(warc)], "blocked_domains": ["spam.example"]}
    job = {"settings": settings, "machine": {"tasks": 1, "workers": 1}, "folder": str(tmp_path)}
    (tmp_path / "job.json").write_text(json.dumps(job))

    def child() -> tuple[int, list[dict[str, Any]]]:
        out = os.dup(1)
        try:
            status = run_module.main(str(tmp_path / "job.json"))
        finally:
            os.dup2(out, 1)
            os.close(out)
        return status, [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    status, messages = child()
    assert status == 0
    assert messages[-1]["done"] == "documents"
    assert content(FunnelReport.summarise(tmp_path, {})) == content(built)
    settings["inputs"] = [str(tmp_path / "gone")]
    job["folder"] = str(tmp_path / "second")
    (tmp_path / "job.json").write_text(json.dumps(job))
    status, messages = child()
    assert status == 1
    assert "cannot open" in messages[-1]["problem"]
    job["machine"] = {"tasks": 1, "workers": 1, "options": {"no_such_option": 1}}
    (tmp_path / "job.json").write_text(json.dumps(job))
    status, messages = child()
    assert status == 1
    assert messages[-1]["problem"].startswith("the pipeline failed: TypeError")


# -- clusters -------------------------------------------------------------------------------------


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


SBATCH = """#!/bin/bash
# Runs the array of a job at once, and keeps the script and its arguments.
script="${@: -1}"
cp "$script" "$SLURM_KEEP/$(date +%s%N).sh"
echo "$@" >> "$SLURM_KEEP/arguments"
last=$(grep -oP '(?<=--array=0-)\\d+' "$script")
for ((i = 0; i <= last; i++)); do
  SLURM_ARRAY_TASK_ID=$i SLURM_NODELIST=here SLURM_JOB_ID=7 bash "$script" >> "$SLURM_KEEP/output" 2>&1 || exit 1
done
echo "Submitted batch job $(date +%s%N)"
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    tools, keep = tmp_path / "bin", tmp_path / "slurm"
    tools.mkdir()
    keep.mkdir()
    executable(tools / "sbatch", SBATCH)
    executable(
        tools / "srun",
        '#!/bin/bash\nwhile [[ "$1" == -* || "$1" =~ ^[0-9]+$ ]]; do shift; done\nexec "$@"\n',
    )
    executable(tools / "scontrol", "#!/bin/bash\necho here\n")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_KEEP", str(keep))
    yield keep


def test_on_slurm(slurm: Path, warc: Path, built: FunnelReport, tmp_path: Path) -> None:
    options = {"partition": "cpu", "time": "02:00:00", "tasks_per_job": 14, "mem_per_cpu_gb": 3}
    report = run(warc, tmp_path / "out", executor="slurm", options=options)
    assert content(report) == content(built)
    scripts = [path.read_text() for path in sorted(slurm.glob("*.sh"))]
    launches = [text for text in scripts if "launch_pickled_pipeline" in text]
    assert len(launches) == 5
    for text, stage in zip(
        launches, ["filter", "signatures", "buckets", "clusters", "documents"], strict=True
    ):
        assert f"#SBATCH --job-name=llmcourse-{stage}" in text
        assert "#SBATCH --partition=cpu" in text
        assert "#SBATCH --time=02:00:00" in text
        assert "#SBATCH --mem-per-cpu=3G" in text
        assert "#SBATCH --qos" not in text
        assert f"logs/{stage}/executor.pik" in text
    arguments = (slurm / "arguments").read_text()
    assert arguments.count("--dependency=afterok:") == 4, "each stage waits for the one before"


def test_a_job_that_fails_on_slurm(slurm: Path, tmp_path: Path) -> None:
    (tmp_path / "x.warc.gz").write_bytes(b"no archive")
    executable(tmp_path / "bin" / "sbatch", "#!/bin/bash\necho Submitted batch job 7\n")
    with pytest.raises(CourseError, match="stage filter did not complete on Slurm"):
        run(
            tmp_path / "x.warc.gz",
            tmp_path / "out",
            executor="slurm",
            options={"partition": "p", "time": "1"},
        )
    executable(tmp_path / "bin" / "sbatch", "#!/bin/bash\necho no such partition >&2; exit 1\n")
    with pytest.raises(CourseError, match="sbatch refused the job"):
        settings = Settings(inputs=(str(tmp_path / "x.warc.gz"),))
        run_stages(
            settings,
            Machine("slurm", 1, 1, {"partition": "p", "time": "1"}),
            tmp_path / "s",
            lambda m: None,
        )
    with pytest.raises(CourseError, match="sbatch refused the job"):
        run(
            tmp_path / "x.warc.gz",
            tmp_path / "out",
            executor="slurm",
            options={"partition": "p", "time": "1"},
        )


def test_jobs_still_in_the_queue_are_waited_for(
    slurm: Path, warc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second call finds the jobs of the first, and does not submit them again."""
    executable(
        tmp_path / "bin" / "squeue",
        '#!/bin/bash\n[[ "$*" == *7,8* ]] && [ -e "$SLURM_KEEP/queued" ] && echo 7\n',
    )
    (slurm / "queued").touch()
    work = tmp_path / "work"
    work.mkdir()
    (work / "submitted.json").write_text('["7", "8"]')

    def later(seconds: float) -> None:
        (slurm / "queued").unlink(missing_ok=True)

    monkeypatch.setattr(run_module.time, "sleep", later)
    machine = Machine("slurm", 1, 1, {"partition": "p", "time": "1"})
    with pytest.raises(CourseError, match="did not complete"):
        run_stages(Settings(inputs=(str(warc),)), machine, work, lambda message: None)
    assert not (slurm / "arguments").exists(), "nothing was submitted again"


def test_on_ray(warc: Path, built: FunnelReport, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    report = run(warc, tmp_path / "out", executor="ray")
    assert content(report) == content(built)
    log = gzip.decompress(next((report.folder / "documents").glob("*.gz")).read_bytes())
    assert json.loads(log.splitlines()[0])["text"]


def test_ray_missing(warc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CourseError, match="Ray is not installed"):
        run_stages(
            Settings(inputs=(str(warc),)), Machine("ray", 1, 1), tmp_path, lambda message: None
        )


def test_built_in_block_lists_can_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their contents are datatrove's affair; here, that they are asked after our own list."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import URLFilter
    from datatrove.pipeline.writers import JsonlWriter

    from llmcourse.data.steps import BlockedDomains

    monkeypatch.setattr(
        URLFilter, "download_data", lambda self: self.block_listed_domains.add("bad.com")
    )
    step = BlockedDomains(["spam.example"], True, JsonlWriter(str(tmp_path)))
    step.banned_subwords_automaton.make_automaton()
    verdict = {
        url: step.filter(Document("", "x", metadata={"url": url}))
        for url in (
            "http://a.spam.example/",
            "http://notspam.example/",
            "https://www.bad.com/x",
            "https://good.org/",
        )
    }
    assert list(verdict.values()) == [(False, "blocked domain"), True, (False, "domain"), True]


def test_a_page_that_hangs_or_crashes_the_parser(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from datatrove.data import Document
    from datatrove.pipeline.writers import JsonlWriter

    from llmcourse.data import steps
    from llmcourse.data.jsonl import read_jsonl

    def parse(html: str) -> str:
        if html == "hang":
            time.sleep(30)
        if html == "crash":
            os._exit(1)
        return html

    monkeypatch.setattr(steps, "main_text", parse)
    step = steps.ExtractText(JsonlWriter(str(tmp_path)), timeout=1)
    texts = ("one", "hang", "crash", "", "two")
    kept = list(step.run(Document(t, t, metadata={}) for t in texts))
    assert [doc.text for doc in kept] == ["one", "two"]
    reasons = [
        record["metadata"]["filter_reason"] for record in read_jsonl(tmp_path / "00000.jsonl.gz")
    ]
    assert reasons == ["took longer than 1 s", "crashed the parser", "no text found"]
