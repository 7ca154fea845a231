"""Stacked bars: every bar is 100 %, what never came is left out, and the same can be said in words."""

from __future__ import annotations

import pytest

from llmcourse.errors import CourseError
from llmcourse.viz.stacked import in_words, stacked_shares

ROWS = {"before": {"Lamp": 0, "nobody": 4, "never": 0}, "after": {"Lamp": 3, "nobody": 1}}


def test_bars_are_whole() -> None:
    figure = stacked_shares(ROWS, rest="nobody")
    (ax,) = figure.axes
    total = dict.fromkeys(ROWS, 0.0)
    for container in ax.containers:
        for name, bar in zip(ROWS, container, strict=True):
            total[name] += bar.get_width()
    assert total == {"before": 100.0, "after": 100.0}
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["Lamp", "nobody"]


def test_many_outcomes_are_told_apart() -> None:
    figure = stacked_shares({"one": {f"label {n}": 1 for n in range(9)}})
    looks = [(c[0].get_facecolor(), c[0].get_hatch()) for c in figure.axes[0].containers]
    assert len(set(looks)) == 9


def test_in_words() -> None:
    assert in_words({"a": 1, "b": 3, "c": 0}) == "b 75%, a 25%"
    assert in_words({}) == "nothing"


def test_nothing_to_draw_is_an_error() -> None:
    for rows in ({}, {"before": {"Lamp": 0}}):
        with pytest.raises(CourseError, match="without counts"):
            stacked_shares(rows)
