"""Windows of a stream: all of them, equally likely, from arrays, files and tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from llmcourse.data.batches import get_batch, windows
from llmcourse.errors import CourseError


def stream(kind, tmp_path, n=50):
    ids = np.arange(100, 100 + n)
    if kind == "memmap":
        file = np.memmap(tmp_path / "ids.bin", dtype=np.uint16, mode="w+", shape=(n,))
        file[:] = ids
        file.flush()
        return np.memmap(tmp_path / "ids.bin", dtype=np.uint16, mode="r")
    if kind == "list":
        return ids.tolist()
    if kind.startswith("torch"):
        return torch.from_numpy(ids).to(getattr(torch, kind.split()[1]))
    return ids.astype(kind)


KINDS = [
    "uint16",
    "uint32",
    "int64",
    "uint8",
    "memmap",
    "list",
    "torch int64",
    "torch int32",
    "torch uint16",
]


@pytest.mark.parametrize("kind", KINDS)
def test_targets_are_the_next_tokens(kind, tmp_path):
    x, y = get_batch(stream(kind, tmp_path), 6, 8)
    assert x.shape == y.shape == (6, 8) and x.dtype == y.dtype == torch.int64
    assert torch.equal(y, x + 1)  # in this stream every token is the one before, plus 1
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert x.is_contiguous() and y.is_contiguous()


def test_ids_above_32767_keep_their_value():
    ids = np.array([65_535, 40_000, 65_534], dtype=np.uint16)
    x, y = get_batch(ids, 1, 2)
    assert x.tolist() == [[65_535, 40_000]] and y.tolist() == [[40_000, 65_534]]
    ids = np.array([4_000_000_000, 1], dtype=np.uint32)
    assert get_batch(ids, 1, 1)[0].tolist() == [[4_000_000_000]]


@pytest.mark.parametrize("T", [1, 7, 9])
def test_every_start_is_equally_likely(T):
    ids = np.arange(10, dtype=np.uint16)
    n = 10 - T  # starts 0 … n − 1
    draws = 4000
    x, y = get_batch(ids, draws, T, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(x[:, 0], minlength=10).double()
    assert (counts[n:] == 0).all() and (counts[:n] > 0).all()
    assert int(y.max()) == 9  # the last token is a target
    expected = draws / n
    chi2 = ((counts[:n] - expected) ** 2 / expected).sum().item()
    assert chi2 < 27.9  # 9 degrees of freedom or fewer: more than this once in a thousand times


def test_the_generator_decides():
    ids = np.arange(1000)
    first, again = (
        get_batch(ids, 8, 4, generator=torch.Generator().manual_seed(3))[0] for _ in range(2)
    )
    assert torch.equal(first, again)
    g = torch.Generator().manual_seed(3)
    assert not torch.equal(
        get_batch(ids, 8, 4, generator=g)[0], get_batch(ids, 8, 4, generator=g)[0]
    )
    torch.manual_seed(1)
    default = get_batch(ids, 8, 4)[0]
    torch.manual_seed(1)
    assert torch.equal(get_batch(ids, 8, 4)[0], default)


def test_the_batch_is_a_copy():
    ids = torch.arange(20)
    x, _ = get_batch(ids, 2, 19)
    x.zero_()
    assert torch.equal(ids, torch.arange(20))


def test_device():
    x, y = get_batch(np.arange(9), 2, 3, device="meta")
    assert x.device.type == y.device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu():
    for ids in (np.arange(9), torch.arange(9).cuda()):
        x, y = get_batch(ids, 2, 3, device="cuda")
        assert x.is_cuda and torch.equal(y, x + 1)


@pytest.mark.parametrize("length", [0, 1, 4])
def test_too_short(length):
    with pytest.raises(CourseError, match=f"{length} tokens are too few for windows of 4") as error:
        get_batch(np.arange(length, dtype=np.uint16), 2, 4)
    assert ("at most 3" in error.value.hint) == (length == 4)


@pytest.mark.parametrize(
    "ids",
    [np.zeros((3, 9), dtype=int), np.zeros(9), torch.zeros(9), torch.zeros(9, dtype=torch.bool),
     np.zeros(9, dtype=bool), torch.zeros(3, 9, dtype=torch.long), np.array(["a"] * 9), np.int64(3)],
)  # fmt: skip
def test_no_row_of_integers(ids):
    for call in (lambda: get_batch(ids, 1, 2), lambda: windows(ids, 2)):
        with pytest.raises(CourseError, match="one row of integers"):
            call()


@pytest.mark.parametrize(("B", "T"), [(0, 3), (2, 0), (-1, 3)])
def test_impossible_batches(B, T):
    with pytest.raises(CourseError, match="a batch of"):
        get_batch(np.arange(10), B, T)


# ------------------------------------------------------------------ windows


@pytest.mark.parametrize("kind", ["uint16", "list", "torch int64"])
def test_windows_by_hand(kind, tmp_path):
    ids = stream(kind, tmp_path, 4)
    assert list(windows(ids, 2)) == [
        ([100], 101), ([100, 101], 102),
        ([101], 102), ([101, 102], 103),
        ([102], 103),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("n", "longest"), [(0, 3), (1, 3), (2, 1), (9, 1), (9, 4), (9, 8), (9, 50)]
)
def test_all_windows_once(n, longest):
    ids = np.arange(n)
    got = list(windows(ids, longest))
    expected = {(s, k) for s in range(n) for k in range(1, longest + 1) if s + k < n}
    assert {(context[0], len(context)) for context, _ in got} == expected and len(got) == len(
        expected
    )
    for context, target in got:
        assert [*context, target] == list(range(context[0], context[0] + len(context) + 1))


def test_windows_errors():
    with pytest.raises(CourseError, match="at most 0"):
        windows([1, 2], 0)
