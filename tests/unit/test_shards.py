"""Token shards: what is written is read, and what is damaged is named."""

from __future__ import annotations

import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from llmcourse.data.shards import HEADER_SIZE, INDEX, Header, ShardSet, write_shards
from llmcourse.errors import CourseError

ROOT = Path(__file__).resolve().parents[2]


def make(folder, n=1000, **more):
    settings = {"vocab_size": 5000, "tokens_per_shard": 300, **more}
    return write_shards(range(n), folder, **settings)


# ------------------------------------------------------------------ writing and reading


def test_what_is_written_is_read(tmp_path):
    written = make(tmp_path)
    for shards in (written, ShardSet.open(tmp_path)):
        assert len(shards) == 1000 and list(shards) == list(range(1000))
        assert [len(shards.shard(i)) for i in range(4)] == [300, 300, 300, 100]
        assert shards.vocab_size == 5000 and shards.dtype == np.dtype("<u2")
        assert "1,000 tokens in 4 shards" in repr(shards)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [INDEX, *(f"shard-0000{i}.bin" for i in range(4))]


def test_the_bytes_on_disk(tmp_path):
    """Written down, so that another program can read a shard."""
    make(tmp_path, 2)
    data = (tmp_path / "shard-00000.bin").read_bytes()
    assert len(data) == 256 + 4 and data[256:] == b"\x00\x00\x01\x00"
    assert struct.unpack_from("<8sIIQQ", data) == (b"LLMSHARD", 1, 2, 2, 5000)
    import hashlib

    assert data[32:64] == hashlib.sha256(data[256:]).digest()
    assert struct.unpack("<I", data[252:256])[0] == zlib.crc32(data[:252])
    assert data[64:252] == bytes(188)


@pytest.mark.parametrize(("vocab_size", "itemsize"), [(65_536, 2), (65_537, 4), (1 << 32, 4)])
def test_tokens_take_two_bytes_or_four(tmp_path, vocab_size, itemsize):
    shards = write_shards([vocab_size - 1, 0], tmp_path, vocab_size=vocab_size)
    assert shards.dtype.itemsize == itemsize
    assert list(ShardSet.open(tmp_path)) == [vocab_size - 1, 0]


def test_tokens_may_come_singly_or_in_lists_or_arrays(tmp_path):
    mixed = [1, 2, [3, 4], np.array([5], dtype=np.uint16), [], 6, np.int64(7), (8, 9)]
    assert list(write_shards(iter(mixed), tmp_path, vocab_size=10)) == list(range(1, 10))
    big = np.arange(3_000_000, dtype=np.uint32) % 5000
    shards = write_shards([big, big], tmp_path, vocab_size=5000, tokens_per_shard=2_500_000)
    assert len(shards) == 6_000_000 and len(shards.names) == 3
    assert (shards.read(2_999_990, 3_000_010) == np.concatenate([big[-10:], big[:10]])).all()
    assert sum(1 for _ in shards) == 6_000_000


def test_reading_across_shards(tmp_path):
    shards = make(tmp_path)
    for start, stop in [(0, 0), (0, 1), (299, 301), (250, 950), (300, 600), (999, 1000), (0, 1000)]:
        got = shards.read(start, stop)
        assert got.dtype == np.int64 and got.tolist() == list(range(start, stop))
    for start, stop in [(-1, 3), (5, 4), (0, 1001)]:
        with pytest.raises(IndexError):
            shards.read(start, stop)


def test_shards_are_mapped_and_not_read(tmp_path):
    shards = make(tmp_path)
    assert isinstance(shards.shard(0), np.memmap) and not shards.shard(0).flags.writeable
    again = pickle.loads(pickle.dumps(shards))  # noqa: S301
    assert again._maps == [None] * 4 and list(again) == list(range(1000))


def test_the_fingerprint_is_of_the_tokens(tmp_path):
    a, b, c = make(tmp_path / "a"), make(tmp_path / "b"), make(tmp_path / "c", 999)
    assert a.fingerprint == b.fingerprint != c.fingerprint


def test_a_smaller_set_leaves_nothing_of_a_larger(tmp_path):
    make(tmp_path, 1000)
    make(tmp_path, 200)
    assert sorted(path.name for path in tmp_path.iterdir()) == [INDEX, "shard-00000.bin"]
    with pytest.raises(CourseError, match=r"index\.json exists"):
        make(tmp_path, overwrite=False)
    assert len(ShardSet.open(tmp_path)) == 200


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize("bad", [5000, -1, 1 << 70])
def test_a_token_outside_the_vocabulary_is_refused(tmp_path, bad):
    for tokens in ([1, 2, bad], [[1, 2], [bad]]):
        with pytest.raises(CourseError, match=r"position 2 is outside|whole numbers"):
            write_shards(tokens, tmp_path, vocab_size=5000)
        assert list(tmp_path.iterdir()) == []


def test_what_is_no_token_is_refused(tmp_path):
    with pytest.raises(CourseError, match="whole numbers, not float64"):
        write_shards([[1.5]], tmp_path, vocab_size=10)
    with pytest.raises(CourseError, match="no tokens to write"):
        write_shards([], tmp_path, vocab_size=10)
    with pytest.raises(CourseError, match="no tokens to write"):
        write_shards([[], []], tmp_path, vocab_size=10)
    for wrong in ({"vocab_size": 0}, {"vocab_size": 9, "tokens_per_shard": 0}):
        with pytest.raises(ValueError, match="must be"):
            write_shards([1], tmp_path, **wrong)
    assert not (tmp_path / INDEX).exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CourseError, match=r"cannot write .*file"):
        make(tmp_path / "file")


def test_a_full_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("llmcourse.data.shards._write_shard", full)
    with pytest.raises(CourseError, match="No space left"):
        make(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_input_that_cannot_be_read_is_not_called_unwritable(tmp_path):
    def tokens():
        yield from range(500)
        raise OSError("the cable fell out")

    with pytest.raises(CourseError, match="cannot read the tokens: the cable fell out"):
        write_shards(tokens(), tmp_path, vocab_size=5000, tokens_per_shard=100)
    with pytest.raises(CourseError, match="never finished"):
        ShardSet.open(tmp_path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def cut_header(path):
    path.write_bytes(path.read_bytes()[:100])


def flip(position):
    def change(path):
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        path.write_bytes(data)

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "its header promises 300 tokens"),
        (cut_header, "cut short inside its header"),
        (lambda path: path.write_bytes(b""), "not a token shard"),
        (lambda path: path.write_bytes(b"x" * 900), "not a token shard"),
        (flip(8), "has version 0; this program reads version 1"),
        (flip(16), "damaged header"),
        (flip(HEADER_SIZE + 10), "corrupt: its SHA-256 differs"),
        (flip(-1), "corrupt: its SHA-256 differs"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot read"),
    ],
)
def test_a_damaged_shard_is_named(tmp_path, damage, message):
    make(tmp_path)
    damage(tmp_path / "shard-00001.bin")
    with pytest.raises(CourseError, match=message) as error:
        ShardSet.open(tmp_path)
    assert "shard-00001.bin" in str(error.value)


def test_without_verify_only_the_tokens_go_unchecked(tmp_path):
    make(tmp_path)
    flip(HEADER_SIZE + 10)(tmp_path / "shard-00001.bin")
    shards = ShardSet.open(tmp_path, verify=False)
    with pytest.raises(CourseError, match=r"shard-00001\.bin is corrupt"):
        shards.verify()


def test_a_shard_of_another_set_is_named(tmp_path):
    make(tmp_path / "a")
    write_shards(range(1000, 2000), tmp_path / "b", vocab_size=5000, tokens_per_shard=300)
    (tmp_path / "b" / "shard-00002.bin").replace(tmp_path / "a" / "shard-00002.bin")
    with pytest.raises(CourseError, match=r"shard-00002\.bin does not belong"):
        ShardSet.open(tmp_path / "a", verify=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cut short or corrupt"),
        ("[]", "not an index"),
        ('{"format": "other"}', "not an index"),
        (None, "does not describe whole shards"),
    ],
)
def test_a_damaged_index_is_named(tmp_path, text, message):
    make(tmp_path)
    index = tmp_path / INDEX
    good = json.loads(index.read_text())
    variants = [text]
    if text is None:
        variants = [
            json.dumps({**good, **change})
            for change in (
                {"tokens": 999}, {"shards": None}, {"shards": []}, {"shards": [{}]},
                {"shards": good["shards"][:-1]},
                {"shards": [{**good["shards"][0], "name": "../x.bin"}], "tokens": 300},
            )
        ]  # fmt: skip
    for variant in variants:
        index.write_text(variant)
        with pytest.raises(CourseError, match=rf"index\.json.*{message}"):
            ShardSet.open(tmp_path)


def test_a_missing_set(tmp_path):
    with pytest.raises(CourseError, match=r"index\.json is missing.*never finished"):
        ShardSet.open(tmp_path / "none")
    (tmp_path / INDEX).mkdir()
    with pytest.raises(CourseError, match="cannot read"):
        ShardSet.open(tmp_path)


def test_headers_come_back():
    header = Header(4, 12, 100_277, "ab" * 32)
    assert len(header.to_bytes()) == HEADER_SIZE and header.dtype == np.dtype("<u4")


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_writer_leaves_no_set_and_a_rerun_completes_it(tmp_path):
    code = (
        "import time, llmcourse.data.shards as s\n"
        "s._BLOCK = 100  # a million tokens are gathered otherwise\n"
        "def tokens():\n"
        "    for n in range(1350):\n"
        "        yield n\n"
        "    time.sleep(60)\n"
        f"s.write_shards(tokens(), {str(tmp_path)!r}, vocab_size=5000, tokens_per_shard=300)\n"
    )
    make(tmp_path, 50)  # an older set, which must not be taken for the new one
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as writer:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob(".shard-00004*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
    left = {path.name for path in tmp_path.iterdir()}
    assert "shard-00003.bin" in left and INDEX not in left
    assert any(name.endswith(".partial") for name in left)
    with pytest.raises(CourseError, match="never finished"):
        ShardSet.open(tmp_path)
    make(tmp_path, 1000)
    assert list(ShardSet.open(tmp_path)) == list(range(1000))
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".partial")]
