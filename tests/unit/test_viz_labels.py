"""How figures print tokens and numbers, and the colours behind numbers."""

from __future__ import annotations

import base64
import io
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmcourse.errors import CourseError
from llmcourse.viz import cells
from llmcourse.viz.labels import array, decimals, distribution, label_of, number, percent, shown


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (" the", "␣the"), ("a b ", "a b␣"), ("", "∅"), ("  ", "␣␣"), ("\n", "↵"), ("a\tb", "a⇥b"),
        (b"\xf0\x9f", "⟨f0 9f⟩"), (" é".encode(), "␣é"),
    ],
)  # fmt: skip
def test_shown(token, text):
    assert shown(token) == text


def test_label_of_takes_sequences_and_functions():
    assert label_of("ABC", 2) == "C"
    assert label_of(lambda i: f" {i}", 7) == "␣7"
    with pytest.raises(CourseError, match="symbol 3 has no label: there are 3"):
        label_of("ABC", 3)


def test_array_reads_tensors_of_any_kind():
    x = torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16, requires_grad=True)
    assert array(x, "x", [2]).tolist() == [[1.5, -2.0]]
    with pytest.raises(CourseError, match=r"x: shape \[1, 2\]"):
        array(x, "x", [1])
    with pytest.raises(CourseError, match="x: shape"):
        array([], "x", [1])


@pytest.mark.parametrize("bad", [[0.5, 0.6], [1.5, -0.5], [math.nan, 1.0]])
def test_distribution_refuses_what_is_none(bad):
    with pytest.raises(CourseError, match="add up to"):
        distribution(bad)


@given(st.floats(0, 1))
def test_percent_is_never_a_rounded_certainty(p):
    text = percent(p)
    assert (text == "0 %") == (p == 0)
    assert (text == "100 %") == (p == 1)
    assert text not in ("0.0 %", "100.0 %")
    if text[0] not in "<>":
        assert float(text[:-2]) / 100 == pytest.approx(p, abs=6e-4, rel=0.06)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1e-9, "< 0.001 %"),
        (2e-4, "0.020 %"),
        (0.004, "0.40 %"),
        (0.372, "37.2 %"),
        (0.9999, "> 99.9 %"),
    ],
)
def test_percent_has_two_digits_or_more(p, text):
    assert percent(p) == text


@pytest.mark.parametrize(
    ("x", "text"),
    [(-0.001, "0.00"), (-1.256, "−1.26"), (math.inf, "∞"), (-math.inf, "−∞"), (math.nan, "NaN")],
)
def test_number(x, text):
    assert number(x) == text


def test_decimals_give_the_greatest_three_digits():
    assert decimals(np.array([0.0, math.nan])) == 1
    assert decimals(np.array([0.123])) == 3
    assert decimals(np.array([1.23, -45.6])) == 1
    assert decimals(np.array([12345.0])) == 0


def contrast(a: np.ndarray, b: np.ndarray) -> float:
    """WCAG 2's contrast of two colours, 0–1 each."""

    def luminance(c: np.ndarray) -> float:
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    bright, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def rgb(code: str) -> np.ndarray:
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255


@pytest.mark.parametrize(
    ("paper", "ink"), [("#ffffff", "#222832"), ("#121212", "#ced6dd"), ("#111111", "#ffffff")]
)
def test_numbers_are_legible_on_every_colour(paper, ink):
    """The themes' own paper and ink: 4.5 : 1 on every cell."""
    for value in np.linspace(-1, 1, 41):
        *colour, alpha = cells.rgba(np.array([value]), scale=1.0)[0] / 255
        ground = alpha * np.array(colour) + (1 - alpha) * rgb(paper)
        assert contrast(ground, rgb(ink)) >= 4.5


def test_colours_tell_sign_and_size():
    colours = cells.rgba(np.array([-2.0, -1.0, 0.0, 1.0, 2.0, np.nan]))
    assert colours[2, 3] == colours[5, 3] == 0
    assert colours[0, 3] == colours[4, 3] > colours[1, 3] == colours[3, 3] > 0
    assert colours[0, 0] > colours[0, 2] and colours[4, 2] > colours[4, 0]  # orange, blue
    assert not cells.rgba(np.zeros((2, 2))).any()


def test_picture_survives_its_packing():
    from PIL import Image

    colours = cells.rgba(np.random.default_rng(0).normal(size=(5, 9)))
    data = base64.b64decode(cells.png(colours).split(",")[1])
    assert (np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")) == colours).all()


def test_number_table_prints_every_number_in_its_place():
    table = cells.number_table([[1.0, -2.5], [math.nan, 0.0]], ["<a>", "b"], ["c", "d"], "x & y")
    rows = re.findall(r"<tr><th>([^<]*)((?:<td>[^<]*)+)", table)
    assert rows == [("&lt;a&gt;", "<td>1.00<td>−2.50"), ("b", "<td><td>0.00")]
    assert 'aria-label="x &amp; y"' in table
    assert table.count("scope=col") == 3
    assert "<td>37<td>" in cells.number_table([[0.37, 1]], ["a"], ["b", "c"], "p", percentages=True)


def test_picture_has_words():
    assert 'role="img" aria-label="all"' in cells.picture([[1.0, 2.0]], "all")
