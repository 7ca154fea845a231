"""Fine-tuning: the right tokens count, each as much as any other, and it goes on bit for bit."""

from __future__ import annotations

import copy
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.model.weights import load
from llmcourse.train.distributed import join
from llmcourse.train.lora import LoraConfig, has_lora
from llmcourse.train.losses import IGNORE, cross_entropy, log_probabilities
from llmcourse.train.metrics import read_table
from llmcourse.train.sft import _micro_batches, sft, sft_microbatch_step
from llmcourse.train.sft_batches import Separated, SFTBatches

CONFIG = ModelConfig(vocab_size=32, context_length=32, n_layers=2, n_heads=2, width=16, hidden=32)


def conversations(count=24, seed=0):
    """A question of random ids below 16, answered by the same ids plus 16."""
    rng = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        question = rng.integers(0, 16, rng.integers(2, 15))
        ids = [*question, *(question + 16), 0]
        examples.append((ids, [0] * len(question) + [1] * (len(question) + 1)))
    return examples


def model():
    torch.manual_seed(0)
    return Transformer(CONFIG)


def run(out=None, examples=None, changes=None, **more):
    settings = {"steps": 8, "lr": 1e-2, "batch_tokens": 128, "compile": "no", "progress": False}
    return sft(
        model(), examples or conversations(), out=out, **{**settings, **(changes or {}), **more}
    )


def losses(out):
    return read_table(out / "metrics.csv")["loss"]


def same(ours, theirs):
    ours, theirs = ours.state_dict(), theirs.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours.keys() | theirs.keys())


# ------------------------------------------------------------------ batches


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_every_conversation_once_an_epoch(layout):
    examples = conversations(50)
    data = SFTBatches(examples, 32, 128, layout=layout)
    for epoch in (0, 1):
        found = []
        for number in range(len(data)):
            batch = data.batch(epoch * len(data) + number)
            assert batch.x.shape == batch.y.shape
            assert batch.x.size <= 128 and len(batch.x) == 128 // batch.x.shape[1]
            found += [y for row in batch.y for y in row[row != IGNORE]]
        answers = sorted(t for ids, mask in examples for t, m in zip(ids, mask, strict=True) if m)
        assert sorted(found) == answers


def test_targets_are_what_comes_next_where_the_mask_says():
    data = SFTBatches([([5, 6, 7, 8, 9], [0, 0, 1, 0, 1])], 16, 16)
    batch = data.batch(0)
    assert batch.x[0, :4].tolist() == [5, 6, 7, 8]
    assert batch.y[0, :5].tolist() == [IGNORE, 7, IGNORE, 9, IGNORE]
    assert batch.targets == 2 and batch.positions is None


def test_any_batch_at_any_time():
    one, two = (SFTBatches(conversations(), 32, 64, seed=3) for _ in range(2))
    forwards = [one.batch(n).x for n in range(30)]
    assert all(np.array_equal(two.batch(n).x, forwards[n]) for n in reversed(range(30)))
    other = SFTBatches(conversations(), 32, 64, seed=4)
    assert any(not np.array_equal(other.batch(n).x, forwards[n]) for n in range(5))
    epoch = len(one)
    assert any(not np.array_equal(forwards[n], forwards[n + epoch]) for n in range(5))


def test_buckets_and_packing_save_padding():
    examples = conversations(100)
    needed = sum(len(ids) - 1 for ids, _ in examples)

    def size(layout):
        data = SFTBatches(examples, 32, 128, layout=layout)
        return sum(data.batch(n).x.size for n in range(len(data)))

    assert size("packed") < size("padded") < 100 * 32
    assert size("packed") < 1.15 * needed


@pytest.mark.parametrize("smear", [False, True])
def test_packed_conversations_do_not_see_each_other(smear):
    """The logits of each are those it has alone in a row."""
    examples = conversations(12)
    plain = Transformer(CONFIG.model_copy(update={"smear": smear}))
    with torch.no_grad():
        for p in plain.parameters():
            p.mul_(5)  # so that what others say would be seen
    m, data = Separated(plain), SFTBatches(examples, 32, 256, layout="packed")
    batch = data.batch(0)
    logits = m(torch.from_numpy(batch.inputs))
    checked = 0
    for row, positions in enumerate(batch.positions):
        for start in np.flatnonzero(positions == 0):
            length = 1
            while start + length < 32 and positions[start + length] == length:
                length += 1
            ids = torch.from_numpy(batch.x[row : row + 1, start : start + length])
            torch.testing.assert_close(
                logits[row : row + 1, start : start + length], m(ids), atol=1e-5, rtol=1e-5
            )
            checked += length > 1
    assert checked >= 8


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "no conversations"),
        ([([1, 2], [0, 1]), ([1, 2], [0, 0])], "conversation 2 has no token with a loss"),
        (
            [([1, 2], [1, 0])],
            "conversation 1 has no token with a loss",
        ),  # the first is not predicted
        ([([], [])], "no token with a loss"),
        ([([1, 2, 3], [0, 1])], "conversation 1 is not as many"),
        ([([1, -2], [0, 1])], "the id -2"),
        ([([1] * 34, [1] * 34)], "has 34 tokens, and a row takes 33"),
    ],
)
def test_conversations_that_cannot_be_learnt_from(examples, message):
    with pytest.raises(CourseError, match=message):
        SFTBatches(examples, 32, 64)


# ------------------------------------------------------------------ the loss


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_accumulated_is_the_gradient_of_the_whole_batch(layout):
    batch = SFTBatches(conversations(), 32, 256, layout=layout).batch(0)
    whole, parts = model().double(), model().double()
    x, y = torch.from_numpy(batch.inputs), torch.from_numpy(batch.y)
    cross_entropy(Separated(whole)(x), y).backward()
    pieces = _micro_batches(x, y, 32)
    assert len(pieces) > 3 and len({count for *_, count in pieces}) > 1
    for xs, ys, count in pieces:
        (cross_entropy(Separated(parts)(xs), ys) * (count / batch.targets)).backward()
    for p, q in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-6, rtol=1e-6)


def test_a_run_in_parts_is_the_run(tmp_path):
    one = run(micro_tokens=10_000)
    many = run(micro_tokens=1)  # a row at once, and rows without any target
    assert many.loss == pytest.approx(one.loss, rel=1e-4)


def test_padded_and_packed_are_one_loss():
    whole = [run(layout=kind, batch_tokens=4096, steps=1).loss[0] for kind in ("padded", "packed")]
    assert whole[0] == pytest.approx(whole[1], rel=1e-5)


def test_the_microbatch_step_adds_up_to_the_mean():
    batch = SFTBatches(conversations(), 32, 256).batch(0)
    x, y = torch.from_numpy(batch.x), torch.from_numpy(batch.y)
    whole, parts = model().double(), model().double()
    loss = cross_entropy(whole(x), y)
    loss.backward()
    total = 0.0
    for xs, ys in zip(x.chunk(4), y.chunk(4), strict=True):
        mask = ys != IGNORE
        logs = log_probabilities(parts(xs), ys.masked_fill(~mask, 0))
        part, facts = sft_microbatch_step(logs, mask, 4, normalise=batch.targets / len(y))
        total += part.item()
        assert facts["tokens"] == mask.sum() and not part.requires_grad
    assert total == pytest.approx(loss.item())
    for p, q in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-6, rtol=1e-6)


def test_the_microbatch_step_by_hand():
    logs = torch.tensor([[-1.0, -2.0], [-4.0, -math.inf]], requires_grad=True)
    loss, facts = sft_microbatch_step(logs, torch.tensor([[1, 1], [1, 0]]), 2, normalise=2.0)
    assert loss.item() == pytest.approx((3 + 4) / 2 / 2 / 2)
    assert facts["mean_logprob"].item() == pytest.approx(-7 / 3)
    assert logs.grad.tolist() == [[-0.125, -0.125], [-0.125, 0]]
    for bad in ({"gradient_accumulation_steps": 0}, {"normalise": 0.0}):
        with pytest.raises(CourseError):
            sft_microbatch_step(logs, torch.ones(2, 2), **bad)
    with pytest.raises(CourseError, match="mask"):
        sft_microbatch_step(logs, torch.ones(2, 3))


# ------------------------------------------------------------------ it trains


@pytest.mark.parametrize("changes", [{}, {"optimizer": "muon"}, {"layout": "packed"}])
def test_it_learns(changes):
    result = run(changes=changes, steps=40, validation=conversations(8, seed=1))
    assert result.finished and result.step == 40 == len(result.loss)
    assert result.loss[0] == pytest.approx(math.log(32), abs=0.2)
    (first, before), (last, after) = result.validation
    assert (first, last) == (0, 40) and after < 0.9 * before


def test_epochs():
    examples = conversations()
    data = SFTBatches(examples, 32, 128)
    result = run(examples=examples, steps=None, epochs=2)
    assert result.step == 2 * len(data) and result.targets == 2 * data.targets


def test_only_adapters_change_and_the_folder_has_both(tmp_path):
    before = model()
    result = run(tmp_path, lora=LoraConfig(rank=2, targets=("q", "w2")), lr=0.05)
    after = dict(result.model.named_parameters())
    assert all(torch.equal(p, after[name]) for name, p in before.named_parameters())
    assert result.loss[-1] < result.loss[0]
    assert (tmp_path / "model" / "adapter.safetensors").exists()
    ids = torch.arange(10).view(1, 10)
    merged = load(tmp_path / "model")
    assert has_lora(result.model) and not has_lora(merged)
    torch.testing.assert_close(merged(ids), result.model(ids), atol=1e-5, rtol=1e-5)


def test_what_is_written(tmp_path):
    def evaluate(step, m):
        assert not m.training
        torch.rand(step + 1)  # draws, and must not matter
        return {"right": step / 8}

    result = run(
        tmp_path, evaluate=evaluate, eval_every=3, validation=conversations(4), changes={"seed": 5}
    )
    assert [step for step, _ in result.validation] == [0, 3, 6, 8]
    assert read_table(tmp_path / "evals.csv")["step"] == [0, 3, 6, 8]
    lines = [json.loads(x) for x in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert lines == [{"step": n, "right": n / 8} for n in (0, 3, 6, 8)]
    assert losses(tmp_path) == result.loss == run(changes={"seed": 5}).loss
    assert same(load(tmp_path / "model"), result.model)
    assert json.loads((tmp_path / "run.json").read_text())["result"]["targets"] == result.targets


# ------------------------------------------------------------------ it goes on


@pytest.mark.parametrize(
    "changes",
    [{}, {"optimizer": "muon", "layout": "packed"}, {"lora": LoraConfig(2)}],
)
def test_stopped_and_resumed_is_uninterrupted(tmp_path, changes):
    more = {"eval_every": 3, "evaluate": lambda step, m: {"x": m.embedding.weight.sum().item()}}
    whole = run(tmp_path / "whole", changes=changes, **more)
    for part in (3, 2, None):
        result = run(tmp_path / "parts", changes=changes, stop_after=part, **more)
    assert result.finished
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert same(whole.model, result.model)
    texts = [(tmp_path / name / "answers.jsonl").read_text() for name in ("parts", "whole")]
    assert texts[0] == texts[1]


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
from test_sft import run

def die(row):
    if row["step"] == 6:
        os.kill(os.getpid(), signal.SIGKILL)

run({out!r}, save_every=2, on_step=die)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_killed_and_resumed(tmp_path):
    code = KILLED.format(here=str(Path(__file__).parent), out=str(tmp_path / "killed"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(losses(tmp_path / "killed")) == 6
    result = run(tmp_path / "killed", save_every=2)
    whole = run(tmp_path / "whole", save_every=2)
    assert len(result.loss) == 4  # from the snapshot of step 4
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert same(whole.model, result.model)


def test_a_signal_saves_and_stops(tmp_path):
    def send(row):
        if row["step"] == 5:
            signal.raise_signal(signal.SIGTERM)

    result = run(tmp_path, on_step=send)
    assert (result.step, result.finished, result.signal) == (5, False, signal.SIGTERM)
    assert (tmp_path / "snapshots" / "step-00000005").is_dir()
    assert run(tmp_path).finished


def test_another_run_in_the_folder(tmp_path):
    run(tmp_path, steps=2)
    with pytest.raises(CourseError, match=r"sft\.lr was 0\.01 and is 0\.02"):
        run(tmp_path, steps=2, lr=0.02, min_lr=0.001)
    with pytest.raises(CourseError, match=r"data\.train was"):
        run(tmp_path, conversations(seed=9), steps=2)
    assert run(tmp_path, steps=2, lr=0.02, resume=False).step == 2


# ------------------------------------------------------------------ when something is wrong


def test_a_loss_that_is_no_number(tmp_path):
    m = model()
    kept = {}

    def poison(row):
        if row["step"] == 2:
            kept.update(copy.deepcopy(m.state_dict()))
            with torch.no_grad():
                m.norm.weight[0] = math.nan

    with pytest.raises(CourseError, match="the loss is nan at step 3"):
        sft(m, conversations(), steps=5, compile="no", progress=False, on_step=poison)
    kept.pop("norm.weight")
    assert all(torch.equal(m.state_dict()[name], value) for name, value in kept.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 3, "epochs": 1}, "1 epochs and 3 steps"),
        ({"steps": 0}, "0 steps"),
        ({"steps": -1}, "-1 steps"),
        ({"steps": None, "epochs": math.nan}, "nan epochs"),
        ({"context": 64}, "the model sees 32"),
        ({"layout": "square"}, "no layout"),
        ({"warmup_steps": 99}, "warm-up of 99"),
        ({"lora": LoraConfig(targets=("nose",))}, "nose"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(CourseError, match=message):
        run(changes=changes)


def test_data_that_do_not_fit():
    with pytest.raises(CourseError, match="the id 32, the model 32"):
        run(examples=[([1, 32], [0, 1])])
    with pytest.raises(CourseError, match="no conversations"):
        sft(model(), [], steps=1, progress=False)
    coarse = model().to(torch.bfloat16)
    with pytest.raises(CourseError, match="too coarse"):
        sft(coarse, conversations(), steps=1, progress=False)
    assert join().world_size == 1
