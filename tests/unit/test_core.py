"""Assets, presets, runtime, figures and tables."""

from __future__ import annotations

import http.server
import random
import re
import subprocess
import sys
import threading
import time

import pytest

from llmcourse import assets, presets, runtime
from llmcourse.errors import CourseError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fake_asset(monkeypatch, **changes):
    import hashlib

    body = bytes(range(256)) * 1000
    fields = {
        "name": "thing.bin", "sha256": hashlib.sha256(body).hexdigest(), "size": len(body),
        "package": "no-such-distribution", "member": "thing.bin", "url": "http://127.0.0.1:1/thing.bin",
        "licence": "MIT", "what": "a thing",
    } | changes  # fmt: skip
    asset = assets.Asset(**fields)
    monkeypatch.setitem(assets.ASSETS, asset.name, asset)
    return asset, body


@pytest.fixture
def server():
    class Handler(http.server.BaseHTTPRequestHandler):
        body, cut, ranges, log = b"", None, True, []

        def do_GET(self):
            type(self).log.append(self.headers.get("Range"))
            start = 0
            if self.ranges and (header := self.headers.get("Range")):
                start = int(re.search(r"\d+", header)[0])
            if start >= len(self.body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(self.body) - start))
            self.end_headers()
            self.wfile.write(self.body[start : type(self).cut])

        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield Handler, f"http://127.0.0.1:{httpd.server_port}/thing.bin"
    httpd.shutdown()
    httpd.server_close()


def test_assets_that_ship_in_packages_need_no_network(cache):
    for name in assets.ASSETS:
        path = assets.fetch(name)
        assert path.stat().st_size == assets.ASSETS[name].size
        assert assets.locate(name)[1] == "package"


def test_download_checks_and_caches(cache, monkeypatch, server):
    handler, url = server
    asset, handler.body = fake_asset(monkeypatch, url=url)
    assert assets.locate(asset.name) == (None, "missing")
    path = assets.fetch(asset.name, progress=False)
    assert path.read_bytes() == handler.body
    assert assets.locate(asset.name) == (path, "cache")
    assets.clear(asset.name)
    assert assets.locate(asset.name)[1] == "missing"


def test_broken_download_is_resumed(cache, monkeypatch, server):
    handler, url = server
    asset, handler.body = fake_asset(monkeypatch, url=url)
    handler.cut = 100_000
    with pytest.raises(CourseError):
        assets.fetch(asset.name, progress=False)
    handler.cut = None
    assert assets.fetch(asset.name, progress=False).read_bytes() == handler.body
    assert handler.log[-1] == "bytes=100000-"


def test_wrong_checksum_leaves_nothing(cache, monkeypatch, server):
    handler, url = server
    asset, _ = fake_asset(monkeypatch, url=url)
    handler.body = b"something else"
    with pytest.raises(CourseError, match="SHA-256"):
        assets.fetch(asset.name, progress=False)
    assert list(cache.iterdir()) == []


def test_damaged_cache_is_replaced(cache, monkeypatch, server):
    handler, url = server
    asset, handler.body = fake_asset(monkeypatch, url=url)
    cache.mkdir()
    (cache / asset.name).write_bytes(b"damaged")
    assert assets.fetch(asset.name, progress=False).read_bytes() == handler.body


def test_missing_asset_says_what_to_install(cache, monkeypatch):
    asset, _ = fake_asset(monkeypatch)
    with pytest.raises(CourseError, match="pip install no-such-distribution"):
        assets.fetch(asset.name, progress=False)


def test_unknown_asset_lists_the_known():
    with pytest.raises(CourseError, match="cl100k_base"):
        assets.fetch("nonsense")


def test_unwritable_cache_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CourseError, match="LLMCOURSE_CACHE"):
        assets.cache_dir()


def test_atomic_write_is_all_or_nothing(tmp_path):
    with assets.atomic_write(tmp_path / "new" / "a.txt") as path:
        path.write_text("whole")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"
    with pytest.raises(RuntimeError), assets.atomic_write(tmp_path / "b.txt") as path:
        path.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def test_atomic_write_under_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CourseError, match="cannot write"),
        assets.atomic_write(tmp_path / "file" / "x"),
    ):
        pass


def test_every_preset_loads():
    assert {"quick", "course-laptop"} <= set(presets.names())
    for name in presets.names():
        preset = presets.load(name)
        assert preset.name == name
        assert len(preset.fingerprint()) == 12


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("vocab_size = 2048", "vocab_size = 70000", "needs uint32"),
        ("vocab_size = 2048", "vocab_sise = 2048", "vocab_si"),
        ("language_threshold = 0.65", "language_threshold = 65", "language_threshold"),
        ("vocab_size = 2048", 'vocab_size = 2048\nspecial_tokens = ["a", "a"]', "stands twice"),
        ("vocab_size = 2048", 'vocab_size = 257\nspecial_tokens = ["a", "b"]', "256 bytes"),
        ("[world]", "[world", "not TOML"),
    ],
)
def test_contradictions_name_the_setting(old, new, message):
    from importlib import resources

    text = resources.files("llmcourse.presets").joinpath("quick.toml").read_text()
    with pytest.raises(CourseError, match=message):
        presets.parse("changed", text.replace(old, new))


def test_unknown_preset():
    with pytest.raises(CourseError, match="quick"):
        presets.load("nonsense")


def test_fingerprint_depends_on_its_sections_only():
    quick, laptop = presets.load("quick"), presets.load("course-laptop")
    assert quick.fingerprint() != laptop.fingerprint()
    assert quick.fingerprint("filter") == laptop.fingerprint("filter")


def test_seeds_repeat():
    import numpy as np

    runtime.seed_everything(3)
    first = random.random(), np.random.rand()
    runtime.seed_everything(3)
    assert first == (random.random(), np.random.rand())


def test_environment_line_names_versions():
    line = runtime.environment("numpy", "no-such-distribution")
    assert "Python 3." in line
    assert "no-such-distribution missing" in line


def test_device_is_one_that_exists():
    assert runtime.pick_device() in {"cpu", "cuda", "mps"}
    assert runtime.pick_device("cpu") == "cpu"
    with pytest.raises(CourseError, match="no device"):
        runtime.pick_device("abacus")
    assert runtime.cores() >= 1


def test_import_is_light():
    code = (
        "import sys, llmcourse, llmcourse.claims, llmcourse.assets, llmcourse.cli;"
        "heavy = ('torch', 'numpy', 'matplotlib', 'IPython', 'datatrove', 'tiktoken');"
        "print([m for m in heavy if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_import_takes_under_the_budget():
    def once():
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import llmcourse"], check=True)
        with_package = time.perf_counter() - start
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        return with_package - (time.perf_counter() - start)

    assert min(once() for _ in range(5)) < 0.3


def test_figure_inherits_the_page():
    from llmcourse.viz.figure import INK, show, use_style

    use_style()
    import matplotlib.pyplot as plt

    def draw():
        fig, ax = plt.subplots()
        ax.plot([0, 1], [0, 1], label="line")
        ax.set(xlabel="x", ylabel="y")
        ax.legend()
        return show(fig, "1.1", 'A "line".', "A line from 0 to 1.")._repr_mimebundle_()

    bundle = draw()
    page = bundle["text/html"]
    assert bundle["text/plain"] == 'Figure 1.1. A "line".'
    assert INK not in page
    assert "currentColor" in page
    assert 'aria-label="A line from 0 to 1."' in page
    assert 'id="figure_1"' not in page
    assert page == draw()["text/html"]
    assert not plt.get_fignums()


def test_figure_needs_words():
    from llmcourse.viz.figure import show, use_style

    use_style()
    import matplotlib.pyplot as plt

    fig = plt.figure()
    with pytest.raises(ValueError, match="alternative text"):
        show(fig, "1.1", "caption", " ")
    plt.close(fig)


def test_data_colours_stand_out_on_white_and_black():
    from llmcourse.viz.figure import COLOURS

    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    def contrast(a, b):
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    for colour in COLOURS:
        assert contrast(colour, "#ffffff") >= 3, colour
        assert contrast(colour, "#121212") >= 3, colour


def test_table_has_caption_and_headers():
    from llmcourse.viz.table import Table

    bundle = Table(
        [{"stage": "<a>", "pages": 1200}, {"stage": "b", "pages": 3}], "A funnel", mono=["stage"]
    )._repr_mimebundle_()
    assert "<caption>A funnel</caption>" in bundle["text/html"]
    assert (
        '<th scope="row" class="mono">&lt;a&gt;</th><td class="num">1,200</td>'
        in bundle["text/html"]
    )
    assert bundle["text/plain"].splitlines()[2] == "<a>    1,200"


def test_empty_table_is_refused():
    from llmcourse.viz.table import Table

    with pytest.raises(ValueError, match="no rows"):
        Table([], "nothing")
