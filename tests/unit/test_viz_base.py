"""Shares with intervals, and continuations side by side."""

from __future__ import annotations

import pytest

from llmcourse.errors import CourseError
from llmcourse.evals.knowledge import Share
from llmcourse.viz.continuations import Continuations
from llmcourse.viz.figure import show, use_style
from llmcourse.viz.shares import share_curves

use_style()
SHARES = [Share(1, 10, "1"), Share(5, 10, "2–3"), Share(10, 10, "4 and more")]


def test_a_share_curve_has_points_intervals_and_labels() -> None:
    figure = share_curves({"model": SHARES}, xlabel="told", ylabel="known (%)", guessing=[0.1] * 3)
    ax = figure.axes[0]
    points = ax.containers[0].lines[0].get_ydata()
    assert list(points) == pytest.approx([10, 50, 100])
    (bars,) = ax.containers[0].lines[2]
    low, high = (y for _, y in bars.get_segments()[1])
    assert low / 100 == pytest.approx(SHARES[1].interval()[0])
    assert high / 100 == pytest.approx(SHARES[1].interval()[1])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "2–3", "4 and more"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["guessing", "model"]
    assert "svg" in show(figure, "7.1", "A caption.", "An alternative.").svg


def test_one_curve_needs_no_key_and_two_lie_side_by_side() -> None:
    alone = share_curves({"model": SHARES}, xlabel="x", ylabel="y").axes[0]
    assert alone.get_legend() is None
    two = share_curves(
        {"a": SHARES, "b": SHARES}, xlabel="x", ylabel="y", again=[[0.1, 0.5, 1], [0, 0.4, 1]]
    ).axes[0]
    left, right = (container.lines[0].get_xdata() for container in two.containers)
    assert all(a < b for a, b in zip(left, right, strict=True))
    assert {t.get_text() for t in two.get_legend().get_texts()} == {"a", "b", "other draws"}


@pytest.mark.parametrize(
    ("series", "guessing"), [({}, None), ({"a": []}, None), ({"a": SHARES}, [0.1])]
)
def test_shares_that_do_not_fit(
    series: dict[str, list[Share]], guessing: list[float] | None
) -> None:
    with pytest.raises(CourseError):
        share_curves(series, xlabel="x", ylabel="y", guessing=guessing)


def test_continuations_are_escaped_numbered_and_in_one_line() -> None:
    shown = Continuations("What is <b>?", ["one\n\ntwo", "$x$ & y", "\n"], "Three")
    page = shown.html()
    assert page.count("<li>") == 3 and "<b>What is &lt;b&gt;?</b>" in page
    assert "…one ⏎ two" in page and "$x$ &amp; y" in page and "tex2jax_ignore" in page
    assert shown.plain().splitlines() == [
        "Three", "What is <b>? …", "1. …one ⏎ two", "2. …$x$ & y", "3. …⏎",
    ]  # fmt: skip


def test_lines_can_be_kept_and_a_fresh_start_has_no_prompt() -> None:
    shown = Continuations("", ["one\ntwo"], "Fresh", lines=True)
    assert "<li>one\ntwo</li>" in shown.html() and "<b>" not in shown.html()
    assert shown._repr_mimebundle_()["text/plain"].startswith("Fresh\n1.")
    with pytest.raises(CourseError):
        Continuations("x", [], "none")
