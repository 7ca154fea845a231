"""The funnel's stages and reasons in words, and its table in three forms.

Taught in chapter 01.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

#: The stages of the funnel in their order: what stands in the table, and what is measured after
#: them. A page has four sizes: as HTML, as extracted text, as text after C4 took lines away, and in
#: the end.
STAGES = {
    "crawled": ("Pages crawled", "html"),
    "url": ("Address not blocked", "html"),
    "text": ("Text found", "extracted"),
    "language": ("In the language", "extracted"),
    "repetition": ("Not repetitive (Gopher)", "extracted"),
    "quality": ("Looks like prose (Gopher)", "extracted"),
    "c4": ("Clean lines and sentences (C4)", "cleaned"),
    "fineweb": ("Not a list (FineWeb)", "cleaned"),
    "dedup": ("Not a near duplicate (MinHash)", "cleaned"),
    "privacy": ("Personal data masked", "final"),
}
#: What datatrove's reasons mean.
REASONS = {
    "gopher_short_doc": "fewer than 50 words",
    "gopher_long_doc": "more than 100,000 words",
    "gopher_below_avg_threshold": "mean word length below 3",
    "gopher_above_avg_threshold": "mean word length above 10",
    "gopher_too_many_hashes": "more than one # to ten words",
    "gopher_too_many_ellipsis": "more than one ellipsis to ten words",
    "gopher_too_many_bullets": "more than 90 % of lines are bullet points",
    "gopher_too_many_end_ellipsis": "more than 30 % of lines end with an ellipsis",
    "gopher_below_alpha_threshold": "less than 80 % of words have a letter",
    "gopher_enough_stop_words": "fewer than two of eight common English words",
    "dup_para_frac": "too many repeated paragraphs",
    "dup_para_char_frac": "too much text in repeated paragraphs",
    "dup_line_frac": "too many repeated lines",
    "dup_line_char_frac": "too much text in repeated lines",
    "too_few_sentences": "fewer than five sentences",
    "lorem_ipsum": "lorem ipsum",
    "curly_bracket": "a curly bracket: code",
    "line_punct_ratio": "too few lines end with punctuation",
    "short_line_ratio": "too many short lines",
    "char_dup_ratio": "repeated lines",
    "list_ratio": "too many line breaks for its words",
    "empty": "nothing left",
    "domain": "built-in list: domain",
    "subdomain": "built-in list: host",
    "url": "built-in list: address",
    "hard_blacklisted": "built-in list: word in address",
    "soft_blacklisted": "built-in list: words in address",
    "blacklisted_subword": "built-in list: part of address",
} | {
    f"top_{n}_gram": f"one {n}-word phrase makes up too much" for n in range(2, 5)
} | {
    f"duplicated_{n}_n_grams": f"too much in repeated {n}-word phrases" for n in range(5, 11)
}  # fmt: skip
SAME, NEAR = "same text as a page kept", "nearly the text of a page kept"


@dataclass
class StageCount:
    """What is left after one stage.

    Args:
        name: One of `STAGES`.
        documents: Pages left.
        bytes: Their size: of the HTML up to ``url``, of the text as UTF-8 from there on.
        tokens: Their tokens, if counted and if there is text.
        dropped: Pages this stage dropped, by reason.
    """

    name: str
    documents: int
    bytes: int
    tokens: int | None = None
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The stage in words."""
        return STAGES[self.name][0]


HEADS = ("After this stage", "Pages", "Bytes", "Tokens", "Dropped here")
CAPTION = "What is left of the crawl after each stage"


def rows(stages: list[StageCount]) -> list[tuple[str, str, str, str, str]]:
    """The table's cells: stage, pages, bytes, tokens, the main reasons for dropping."""
    cells = []
    for stage in stages:
        reasons = [f"{count} {reason}" for reason, count in list(stage.dropped.items())[:3]]
        more = len(stage.dropped) - 3
        why = "; ".join(reasons) + (f"; {more} more" if more > 0 else "")
        tokens = "" if stage.tokens is None else f"{stage.tokens:,}"
        cells.append((stage.title, f"{stage.documents:,}", f"{stage.bytes:,}", tokens, why))
    return cells


def plain_table(stages: list[StageCount]) -> str:
    """The table as lines of text."""
    cells = [HEADS, *rows(stages)]
    wide = [max(len(row[i]) for row in cells) for i in range(4)]
    lines = []
    for row in cells:
        numbers = "  ".join(f"{row[i]:>{wide[i]}}" for i in (1, 2, 3))
        lines.append(f"{row[0]:<{wide[0]}}  {numbers}  {row[4]}".rstrip())
    return "\n".join(lines)


def rich_table(stages: list[StageCount]) -> Table:
    """The table for a terminal."""
    from rich.table import Table

    table = Table(title=CAPTION)
    for i, head in enumerate(HEADS):
        table.add_column(head, justify="right" if 1 <= i <= 3 else "left")
    for row in rows(stages):
        table.add_row(*row)
    return table


def html_table(stages: list[StageCount]) -> str:
    """The table for a page, with a caption and scopes, so that it can be heard as well as seen."""
    head = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    body = "".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        + "".join(f'<td class="num">{html.escape(cell)}</td>' for cell in row[1:-1])
        + f"<td>{html.escape(row[-1])}</td></tr>"
        for row in rows(stages)
    )
    return (
        f'<div class="course-table" tabindex="0" role="group" aria-label="{CAPTION}">'
        f'<table class="funnel"><caption>{CAPTION}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
