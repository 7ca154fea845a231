"""Chapter 01 from end to end: two crawls and FineWeb's filters, kept for the chapters that follow.

The result depends on the preset, and a little on the Python version (each documents itself), so
both are in the folder's name. What is finished is not done again.

Taught in chapter 01.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..assets import atomic_write, cache_dir
from ..presets import CrawlSection, FilterSection, Preset, WorldSection
from .crawl import CrawlReport, crawl
from .fineweb import build
from .report import FunnelReport
from .sites import ServedSite, serve_pydoc, serve_world
from .world import World


def corpus_folder(preset: Preset) -> Path:
    """Where a preset's corpus lives in the cache."""
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    return (
        cache_dir()
        / "corpus"
        / f"{preset.name}-{preset.fingerprint('world', 'crawl', 'filter')}-{python}"
    )


def make_world(preset: Preset) -> World:
    """The generated encyclopaedia of a preset."""
    section = preset.need(WorldSection)
    return World.generate(seed=section.seed, articles=section.articles)


def crawl_site(
    site: ServedSite, path: Path, preset: Preset, max_pages: int, progress: bool = True
) -> CrawlReport:
    """Crawl one served site with a preset's limits."""
    limits = preset.need(CrawlSection)
    return crawl(
        site.seeds,
        path,
        resolve=site.resolve,
        max_pages=max_pages,
        max_depth=limits.max_depth,
        delay=limits.delay,
        timeout=limits.timeout,
        max_bytes=limits.max_bytes,
        deny=site.deny,
        progress=progress,
    )


def crawl_all(
    preset: Preset, folder: str | Path, *, progress: bool = True
) -> dict[str, CrawlReport]:
    """Crawl the World and Python's documentation into `folder`, each into one WARC file.

    Beside them goes ``manifest.json``: what the generator knows of every page of the World.

    Returns:
        The two reports, by name: ``world`` and ``pydoc``.
    """
    folder = Path(folder)
    limits = preset.need(CrawlSection)
    world = make_world(preset)
    with atomic_write(folder / "manifest.json") as path:
        path.write_text(
            json.dumps(world.manifest(), ensure_ascii=False, indent=1), encoding="utf-8"
        )
    reports = {}
    with serve_world(world) as site:
        reports["world"] = crawl_site(
            site, folder / "world.warc.gz", preset, limits.max_pages, progress
        )
    if limits.pydoc_pages:
        with serve_pydoc() as site:
            reports["pydoc"] = crawl_site(
                site, folder / "pydoc.warc.gz", preset, limits.pydoc_pages, progress
            )
    return reports


def prepare(
    preset: Preset,
    folder: str | Path | None = None,
    *,
    count_tokens: Callable[[str], int] | None = None,
    progress: bool = True,
    **machine: Any,
) -> FunnelReport:
    """The preset's corpus: from the cache, or made now.

    Args:
        preset: What to crawl and how to filter it.
        folder: Where; by default `corpus_folder`.
        count_tokens: Counts the tokens of a text, for the report.
        progress: Show progress.
        machine: Passed to `build`: executor, tasks, workers.

    Returns:
        The account of the pipeline, whose `documents()` are the corpus.
    """
    folder = Path(folder) if folder is not None else corpus_folder(preset)
    clean = folder / "clean"
    if (clean / "report.json").exists():
        return FunnelReport.load(clean)
    archives = sorted(folder.glob("*.warc.gz"))
    if len(archives) < 1 + bool(preset.need(CrawlSection).pydoc_pages):
        crawl_all(preset, folder, progress=progress)
        archives = sorted(folder.glob("*.warc.gz"))
    return build(
        archives,
        clean,
        blocked_domains=make_world(preset).blocked_domains,
        language=preset.need(FilterSection).language,
        language_threshold=preset.need(FilterSection).language_threshold,
        count_tokens=count_tokens,
        progress=progress,
        **machine,
    )
