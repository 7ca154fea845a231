"""The long run: it is the loop written out, it goes on bit for bit, and it says what is wrong."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from llmcourse.data.loader import ShardLoader
from llmcourse.data.shards import write_shards
from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.pretrained import load
from llmcourse.model.transformer import Transformer
from llmcourse.presets import TrainSection
from llmcourse.tokenizer import Tokenizer
from llmcourse.train import speed
from llmcourse.train.drill import Drill
from llmcourse.train.loop import fit
from llmcourse.train.metrics import read_table
from llmcourse.train.pretrain import pretrain
from llmcourse.train.sources import ShardSource

CONFIG = ModelConfig(
    vocab_size=257, context_length=32, n_layers=2, n_heads=2, width=32, hidden=64, norm_eps=1e-5
)
SETTINGS = {
    "data": "mixture", "batch_tokens": 128, "micro_batch": 4, "context": 32, "steps": 12, "lr": 5e-3,
    "min_lr": 5e-4, "warmup_steps": 2, "eval_every": 4, "eval_tokens": 128, "compile": "no",
}  # fmt: skip


def section(**changes):
    return TrainSection(**{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bytes of a text as tokens, some held out, with a tokenizer whose tokens are bytes."""
    folder = tmp_path_factory.mktemp("data")
    text = ("The cat sat on the mat. " * 200).encode()
    rng = np.random.default_rng(0)
    train = np.frombuffer(text, np.uint8).astype(np.int64)
    write_shards([train], folder / "train", vocab_size=257, tokens_per_shard=1000)
    write_shards([rng.permutation(train[:1000])], folder / "valid", vocab_size=257)
    Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|endoftext|>"]).save(folder)
    return folder


@pytest.fixture
def source(folder):
    return ShardSource.open(folder)


def run(source, out, *, config=CONFIG, changes=None, **more):
    return pretrain(config, section(**(changes or {})), source, out, progress=False, **more)


def losses(out):
    return read_table(out / "metrics.csv")["loss"]


def weights(out):
    return load(out / "model").model.state_dict()


def same(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in ours.keys() | theirs.keys())


# ------------------------------------------------------------------ it trains


def test_it_is_the_plain_loop(source, tmp_path):
    """The same batches, schedule and optimizer by `fit`: the same losses."""
    result = run(source, tmp_path)
    torch.manual_seed(0)
    model = Transformer(CONFIG)
    loader = ShardLoader(source.train, batch_size=4, context=32, order="epoch")
    history = fit(
        model, loader.batch, steps=12, lr=5e-3, min_lr=5e-4, warmup_steps=2, progress=False
    )
    assert losses(tmp_path) == pytest.approx(history.loss, rel=1e-5)
    assert read_table(tmp_path / "metrics.csv")["lr"] == history.lr
    assert read_table(tmp_path / "metrics.csv")["grad_norm"] == pytest.approx(
        history.grad_norm, rel=1e-3
    )
    assert result.finished and result.step == 12 and result.tokens == 12 * 128
    assert losses(tmp_path)[0] == pytest.approx(math.log(257), abs=0.1)
    assert losses(tmp_path)[-1] < 4


def test_the_drill_comes_first_and_then_the_text_from_its_beginning(source, tmp_path, monkeypatch):
    seen = []
    for kind in (ShardLoader, Drill):
        real = kind.batch

        def noted(self, step, kind=kind, real=real):
            seen.append((kind.__name__, step))
            return real(self, step)

        monkeypatch.setattr(kind, "batch", noted)
    begun = []
    run(source, tmp_path, changes={"drill_steps": 5, "eval_every": 0}, on_start=begun.append)
    assert begun[0].epochs == pytest.approx(7 * 128 / source.tokens)  # the drill reads no text
    assert seen == [("Drill", i) for i in range(5)] + [("ShardLoader", i) for i in range(7)]


def test_micro_batches_add_up_to_the_batch(source, tmp_path):
    run(source, tmp_path / "whole", changes={"eval_every": 0})
    run(source, tmp_path / "parts", changes={"micro_batch": 1, "eval_every": 0})
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-5)
    assert losses(tmp_path / "parts") != losses(tmp_path / "whole")  # rounded in another order


@pytest.mark.parametrize(
    "changes", [{"optimizer": "muon"}, {"precision": "bf16"}, {"activation_checkpointing": True}]
)
def test_variants_train(source, tmp_path, changes):
    run(source, tmp_path, changes={**changes, "eval_every": 0})
    assert losses(tmp_path)[0] == pytest.approx(math.log(257), abs=0.1)
    assert losses(tmp_path)[-1] < 4.5


@pytest.mark.slow
def test_compiled_or_not_the_losses_agree(source, tmp_path):
    run(source, tmp_path / "plain", changes={"eval_every": 0})
    run(source, tmp_path / "compiled", changes={"compile": "yes", "eval_every": 0})
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-4)


def test_the_model_is_like_any_release(source, tmp_path):
    run(source, tmp_path)
    released = load(tmp_path / "model")
    assert released.config == CONFIG
    assert released.tokenizer.encode("cat") == [99, 97, 116]
    snapshot = load(tmp_path / "snapshots" / "step-00000012")  # and so is a snapshot
    assert same(released.model.state_dict(), snapshot.model.state_dict())


def test_what_is_written(source, tmp_path):
    result = run(
        source, tmp_path, changes={"sample_every": 6, "sample_tokens": 5, "prompts": ["The", ""]}
    )
    rows = read_table(tmp_path / "metrics.csv")
    assert rows["step"] == list(range(1, 13))
    assert rows["tokens"] == [128 * n for n in range(1, 13)]
    assert all(
        0 < mfu < 1.5 for mfu in rows["mfu"]
    )  # with other work on the machine its peak is low
    assert rows["seconds"] == sorted(rows["seconds"]) and result.seconds == rows["seconds"][-1]
    evals = read_table(tmp_path / "evals.csv")
    assert evals["step"] == [0, 4, 8, 12]
    assert evals["bits_per_byte"][0] == pytest.approx(8, abs=0.2)  # a token is a byte: log2 257
    assert evals["bits_per_byte"][-1] == result.bits_per_byte < 7
    samples = (tmp_path / "samples.txt").read_text().split("step ")
    assert [part.split("\n")[0] for part in samples] == ["", "0", "6", "12"]
    assert all(part.split("\n")[1].startswith("    The") for part in samples[1:])
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["settings"]["train"]["lr"] == 5e-3
    assert record["starts"][0]["derived"]["flops_per_token"] > 6 * 20_000
    assert (
        record["starts"][0]["machine"]["versions"]["torch"].split("+")[0]
        == torch.__version__.split("+")[0]
    )
    assert record["result"]["step"] == 12


def test_the_caller_is_called(source, tmp_path):
    seen = []
    run(
        source, tmp_path, changes={"sample_every": 12, "sample_tokens": 2},
        on_start=lambda derived: seen.append(derived.accumulation),
        on_step=lambda row: seen.append(row["step"]), on_sample=lambda step, texts: seen.append(texts),
    )  # fmt: skip
    assert seen[0] == 1 and len(seen[1]) == 1 and seen[2:14] == list(range(1, 13))


def test_nothing_to_evaluate_with(folder, tmp_path):
    """Shards alone: no held-out text, no tokenizer."""
    source = ShardSource.open(folder / "train")
    result = run(source, tmp_path, changes={"sample_every": 4})
    assert result.finished and result.bits_per_byte is None
    assert read_table(tmp_path / "evals.csv") == {}
    assert not (tmp_path / "samples.txt").exists()


# ------------------------------------------------------------------ it goes on


@pytest.mark.parametrize(
    "changes",
    [{}, {"optimizer": "muon", "micro_batch": 2, "order": "random"}, {"drill_steps": 9}],
)
def test_stopped_and_resumed_is_uninterrupted(source, tmp_path, changes):
    """30 steps at once, and in three parts: bit for bit."""
    changes = {**changes, "steps": 30, "sample_every": 10, "sample_tokens": 4}
    run(source, tmp_path / "whole", changes=changes)
    for part in (7, 10, None):
        result = run(source, tmp_path / "parts", changes=changes, stop_after=part)
    assert result.finished
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))
    for name in ("evals.csv", "metrics.csv"):
        ours, theirs = (read_table(tmp_path / run / name) for run in ("parts", "whole"))
        assert ours["step"] == theirs["step"] and ours["loss"] == theirs["loss"]
    texts = [(tmp_path / run / "samples.txt").read_text() for run in ("parts", "whole")]
    assert texts[0] == texts[1]
    assert len(json.loads((tmp_path / "parts" / "run.json").read_text())["starts"]) == 3


def test_a_finished_run_stays_as_it_is(source, tmp_path):
    run(source, tmp_path)
    before = (tmp_path / "metrics.csv").read_bytes(), (tmp_path / "evals.csv").read_bytes()
    again = run(source, tmp_path)
    assert again.finished and again.step == 12 and again.loss is None
    assert before == (
        (tmp_path / "metrics.csv").read_bytes(),
        (tmp_path / "evals.csv").read_bytes(),
    )


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
from test_pretrain import CONFIG, section
from llmcourse.train.pretrain import pretrain
from llmcourse.train.sources import ShardSource

def die(row):
    if row["step"] == {step}:
        os.kill(os.getpid(), signal.SIGKILL)

pretrain(CONFIG, section(save_every=3), ShardSource.open({folder!r}), {out!r}, progress=False, on_step=die)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_killed_at_a_random_step_and_resumed(source, folder, tmp_path):
    step = int(np.random.default_rng().integers(4, 12))
    here = str(Path(__file__).parent)
    code = KILLED.format(here=here, step=step, folder=str(folder), out=str(tmp_path / "killed"))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(losses(tmp_path / "killed")) == step  # up to the last one, and one of them unsaved
    run(source, tmp_path / "killed", changes={"save_every": 3})
    run(source, tmp_path / "whole", changes={"save_every": 3})
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole"), f"killed at step {step}"
    assert same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops(source, tmp_path, number):
    def send(row):
        if row["step"] == 5:
            signal.raise_signal(number)

    before = signal.getsignal(number)
    result = run(source, tmp_path / "asked", on_step=send)
    assert (result.step, result.finished, result.signal) == (5, False, number)
    assert signal.getsignal(number) is before
    assert (tmp_path / "asked" / "snapshots" / "step-00000005").is_dir()
    assert run(source, tmp_path / "asked").finished
    run(source, tmp_path / "whole")
    assert losses(tmp_path / "asked") == losses(tmp_path / "whole")


def test_a_second_signal_is_obeyed(source, tmp_path):
    def send(row):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, on_step=send)


def test_a_limit_of_time(source, tmp_path):
    result = run(source, tmp_path, max_seconds=0)
    assert result.step == 1 and not result.finished and result.signal == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lr": 4e-3}, "train.lr was 0.005 and is 0.004"),
        ({"steps": 13}, "train.steps was 12 and is 13"),
        ({"batch_tokens": 256}, "train.batch_tokens"),
    ],
)
def test_other_settings_are_refused_by_name(source, tmp_path, changes, named):
    run(source, tmp_path, stop_after=2)
    with pytest.raises(CourseError, match=named):
        run(source, tmp_path, changes=changes)
    assert len(losses(tmp_path)) == 2  # and nothing was lost


def test_another_model_or_other_data_are_refused(source, folder, tmp_path):
    run(source, tmp_path, stop_after=2)
    with pytest.raises(CourseError, match=r"model.hidden was 64 and is 32"):
        run(source, tmp_path, config=CONFIG.model_copy(update={"hidden": 32}))
    with pytest.raises(CourseError, match=r"data.train was"):
        run(ShardSource(source.valid, source.valid, source.tokenizer), tmp_path)


def test_settings_that_change_no_number_may_change(source, tmp_path):
    run(source, tmp_path, stop_after=2)
    assert run(source, tmp_path, changes={"micro_batch": 2, "keep": 1, "eval_every": 6}).finished


def test_fresh_starts_anew(source, tmp_path):
    run(source, tmp_path, stop_after=5)
    (tmp_path / "notes.txt").write_text("mine")
    result = run(source, tmp_path, changes={"lr": 1e-3}, resume=False, stop_after=2)
    assert result.step == 2 and len(losses(tmp_path)) == 2
    assert [p.name for p in (tmp_path / "snapshots").iterdir()] == ["step-00000002"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("fresh", [True, False])
def test_a_folder_that_is_no_runs_is_left_alone(source, tmp_path, fresh):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "precious").write_text("mine")
    with pytest.raises(CourseError, match="it is no run's folder"):
        run(source, tmp_path, resume=not fresh)
    assert (tmp_path / "model" / "precious").exists()


# ------------------------------------------------------------------ what goes wrong


def test_a_full_disk_on_the_way(source, tmp_path, monkeypatch, capsys):
    """A snapshot that cannot be written is missed; the run goes on, and the one before is whole."""
    import errno

    from llmcourse.model.weights import safetensors_files

    real, full = safetensors_files.write_file, []

    def write_file(path, *more):
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, *more)

    monkeypatch.setattr(safetensors_files, "write_file", write_file)

    def fill(row):
        if row["step"] == 4:
            full.append(True)
        if row["step"] == 9:
            full.clear()

    result = pretrain(
        CONFIG, section(save_every=3, keep=9, eval_every=0), source, tmp_path, on_step=fill
    )  # fmt: skip
    assert result.finished
    found = sorted(p.name for p in (tmp_path / "snapshots").iterdir())
    assert found == ["step-00000003", "step-00000009", "step-00000012"]
    said = capsys.readouterr().err
    assert "step 6: no snapshot" in said and "No space left" in said


def test_a_full_disk_at_the_end(source, tmp_path, monkeypatch):
    import errno

    from llmcourse.model.weights import safetensors_files

    run(source, tmp_path, stop_after=3)

    def write_file(path, *more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(safetensors_files, "write_file", write_file)
        with pytest.raises(CourseError, match="No space left"):
            run(source, tmp_path)
    assert [p.name for p in (tmp_path / "snapshots").iterdir()] == ["step-00000003"]
    assert run(source, tmp_path).finished  # when there is room again


def test_a_damaged_snapshot_is_passed_over(source, tmp_path):
    run(source, tmp_path / "whole")
    run(source, tmp_path / "hurt", changes={"save_every": 4}, stop_after=6)
    path = tmp_path / "hurt" / "snapshots" / "step-00000006" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.warns(UserWarning, match=r"step-00000006.*damaged.*step-00000004 is used instead"):
        assert run(source, tmp_path / "hurt").finished
    assert losses(tmp_path / "hurt") == losses(tmp_path / "whole")


def test_a_loss_that_is_no_number(source, tmp_path, monkeypatch):
    real, calls = speed.next_token_loss, []

    def loss_of(model, x, y):
        calls.append(1)
        return real(model, x, y) * (math.nan if len(calls) == 6 else 1)

    monkeypatch.setattr(speed, "next_token_loss", loss_of)
    with pytest.raises(CourseError, match="the loss is nan at step 6") as caught:
        run(source, tmp_path)
    assert "step-00000005" in str(caught.value)
    monkeypatch.undo()
    assert run(source, tmp_path).finished  # from the state before that step
    run(source, tmp_path / "whole")
    assert losses(tmp_path) == losses(tmp_path / "whole")


def test_weights_that_are_no_numbers_are_not_kept(source, tmp_path, monkeypatch):
    real, calls = speed.next_token_loss, []

    def loss_of(model, x, y):
        calls.append(1)
        if len(calls) == 6:
            model.norm.weight.data[0] = math.inf
        return real(model, x, y)

    monkeypatch.setattr(speed, "next_token_loss", loss_of)
    with pytest.raises(CourseError, match=r"nan at step 6; see its snapshots"):
        run(source, tmp_path, changes={"save_every": 2})
    names = [path.name for path in (tmp_path / "snapshots").iterdir()]
    assert sorted(names) == ["step-00000002", "step-00000004"]


def test_data_and_model_must_fit(source, tmp_path):
    with pytest.raises(CourseError, match="257 symbols and the model 100"):
        run(source, tmp_path, config=CONFIG.model_copy(update={"vocab_size": 100}))
    with pytest.raises(CourseError, match="rows of 64 tokens"):
        run(source, tmp_path, changes={"context": 64, "micro_batch": 2})
    assert not (tmp_path / "run.json").exists()


def test_missing_and_short_shards(folder, tmp_path):
    with pytest.raises(CourseError, match="has no shards"):
        ShardSource.open(tmp_path)
    write_shards([np.arange(20)], tmp_path / "train", vocab_size=257)
    with pytest.raises(CourseError, match="20 tokens are too few for a context of 32"):
        run(ShardSource.open(tmp_path), tmp_path / "run")
    write_shards([np.arange(200)], tmp_path / "train", vocab_size=257)
    write_shards([np.arange(20)], tmp_path / "valid", vocab_size=257)
    with pytest.raises(CourseError, match="20 held-out tokens are too few"):
        run(ShardSource.open(tmp_path), tmp_path / "run")
    shard = next((tmp_path / "train").glob("*.bin"))
    shard.write_bytes(shard.read_bytes()[:-2])
    with pytest.raises(CourseError, match="its header promises"):
        ShardSource.open(tmp_path)
