"""The drill: rows of pieces said again, the same for any number of processes, before the text."""

from __future__ import annotations

import numpy as np
import pytest

from llmcourse.data.loader import ShardLoader
from llmcourse.data.shards import ShardSet, write_shards
from llmcourse.errors import CourseError
from llmcourse.presets import TrainSection
from llmcourse.train.drill import LONGEST, SHORTEST, Drill


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drill")
    tokens = np.random.default_rng(0).integers(0, 5000, 20_000).astype(np.uint32)
    write_shards([tokens], folder, vocab_size=5000, tokens_per_shard=7_000)
    return ShardSet.open(folder)


def loader(shards, **more):
    return ShardLoader(shards, **{"batch_size": 8, "context": 128, "seed": 3, **more})


def test_any_step_can_be_asked_for_and_no_two_are_alike(shards):
    drill = Drill(loader(shards))
    x, y = drill.batch(5)
    assert x.shape == y.shape == (8, 128) and x.dtype == np.int64
    assert (x[:, 1:] == y[:, :-1]).all()
    assert (Drill(loader(shards)).batch(5)[0] == x).all()
    assert (drill.batch(6)[0] != x).any() and (Drill(loader(shards, seed=4)).batch(5)[0] != x).any()


def test_processes_share_the_batch(shards):
    whole = Drill(loader(shards)).batch(2)
    parts = [Drill(loader(shards, rank=r, world_size=4)).batch(2) for r in range(4)]
    for i in (0, 1):
        assert (np.concatenate([part[i] for part in parts]) == whole[i]).all()


def test_every_piece_is_said_again(shards):
    """Of 5,000 equally frequent tokens hardly one comes twice by chance, so what comes twice is a repetition."""
    rows = Drill(loader(shards)).batch(0)[0]
    for row in rows:
        seen_before = [token in row[max(0, t - LONGEST) : t] for t, token in enumerate(row)]
        assert (
            0.45 < np.mean(seen_before) < 0.95
        )  # each piece at least twice, shorter ones more often
        start = 0
        for length in range(
            SHORTEST, LONGEST + 1
        ):  # the row begins with a piece and the same again
            if (row[start : start + length] == row[start + length : start + 2 * length]).all():
                break
        else:
            pytest.fail("the first piece does not come again")


def test_more_drill_than_steps_is_refused():
    with pytest.raises(ValueError, match="drill_steps"):
        TrainSection(
            data="letters", batch_tokens=8, micro_batch=1, context=8, steps=3, lr=1, drill_steps=4
        )


def test_without_shards_there_is_no_drill():
    with pytest.raises(CourseError, match="shards"):
        Drill(object())
