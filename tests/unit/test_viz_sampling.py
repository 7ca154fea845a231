"""The sampler's knobs, the model's knobs, and a generation as coin flips."""

from __future__ import annotations

import pytest
import torch

from llmcourse.engine.sampling import Sampling, filtered
from llmcourse.errors import CourseError
from llmcourse.model.config import named
from llmcourse.model.transformer import Transformer
from llmcourse.viz.generation import generation_trace
from llmcourse.viz.knobs import knob_widget, turned
from llmcourse.viz.panels import Control
from llmcourse.viz.sampler import sampled, sampler_widget

pytest.importorskip("ipywidgets")
LOGITS = torch.tensor([3.0, 1.0, 2.0, 0.0, -1.0])


def test_sampled_is_the_engines_arithmetic():
    table, said = sampled(LOGITS, "ABCDE", temperature=0.5, top_k=2)
    expected = filtered(LOGITS, Sampling(temperature=0.5, top_k=2))
    assert {r.index: r.p for r in table.rows} == pytest.approx(dict(enumerate(expected.tolist())))
    assert table.caption == "temperature 0.5, top-k 2"
    assert said.startswith("2 of 5 symbols can be drawn; they had 98.")
    bits = float(torch.special.entr(expected).sum() / torch.log(torch.tensor(2.0)))
    assert f"{bits:.2f} bits" in said


def test_sampled_without_a_cut_and_without_chance():
    table, said = sampled(LOGITS, "ABCDE")
    assert table.kept is None
    assert said.startswith("All 5 symbols")
    _, certain = sampled(LOGITS, "ABCDE", temperature=0)
    assert "1 of 5" in certain or "0.00 bits" in certain
    with pytest.raises(CourseError, match="top_p"):
        sampled(LOGITS, "ABCDE", top_p=2.0)


def test_sampler_widget_has_all_states_and_a_live_part():
    view = sampler_widget(
        {"one": (LOGITS, "ABCDE"), "two": (-LOGITS, "ABCDE")}, temperatures=(0.5, 1.0)
    )
    _, prompt, cut, temperature, states, note, live = view.box.children
    assert temperature.index == 1  # 1 is where one begins
    page = states.children[1].children[1].children[0].value  # two, top-k = 3, temperature 0.5
    assert page == "{}<p>{}</p>".format(
        (made := sampled(-LOGITS, "ABCDE", temperature=0.5, top_k=3))[0].html(), made[1]
    )
    assert len(view.box.links) == 1 + 2 + 2 * 4
    assert (list(prompt.options), len(cut.options)) == (["one", "two"], 4)
    assert "notebook" in note.value and "explorer-live" in live._dom_classes
    _, t, k, p, _, out = live.children
    t.value, k.value, p.value = 2.0, 2, 0.95
    assert "top-k 2" in out.value and "temperature 2" in out.value
    assert out.value.count("<td class=p>cut") == 3


def test_sampler_widget_needs_something_to_show():
    with pytest.raises(CourseError, match="nothing to choose"):
        sampler_widget({})


def test_equal_options_stay_apart():
    assert Control("x", ["a", "b", "a"]).options == ["a", "b", "a (2)"]
    with pytest.raises(CourseError, match="nothing to choose for 'x'"):
        Control("x", [])


# ------------------------------------------------------------------------------------------- knobs


@pytest.fixture
def nano() -> Transformer:
    torch.manual_seed(0)
    return Transformer(named("nano"))


def test_a_turned_parameter_is_turned_back(nano):
    before = {name: p.clone() for name, p in nano.named_parameters()}
    with pytest.raises(RuntimeError, match="inside"), turned(nano, "norm.weight", [3], 9.0):
        assert nano.norm.weight[3] == 9
        raise RuntimeError("inside")
    assert all(torch.equal(before[name], p) for name, p in nano.named_parameters())


def test_knob_that_is_not_there(nano):
    with pytest.raises(CourseError, match=r"no parameter is called 'norm\.wait'") as caught:
        knob_widget(nano, [0, 1], [("norm.wait", (0,))], "ABC")
    assert "norm.weight" in caught.value.hint
    with pytest.raises(CourseError, match="no parameter is called 'x'"):
        knob_widget(nano, [0, 1], [("x", (0,))], "ABC")
    with pytest.raises(CourseError, match=r"norm.weight has no number at \[48\]"):
        knob_widget(nano, [0, 1], [("norm.weight", (48,))], "ABC")


def test_knob_widget_asks_the_model_at_every_stop(nano):
    ids = torch.tensor([0, 1, 2])
    view = knob_widget(nano, ids, {"gain": ("norm.weight", (3,))}, "ABC", span=2.0, values=5)
    _, _, turn, states, _, _ = view.box.children
    assert (list(turn.options), turn.index) == (["-2", "-1", "trained", "+1", "+2"], 2)
    pages = [page.value for page in states.children[0].children]
    assert [p.split("gain = ")[1].split(" ")[0] for p in pages] == [
        "−1.000", "0.000", "1.000", "2.000", "3.000",
    ]  # fmt: skip
    with turned(nano, "norm.weight", (3,), 3.0), torch.no_grad():
        p = nano(ids[None])[0, -1].softmax(-1)
    assert f"<td class=p>{100 * p.max():.1f} %" in pages[4]
    assert "before" not in pages[2]
    assert nano.norm.weight[3] == 1


def test_knob_widget_with_a_score_of_ones_own(nano):
    view = knob_widget(
        nano, [0], [("norm.weight", (0,)), ("norm.bias", (0,))], "ABC",
        score=lambda m: 10 * m.norm.weight[0].item(), score_name="ten times the gain", values=3,
    )  # fmt: skip
    page = view.box.children[-3].children[0].children[0].value
    assert "ten times the gain: −30.00 here; from −30.00 to 50.00" in page
    flat = view.box.children[-3].children[1].children[0].value  # a knob that changes nothing
    assert "from 10.00 to 10.00" in flat and "nan" not in flat
    assert "norm.bias[0]" in repr(view)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"values": 4}, "4 stops"), ({"span": 0.0}, "span 0"), ({"score": len}, "score has no name")],
)
def test_knob_widget_refuses(nano, settings, words):
    with pytest.raises(CourseError, match=words):
        knob_widget(nano, [0], [("norm.weight", (0,))], "ABC", **settings)


def test_live_knob_turns_any_parameter(nano):
    live = knob_widget(nano, [0, 1], [("norm.weight", (0,))], "ABC", values=3).box.children[-1]
    name, index, value, out = live.children
    name.value = "embedding.weight"
    assert index.value == "0, 0"
    assert value.value == nano.embedding.weight[0, 0].item()
    index.value, value.value = "2, 5", 4.0
    assert "embedding.weight[2, 5] = 4.000" in out.value
    index.value = "7, 5"
    assert "no number at [7, 5]" in out.value
    index.value = "x"
    assert "invalid literal" in out.value


# -------------------------------------------------------------------------------------- generation


def test_generation_shows_each_flip_and_what_else_could_have_come():
    trace = generation_trace(
        [" The", b"\xf0\x9f", "\n", "<b>"], [0.9, 0.25, 0.5, 0.001],
        [[(" The", 0.9), (" A", 0.1)], [("x", 0.5)], [], [("y", 0.9)]], prompt="Say <it>",
    )  # fmt: skip
    bundle = trace._repr_mimebundle_()
    page, lines = bundle["text/html"], bundle["text/plain"].splitlines()
    assert page.count("<details") == page.count("<summary") == 4
    assert "⟨f0 9f⟩" in page and "&lt;b&gt;" in page and "Say &lt;it&gt;" in page
    assert page.count("<tr class=c>") == 4  # the drawn one is among its alternatives, always
    assert trace.together == pytest.approx(0.9 * 0.25 * 0.5 * 0.001)
    assert lines[0] == "4 tokens, 2 of them at least 50 % likely; this very text: 0.011 %."
    assert lines[1].split() == ["␣The", "90.0", "%", "␣A", "10.0", "%"]


def test_long_generations_are_one_in_many():
    assert "one in 10¹⁰⁰." in generation_trace(["a"] * 100, [0.1] * 100, [[]] * 100).plain()
    assert "impossible" in generation_trace(["a"], [0.0], [[]]).plain()
    assert generation_trace(["a"], [1.0], [[]]).html().count("<details") == 1


def test_generation_needs_as_many_of_each():
    with pytest.raises(CourseError, match="1 tokens, 2 probabilities"):
        generation_trace(["a"], [0.5, 0.5], [[]])
    with pytest.raises(CourseError, match=r"token 0 has the probability 1\.5"):
        generation_trace(["a"], [1.5], [[]])
    with pytest.raises(CourseError, match="0 tokens"):
        generation_trace([], [], [])
