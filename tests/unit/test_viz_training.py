"""A run as a page shows it: lines, samples, memory, sizes."""

from __future__ import annotations

import dataclasses
import io
import math

import pytest

from llmcourse import presets
from llmcourse.errors import CourseError
from llmcourse.train.plan import plan
from llmcourse.train.run_folder import RunFolder
from llmcourse.viz.memory import PARTS, memory_bars, worst_moment
from llmcourse.viz.samples import KnownRuns, SampleTrace, words_of
from llmcourse.viz.scaling import PowerLaw, fit_power_law, scaling_figure
from llmcourse.viz.training import read_samples, step_line

ROW = {
    "step": 20, "loss": 5.1234, "grad_norm": 0.75, "lr": 0.01, "tokens_per_second": 21_345.6, "mfu": 0.41,
}  # fmt: skip


# ------------------------------------------------------------------ lines


def test_a_step_is_a_line():
    assert step_line(ROW, 1000) == (
        "step   20/1000 | loss  5.123 | norm   0.750 | lr 1.0e-02 |  21,346 tok/s |  41% of peak"
    )


def test_where_the_peak_is_unknown_the_line_ends_sooner():
    assert step_line({**ROW, "mfu": None}, 1000).endswith("tok/s")


def test_a_row_without_a_loss_is_refused():
    with pytest.raises(CourseError, match="no loss"):
        step_line({**ROW, "loss": None}, 1000)
    with pytest.raises(CourseError, match="no lr"):
        step_line({k: v for k, v in ROW.items() if k != "lr"}, 1000)


# ------------------------------------------------------------------ samples


def test_samples_come_back_as_the_run_wrote_them(tmp_path):
    folder = RunFolder(tmp_path)
    first = ["one line", "step 7\n\nlooks like a heading", "    indented\nlast"]
    folder.sample(0, first)
    folder.sample(20, ["later"])
    assert read_samples(tmp_path / "samples.txt") == {0: first, 20: ["later"]}


@pytest.mark.parametrize("text", ["    no step before it\nloose", "step x\n", "hello"])
def test_what_is_no_samples_file_is_refused(tmp_path, text):
    path = tmp_path / "samples.txt"
    path.write_text(text)
    with pytest.raises(CourseError, match="no run's samples"):
        read_samples(path)


def test_a_samples_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(CourseError, match="cannot read"):
        read_samples(tmp_path / "samples.txt")


def test_the_last_word_of_a_sample_does_not_count():
    assert words_of("The ferry-man's boat, at nigh") == ["the", "ferry-man's", "boat", "at"]
    assert words_of("") == []


def test_known_runs_are_counted_by_length():
    known = KnownRuns(["The boat is old.", "The bridge is new."], longest=3)
    text = ["the boat is new today ok"]  # five words count
    assert known.share(text, 1) == 4 / 5
    assert known.share(text, 2) == 3 / 4
    assert known.share(text, 3) == 1 / 3
    assert "BOAT" in known and "today" not in known


def test_runs_do_not_cross_from_one_text_to_the_next():
    assert KnownRuns(["a b", "c d"], 2).share(["b c x"], 2) == 0


def test_no_words_no_share():
    assert KnownRuns(["a"]).share(["", "cut"]) == 0.0


def test_runs_that_were_not_remembered_cannot_be_asked_for():
    known = KnownRuns(["a b c"], longest=2)
    for n in (0, 3):
        with pytest.raises(CourseError, match=f"runs of {n} words"):
            known.share(["a b"], n)
    with pytest.raises(CourseError, match="runs of 0"):
        KnownRuns(["a"], longest=0)
    with pytest.raises(CourseError, match="no word"):
        KnownRuns(["...", ""])


def test_unknown_words_are_marked_and_nothing_else():
    trace = SampleTrace({0: "The <b> boat zorps & sinks"}, KnownRuns(["the boat sinks b"]))
    assert "<mark>zorps</mark>" in trace.html() and trace.html().count("<mark>") == 1
    assert "&lt;b&gt;" in trace.html() and "&amp;" in trace.html()
    assert trace.plain().endswith("The <b> boat *zorps* & sinks")
    assert trace.plain().startswith("step 0: 75% of the words exist")


def test_a_trace_needs_samples():
    with pytest.raises(CourseError, match="no samples"):
        SampleTrace({}, KnownRuns(["a"]))


# ------------------------------------------------------------------ memory


@pytest.mark.parametrize("micro_batch", [1, 8])
@pytest.mark.parametrize("name", ["gpt2-xl-8xh100", "gpt2-124m-8gpu"])
def test_the_parts_of_the_worst_moment_are_the_total(name, micro_batch):
    for memory in plan(presets.load(name), micro_batch=micro_batch).memory.values():
        assert sum(worst_moment(memory).values()) == memory.total


def test_the_parts_are_the_total_where_the_end_is_worst():
    memory = plan(presets.load("gpt2-xl-8xh100")).memory["fsdp", True]
    late = dataclasses.replace(memory, tables=50 * memory.activations, activations=1, logits=1)
    assert sum(worst_moment(late).values()) == late.total
    assert worst_moment(late)["activations"] == 0 and set(worst_moment(late)) == set(PARTS)


def test_a_bar_for_each_way_with_its_total():
    made = plan(presets.load("gpt2-xl-8xh100"))
    figure = memory_bars(made)
    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "DDP", "DDP, recomputing", "FSDP", "FSDP, recomputing",
    ]  # fmt: skip
    said = [t.get_text() for t in ax.texts]
    for memory in made.memory.values():
        assert f"{memory.total / 1e9:.0f} GB" in said
    assert "a GPU has 80" in said
    figure.savefig(io.BytesIO(), format="svg")


# ------------------------------------------------------------------ sizes


def test_a_power_law_is_found_again():
    law = fit_power_law([10, 100, 1000], [PowerLaw(7.0, 0.2)(x) for x in (10, 100, 1000)])
    assert law.a == pytest.approx(7.0) and law.b == pytest.approx(0.2)


def test_the_fit_is_the_nearest_line_of_logarithms():
    x, y = [1.0, math.e, math.e**2], [math.e, math.e, math.e**2]  # logs: (0, 1), (1, 1), (2, 2)
    law = fit_power_law(x, y)
    assert law.b == pytest.approx(-0.5) and math.log(law.a) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("x", "y"), [([1], [1]), ([2, 2], [1, 2]), ([1, 2], [1]), ([0, 1], [1, 1]), ([1, 2], [1, -1])]
)
def test_what_makes_no_power_law_is_refused(x, y):
    with pytest.raises(CourseError):
        fit_power_law(x, y)


def test_every_loss_is_a_point():
    law = PowerLaw(10, 0.1)
    figure = scaling_figure({1000: [5.0, 5.1], 100_000: [3.2]}, {"fit": law, "other": law})
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    points = [
        y for line in figure.axes[0].lines if line.get_marker() == "o" for y in line.get_ydata()
    ]
    assert points == [5.0, 5.1, 3.2]
    assert list(lines["fit"].get_ydata()) == pytest.approx([law(1000 / 1.2), law(120_000)])
    figure.savefig(io.BytesIO(), format="svg")


def test_a_figure_needs_losses():
    for nothing in ({}, {100: []}):
        with pytest.raises(CourseError, match="no losses"):
            scaling_figure(nothing, {})
