"""Duplicates: lines exactly, documents nearly."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.data.dedup import (
    band_probability,
    exact_line_deduplication,
    jaccard,
    minhash_deduplication,
    minhash_signature,
    shingles,
)
from llmcourse.errors import CourseError

# -- lines ----------------------------------------------------------------------------------------


def write(folder: Path, **texts: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for name, text in texts.items():
        path = folder / f"{name}.txt"
        path.write_bytes(text.encode())
        paths.append(path)
    return paths


def test_a_line_seen_twice_goes_everywhere(tmp_path: Path) -> None:
    paths = write(
        tmp_path / "in",
        a="Menu\nOne.\nTwo.\nMenu\n",
        b="Menu\nThree.\nTwo.",
        c="Four.\r\nThree.\r\n",
    )
    result = exact_line_deduplication(paths, tmp_path / "out")
    assert [path.read_bytes() for path in result.files] == [b"One.\n", b"", b"Four.\r\n"]
    assert [path.name for path in result.files] == ["a.txt", "b.txt", "c.txt"]
    assert (result.lines, result.dropped) == (9, 7)


def test_lines_need_not_be_text(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe\nsame\n\x00\n")
    (tmp_path / "y").write_bytes(b"same")
    exact_line_deduplication([tmp_path / "x", tmp_path / "y"], tmp_path / "out")
    assert (tmp_path / "out" / "x").read_bytes() == b"\xff\xfe\n\x00\n"
    assert (tmp_path / "out" / "y").read_bytes() == b""


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), min_size=1, max_size=4))
def test_lines_against_the_plainest_code(
    texts: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    paths = write(
        folder / "in",
        **{f"f{i}": "".join(f"{line}\n" for line in text) for i, text in enumerate(texts)},
    )
    every = [line for text in texts for line in text]
    result = exact_line_deduplication(paths, folder / "out")
    for path, text in zip(result.files, texts, strict=True):
        assert path.read_text().split() == [line for line in text if every.count(line) == 1]


@pytest.mark.parametrize("what", ["lines", "documents"])
def test_bad_input(what: str, tmp_path: Path) -> None:
    def run(paths: list[Path], out: Path) -> object:
        if what == "lines":
            return exact_line_deduplication(paths, out)
        return minhash_deduplication(paths, out, 10, 5, 3, 0.8)

    (tmp_path / "d").mkdir()
    (a,), (b,) = write(tmp_path, a="one"), write(tmp_path / "d", a="two")
    with pytest.raises(CourseError, match="cannot read"):
        run([tmp_path / "missing.txt"], tmp_path / "out")
    with pytest.raises(CourseError, match=r"two input files are called a\.txt"):
        run([a, b], tmp_path / "out")
    with pytest.raises(CourseError, match="would be overwritten"):
        run([a], tmp_path)
    with pytest.raises(CourseError, match="cannot write"):
        run([a], b / "below-a-file")
    assert a.read_text() == "one"
    assert run([], tmp_path / "none")


# -- documents ------------------------------------------------------------------------------------


def prose(seed: int, words: int = 120) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("abcdefghijklmnop", k=5)) for _ in range(words)]


def test_near_duplicates_go_and_the_first_stays(tmp_path: Path) -> None:
    base = prose(1)
    near = [*base[:60], "changed", *base[61:]]
    paths = write(
        tmp_path / "in",
        d=" ".join(base),
        c=" ".join(near),
        b=" ".join(prose(2)),
        a=" ".join(word.upper() + "," for word in base),
    )
    result = minhash_deduplication(paths, tmp_path / "out", 100, 20, 5, 0.8)
    assert [path.name for path in result.kept] == ["d.txt", "b.txt"]
    assert result.duplicates == {paths[1]: paths[0], paths[3]: paths[0]}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.txt", "d.txt"]
    assert (tmp_path / "out" / "d.txt").read_bytes() == paths[0].read_bytes()
    backwards = minhash_deduplication(paths[::-1], tmp_path / "back", 100, 20, 5, 0.8)
    assert [path.name for path in backwards.kept] == ["a.txt", "b.txt"], (
        "the first in the given order"
    )


def test_candidates_are_checked_exactly(tmp_path: Path) -> None:
    """One row a band makes almost every pair a candidate; the threshold still decides."""
    base = prose(1)
    half = base[:60] + prose(3, 60)
    paths = write(tmp_path / "in", a=" ".join(base), b=" ".join(half))
    truth = jaccard(shingles(" ".join(base)), shingles(" ".join(half)))
    assert 0.2 < truth < 0.4
    strict = minhash_deduplication(paths, tmp_path / "1", 50, 50, 5, truth + 0.01)
    loose = minhash_deduplication(paths, tmp_path / "2", 50, 50, 5, truth)
    assert strict.candidates == loose.candidates == 1
    assert (len(strict.kept), len(loose.kept)) == (2, 1)


def test_likeness_is_passed_on(tmp_path: Path) -> None:
    """A like B, B like C, A hardly like C: one group, one kept."""
    words = prose(5, 150)
    texts = {"a": words[:120], "b": words[10:130], "c": words[20:140]}
    paths = write(tmp_path / "in", **{name: " ".join(text) for name, text in texts.items()})
    sets = [shingles(path.read_text()) for path in paths]
    assert (
        jaccard(sets[0], sets[2]) < 0.75 < min(jaccard(sets[0], sets[1]), jaccard(sets[1], sets[2]))
    )
    result = minhash_deduplication(paths, tmp_path / "out", 200, 50, 5, 0.75)
    assert [path.name for path in result.kept] == ["a.txt"]
    assert set(result.duplicates.values()) == {paths[0]}


def test_short_and_empty_documents(tmp_path: Path) -> None:
    paths = write(
        tmp_path / "in", a="Hello, world!", b="hello  WORLD", c="hello there", d="", e=" ...\n"
    )
    result = minhash_deduplication(paths, tmp_path / "out", 20, 10, 5, 0.8)
    assert [path.name for path in result.kept] == ["a.txt", "c.txt", "d.txt"]


@pytest.mark.parametrize(("hashes", "bands"), [(10, 3), (0, 1), (10, 0)])
def test_bands_must_fit(hashes: int, bands: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must divide"):
        minhash_deduplication([], tmp_path, hashes, bands, 5, 0.8)


def test_shingles() -> None:
    assert shingles("The cat, the CAT — sat.", 2) == {"the cat", "cat the", "cat sat"}
    assert shingles("Übergrößenträger naïve", 5) == {"ubergroßentrager naive"}
    assert shingles("...", 5) == set()


def test_jaccard() -> None:
    assert jaccard({"a", "b"}, {"b", "c"}) == pytest.approx(1 / 3)
    assert jaccard(set(), set()) == 1
    assert jaccard(set(), {"a"}) == 0


def test_a_signature_estimates_the_similarity() -> None:
    everything = [f"shingle {i}" for i in range(3000)]
    for shared in (0, 500, 1000, 2000):
        a, b = set(everything[:2000]), set(everything[2000 - shared : 4000 - shared])
        agree = np.mean(minhash_signature(a, 2000) == minhash_signature(b, 2000))
        assert agree == pytest.approx(jaccard(a, b), abs=0.04)


def test_signatures_are_determined_by_their_arguments() -> None:
    words = {f"w{i}" for i in range(5000)}
    first = minhash_signature(words, 64, seed=3)
    assert first.dtype == np.uint64
    assert first.shape == (64,)
    assert np.array_equal(
        first, minhash_signature({f"w{i}" for i in reversed(range(5000))}, 64, seed=3)
    )
    assert not np.array_equal(first, minhash_signature(words, 64, seed=4))
    assert (minhash_signature(set(), 4) == np.iinfo(np.uint64).max).all()
    code = (
        "from llmcourse.data.dedup import minhash_signature as m;"
        "print(m({f'w{i}' for i in range(5000)}, 64, seed=3).tolist())"
    )
    for hash_seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert out.strip() == str(first.tolist())


def test_lone_surrogates_can_be_hashed() -> None:
    assert minhash_signature({"\ud800"}, 2).shape == (2,)


def test_the_s_curve() -> None:
    assert band_probability(0.0) == 0
    assert band_probability(1.0) == 1
    assert band_probability(0.8, 14, 8) == pytest.approx(0.924, abs=0.001), (
        "the figure in datatrove's code"
    )
    curve = [band_probability(s / 100) for s in range(101)]
    assert curve == sorted(curve)
    middle = (1 / 14) ** (1 / 8)
    assert 0.6 < band_probability(middle) < 0.7


def test_the_s_curve_is_what_happens(tmp_path: Path) -> None:
    """Pairs of one similarity are found as often as the formula says."""
    s, found, trials, bands, rows = 0.6, 0, 400, 5, 4
    for trial in range(trials):
        shared = {f"{trial} both {i}" for i in range(300)}
        a = shared | {f"{trial} a {i}" for i in range(100)}
        b = shared | {f"{trial} b {i}" for i in range(100)}
        one, two = (
            minhash_signature(x, bands * rows, seed=trial).reshape(bands, rows) for x in (a, b)
        )
        found += bool((one == two).all(axis=1).any())
    assert found / trials == pytest.approx(band_probability(s, bands, rows), abs=0.08)


@pytest.mark.parametrize(("ngrams", "threshold"), [(0, 0.8), (5, 1.1), (5, -0.1)])
def test_minhash_refuses_parameters_out_of_range(tmp_path, ngrams, threshold):
    with pytest.raises(ValueError, match="ngrams"):
        minhash_deduplication([], tmp_path, 10, 5, ngrams, threshold)
