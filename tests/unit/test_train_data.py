"""Where a run's tokens come from, what is held out, and what the model writes on the way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from llmcourse.data.letters import LetterLoader, letter_inputs, letter_rows, letter_tokenizer
from llmcourse.data.shards import write_shards
from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig, named
from llmcourse.model.transformer import Transformer
from llmcourse.presets import TrainSection, change, load
from llmcourse.tokenizer import Tokenizer
from llmcourse.train import compiling
from llmcourse.train.derived import derive
from llmcourse.train.distributed import Team
from llmcourse.train.held_out import HeldOut, evaluate, held_out_windows, token_lengths
from llmcourse.train.losses import cross_entropy
from llmcourse.train.precision import Precision
from llmcourse.train.samples import write_samples
from llmcourse.train.sources import LetterSource, ShardSource, data_folder, source_of

ALONE = Team(0, 1, 0, torch.device("cpu"), None)
FP32 = Precision("fp32", "cpu")
CONFIG = ModelConfig(vocab_size=8, context_length=8, n_layers=1, n_heads=2, width=16, hidden=16)

# ------------------------------------------------------------------ letters


def test_letters_learnt_and_unseen():
    learnt, unseen = letter_inputs()
    assert (len(learnt), len(unseen)) == (365, 364)
    assert len({tuple(row) for row in (*learnt, *unseen)}) == 729 == 3**6


def test_a_row_of_letters():
    x, y = letter_rows(np.array([[2, 1, 0, 1, 1, 2]]))
    assert letter_tokenizer().decode(x[0]) == "CBABBCABBBC"
    assert y[0].tolist() == [-100] * 5 + [0, 1, 1, 1, 2, 2]


def test_letters_for_any_number_of_processes():
    one = LetterLoader(batch_size=12, seed=4).batch(7)
    four = [LetterLoader(batch_size=12, seed=4, rank=r, world_size=4).batch(7) for r in range(4)]
    for i in (0, 1):
        assert np.array_equal(one[i], np.concatenate([part[i] for part in four]))
    assert not np.array_equal(one[0], LetterLoader(batch_size=12, seed=4).batch(8)[0])
    assert not np.array_equal(one[0], LetterLoader(batch_size=12, seed=5).batch(7)[0])


def test_letters_that_cannot_be_shared():
    with pytest.raises(CourseError, match="5 processes cannot share"):
        LetterLoader(batch_size=12, world_size=5)
    section = load("nano").need(TrainSection).model_copy(update={"context": 10})
    with pytest.raises(CourseError, match="a row of letters is 11 long"):
        LetterSource().loader(section, 0, 1)


def test_unseen_letters_are_never_in_a_batch():
    unseen = {tuple(row) for row in letter_inputs()[1]}
    loader = LetterLoader(batch_size=500)
    assert not any(tuple(row[:6]) in unseen for row in loader.batch(0)[0])


# ------------------------------------------------------------------ held-out text


def shards(tmp_path, tokens, vocab_size=8):
    return write_shards([np.asarray(tokens)], tmp_path / "s", vocab_size=vocab_size)


def test_windows_lie_side_by_side(tmp_path):
    held = held_out_windows(shards(tmp_path, np.arange(30) % 8), context=4, tokens=13)
    assert held.x.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]
    assert held.y.tolist() == [[1, 2, 3, 4], [5, 6, 7, 0], [1, 2, 3, 4]]
    assert held.tokens == 12 and held.lengths is None
    all_there_is = held_out_windows(shards(tmp_path, np.arange(30) % 8), context=4, tokens=999)
    assert len(all_there_is.x) == 7


def test_special_tokens_are_no_text():
    tokenizer = Tokenizer({0: b"a", 1: b"ab", 3: b"abc"}, None, {"<|endoftext|>": 4})
    assert token_lengths(tokenizer, 6).tolist() == [1, 2, 0, 3, 0, 0]


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_the_loss_is_the_mean_and_bits_go_by_bytes(rows):
    torch.manual_seed(0)
    model = Transformer(CONFIG)
    rng = np.random.default_rng(0)
    x, y = rng.integers(8, size=(2, 5, 8))
    y[0, :3] = -100
    lengths = np.array([1, 2, 3, 4, 1, 2, 0, 5])
    found = evaluate(model, HeldOut(x, y, lengths), rows, FP32, ALONE)

    logits, targets = model(torch.from_numpy(x)), torch.from_numpy(y)
    assert found.loss == pytest.approx(cross_entropy(logits, targets).item(), rel=1e-6)
    text = torch.where((targets == 6), -100, targets)
    nats = cross_entropy(logits, text).item() * (text != -100).sum().item()
    size = lengths[y[(y != -100)]].sum()
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-6)
    assert evaluate(model, HeldOut(x, y), rows, FP32, ALONE).bits_per_byte is None


# ------------------------------------------------------------------ samples


def sample(prompts, tokenizer=None, **more):
    torch.manual_seed(0)
    tokenizer = tokenizer or Tokenizer(
        {i: bytes([65 + i]) for i in range(7)}, [], {"<|endoftext|>": 7}
    )
    return write_samples(
        Transformer(CONFIG), CONFIG, tokenizer, prompts, 4, FP32, ALONE.device, **more
    )


def test_samples_repeat_and_begin_with_the_prompt():
    texts = sample(["AB", "AB", ""])
    assert texts == sample(["AB", "AB", ""])
    assert texts != sample(["AB", "AB", ""], seed=1)
    assert texts[0].startswith("AB") and texts[0] != texts[1]  # each its own draws
    assert not texts[2].startswith("<|endoftext|>")


def test_a_prompt_longer_than_the_context():
    assert sample(["A" * 20 + "B"])[0].startswith("A" * 7 + "B")


# ------------------------------------------------------------------ sources, and what follows


@pytest.fixture
def folder(tmp_path):
    tokenizer = Tokenizer({i: bytes([65 + i]) for i in range(8)}, [])
    write_shards([np.arange(100) % 8], tmp_path / "train", vocab_size=8)
    write_shards([np.arange(50) % 8], tmp_path / "valid", vocab_size=8)
    tokenizer.save(tmp_path / "tokenizer")
    return tmp_path


def section(**changes):
    given = {
        "data": "mixture",
        "batch_tokens": 96,
        "micro_batch": 4,
        "context": 8,
        "steps": 50,
        "lr": 0.1,
    }
    return TrainSection(**{**given, **changes})


def test_a_folder_of_data(folder):
    source = ShardSource.open(folder)
    assert (source.tokens, len(source.valid), source.vocab_size) == (100, 50, 8)
    assert source.tokenizer.decode([0, 1]) == "AB"
    alone = ShardSource.open(folder / "train")
    assert alone.valid is None and alone.tokenizer is None
    assert source.describe()["train"] == alone.describe()["train"]
    assert source.held_out(section(eval_every=0)) is None


def test_a_preset_and_a_folder(folder, monkeypatch):
    assert isinstance(source_of(load("course-laptop"), folder, ALONE), ShardSource)
    assert isinstance(source_of(load("nano"), None, ALONE), LetterSource)
    with pytest.raises(CourseError, match="needs no data"):
        source_of(load("nano"), folder, ALONE)


def test_data_that_cannot_be_made(monkeypatch):
    from llmcourse.train import sources

    def fail(preset, progress):
        raise CourseError("no room", hint="make some")

    monkeypatch.setattr(sources, "_prepare", fail)
    with pytest.raises(CourseError, match=r"no room \(make some\)"):
        source_of(load("course-laptop"), None, ALONE)


def test_fetched_tokens_are_shared_by_presets_that_agree(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path))
    preset = load("gpt2-124m-8gpu")
    twin = preset.model_copy(update={"name": "twin"})
    shorter = change(preset, "train", {"steps": 100, "warmup_steps": 0})
    assert data_folder(preset) == data_folder(twin) != data_folder(shorter)


def test_what_follows_from_the_settings(folder):
    derived = derive(CONFIG, section(), ShardSource.open(folder), ALONE)
    assert (derived.micro_batch, derived.accumulation, derived.processes) == (4, 3, 1)
    assert derived.tokens == 4800 and derived.epochs == 48
    assert derived.tokens_per_parameter == 4800 / derived.parameters
    assert derived.flops == derived.flops_per_token * 4800 and derived.peak_flops > 1e8
    assert (derived.precision, derived.compiled) == ("fp32", False)


@pytest.mark.parametrize(("world_size", "micro", "times"), [(2, 3, 2), (3, 4, 1), (12, 1, 1)])
def test_the_batch_stays_whatever_the_team(folder, world_size, micro, times):
    team = Team(0, world_size, 0, torch.device("cpu"), "gloo")
    derived = derive(CONFIG, section(), ShardSource.open(folder), team)
    assert (derived.micro_batch, derived.accumulation) == (micro, times)
    assert derived.micro_batch * derived.accumulation * world_size == 12


def test_a_team_that_cannot_share(folder):
    team = Team(0, 5, 0, torch.device("cpu"), "gloo")
    with pytest.raises(CourseError, match="5 processes cannot share 12 rows"):
        derive(CONFIG, section(), ShardSource.open(folder), team)


def test_every_preset_that_trains_adds_up(monkeypatch):
    # To find out would take seconds.
    monkeypatch.setattr(compiling, "why_not", lambda device: "")
    for name in ("nano", "quick", "course-laptop"):
        preset = load(name)
        derived = derive(preset.model.build(), preset.train, None, ALONE)
        assert derived.epochs is None and derived.tokens > 0
    assert derive(named("nano"), load("nano").train, LetterSource(), ALONE).parameters == 85_584
