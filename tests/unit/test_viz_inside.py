"""Attention maps, matrices of numbers, the poster, and the walk through a forward pass."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig, named
from llmcourse.model.transformer import Transformer, meta_model, num_parameters
from llmcourse.viz.attention import AttentionView, attention_map
from llmcourse.viz.figure import show, use_style
from llmcourse.viz.numbers import numbers_grid
from llmcourse.viz.poster import parameters_poster
from llmcourse.viz.stages import Walk
from llmcourse.viz.walkthrough import ForwardPass

widgets = pytest.importorskip("ipywidgets")
use_style()

LLAMA = ModelConfig(
    vocab_size=40,
    context_length=16,
    n_layers=2,
    n_heads=4,
    n_kv_heads=2,
    width=32,
    hidden=56,
    tied=False,
)
QWEN = ModelConfig(
    vocab_size=9, context_length=16, n_layers=1, n_heads=2, width=8, hidden=12, qkv_bias=True
)
SMEARED = ModelConfig(
    vocab_size=9, context_length=16, n_layers=2, n_heads=4, n_kv_heads=2, width=16, hidden=12, smear=True
)  # fmt: skip
PLAIN = ModelConfig(
    vocab_size=5, context_length=4, n_layers=1, n_heads=1, width=6, hidden=7, position="none",
    norm="layer", mlp="gelu_tanh",
)  # fmt: skip


def lively(config: ModelConfig) -> Transformer:
    """A model whose biases and gains are not all alike."""
    torch.manual_seed(0)
    model = Transformer(config)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model


def causal(*shape: int) -> torch.Tensor:
    T = shape[-1]
    scores = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return scores.masked_fill(~torch.ones(T, T).tril().bool(), -torch.inf).softmax(-1)


def state_bytes(box: widgets.Widget) -> int:
    from ipywidgets.embed import dependency_state

    return len(json.dumps(dependency_state(box, drop_defaults=False), ensure_ascii=False).encode())


# --------------------------------------------------------------------------------------- attention


def test_attention_map_prints_the_past_and_leaves_the_future_blank():
    weights = causal(2, 4, 4)
    figure = attention_map(weights, ["a", " b", "$c$", "d"])
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["head 1", "head 2"]
    printed = {(t.get_position()): t.get_text() for t in figure.axes[0].texts}
    assert len(printed) == 10
    assert printed[(0, 3)] == f"{100 * weights[0, 3, 0]:.0f}"  # x is the key, y the query
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["a", "␣b", "$c$", "d"]
    show(figure, "4.1", "c", "a")


def test_attention_map_of_many_positions_many_heads_and_both_directions():
    long = attention_map(causal(4, 20, 20), [f"word{i}" for i in range(20)])
    assert not any(ax.texts for ax in long.axes)
    assert len(long.axes) == 6
    free = attention_map(torch.full((3, 3), 1 / 3), "abc")  # nobody forbids looking ahead
    assert len(free.axes[0].texts) == 9


def test_attention_must_fit_its_tokens():
    with pytest.raises(CourseError, match=r"\[2, 4, 4\] for 3 tokens"):
        attention_map(causal(2, 4, 4), "abc")
    with pytest.raises(CourseError, match="1 titles for 2 heads"):
        attention_map(causal(2, 4, 4), "abcd", titles=["x"])
    with pytest.raises(CourseError, match="a batch of 2"):
        attention_map(causal(2, 2, 4, 4), "abcd")


def test_attention_view_has_every_head_of_every_layer():
    layers = [causal(1, 3, 4, 4), causal(3, 4, 4).flip(0)]
    view = AttentionView(layers, "abcd")
    _, layer, head, states = view.box.children
    assert list(layer.options) == ["layer 1", "layer 2"]
    assert len(head.options) == 3
    for n, stack in enumerate(states.children):
        for h, page in enumerate(stack.children):
            numbers = re.findall(r"<td>(\d+)", page.value)
            w = layers[n].reshape(3, 4, 4)[h]
            assert numbers == [f"{100 * w[i, j]:.0f}" for i in range(4) for j in range(i + 1)]
    links = {(link.source[0], link.target[0]) for link in view.box.links}
    assert links == {(layer, states), (head, states.children[0]), (head, states.children[1])}
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == repr(view) == "Attention of 2 layers × 3 heads over 4 positions"
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_attention_view_of_long_texts_says_where_each_position_looks():
    view = AttentionView({"only": causal(1, 14, 14)}, [f" w{i}" for i in range(14)])
    page = view.box.children[-1].children[0].children[0].value
    assert "<th scope=row>1 ␣w0<td>1 ␣w0 100 %" in page
    assert 'role="img"' in page


def test_attention_view_refuses_what_it_cannot_show():
    with pytest.raises(CourseError, match="no layer"):
        AttentionView([], "ab")
    with pytest.raises(CourseError, match=r"layers have \[1, 2\] heads"):
        AttentionView([causal(1, 2, 2), causal(2, 2, 2)], "ab")
    with pytest.raises(CourseError, match="larger than 1,000 bytes"):
        AttentionView([causal(3, 4, 4)], "abcd", limit=1000)


# ------------------------------------------------------------------------------- numbers and poster


def test_grid_prints_small_matrices():
    figure = numbers_grid([[1.0, -2.0], [0.5, 0.25]], rows=["r", "s"], cols="AB", title="t")
    printed = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert printed == {(0, 0): "1.00", (1, 0): "−2.00", (0, 1): "0.50", (1, 1): "0.25"}
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["r", "s"]


def test_grid_wraps_a_vector():
    figure = numbers_grid(torch.arange(30.0))
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["0…", "12…", "24…"]
    assert "29.0" in [t.get_text() for t in figure.axes[0].texts]
    assert len(numbers_grid([1.0, 2.0]).axes[0].texts) == 2


def test_grid_draws_large_matrices_with_means():
    figure = numbers_grid(np.ones((100, 50)) * np.arange(50))
    assert len(figure.axes) == 3
    assert not figure.axes[0].texts
    show(figure, "4.2", "c", "a")


def test_grid_needs_heads_for_all():
    with pytest.raises(CourseError, match="1 heads for 2 rows"):
        numbers_grid([[1.0], [2.0]], rows=["r"])


def test_poster_has_a_pixel_for_every_parameter():
    model = Transformer(named("nano"))
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(1.0)  # everything as blue as can be
    figure = parameters_poster(model)
    ax = figure.axes[0]
    pixels = int((ax.images[0].get_array()[..., 3] > 0).sum())
    vectors = sum(p.numel() for p in model.parameters() if p.ndim == 1)
    # A vector is a strip 4 pixels thick; the embedding's 3 rows are doubled to be seen.
    assert pixels == num_parameters(model) + 3 * vectors + model.embedding.weight.numel()
    words = " ".join(t.get_text() for t in ax.texts)
    assert words.count("28,272 parameters") == 3
    assert "w1 192 × 48 ⟲" in words and "embedding 3 × 48" in words and "Exit: 96" in words
    assert len(show(figure, "4.3", "c", "a").svg) < 300_000


def test_poster_of_a_wide_model_pools_and_of_no_blocks_too():
    wide = torch.nn.Linear(500, 30)
    with torch.no_grad():
        wide.weight.fill_(-1.0)
        wide.bias.zero_()
    figure = parameters_poster(wide)
    words = " ".join(t.get_text() for t in figure.axes[0].texts)
    assert "1 px = 3 × 3" in words and "Entrance: 15,030 parameters" in words
    assert int((figure.axes[0].images[0].get_array()[..., 3] > 0).sum()) == 10 * 167


def test_poster_refuses_what_is_no_picture():
    with pytest.raises(CourseError, match="0 parameters"):
        parameters_poster(torch.nn.ReLU())
    with pytest.raises(CourseError, match="has no numbers"):
        parameters_poster(meta_model(named("nano")))


# -------------------------------------------------------------------------------- the forward pass


@pytest.mark.parametrize("config", [named("nano"), LLAMA, QWEN, SMEARED, PLAIN])
@pytest.mark.parametrize("follow", [0, 3])
def test_every_stage_worked_by_hand_is_what_the_model_computed(config, follow):
    model = lively(config)
    ids = torch.tensor([2, 1, 0, 2])
    stages = list(Walk(model, ids, lambda i: f"s{i}", follow).stages())
    for stage in stages:
        assert stage.value == pytest.approx(stage.traced, rel=1e-3, abs=1e-5), stage.name
    # Together they use each parameter, and nothing that is not there.
    used = {name for stage in stages for name in stage.parameters}
    assert used == {name for name, _ in model.named_parameters()}
    traced = list(model.trace(ids[None]))
    expected = [n for n in traced if n != "input" or config.position == "learned"]
    assert [s.name for s in stages if not s.name.endswith("scores")] == expected


def test_nano_has_44_steps_and_85584_parameters():
    walk = Walk(lively(named("nano")), torch.tensor([2, 1, 0]), "ABC", 2)
    counts: dict[str, int] = {}
    for stage in (stages := list(walk.stages())):
        counts |= stage.parameters
    assert (len(stages), sum(counts.values())) == (44, 85_584)


def test_forward_pass_shows_the_numbers_of_the_trace():
    model = lively(named("nano"))
    ids = [2, 1, 0, 1, 1, 2, 0, 1, 1, 1, 2]
    view = ForwardPass(model, ids, "ABC")
    _, choose, slide, states = view.box.children
    pages = [page.value for page in states.children]
    assert len(pages) == len(choose.options) == len(slide.options) == 44
    trace = model.trace(torch.tensor([ids]))
    cells = re.findall(r"<td>([−\d.]+)", pages[3])  # queries of block 1: all 48 × 11
    q = trace["blocks.0.attention.q"][0].transpose(1, 2).reshape(48, 11)
    assert [float(c.replace("−", "-")) for c in cells] == pytest.approx(
        q.flatten().tolist(), abs=6e-3
    )
    assert len(re.findall("<td>", pages[12])) == 192 * 11  # the MLP of block 1, in full
    assert len(re.findall("<td>", pages[25])) == 6 * 11  # of block 2, a part …
    assert 'role="img"' in pages[25]  # … and a picture
    answer = trace["probabilities"][0, -1]
    last = re.findall(r"<td>(\d+)", pages[-1])
    assert sorted(last[10::11]) == sorted(f"{100 * p:.0f}" for p in answer)
    assert state_bytes(view.box) <= 300_000
    assert "C B A" in repr(view)


def test_forward_pass_of_another_model_lists_the_likeliest_symbols():
    view = ForwardPass(lively(LLAMA), torch.tensor([[1, 2, 3]]), [f"<{i}>" for i in range(40)])
    pages = [page.value for page in view.box.children[-1].children]
    assert "the likeliest at the end" in pages[-1]
    assert "&lt;1&gt;" in pages[0] and "<1>" not in pages[0]
    assert any("turned by" in page for page in pages)


def test_forward_pass_walks_through_chosen_blocks_only():
    view = ForwardPass(lively(LLAMA), [1, 2], str, blocks=[1], full=[1])
    assert {stage.part for stage in view.stages} == {"Entrance", "Block 2", "Exit"}
    assert "Block 1" not in view.box.children[-1].children[5].value


def test_forward_pass_says_what_is_wrong():
    model = lively(PLAIN)
    with pytest.raises(CourseError, match="position 3 of 2"):
        ForwardPass(model, [0, 1], "ABCDE", follow=3)
    with pytest.raises(CourseError, match="'AB' is text"):
        ForwardPass(model, "AB", "ABCDE")
    with pytest.raises(CourseError, match=r"ids \[0, 5\] are not all symbols"):
        ForwardPass(model, [0, 5], "ABCDE")
    with pytest.raises(CourseError, match="are not one sequence"):
        ForwardPass(model, [[0, 1], [1, 0]], "ABCDE")
    with pytest.raises(CourseError, match="larger than 5,000 bytes"):
        ForwardPass(model, [0, 1], "ABCDE", limit=5000)
