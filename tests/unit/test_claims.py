"""A claim shows a row, raises when it fails, and is found again in the stored outputs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llmcourse.claims import MIME, claim, measure, read_claims, show
from llmcourse.errors import CourseError


def test_exact_claim_holds_and_prints(capsys):
    claim(
        "tokenization.gpt4-vocabulary",
        "It has 100,277 symbols.",
        measured=100277,
        expected=100277,
        time="00:11:48",
    )
    assert "measured 100,277 == 100,277: holds" in capsys.readouterr().out


def test_failing_claim_raises():
    with pytest.raises(AssertionError, match=r"measured 2 == 3: does not hold"):
        claim("a.b", "Two is three.", measured=2, expected=3)


def test_finding_is_shown_and_not_raised(capsys):
    claim("a.b", "Two is three.", measured=2, expected=3, finding=True, note="we counted")
    assert "does not hold" in capsys.readouterr().out


def test_finding_that_holds_raises():
    with pytest.raises(AssertionError, match="marked as a finding"):
        claim("a.b", "Two is two.", measured=2, expected=2, finding=True)


@pytest.mark.parametrize(
    ("relation", "measured", "expected", "holds"),
    [
        ("==", 1, 1, True),
        (">=", 2, 2, True),
        ("<=", 3, 2, False),
        (">", 2, 2, False),
        ("<", 1, 2, True),
    ],
)
def test_relations(relation, measured, expected, holds):
    assert (
        measure("a.b", "t", measured=measured, expected=expected, relation=relation).holds is holds
    )


def test_tolerance_is_relative():
    assert measure("a.b", "t", measured=104, expected=100, tolerance=0.05).holds
    assert not measure("a.b", "t", measured=106, expected=100, tolerance=0.05).holds
    assert measure("a.b", "t", measured=104, expected=100, tolerance=0.05).relation == "≈"


@pytest.mark.parametrize(
    "bad",
    [
        {"id": "NoDot"},
        {"time": "1:2:3"},
        {"relation": "!="},
        {"relation": ">=", "tolerance": 0.1},
    ],
)
def test_malformed_arguments(bad):
    arguments = {"id": "a.b", "text": "t", "measured": 1, "expected": 1} | bad
    with pytest.raises(ValueError, match=r"a claim's|a tolerance"):
        measure(**arguments)


def test_numpy_scalars_become_plain():
    row = measure("a.b", "t", measured=np.float32(0.5), expected=0.5)
    json.dumps(row._repr_mimebundle_()[MIME])
    assert isinstance(row.measured, float)


def test_unserialisable_values_are_refused():
    with pytest.raises(TypeError):
        measure("a.b", "t", measured=object(), expected=1)


def test_html_is_escaped():
    assert (
        "<script>"
        not in measure("a.b", "<script>", measured="<b>", expected="<b>", note="<i>").html()
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (None, "none"),
        (1234567, "1,234,567"),
        (0.12345, "0.1235"),
        (3.0, "3"),
        ([15339, 1917], "[15339, 1917]"),
    ],
)
def test_show(value, text):
    assert show(value) == text


def notebook(path, *bundles):
    cells = [{"cell_type": "markdown", "source": ""}]
    cells += [{"cell_type": "code", "outputs": [{"data": bundle}]} for bundle in bundles]
    path.write_text(json.dumps({"cells": cells}))


def test_stored_claims_are_read_back(tmp_path):
    row = measure("a.b", "t", measured=1, expected=1, time="00:01:00")
    notebook(tmp_path / "01-first.ipynb", {"text/plain": "x"}, row._repr_mimebundle_())
    (read,) = read_claims(tmp_path)
    assert read["id"] == "a.b"
    assert read["chapter"] == "01-first"
    assert read["where"] == "01-first.ipynb, cell 3"
    assert read["anchor"] == "01-first.html#claim-a-b"
    assert {"time", "text", "kind", "measured", "expected", "holds"} <= read.keys()


def test_an_id_may_stand_once(tmp_path):
    bundle = measure("a.b", "t", measured=1, expected=1)._repr_mimebundle_()
    notebook(tmp_path / "01-first.ipynb", bundle, bundle)
    with pytest.raises(CourseError, match="stands twice"):
        read_claims(tmp_path)


def test_no_notebooks_is_one_clear_line(tmp_path):
    with pytest.raises(CourseError, match=r"no executed chapters"):
        read_claims(tmp_path)


def test_damaged_notebook_is_named(tmp_path):
    (tmp_path / "01-first.ipynb").write_text("{")
    with pytest.raises(CourseError, match=r"01-first.ipynb is not a readable notebook"):
        read_claims(tmp_path)
