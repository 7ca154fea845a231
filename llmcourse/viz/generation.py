"""One generated text as the row of coin flips it was: how likely each token was, and what else could have come.

Taught in chapter 05.
"""

from __future__ import annotations

import hashlib
import html
import math
from collections.abc import Sequence
from typing import Any

from ..errors import CourseError
from .cells import STRONGEST
from .figure import ORANGE
from .labels import percent, shown

Alternative = tuple["str | bytes", float]

STYLE = (
    "<style>.lc-flips{display:flex;flex-wrap:wrap;align-items:flex-start;line-height:1.3;margin:.4rem 0}"
    ".lc-flips details{margin:0 1px 5px 0;border:0;padding:0;box-shadow:none;background:none}"
    ".lc-flips summary{cursor:pointer;list-style:none;text-align:center;padding:0}"
    ".lc-flips summary::-webkit-details-marker{display:none}"
    ".lc-flips summary:focus-visible{outline:2px solid currentColor}"
    ".lc-flips b{display:block;font:.9rem ui-monospace,Menlo,Consolas,monospace;white-space:pre;padding:0 2px}"
    ".lc-flips small{font-size:.68rem}.lc-flips .n{flex-basis:100%;height:0}"
    ".lc-flips table{font-size:.8rem;border-collapse:collapse;margin:2px 4px 6px 0}"
    ".lc-flips :is(th,td){padding:0 5px!important;border:0!important;text-align:left!important;"
    "font-weight:400;white-space:nowrap;background:none}"
    ".lc-flips td{text-align:right!important;font-variant-numeric:tabular-nums}"
    ".lc-flips .c{font-weight:700}</style>"
)


class GenerationTrace:
    """A generated text; each token coloured by how unlikely it was, its alternatives a click or key away.

    Args:
        tokens: The text's tokens, as text or as bytes (which may be parts of characters).
        probabilities: The probability with which each was drawn.
        alternatives: For each, the likeliest tokens and their probabilities, itself among them or not.
        prompt: What was there before.

    Raises:
        CourseError: if there are not as many of each, or a probability is none.
    """

    def __init__(
        self,
        tokens: Sequence[str | bytes],
        probabilities: Sequence[float],
        alternatives: Sequence[Sequence[Alternative]],
        *,
        prompt: str = "",
    ) -> None:
        if not len(tokens) == len(probabilities) == len(alternatives) or not len(tokens):
            raise CourseError(
                f"{len(tokens)} tokens, {len(probabilities)} probabilities, {len(alternatives)} lists of alternatives",
                hint="one of each for each token, and one token at least",
            )
        self.chances = [float(p) for p in probabilities]
        for n, p in enumerate(self.chances):
            if not 0 <= p <= 1.0001:
                raise CourseError(f"token {n} has the probability {p}", hint="it is from 0 to 1")
        self.tokens = [shown(token) for token in tokens]
        self.ends_line = [b"\n" in t if isinstance(t, bytes) else "\n" in t for t in tokens]
        self.others = [[(shown(t), float(p)) for t, p in row] for row in alternatives]
        self.prompt = prompt

    @property
    def together(self) -> float:
        """The probability that all the flips came out as they did."""
        total = 1.0
        for p in self.chances:
            total *= p
        return total

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.plain(), "text/html": STYLE + self.html()}

    def plain(self) -> str:
        """A line a token: its probability and the alternatives."""
        width = max(map(len, self.tokens))
        lines = [self._summary()]
        for token, p, others in zip(self.tokens, self.chances, self.others, strict=True):
            rest = "  ".join(f"{t} {percent(q)}" for t, q in others if t != token)
            lines.append(f"{token:<{width}}{percent(p):>10}   {rest}".rstrip())
        return "\n".join(lines)

    def html(self) -> str:
        """The text as HTML, without the style sheet, which a page needs only once."""
        group = hashlib.sha256(repr((self.tokens, self.chances)).encode()).hexdigest()[:8]
        pieces = "".join(self._piece(n, group) for n in range(len(self.tokens)))
        before = ""
        if self.prompt:
            before = f"<p style='margin:.3rem 0;white-space:pre-wrap'><b>Prompt:</b> {html.escape(self.prompt)}</p>"
        return (
            f"<div class=tex2jax_ignore>{before}<p style='margin:.3rem 0'>{html.escape(self._summary())} "
            f"Choose a token to see what else could have come.</p>"
            f'<div class="lc-flips">{pieces}</div></div>'
        )

    def _summary(self) -> str:
        sure = sum(p >= 0.5 for p in self.chances)
        log10 = sum(math.log10(p) if p else -math.inf for p in self.chances)
        chance = percent(self.together) if log10 > -4 else _one_in(log10)
        return f"{len(self.tokens)} tokens, {sure} of them at least 50 % likely; this very text: {chance}."

    def _piece(self, n: int, group: str) -> str:
        """A token over its probability; inside, the table of alternatives."""
        token, p, others = self.tokens[n], self.chances[n], self.others[n]
        bits = min(-math.log2(p), 8.0) if p else 8.0  # of surprise; beyond 8 all are alike
        opacity = f"{round(bits / 8 * STRONGEST * 255):02x}"
        line = f"{1 + round(bits / 3)}px solid {ORANGE}"  # tells the same without colour
        ground = f"background:{ORANGE}{opacity};border-bottom:{line}"
        rows = "".join(
            f"<tr{' class=c' if t == token else ''}><th scope=row>{html.escape(t)}<td>{html.escape(percent(q))}"
            for t, q in _with(others, token, p)
        )
        return (
            f'<details name="flip-{group}"><summary><b style="{ground}">{html.escape(token)}</b>'
            f"<small>{html.escape(percent(p))}</small></summary>"
            f"<table><thead><tr><th scope=col>could be<th scope=col>chance</thead><tbody>{rows}</table></details>"
            + ("<span class=n></span>" if self.ends_line[n] else "")
        )


def _with(others: Sequence[tuple[str, float]], token: str, p: float) -> list[tuple[str, float]]:
    """The alternatives, with the token that was drawn among them."""
    rows = list(others)
    if token not in [t for t, _ in rows]:
        rows.append((token, p))
    return sorted(rows, key=lambda row: -row[1])


def _one_in(log10: float) -> str:
    """A tiny probability in words: one in 10⁴²."""
    if log10 == -float("inf"):
        return "impossible"
    return "one in 10" + str(round(-log10)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def generation_trace(
    tokens: Sequence[str | bytes],
    probabilities: Sequence[float],
    alternatives: Sequence[Sequence[Alternative]],
    *,
    prompt: str = "",
) -> GenerationTrace:
    """Show one generated text as the coin flips it was. See `GenerationTrace`."""
    return GenerationTrace(tokens, probabilities, alternatives, prompt=prompt)
