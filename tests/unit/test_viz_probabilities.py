"""Bars of probabilities, as a figure and as a table; training curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.viz.curves import POINTS, loss_curve, smoothed
from llmcourse.viz.figure import show, use_style
from llmcourse.viz.probabilities import Probabilities, bars, probability_bars

use_style()
P = torch.tensor([0.5, 0.05, 0.3, 0.1, 0.05])


def texts(figure):
    figure.draw_without_rendering()
    ax = figure.axes[0]
    return [t.get_text() for t in ax.texts], [t.get_text() for t in ax.get_yticklabels()]


def test_bars_are_sorted_and_the_rest_is_summed():
    rows = bars(P, "ABCDE", top=2)
    assert [(r.label, round(r.p, 4)) for r in rows] == [
        ("A", 0.5),
        ("C", 0.3),
        ("all 3 others", 0.2),
    ]
    assert [r.label for r in bars(P, "ABCDE", top=4)] == ["A", "C", "D", "B", "E"]  # none left over
    marked = bars(P, "ABCDE", top=1, highlight=4)
    assert [(r.label, r.target) for r in marked] == [
        ("A", False),
        ("E", True),
        ("all 3 others", False),
    ]
    assert sum(r.p for r in marked) == pytest.approx(1)


def test_bars_before_must_be_of_the_same_symbols():
    with pytest.raises(CourseError, match="2 probabilities before, 5 after"):
        bars(P, "ABCDE", before=[0.5, 0.5])


@pytest.mark.parametrize("log", [False, True])
def test_figure_says_every_number(log):
    values, labels = texts(probability_bars(P, ["A", " $x$", "C", "D", "E"], highlight=1, log=log))
    assert values == ["50.0 %", "30.0 %", "10.0 %", "5.0 %", "5.0 %"]
    assert labels == ["A", "C", "D", "␣$x$ ◂", "E"]


def test_figure_with_a_pair_has_both_and_a_key():
    figure = probability_bars(P, "ABCDE", top=2, before=[0.2] * 5, names=("untrained", "trained"))
    values, _ = texts(figure)
    assert values == ["20.0 %", "50.0 %", "20.0 %", "30.0 %", "60.0 %", "20.0 %"]
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == [
        "untrained",
        "trained",
    ]


def test_figure_of_a_certainty_on_a_logarithmic_axis():
    values, _ = texts(probability_bars([1.0, 0.0], "AB", log=True))
    assert values == ["100 %", "0 %"]


def test_figure_becomes_svg_without_formulas():
    page = show(probability_bars(P, ["$a$"] * 5), "3.1", "c", "a")._repr_mimebundle_()["text/html"]
    assert "$a$" in page and "<image" not in page


def test_table_reads_aloud_and_in_a_terminal():
    bundle = Probabilities(
        P, "A<CDE", "Next", top=2, highlight=1, before=[0.2] * 5
    )._repr_mimebundle_()
    page, plain = bundle["text/html"], bundle["text/plain"]
    assert "<caption>Next</caption>" in page and page.count("scope=col") == 3
    assert "&lt; ◂" in page and "<<" not in page
    assert plain.splitlines()[0] == "Next"
    assert plain.splitlines()[1].split() == ["A", "20.0", "%", "50.0", "%"]


def test_table_of_a_sampler_marks_what_is_cut():
    kept = np.array([True, False, True, False, False])
    after = np.array([0.625, 0, 0.375, 0, 0])
    table = Probabilities(after, "ABCDE", top=3, before=P, kept=kept)
    assert [line.split()[-1] for line in table.plain().splitlines()[1:]] == ["%", "%", "cut", "cut"]
    assert [row.label for row in table.rows] == ["A", "C", "D", "all 2 others"]
    assert table.html().count("class=o") == 2
    some = Probabilities(np.array([0.5, 0, 0, 0.5, 0]), "ABCDE", top=2, before=P,
                         kept=np.array([True, False, False, True, False]))  # fmt: skip
    assert some.cut == [False, True, False]  # of the others, one can still be drawn


# ------------------------------------------------------------------------------------------ curves


def test_smoothing_keeps_a_constant_and_follows_a_fall():
    assert smoothed([2.0] * 50) == pytest.approx([2.0] * 50)
    falling = 3 / np.arange(1, 200)
    assert np.all(np.abs(smoothed(falling) / falling - 1) < 0.35)
    noise = np.random.default_rng(0).normal(size=2000)
    assert smoothed(noise, 0.99)[500:].std() < 0.2
    assert smoothed([1.0, 5.0], 0) == pytest.approx([1, 5])


def test_smoothing_survives_gaps():
    out = smoothed([math.nan, 1.0, math.nan, 1.0])
    assert math.isnan(out[0])
    assert out[1:] == pytest.approx([1, 1, 1])
    with pytest.raises(CourseError, match=r"smoothing by 1\.0"):
        smoothed([1.0], 1.0)


def test_curve_draws_series_and_references():
    figure = loss_curve(
        {"training": np.linspace(3, 1, 50), "validation": [2.5, 1.5]},
        steps={"validation": [1, 50]}, references={"ln $V$": 2.0}, log_x=True,
    )  # fmt: skip
    ax = figure.axes[0]
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.texts] == ["ln $V$: 2.00"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["training", "validation"]
    figure.draw_without_rendering()


def test_long_curves_become_bands_of_a_few_points():
    values = np.random.default_rng(0).normal(size=20_000)
    values[7] = math.nan
    values[:40] = math.nan
    figure = loss_curve({"run": values})
    line, band = figure.axes[0].lines[0], figure.axes[0].collections[0]
    assert len(line.get_xdata()) <= POINTS
    inside = band.get_paths()[0].vertices[:, 1]
    assert inside.min() == pytest.approx(np.nanmin(values))
    assert inside.max() == pytest.approx(np.nanmax(values))
    assert loss_curve({"run": values}, log_x=True, smooth=0).axes[0].lines
    assert len(show(figure, "3.2", "c", "a").svg) < 100_000


def test_curve_without_points_or_steps_says_so():
    with pytest.raises(CourseError, match="no series"):
        loss_curve({})
    with pytest.raises(CourseError, match="'a': 1 steps for 2 values"):
        loss_curve({"a": [1, 2]}, steps=[1])
    with pytest.raises(CourseError, match="step 0 has no place"):
        loss_curve({"a": [1, 2]}, steps=[0, 1], log_x=True)
