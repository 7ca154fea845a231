"""Prose out of a manual."""

from __future__ import annotations

from llmcourse.data.prose import is_prose, prose_runs

GOOD = "The object that is made by this call is kept until the end of the program."
ALSO = "It is the duty of the caller to close the file in the end."


def test_runs_of_sentences_are_kept() -> None:
    text = f"TOPIC |\nimport_stmt ::= x {GOOD} {ALSO} f(x) = [1, 2]. {GOOD}"
    # The first sentence begins with code; alone, ALSO is no run; so nothing is left of this line.
    assert list(prose_runs(text)) == []
    assert list(prose_runs(f"{GOOD} {ALSO}\nf(x) -> y. {GOOD} {ALSO}")) == [f"{GOOD} {ALSO}"] * 2


def test_what_is_no_prose() -> None:
    assert is_prose(GOOD)
    for text in (
        "Short one.",
        GOOD.lower(),
        GOOD.rstrip("."),
        "Comparisons ===== " + GOOD,
        "The x_y and z_0 are in f(x) or g[y] of the h.k as j()!",
        "Widgets gadgets things objects modules packages exist.",
        "The " + "word of the day " * 20 + "ends.",
    ):
        assert not is_prose(text), text
