"""The shape of a model: what is derived, what is refused, and how many parameters it makes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig, RopeScaling, config_from, named, names
from llmcourse.model.transformer import Transformer, meta_model, num_parameters

SMALL = {
    "vocab_size": 7, "context_length": 8, "n_layers": 2, "n_heads": 4, "width": 16, "hidden": 24,
}  # fmt: skip
SCALING = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_context_length": 4,
}

PARAMETERS = {
    "nano": 85_584,
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_releases(name):
    """Counted one by one, on the meta device: 405 billion take no memory."""
    model = meta_model(named(name))
    assert num_parameters(named(name)) == num_parameters(model) == PARAMETERS[name]
    assert model.device.type == "meta"


def test_parameters_of_the_course_model():
    c = named("course")
    kv = c.n_kv_heads * c.head_dim
    block = 2 * c.width * c.width + 2 * c.width * kv + 3 * c.width * c.hidden + 2 * c.width
    smear = c.n_layers * c.n_kv_heads  # a number for each key head
    assert num_parameters(c) == c.vocab_size * c.width + c.n_layers * block + c.width + smear
    assert 2.5e6 < num_parameters(c) < 3.5e6  # "about 3 M"
    assert set(names()) == {*PARAMETERS, "course"}


def test_derived_fields():
    c = ModelConfig(**SMALL)
    assert (c.n_kv_heads, c.head_dim, c.qkv_bias, c.tied) == (4, 4, False, True)
    assert ModelConfig(**SMALL, bias=True).qkv_bias is True
    assert ModelConfig(**SMALL, bias=True, qkv_bias=False).qkv_bias is False
    assert ModelConfig(**SMALL, n_kv_heads=2, head_dim=6).head_dim == 6
    assert ModelConfig(**c.model_dump()) == c
    assert ModelConfig.model_validate_json(c.model_dump_json()) == c
    scaled = ModelConfig(**SMALL, rope_scaling=SCALING)
    assert ModelConfig.model_validate_json(scaled.model_dump_json()) == scaled
    assert ModelConfig.model_validate(c) is c


def test_immutable_and_hashable():
    c = ModelConfig(**SMALL, rope_scaling=SCALING)
    with pytest.raises(ValidationError, match="frozen"):
        c.width = 3
    assert {c: 1}[ModelConfig(**SMALL, rope_scaling=SCALING)] == 1


CONTRADICTIONS = {
    "width 18 is not a multiple of n_heads 4": {"width": 18},
    "n_heads 4 is not a multiple of n_kv_heads 3": {"n_kv_heads": 3},
    "n_heads 4 is not a multiple of n_kv_heads 8": {"n_kv_heads": 8},
    "head_dim 3 is odd": {"head_dim": 3},
    "rope_scaling without rope": {"position": "learned", "rope_scaling": SCALING},
    "low_freq_factor must be smaller": {"rope_scaling": SCALING | {"low_freq_factor": 4.0}},
    "rope_scaling.factor": {"rope_scaling": SCALING | {"factor": 0}},
    "wdith": {"wdith": 3},
    "vocab_size": {"vocab_size": 0},
    "context_length": {"context_length": 0},
    "n_layers": {"n_layers": -1},
    "n_heads": {"n_heads": 0},
    "hidden": {"hidden": 0},
    "width": {"width": "wide"},
    "n_kv_heads": {"n_kv_heads": -2},
    "position": {"position": "alibi"},
    "norm": {"norm": "batch"},
    "mlp": {"mlp": "relu"},
    "norm_eps": {"norm_eps": 0},
    "rope_theta": {"rope_theta": -1},
}


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_contradictions_are_refused(message):
    with pytest.raises(ValidationError, match=message):
        ModelConfig(**SMALL | CONTRADICTIONS[message])
    with pytest.raises(CourseError, match=message) as error:
        config_from(SMALL | CONTRADICTIONS[message], "config.json")
    assert str(error.value).startswith("config.json: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("field", SMALL)
def test_missing_fields_are_named(field):
    with pytest.raises(CourseError, match=f"{field}: Field required"):
        config_from({name: value for name, value in SMALL.items() if name != field})


@pytest.mark.parametrize("field", ["norm_eps", "rope_theta"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_no_infinite_settings(field, value):
    with pytest.raises(CourseError, match=field):
        config_from(SMALL | {field: value})


def test_odd_heads_are_fine_without_rope():
    assert ModelConfig(**SMALL | {"head_dim": 3, "position": "none"}).head_dim == 3


def test_not_a_dictionary():
    with pytest.raises(ValidationError):
        ModelConfig.model_validate([1, 2])


def test_unknown_names():
    with pytest.raises(CourseError, match="gpt-5") as error:
        named("gpt-5")
    assert "gpt2-xl" in error.value.hint


def test_scaling_stands_alone():
    assert RopeScaling(**SCALING).factor == 8.0
    with pytest.raises(ValidationError, match="extra"):
        RopeScaling(**SCALING, kind="yarn")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"embedding.weight", "blocks.0.mlp.w3.weight", "norm.weight"}),
        ({"tied": False}, {"head.weight"}),
        ({"position": "learned"}, {"positions.weight"}),
        ({"qkv_bias": True}, {"blocks.1.attention.q.bias", "blocks.1.attention.k.bias"}),
        ({"norm": "layer", "mlp": "gelu", "bias": True},
         {"norm.bias", "blocks.0.attention.out.bias", "blocks.0.mlp.w2.bias", "blocks.1.mlp_norm.bias"}),
    ],
)  # fmt: skip
def test_plain_names(changes, expected):
    shapes = {
        n: tuple(t.shape)
        for n, t in Transformer(ModelConfig(**SMALL | changes)).state_dict().items()
    }
    assert expected <= set(shapes)
    assert shapes["embedding.weight"] == (7, 16)
    assert ("head.weight" in shapes) == (changes.get("tied") is False)
    assert ("positions.weight" in shapes) == (changes.get("position") == "learned")
    assert any(n.endswith("bias") for n in shapes) == ("bias" in changes or "qkv_bias" in changes)
    assert ("blocks.0.mlp.w3.weight" in shapes) == (changes.get("mlp") != "gelu")


def test_shapes_with_grouped_keys():
    c = ModelConfig(**SMALL, n_kv_heads=2, head_dim=6, tied=False)
    shapes = {n: tuple(t.shape) for n, t in Transformer(c).state_dict().items()}
    assert shapes["blocks.0.attention.q.weight"] == (24, 16)
    assert (
        shapes["blocks.0.attention.k.weight"] == shapes["blocks.0.attention.v.weight"] == (12, 16)
    )
    assert shapes["blocks.0.attention.out.weight"] == (16, 24)
    assert shapes["blocks.0.mlp.w1.weight"] == (24, 16)
    assert shapes["blocks.0.mlp.w2.weight"] == (16, 24)
    assert shapes["head.weight"] == (7, 16)
