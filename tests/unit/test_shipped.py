"""The models that come with the package: there, whole, and refused when damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.model import pretrained, shipped
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer, num_parameters
from llmcourse.model.weights.own import save
from llmcourse.tokenizer import Tokenizer


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one small model."""
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=257, context_length=16, n_layers=1, n_heads=2, width=16, hidden=32
    )
    folder = tmp_path / "small"
    folder.mkdir()
    save(Transformer(config).half(), folder)
    Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|endoftext|>"]).save(folder)
    shipped.write_sums(folder)
    monkeypatch.setattr(shipped, "root", lambda: tmp_path)
    shipped._check.cache_clear()
    return folder


def test_a_shipped_model_is_found_and_loaded_by_name(released: Path) -> None:
    assert shipped.names() == ["small"]
    loaded = pretrained.load("small")
    assert loaded.source == "small" and loaded.tokenizer.n_vocab == 257
    assert next(loaded.model.parameters()).dtype == torch.float32
    assert "small" in pretrained.names()


def test_damage_is_noticed(released: Path) -> None:
    path = released / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CourseError, match=r"model\.safetensors is damaged"):
        shipped.folder("small")


def test_a_missing_file_is_noticed(released: Path) -> None:
    (released / "config.json").unlink()
    with pytest.raises(CourseError, match=r"config\.json is missing"):
        shipped.folder("small")


def test_an_unknown_name_says_what_there_is(released: Path) -> None:
    with pytest.raises(CourseError, match="known: small"):
        shipped.folder("large")


def test_the_list_is_sha256sums(released: Path) -> None:
    """`sha256sum -c SHA256SUMS` can read it."""
    lines = (released / shipped.SUMS).read_text().splitlines()
    names = [line[66:] for line in lines]
    assert all(len(line[:64]) == 64 and line[64:66] == "  " for line in lines)
    assert names == sorted(names) and shipped.SUMS not in names


def test_the_course_models_are_there() -> None:
    base = pretrained.load("course-base")
    assert 2_500_000 < num_parameters(base.model) < 3_500_000
    assert base.chat_template is None
    milestones = [name for name in shipped.names() if name.startswith("course-base-")]
    assert 3 <= len(milestones) <= 5
    for name in milestones:
        assert pretrained.load(name).config == base.config
    folder = shipped.folder("course-base")
    for record in ("README.md", "metrics.csv", "evals.csv", "evaluation.json", "run.json"):
        assert (folder / record).is_file()


def test_the_course_model_read_varied_text() -> None:
    """Measured where the text was made, and kept in the record (data/variety.py)."""
    folder = shipped.folder("course-base")
    text = json.loads((folder / "evaluation.json").read_text())["training_text"]
    assert text["variety"]["distinct"]["4"] > 0.6
    assert text["variety"]["top"] < 0.01 and text["variety"]["top_100"] < 0.15
