"""FineWeb's recipe as one readable function, run for real by datatrove.

`recipe` is the list of steps; `build` runs it, on this machine, on a Slurm cluster or on Ray, and
gives an account of what every filter threw away and why.

The order and the settings are those of FineWeb (Penedo et al. 2024, https://arxiv.org/abs/2406.17557,
and ``examples/fineweb.py`` in datatrove). Where this differs, the step's comment says so.

Taught in chapter 01.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..assets import atomic_write
from ..errors import CourseError
from ..runtime import cores
from .report import FunnelReport
from .workspace import find_inputs, fingerprint, only_one, put_in_place, stored

ExecutorName = Literal["local", "slurm", "ray"]


@dataclass(frozen=True)
class Settings:
    """Everything that the result depends on. What only says how it is computed is in `Machine`.

    Args:
        inputs: WARC files, addresses, or Common Crawl paths.
        blocked_domains: Domains to drop with all their hosts.
        builtin_block_lists: Whether to apply datatrove's block lists as well.
        language: The language to keep.
        language_threshold: How sure fastText's model must be.
        ngrams: Words in a MinHash shingle.
        buckets: Bands of a MinHash signature.
        hashes_per_bucket: Rows of a band; all rows of one band equal make two pages duplicates.
    """

    inputs: tuple[str, ...]
    blocked_domains: tuple[str, ...] = ()
    builtin_block_lists: bool = False
    language: str = "en"
    language_threshold: float = 0.65
    ngrams: int = 5
    buckets: int = 14
    hashes_per_bucket: int = 8


@dataclass(frozen=True)
class Machine:
    """How the work is done. The documents do not depend on it.

    Args:
        executor: ``local``, ``slurm`` or ``ray``.
        tasks: Parts that the crawl is dealt into.
        workers: Parts worked on at the same time.
        options: Further arguments of datatrove's executor; for Slurm at least ``partition`` and
            ``time``.
    """

    executor: ExecutorName = "local"
    tasks: int = 2
    workers: int = 2
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """Steps that run in one go, the documents flowing from one to the next.

    Args:
        name: Name of the stage and of its log folder.
        tasks: In how many parts.
        steps: datatrove's pipeline.
    """

    name: str
    tasks: int
    steps: list[Any]


def recipe(settings: Settings, tasks: int, folder: str | Path) -> list[Stage]:
    """FineWeb's pipeline: the stages in their order, ready for any of datatrove's executors.

    Args:
        settings: What to keep.
        tasks: In how many parts to filter.
        folder: Where everything is written: ``documents``, ``dropped/<step>``, and what lies
            between.
    """
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupFilter
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.writers import JsonlWriter

    from . import steps

    def write(name: str) -> Any:
        return JsonlWriter(f"{folder}/{name}")  # one file a task, compressed

    def dropped(name: str) -> Any:
        return write(f"dropped/{name}")

    lang = settings.language
    stop_words = 2 if lang == "en" else 0  # Gopher's list is English
    minhash = MinhashConfig(
        n_grams=settings.ngrams,
        num_buckets=settings.buckets,
        hashes_per_bucket=settings.hashes_per_bucket,
    )
    mh = f"{folder}/minhash"
    return [
        # 1. From pages to clean text. Each filter writes what it drops, with its reason.
        Stage("filter", tasks, [
            steps.ReadWarc(list(settings.inputs), damage=dropped("damaged")),
            steps.BlockedDomains(
                settings.blocked_domains, settings.builtin_block_lists, dropped("url")
            ),
            steps.ExtractText(dropped("text")),
            write("extracted"),
            steps.KeepLanguage(settings.language, settings.language_threshold, dropped("language")),
            GopherRepetitionFilter(language=lang, exclusion_writer=dropped("repetition")),
            GopherQualityFilter(
                language=lang, min_stop_words=stop_words, exclusion_writer=dropped("quality")
            ),
            # FineWeb found that C4's rule on final punctuation drops too much and left it out.
            C4QualityFilter(
                language=lang, filter_no_terminal_punct=False, exclusion_writer=dropped("c4")
            ),
            FineWebQualityFilter(language=lang, exclusion_writer=dropped("fineweb")),
            write("filtered"),
        ]),
        # 2. Near duplicates, in four stages: signatures, pairs within each band, clusters, removal.
        Stage("signatures", tasks, [
            steps.ReadBack(f"{folder}/filtered"),
            steps.OrderedSignatures(f"{mh}/signatures", config=minhash, language=lang),
        ]),
        Stage("buckets", settings.buckets, [
            MinhashDedupBuckets(f"{mh}/signatures", f"{mh}/pairs", config=minhash),
        ]),
        Stage("clusters", 1, [
            steps.KeepFirst(f"{mh}/signatures", f"{mh}/pairs", f"{mh}/clusters", config=minhash),
        ]),
        # 3. What is left, with e-mail addresses, IP addresses and telephone numbers masked.
        #    (FineWeb masks the first two, with patterns of its own.)
        Stage("documents", tasks, [
            steps.ReadBack(f"{folder}/filtered"),
            MinhashDedupFilter(
                f"{mh}/clusters", exclusion_writer=dropped("dedup"), load_cluster_ids=True
            ),
            steps.MaskPersonalData(),
            write("documents"),
        ]),
    ]  # fmt: skip


def build(
    inputs: str | Path | Iterable[str | Path],
    output_dir: str | Path,
    *,
    blocked_domains: Iterable[str] = (),
    builtin_block_lists: bool = False,
    language: str = "en",
    language_threshold: float = 0.65,
    ngrams: int = 5,
    buckets: int = 14,
    hashes_per_bucket: int = 8,
    executor: ExecutorName = "local",
    tasks: int | None = None,
    workers: int | None = None,
    options: Mapping[str, Any] | None = None,
    count_tokens: Callable[[str], int] | None = None,
    progress: bool = True,
) -> FunnelReport:
    """Turn a crawl into a clean corpus, as FineWeb does, and account for every page.

    The work goes on in ``<output_dir>.partial``, which takes the folder's name in one step when all
    is whole. A build that was killed is taken up where it stopped by calling it again with the same
    arguments; one that is finished is not done again. It runs in a process of its own, so it
    behaves the same in a notebook, in a script without a ``__main__`` guard and on the command
    line, and it ends with its parent.

    Args:
        inputs: WARC files, folders of them, web addresses, or Common Crawl paths
            (``crawl-data/…``).
        output_dir: A folder that does not exist yet, or one that an earlier build has made.
        blocked_domains: Domains to drop, with every host below them.
        builtin_block_lists: Also apply the block lists that FineWeb used (slow to load).
        language: ISO 639-1 code of the language to keep.
        language_threshold: Least score of fastText's model; FineWeb: 0.65.
        ngrams: Words in a MinHash shingle; FineWeb: 5.
        buckets: MinHash bands; FineWeb: 14.
        hashes_per_bucket: Rows in a band; FineWeb: 8.
        executor: ``local``, ``slurm`` (jobs are submitted and waited for) or ``ray``.
        tasks: In how many parts to work; the documents do not depend on it. Default: two per
            worker.
        workers: Parts worked on at once. Default: the number of cores.
        options: Further arguments of datatrove's executor, such as ``partition`` and ``time`` for
            Slurm.
        count_tokens: If given, the report counts tokens as well as bytes.
        progress: Show one line of progress.

    Raises:
        CourseError: for inputs that cannot be read, a folder that cannot be written or is not ours,
            impossible settings, and a stage that fails; the log is named in the message.
    """
    settings = Settings(
        inputs=find_inputs([inputs] if isinstance(inputs, (str, Path)) else inputs),
        blocked_domains=tuple(sorted({domain.lower().strip(".") for domain in blocked_domains})),
        builtin_block_lists=builtin_block_lists,
        language=language,
        language_threshold=language_threshold,
        ngrams=ngrams,
        buckets=buckets,
        hashes_per_bucket=hashes_per_bucket,
    )
    workers = workers or cores()
    machine = Machine(executor, tasks or 2 * workers, workers, dict(options or {}))
    _check(settings, machine)
    output = Path(output_dir).absolute()
    identity = fingerprint(asdict(settings), settings.inputs)
    if stored(output).get("settings") == identity and (report := _finished(output)) is not None:
        if count_tokens is not None:
            report.count_tokens(count_tokens)
            report.save()
        return report
    ours = (output / "fingerprint.json").exists()
    if output.exists() and not ours and (not output.is_dir() or any(output.iterdir())):
        raise CourseError(f"{output} is not an earlier build", hint="choose another output folder")

    work = output.with_name(output.name + ".partial")
    try:
        with only_one(work):
            state = {"settings": identity, "tasks": machine.tasks}
            if work.exists() and stored(work) != state:
                shutil.rmtree(work)  # the rest of another build
            work.mkdir(parents=True, exist_ok=True)
            with atomic_write(work / "fingerprint.json") as temporary:
                temporary.write_text(json.dumps(state, indent=1))

            from .run import run_in_child

            seconds = run_in_child(settings, machine, work, progress=progress)
            shutil.rmtree(work / "minhash", ignore_errors=True)  # large, and of no more use
            report = FunnelReport.summarise(work, asdict(settings), seconds, count_tokens)
            report.save()
            put_in_place(work, output)
    except OSError as error:
        raise CourseError(
            f"cannot write {output}: {error.strerror or error}", hint="choose another folder"
        ) from error
    return FunnelReport.load(output)


def _finished(output: Path) -> FunnelReport | None:
    """The report of a finished build; None if it is not there or damaged."""
    try:
        return FunnelReport.load(output)
    except CourseError:
        return None


def _check(settings: Settings, machine: Machine) -> None:
    """Refuse what could only fail later."""
    from .language import UNKNOWN

    if not settings.inputs:
        raise CourseError("there is no WARC file to read", hint="crawl first: llmcourse data crawl")
    if not 0 <= settings.language_threshold <= 1:
        raise CourseError("language_threshold must be between 0 and 1", hint="FineWeb's is 0.65")
    if settings.language == UNKNOWN or not settings.language.isalpha():
        raise CourseError(
            f"{settings.language!r} is no language code", hint="for example: en, de, fr"
        )
    counts = {name: getattr(settings, name) for name in ("ngrams", "buckets", "hashes_per_bucket")}
    counts |= {"tasks": machine.tasks, "workers": machine.workers}
    for name, value in counts.items():
        if value < 1:
            raise CourseError(f"{name} must be at least 1, not {value}")
    if machine.executor not in ("local", "slurm", "ray"):
        raise CourseError(f"there is no executor {machine.executor!r}", hint="local, slurm or ray")
    if machine.executor == "slurm":
        if missing := sorted({"partition", "time"} - machine.options.keys()):
            raise CourseError(
                f"Slurm needs to know the {' and the '.join(missing)}",
                hint='options={"partition": "cpu", "time": "02:00:00"}',
            )
        if shutil.which("sbatch") is None:
            raise CourseError("there is no sbatch on this machine", hint="use executor='local'")
