"""Mid-training: half desk, half well known, a mask beside the tokens, and a run that begins with a model."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from llmcourse import presets
from llmcourse.data.conversations.facts import wordings_of
from llmcourse.data.masked import IGNORED, MaskedLoader
from llmcourse.data.mid import KnownWriter, prepare_mid
from llmcourse.data.mixture import read_mentions
from llmcourse.data.shards import ShardSet, write_shards
from llmcourse.data.world.whole import invent
from llmcourse.errors import CourseError
from llmcourse.evals.knowledge import Share
from llmcourse.evals.reading import answering, at_the_desk, reading
from llmcourse.model import pretrained, shipped
from llmcourse.presets import MidSection, ModelSection, TrainSection
from llmcourse.tokenizer import Tokenizer
from llmcourse.train.pretrain import _shares, pretrain
from llmcourse.train.sources import ShardSource


@pytest.fixture(scope="module")
def preset():
    small = {"tokens": 40_000, "held_out": 0.05}
    return presets.change(presets.load("course-mid"), "mid", small)


@pytest.fixture(scope="module")
def folder(preset, tmp_path_factory):
    return prepare_mid(preset, tmp_path_factory.mktemp("mid") / "text")


@pytest.fixture(scope="module")
def world():
    mixture = presets.load("course-laptop").need(presets.MixtureSection)
    return invent(mixture.seed, mixture.size)


def test_half_is_read_and_half_is_known(preset, folder):
    account = json.loads((folder / "mid.json").read_text())
    sources = account["sources"]
    share = sources["desk"]["tokens"] / account["tokens"]
    assert abs(share - preset.need(MidSection).desk) < 0.02
    assert sources["desk"]["documents"] > 100 and sources["known"]["documents"] > 50


def test_the_mask_lies_beside_its_tokens(folder):
    train, mask = ShardSet.open(folder / "train"), ShardSet.open(folder / "mask")
    assert len(train) == len(mask)
    tokenizer = Tokenizer.load(folder / "tokenizer")
    ids, counts = train.read(0, len(train)), mask.read(0, len(mask))
    assert 0.3 < counts.mean() < 0.95
    # A program is learnt, what it prints is not; a result is copied into the answer, which is.
    text = tokenizer.decode([int(i) for i in ids[counts == 0]])
    learnt = tokenizer.decode([int(i) for i in ids[counts == 1]])
    assert "print(" in learnt and "print(" not in text
    assert "[" in text and "(Source:" in learnt and "(Source:" not in text


def test_what_is_told_is_counted_on_top_of_the_base_models_account(preset, folder):
    before = read_mentions(shipped.folder("course-base") / "mentions.json.gz")
    after = read_mentions(folder / "mentions.json.gz")
    more = {name for name in after if after[name] != before.get(name)}
    assert more and all(
        n >= before[name][relation] for name in more for relation, n in after[name].items()
    )
    assert set(after) == set(before)


def test_no_wording_of_a_test_is_used(world):
    writer = KnownWriter(world, 0.2, 0.2, random.Random(0))
    text = "\n".join("".join(piece for piece, _ in writer.page()[0]) for _ in range(400))
    for kind, members in world.entities.items():
        held = [
            line
            for beat, lines in wordings_of(kind).items()
            if beat.endswith("held")
            for line in lines
        ]
        for line in held:
            if "[" in line or line.count("{") != 1 or "{N}" not in line:
                continue
            for entity in members[:5]:
                assert line.replace("{N}", entity.name) not in text


def test_a_page_tells_what_it_says_it_tells(world):
    writer = KnownWriter(world, 0.4, 0.3, random.Random(1))
    for _ in range(100):
        pieces, facts = writer.page()
        text = "".join(piece for piece, _ in pieces).lower()
        assert facts and any(counts for _, counts in pieces)
        assert all(entity.facts[relation].lower() in text for entity, relation in facts)


def test_masked_targets_do_not_count(tmp_path):
    ids = np.arange(1000) % 50
    counts = (ids % 3 == 0).astype(np.uint32)
    tokens = write_shards([ids], tmp_path / "a", vocab_size=50)
    mask = write_shards([counts], tmp_path / "b", vocab_size=2)
    loader = MaskedLoader(tokens, mask, batch_size=4, context=16, order="epoch")
    for step in range(20):
        x, y = loader.batch(step)
        right = (x + 1) % 50
        assert np.array_equal(y, np.where(right % 3 == 0, right, IGNORED))
    short = write_shards([counts[:900]], tmp_path / "c", vocab_size=2)
    with pytest.raises(CourseError, match="mask of 900 for 1,000"):
        MaskedLoader(tokens, short, batch_size=4, context=16)


def test_micro_batches_weigh_what_they_count():
    y = np.full((4, 8), 7)
    y[2:, 2:] = IGNORED
    assert _shares(y, 2) == [16 / 20, 4 / 20]
    assert _shares(np.full((4, 8), 7), 1) == [0.25] * 4


def test_a_run_begins_with_the_model_that_it_names(preset, folder, tmp_path):
    train = preset.need(TrainSection).model_copy(
        update={"steps": 2, "batch_tokens": 1024, "micro_batch": 4, "warmup_steps": 0, "lr": 1e-5,
                "eval_every": 0, "sample_every": 0, "save_every": 0, "compile": "no", "precision": "fp32"}
    )  # fmt: skip
    config = preset.need(ModelSection).build()
    source = ShardSource.open(folder)
    result = pretrain(config, train, source, tmp_path / "run", progress=False)
    base, now = (
        pretrained.load(name).model for name in ("course-base", tmp_path / "run" / "model")
    )
    far = max(
        (a - b).abs().max().item() for a, b in zip(base.parameters(), now.parameters(), strict=True)
    )
    assert result.finished and 0 < far < 1e-2
    other = config.model_copy(update={"n_layers": 2})
    with pytest.raises(CourseError, match="another shape"):
        pretrain(other, train, source, tmp_path / "other", progress=False)


def test_reading_is_judged_by_what_stands_there(world):
    piles = at_the_desk(world, 10)
    answers = {one.prompt: one.pieces[one.last][0] for pile in piles.values() for one in pile}
    perfect = reading(lambda prompts, n: [answers[p] + "and more" for p in prompts], piles)
    silent = reading(lambda prompts, n: ["\n"] * len(prompts), piles)
    assert all(share.value == 1 for share in perfect.values())
    assert all(share.value == 0 and share.of == 10 for share in silent.values())


def test_answers_are_judged_in_their_first_line(world):
    entity = world.everything()[0]
    relation, value = next(iter(entity.facts.items()))
    facts = [(entity, relation)]
    assert answering(lambda p, n: [f" It is {value}.\nQ:"], facts) == Share(1, 1, "train")
    assert answering(lambda p, n: [f" I forgot.\nA: {value}"], facts, "held").right == 0


@pytest.mark.slow
def test_the_report_asks_both_models_the_same():
    from llmcourse.evals.mid import report

    found = report("course-base", "course-mid", "course-laptop", per_band=5, n_desk=8, n_pages=20)
    before, after = found["before"], found["after"]
    assert list(before) == list(after)
    assert all(before[what]["of"] == after[what]["of"] for what in before if "bits" not in what)
    # What the second text taught, and what it cost.
    assert after["desk: copies"]["right"] > before["desk: copies"]["right"]
    assert after["bits per byte of held-out pages"] > before["bits per byte of held-out pages"]
