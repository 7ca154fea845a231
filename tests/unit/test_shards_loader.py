"""The loader: the same batches for any number of processes, from any step."""

from __future__ import annotations

import numpy as np
import pytest

from llmcourse.data.loader import ShardLoader
from llmcourse.data.shards import write_shards
from llmcourse.errors import CourseError

ORDERS = ["random", "epoch", "sequential"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    return write_shards(range(1000), folder, vocab_size=1000, tokens_per_shard=130)


def loader(shards, **more):
    return ShardLoader(shards, **{"batch_size": 8, "context": 16, "seed": 3, **more})


def take(loader, n):
    return [next(loader) for _ in range(n)]


def same(ours, theirs):
    assert len(ours) == len(theirs)
    return all(np.array_equal(ours[i][k], theirs[i][k]) for i in range(len(ours)) for k in (0, 1))


@pytest.mark.parametrize("order", ORDERS)
def test_shapes_and_targets_one_token_later(shards, order):
    for inputs, targets in take(loader(shards, order=order), 30):
        assert inputs.shape == targets.shape == (8, 16)
        assert inputs.dtype == targets.dtype == np.int64
        assert (targets == inputs + 1).all()  # the tokens count upwards, across shards too
        assert inputs.flags.c_contiguous and targets.flags.c_contiguous


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_any_number_of_processes_gives_the_same_batches(shards, order, world_size):
    one = take(loader(shards, order=order), 20)
    ranks = [
        take(loader(shards, order=order, rank=rank, world_size=world_size), 20)
        for rank in range(world_size)
    ]
    together = [
        tuple(np.concatenate([ranks[r][step][k] for r in range(world_size)]) for k in (0, 1))
        for step in range(20)
    ]
    assert same(one, together)


@pytest.mark.parametrize("order", ORDERS)
def test_resuming_at_any_step_with_another_world_size(shards, order):
    expected = take(loader(shards, order=order), 25)
    for stop in (0, 1, 9, 20):
        before = loader(shards, order=order, rank=1, world_size=2)
        take(before, stop)
        halves = []
        for rank in (0, 1, 2, 3):
            after = loader(shards, order=order, rank=rank, world_size=4)
            after.load_state_dict(before.state_dict())
            halves.append(take(after, 25 - stop))
        for step in range(25 - stop):
            whole = np.concatenate([half[step][0] for half in halves])
            assert np.array_equal(whole, expected[stop + step][0])


def test_seeds_and_steps_differ(shards):
    a, b = take(loader(shards), 2)
    (c,) = take(loader(shards, seed=4), 1)
    assert not np.array_equal(a[0], b[0]) and not np.array_equal(a[0], c[0])
    assert same([loader(shards).batch(1)], [b])
    assert loader(shards).step == 0 and iter(one := loader(shards)) is one


def test_every_start_is_possible_and_no_other(shards):
    starts = np.concatenate([loader(shards, batch_size=500).starts(step) for step in range(60)])
    counts = np.bincount(starts, minlength=1000 - 16)
    assert len(counts) == 1000 - 16  # [0, len − T): the last target is the last token
    assert counts.min() > 0
    expected = len(starts) / len(counts)
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi_square - len(counts)) < 5 * (2 * len(counts)) ** 0.5  # uniform
    smallest = loader(shards, context=999)
    assert set(smallest.starts(0).tolist()) == {0}
    assert next(smallest)[1][0, -1] == 999


def test_an_epoch_takes_every_window_once(shards):
    one = loader(shards, order="epoch", batch_size=31)
    assert one.windows == 62  # 999 targets in windows of 16
    epochs = [np.concatenate([one.starts(2 * e), one.starts(2 * e + 1)]) for e in range(3)]
    for starts in epochs:
        assert sorted(starts.tolist()) == list(range(0, 62 * 16, 16))
    assert not np.array_equal(epochs[0], epochs[1])
    across = loader(shards, order="epoch", batch_size=40)  # a batch that lies in two epochs
    taken = np.concatenate([across.starts(step) for step in range(31)])
    assert (np.bincount(taken // 16) == 20).all()


def test_sequential_is_the_order_of_the_text(shards):
    inputs = np.concatenate(
        [x for x, _ in take(loader(shards, order="sequential", batch_size=2), 31)]
    )
    assert inputs.ravel().tolist() == list(range(62 * 16))
    again = loader(shards, order="sequential", batch_size=2)
    assert again.starts(31).tolist() == [0, 16]


def test_how_the_set_is_sharded_makes_no_difference(shards, tmp_path):
    other = write_shards(range(1000), tmp_path, vocab_size=1000, tokens_per_shard=7)
    assert same(take(loader(other), 10), take(loader(shards), 10))


def test_other_tokens_or_settings_do_not_resume(shards, tmp_path):
    state = loader(shards).state_dict()
    other = write_shards(range(999), tmp_path, vocab_size=1000)
    for resumed, name in [
        (loader(other), "tokens"),
        (loader(shards, seed=9), "seed"),
        (loader(shards, batch_size=4), "batch_size"),
        (loader(shards, context=8), "context"),
        (loader(shards, order="epoch"), "order"),
    ]:
        with pytest.raises(CourseError, match=f"cannot resume: {name} was"):
            resumed.load_state_dict(state)


def test_impossible_settings_are_refused(shards):
    for wrong in (
        {"batch_size": 0}, {"context": 0}, {"seed": -1}, {"rank": 1}, {"rank": -1},
        {"world_size": 3}, {"world_size": 0}, {"order": "other"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"must be|cannot share"):
            loader(shards, **wrong)
    with pytest.raises(CourseError, match="1000 tokens are too few for a context of 1000"):
        loader(shards, context=1000)
