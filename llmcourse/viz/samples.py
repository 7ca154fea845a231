"""What a model wrote at several moments of its training, and how much of it is made of known words.

Whether a text makes sense is hard to measure. Whether its *words* exist is easy: look them up in the
text that the model reads. So are pairs of neighbours, and longer runs: the longest run that is mostly
known says over what distance a text hangs together.

Taught in chapter 06.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import CourseError
from .figure import ORANGE

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

STYLE = (
    "<style>.lc-samples{margin:.4rem 0}.lc-samples dt{font-weight:600;margin-top:.5rem}"
    ".lc-samples dd{margin:0 0 0 .8rem;white-space:pre-wrap}"
    f".lc-samples mark{{color:inherit;background:{ORANGE}33;border-bottom:2px dotted {ORANGE}}}</style>"
)


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, without the last, which may have been cut short."""
    return _WORD.findall(text.lower())[:-1]


class KnownRuns:
    """Which words, and which runs of neighbouring words, occur in some texts.

    Args:
        texts: What was read.
        longest: Runs of up to so many words are remembered.

    Raises:
        CourseError: if `longest` is not at least 1 or there is no word.

    Taught in chapter 06.
    """

    def __init__(self, texts: Iterable[str], longest: int = 4) -> None:
        if longest < 1:
            raise CourseError(f"runs of {longest} words", hint="at least 1")
        self.longest = longest
        self._runs: set[tuple[str, ...]] = set()
        for text in texts:
            words = _WORD.findall(text.lower())
            for n in range(1, longest + 1):
                self._runs.update(zip(*(words[i:] for i in range(n)), strict=False))
        if not self._runs:
            raise CourseError("there is no word in these texts", hint="give what the model read")

    def __contains__(self, word: str) -> bool:
        return (word.lower(),) in self._runs

    def share(self, texts: Iterable[str], n: int = 1) -> float:
        """The share of runs of n words in some texts that occur in what was read; 0 if there are none.

        Raises:
            CourseError: if runs of this length were not remembered.
        """
        if not 1 <= n <= self.longest:
            raise CourseError(f"runs of {n} words", hint=f"1 to {self.longest} were remembered")
        known = total = 0
        for text in texts:
            words = words_of(text)
            for run in zip(*(words[i:] for i in range(n)), strict=False):
                known, total = known + (run in self._runs), total + 1
        return known / total if total else 0.0


class SampleTrace:
    """Texts by step, with the words that do not exist marked.

    Args:
        samples: Step → what was written.
        known: The words that exist.
        what: What a step is called.

    Raises:
        CourseError: if there are none.
    """

    def __init__(self, samples: Mapping[int, str], known: KnownRuns, what: str = "step") -> None:
        if not samples:
            raise CourseError("there are no samples to show", hint="{step: text}")
        self.samples, self.known, self.what = dict(samples), known, what

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.plain(), "text/html": STYLE + self.html()}

    def plain(self) -> str:
        """A heading and a text each; unknown words *between stars*."""
        return "\n\n".join(
            f"{self._head(step)}\n{_WORD.sub(self._starred, text)}"
            for step, text in self.samples.items()
        )

    def html(self) -> str:
        """The same as HTML, without the style sheet."""
        rows = []
        for step, text in self.samples.items():
            pieces, end = [], 0
            for match in _WORD.finditer(text):
                word = html.escape(match[0])
                pieces += [
                    html.escape(text[end : match.start()]),
                    word if match[0] in self.known else f"<mark>{word}</mark>",
                ]
                end = match.end()
            body = "".join(pieces) + html.escape(text[end:])
            rows.append(f"<dt>{html.escape(self._head(step))}</dt><dd>{body}</dd>")
        return f'<dl class="lc-samples tex2jax_ignore">{"".join(rows)}</dl>'

    def _head(self, step: int) -> str:
        share = self.known.share([self.samples[step]])
        return f"{self.what} {step:,}: {share:.0%} of the words exist"

    def _starred(self, match: re.Match[str]) -> str:
        return match[0] if match[0] in self.known else f"*{match[0]}*"
