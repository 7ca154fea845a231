"""`llmcourse data …`: crawl, filter, look (chapter 01)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from ..errors import CourseError

app = typer.Typer(help="From a crawl to clean text (chapter 01).", no_args_is_help=True)

Preset = Annotated[str, typer.Option(help="A preset; `llmcourse presets` lists them.")]


@app.command()
def crawl(
    urls: Annotated[
        list[str] | None,
        typer.Argument(help="Start addresses. Without any, the preset's own two sites."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for the WARC files.")] = Path("work/crawl"),
    preset: Preset = "quick",
    max_pages: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many pages of a crawl.")
    ] = None,
    delay: Annotated[
        float, typer.Option(min=0, help="Seconds between two requests to one host (real sites).")
    ] = 1.0,
    force: Annotated[bool, typer.Option(help="Crawl again although the files are there.")] = False,
) -> None:
    """Crawl into WARC files: the preset's World and Python's documentation, or addresses of yours.

    Example: `llmcourse data crawl --preset quick --out work/crawl`
    """
    from .. import presets
    from ..data import corpus
    from ..data.crawl import crawl as run

    chosen = presets.load(preset)
    limits = chosen.need(presets.CrawlSection)
    if not force and (found := sorted(out.glob("*.warc.gz"))):
        raise CourseError(
            f"{out} holds {found[0].name} already", hint="choose another folder, or add --force"
        )
    if urls:
        report = run(
            urls, out / "pages.warc.gz", max_pages=max_pages or limits.max_pages, max_depth=limits.max_depth,
            delay=delay, timeout=limits.timeout, max_bytes=limits.max_bytes,
        )  # fmt: skip
        print(report)
        if not report.pages:
            (out / "pages.warc.gz").unlink()
            raise CourseError("no page could be fetched", hint="the reasons stand above")
        print(f"next: llmcourse data build {out}/pages.warc.gz --out work/clean")
        return
    if max_pages is not None:
        sections = {
            "crawl": limits.model_copy(
                update={
                    "max_pages": max_pages,
                    "pydoc_pages": min(max_pages, limits.pydoc_pages),
                }
            )
        }
        chosen = chosen.model_copy(update=sections)
    for crawled in corpus.crawl_all(chosen, out).values():
        print(crawled, end="\n\n")
    blocked = sorted(corpus.make_world(chosen).blocked_domains)
    (out / "blocked-domains.txt").write_text("\n".join(blocked) + "\n", encoding="utf-8")
    print(
        f"next: llmcourse data build {out}/*.warc.gz --blocked {out}/blocked-domains.txt --out work/clean"
    )


@app.command()
def build(
    inputs: Annotated[
        list[str],
        typer.Argument(help="WARC files, folders of them, addresses, or Common Crawl paths."),
    ],
    out: Annotated[Path, typer.Option(help="The folder for the clean documents and the report.")],
    blocked: Annotated[
        Path | None,
        typer.Option(
            help="A file with a blocked domain a line. By default the one that `data crawl` left beside the input."
        ),
    ] = None,
    builtin_block_lists: Annotated[
        bool, typer.Option(help="Apply FineWeb's block lists as well (slow to load).")
    ] = False,
    language: Annotated[str, typer.Option(help="The language to keep, as ISO 639 code.")] = "en",
    threshold: Annotated[
        float, typer.Option(help="How sure the language identifier must be.")
    ] = 0.65,
    executor: Annotated[str, typer.Option(help="Where to run: local, slurm or ray.")] = "local",
    tasks: Annotated[int | None, typer.Option(min=1, help="In how many parts to work.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Parts worked on at once. Default: the cores.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE for datatrove's executor, e.g. partition=cpu."),
    ] = None,
    tokens: Annotated[bool, typer.Option(help="Count GPT-4's tokens as well as bytes.")] = True,
) -> None:
    """Run FineWeb's filters over a crawl and account for every page. Killed, it goes on where it stopped.

    Example: `llmcourse data build work/crawl/*.warc.gz --out work/clean`
    """
    from ..data.fineweb import build as run

    options = {}
    for pair in option or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise CourseError(
                f"--option {pair!r} is not KEY=VALUE", hint="for example --option partition=cpu"
            )
        options[key] = _number(value)
    count = None
    if tokens:
        from ..tokenizer.pretrained import gpt4_reference

        encoding = gpt4_reference()

        def count(text: str) -> int:
            return len(encoding.encode_ordinary(text))

    report = run(
        inputs, out, blocked_domains=_blocked(blocked, inputs), builtin_block_lists=builtin_block_lists,
        language=language, language_threshold=threshold, executor=executor,  # type: ignore[arg-type]
        tasks=tasks, workers=workers, options=options, count_tokens=count,
    )  # fmt: skip
    print(report)


def _number(value: str) -> str | int | float:
    """A number as such: Ray's options are numbers, and Slurm's are written out in any case."""
    if re.fullmatch(r"0|[1-9]\d*", value):
        return int(value)
    return float(value) if re.fullmatch(r"\d+\.\d+", value) else value


def _blocked(file: Path | None, inputs: list[str]) -> list[str]:
    """The domains of a block list: the one given, or the one beside the first input."""
    if file is None:
        first = Path(inputs[0])
        beside = (first if first.is_dir() else first.parent) / "blocked-domains.txt"
        if not beside.is_file():
            return []
        file = beside
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CourseError(
            f"cannot read {file}: {error.strerror}", hint="give --blocked FILE"
        ) from error
    except UnicodeDecodeError as error:
        raise CourseError(
            f"{file} is not a text file in UTF-8", hint="give --blocked a file with a domain a line"
        ) from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="fineweb-edu or fineweb.")],
    out: Annotated[Path, typer.Option(help="The folder for train/, valid/ and tokenizer.json.")],
    tokens: Annotated[
        str, typer.Option(help="How many to train on: 10B, 300M, 5k or a plain number.")
    ],
    valid: Annotated[str, typer.Option(help="How many more to hold out.")] = "10M",
    tokenizer: Annotated[
        str, typer.Option(help="gpt2 (downloaded once) or cl100k, GPT-4's (comes with the course).")
    ] = "gpt2",
    tokens_per_shard: Annotated[int, typer.Option(min=1_000, help="Of the shards.")] = 100_000_000,
    revision: Annotated[str, typer.Option(help="Of the data set on the hub.")] = "main",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that tokenize. Default: the cores.")
    ] = None,
) -> None:
    """Fetch a part of FineWeb from the hub and cut it into tokens. Stopped, it goes on where it was.

    Example: `llmcourse data fetch fineweb-edu --tokens 10B --out work/fineweb-edu`
    """
    from ..data.hub import fetch_fineweb
    from ..data.hub_request import parse_count
    from ..data.shards import ShardSet

    folder = fetch_fineweb(
        name, out, tokens=parse_count(tokens), valid_tokens=parse_count(valid), tokenizer=tokenizer,
        tokens_per_shard=tokens_per_shard, revision=revision, workers=workers,
    )  # fmt: skip
    for part in ("train", "valid"):
        if (folder / part).is_dir():
            shards = ShardSet.open(folder / part, verify=False)
            print(f"{part}: {len(shards):,} tokens in {len(shards.names)} shards")
    print(f"next: llmcourse pretrain --data {folder}")


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="A folder that `data build` wrote.")],
    stage: Annotated[str, typer.Option(help="Show pages that this stage dropped, and why.")] = "",
    url: Annotated[str, typer.Option(help="Show one page's way through the pipeline.")] = "",
    n: Annotated[int, typer.Option("-n", min=1, help="How many examples.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Look at a build: the funnel, what a stage dropped, or one page's story.

    Example: `llmcourse data show work/clean --stage language`
    """
    from rich.console import Console

    from ..data.report import FunnelReport

    report = FunnelReport.load(folder)
    if as_json:
        print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    elif url:
        page = report.page(url)
        for name, verdict in page.verdicts.items():
            print(f"{name:<12} {verdict}")
        print(f"\n--- HTML, {len(page.html):,} characters\n{page.html[:600]}")
        print(f"\n--- text\n{page.text or page.extracted or '(none)'}")
    elif stage:
        found = report.examples(stage, n)
        if not found:
            print(f"the stage {stage!r} dropped nothing")
        for item in found:
            same = f" (kept: {item.duplicate_of})" if item.duplicate_of else ""
            print(
                f"{item.url or '(no address)'}\n  {item.reason}{same}\n  {' '.join(item.start.split())}\n"
            )
    else:
        Console().print(report)


@app.command()
def mixture(
    preset: Annotated[
        str, typer.Option(help="A preset with a mixture; `llmcourse presets` lists them.")
    ] = "course-laptop",
    out: Annotated[
        Path | None, typer.Option(help="The folder. Without it, a place in the cache.")
    ] = None,
) -> None:
    """Make the course model's training text: the whole World, filtered, and what is mixed into it.

    Example: `llmcourse data mixture --preset quick --out work/mixture`
    """
    from rich.console import Console
    from rich.table import Table

    from .. import presets
    from ..data.mixture import prepare_mixture

    folder = prepare_mixture(presets.load(preset), out)
    account = json.loads((folder / "mixture.json").read_text())
    table = Table("source", "documents", "MB", "tokens", "share", box=None, pad_edge=False)
    for name, count in account["sources"].items():
        share = f"{count['tokens'] / account['tokens']:.1%}"
        size = f"{count['bytes'] / 1e6:.1f}"
        table.add_row(name, f"{count['documents']:,}", size, f"{count['tokens']:,}", share)
    Console().print(table)
    print(f"{account['tokens']:,} tokens, {account['vocab_size']:,} symbols, in {folder}")
    if found := account.get("variety"):
        print(
            f"variety: {found['distinct']['4']:.0%} of the runs of four words are distinct; the most frequent "
            f"sentence, names and numbers aside, makes {found['top']:.1%}, the first hundred {found['top_100']:.1%}"
        )
