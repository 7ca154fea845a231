"""A question asked many times: one answer after the other, and how far they agree so far.

The answers are stored: nothing is drawn while the reader looks. So it works in the rendered book too.

Taught in chapter 09.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from ..errors import CourseError
from .figure import BLUE, GREY
from .panels import Control, Explorer, explorer

STYLE = (
    "<style>.lc-again .said{border-left:3px solid "
    + BLUE
    + ";padding:.1em 0 .1em .8em;margin:.4em 0;"
    "white-space:pre-wrap;overflow-wrap:anywhere}"
    ".lc-again ul{list-style:none;margin:.3em 0;padding:0}"
    ".lc-again li{margin:.15em 0;overflow-wrap:anywhere}"
    ".lc-again i{display:inline-block;height:.65em;margin-right:.5em;background:" + GREY + "}"
    ".lc-again .now{font-weight:600}.lc-again .now i{background:" + BLUE + "}</style>"
)


def alike(answers: Sequence[str]) -> list[tuple[str, int]]:
    """Groups of answers that are about the same, by the rule of `interrogate.agreement`, in order of appearance.

    Returns:
        The first wording of each group, and how many answers it has.
    """
    groups: dict[str, int] = {}
    for answer in answers:
        first = _among(groups, answer)
        groups[first] = groups.get(first, 0) + 1
    return list(groups.items())


def _among(groups: Iterable[str], answer: str) -> str:
    """The first wording that is about the same as an answer; itself if none is."""
    from ..evals.interrogate import agreement

    return next((seen for seen in groups if agreement((seen, answer)) == 1), answer)


def resample_explorer(
    samples: Mapping[str, Sequence[str]], truths: Mapping[str, str] | None = None
) -> Explorer:
    """A widget: choose a question, and go through the answers that were drawn, by hand or by themselves.

    Args:
        samples: Question → its answers, of all questions equally many.
        truths: Question → a word on it, for example what would be right; or none.

    Raises:
        CourseError: if there is nothing to show, or there are not as many answers to each question.
    """
    questions = list(samples)
    counts = {len(answers) for answers in samples.values()}
    if len(counts) != 1 or 0 in counts:
        raise CourseError(
            f"{sorted(counts) or 'no'} answers to {len(questions)} questions",
            hint="as many answers to each question, and one at least",
        )
    n = counts.pop()
    notes = truths or {}

    def render(q: int, k: int) -> str:
        question = questions[q]
        return page(question, samples[question][: k + 1], n, notes.get(question, ""))

    return explorer(
        [
            Control("Question", questions),
            Control("Answer", [str(k + 1) for k in range(n)], slider=True),
        ],
        render,
        plain=f"{len(questions)} questions with {n} answers each; the first: {questions[0]}",
        style=STYLE,
    )


def page(question: str, answers: Sequence[str], of: int, note: str = "") -> str:
    """The last of some answers as HTML, and all of them in groups."""
    last, groups = answers[-1], alike(answers)
    most = max(count for _, count in groups)
    mine = _among((first for first, _ in groups), last)
    lines = "".join(
        f"<li{' class=now' if first == mine else ''}><i style='width:{count / of * 6:.2f}rem'></i>"
        f"{count} × {html.escape(_short(first))}</li>"
        for first, count in sorted(groups, key=lambda group: -group[1])
    )
    words = f"<p>{html.escape(note)}</p>" if note else ""
    return (
        f'<div class="lc-again tex2jax_ignore"><p><b>{html.escape(question)}</b></p>'
        f'<div class="said">{html.escape(last.strip()) or "(nothing)"}</div>'
        f"<p>Answer {len(answers)} of {of}. Agreement so far: {most} of {len(answers)} "
        f"({most / len(answers):.0%}).</p><ul>{lines}</ul>{words}</div>"
    )


def _short(text: str, most: int = 90) -> str:
    """A text in one line, cut at a word."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text or "(nothing)"
    return text[:most].rsplit(" ", 1)[0] + " …"
