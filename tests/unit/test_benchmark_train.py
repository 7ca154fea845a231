"""The side-by-side benchmark of training, on a tiny model."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import train
from benchmarks.train import SETTINGS, Setting, compare, our_step, text_ids, to_plain
from llmcourse.model.transformer import Transformer

TINY = Setting(16, 4, 65, layers=2, heads=2, width=16)


def some_batches(n, vocab=65, context=16):
    torch.manual_seed(1)
    return [
        (torch.randint(0, vocab, (4, context)), torch.randint(0, vocab, (4, context)))
        for _ in range(n)
    ]


def test_quick_run(capsys):
    threads = torch.get_num_threads()
    try:
        assert train.main(["--quick", "--threads", "1"]) == 0
    finally:
        torch.set_num_threads(threads)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["equal_losses"] is True and result["compiled"] is False
    (rows,) = result["measured"].values()
    assert set(rows) == {"plain", "ours, not compiled", "ours, bf16"}
    assert rows["plain"]["ratio"] == 1 and all(
        row["tokens_per_second"] > 0 for row in rows.values()
    )
    assert rows["ours, bf16"]["loss_difference"] < 0.01


def test_both_models_are_one():
    """The same loss, and the same gradients where matrices have the same shape."""
    ours = Transformer(TINY.config())
    plain = to_plain(ours)
    ((x, y),) = some_batches(1)
    loss = plain(x, y)
    loss.backward()
    own = torch.nn.functional.cross_entropy(ours(x).flatten(0, 1), y.flatten())
    own.backward()
    torch.testing.assert_close(own, loss)
    torch.testing.assert_close(ours.embedding.weight.grad, plain.wte.weight.grad)
    torch.testing.assert_close(
        ours.blocks[1].mlp.w1.weight.grad, plain.h[1].mlp.c_fc.weight.grad
    )  # fmt: skip


def test_a_step_that_differs_is_noticed():
    """One with another learning rate makes the same first loss and other ones afterwards."""
    torch.manual_seed(0)
    model = Transformer(TINY.config())
    steps = {
        "plain": train.plain_step(to_plain(model), 1e-3),
        "ours": our_step(model, torch.float32, compiled=False),  # at train.LR
    }
    rows = compare(TINY, steps, some_batches(6), turns=1, per_turn=1, clock=iter(range(9)).__next__)
    assert rows["ours"]["loss_difference"] > train.SAME
    assert rows["plain"]["loss_difference"] == 0


def test_who_is_faster_by_how_much():
    nothing = lambda x, y: torch.tensor(0.0)  # noqa: E731
    times = iter([0.0, 2.0, 2.0, 3.0, 3.0, 7.0, 7.0, 8.0, 8.0, 10.0, 10.0, 12.0])
    rows = compare(
        TINY, {"plain": nothing, "ours": nothing}, some_batches(2), 3, 5, clock=lambda: next(times)
    )
    # plain took 2, 4 and 2 seconds, ours 1, 1 and 2; a turn is 5 steps of 64 tokens.
    assert rows["ours"]["ratio"] == 2.0
    assert rows["plain"]["tokens_per_second"] == 5 * 64 / 2 and rows["plain"]["spread"] == 1.0


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_text_as_ids(setting):
    text = "The quick brown fox jumps over the lazy dog, and then. " * 20
    ids = text_ids(text, setting.vocab)
    assert ids.min() >= 0 and 25 < ids.max() < setting.vocab
    assert len(ids) == len(text) // (1 if setting.vocab == 65 else 2)
