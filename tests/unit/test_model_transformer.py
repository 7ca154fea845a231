"""The whole transformer: causal, stateless, differentiable, open to inspection."""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import pickle

import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.model import transformer
from llmcourse.model.config import ModelConfig
from llmcourse.model.layers import INIT_STD
from llmcourse.model.transformer import Transformer

close = torch.testing.assert_close

SHAPE = {
    "vocab_size": 13, "context_length": 10, "n_layers": 2, "n_heads": 4, "width": 16, "hidden": 24,
}  # fmt: skip
KINDS = {
    "gpt2": {"position": "learned", "norm": "layer", "mlp": "gelu_tanh", "bias": True},
    "nano": {"position": "learned", "norm": "layer", "mlp": "gelu", "bias": True},
    "llama": {"n_kv_heads": 2},
    "llama, untied": {"n_kv_heads": 1, "tied": False, "head_dim": 6},
    "qwen2": {"n_kv_heads": 2, "qkv_bias": True, "tied": False},
    "smeared": {"n_kv_heads": 2, "smear": True},
    "no positions": {"position": "none", "mlp": "gelu"},
}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def model_of(kind: str, **changes) -> Transformer:
    """Large random weights: an untrained model's logits hardly depend on anything."""
    model = Transformer(ModelConfig(**SHAPE | KINDS[kind] | changes))
    with torch.no_grad():
        for name, p in model.named_parameters():
            norm = "norm" in name and name.endswith("weight")
            p.normal_(1.0 if norm else 0.0, 0.5 if p.ndim == 1 else 0.4)
    return model


def ids_of(B=2, T=10):
    return torch.randint(SHAPE["vocab_size"], (B, T))


every_kind = pytest.mark.parametrize("kind", KINDS)


# ------------------------------------------------------------------ what it promises


@every_kind
def test_causal(kind):
    """Changing token t changes the logits at t and never those before: not by one bit."""
    model, ids = model_of(kind), ids_of()
    with torch.no_grad():
        before = model(ids)
        for t in range(10):
            changed = ids.clone()
            changed[:, t] = (changed[:, t] + 1) % 13
            after = model(changed)
            assert torch.equal(after[:, :t], before[:, :t])
            assert not torch.allclose(after[:, t], before[:, t], atol=1e-3)
            if t < 9:
                assert not torch.allclose(after[:, t + 1 :], before[:, t + 1 :], atol=1e-4)


@every_kind
def test_stateless(kind):
    model, ids = model_of(kind), ids_of()
    with torch.no_grad():
        first = model(ids)
        model(ids_of(3, 4))
        model.train()
        model(ids)
        assert torch.equal(model(ids), first)  # the same bits, in training mode too
        assert torch.equal(model.eval()(ids), first)


@every_kind
def test_rows_do_not_see_each_other(kind):
    model, ids = model_of(kind), ids_of(4)
    with torch.no_grad():
        together = model(ids)
        for row in range(4):
            close(model(ids[row : row + 1])[0], together[row], atol=1e-4, rtol=1e-4)


@every_kind
def test_a_prefix_has_the_same_logits(kind):
    model, ids = model_of(kind), ids_of()
    with torch.no_grad():
        whole = model(ids)
        for T in (1, 2, 5):
            close(model(ids[:, :T]), whole[:, :T], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
@every_kind
def test_padding_is_invisible(kind, side):
    model = model_of(kind)
    lengths = [10, 1, 4]
    rows = [ids_of(1, n)[0] for n in lengths]
    for filler in (0, 7):
        ids = torch.full((3, 10), filler)
        real = torch.zeros(3, 10, dtype=torch.bool)
        for b, row in enumerate(rows):
            place = slice(10 - len(row), None) if side == "left" else slice(len(row))
            ids[b, place], real[b, place] = row, True
        mask = torch.ones(10, 10, dtype=torch.bool).tril() & real[:, None, None, :]
        positions = (real.cumsum(-1) - 1).clamp(min=0)
        last = torch.tensor([9] * 3) if side == "left" else torch.tensor(lengths) - 1
        with torch.no_grad():
            logits = model(ids, mask=mask, positions=positions)
            ends = model(ids, mask=mask, positions=positions, logits_at=last)
            for b, row in enumerate(rows):
                alone = model(row[None])[0]
                close(logits[b, real[b]], alone, atol=1e-4, rtol=1e-4)
                close(ends[b], alone[-1], atol=1e-4, rtol=1e-4)


def test_shifting_every_position_changes_nothing_with_rope():
    model, ids = model_of("llama"), ids_of()
    with torch.no_grad():
        close(model(ids, positions=torch.arange(10) + 50), model(ids), atol=1e-3, rtol=1e-3)
        stretched = model(ids, positions=torch.arange(10) * 2)
        assert not torch.allclose(stretched, model(ids), atol=1e-2)


def test_order_counts_only_through_positions():
    """Without positions the last token sees a bag of tokens; with them, a sequence."""
    ids = torch.tensor([[1, 2, 3, 4]])
    swapped = torch.tensor([[2, 1, 3, 4]])
    with torch.no_grad():
        one_layer = model_of("no positions", n_layers=1)
        close(one_layer(swapped)[:, -1], one_layer(ids)[:, -1], atol=1e-4, rtol=1e-4)
        for kind in ("llama", "gpt2"):
            model = model_of(kind, n_layers=1)
            assert not torch.allclose(model(swapped)[:, -1], model(ids)[:, -1], atol=1e-2)


@every_kind
def test_logits_at(kind):
    model, ids = model_of(kind), ids_of(3)
    with torch.no_grad():
        some = model(ids, logits_at=torch.tensor([9, 0, 4]))
        close(some, model(ids)[torch.arange(3), [9, 0, 4]], atol=1e-5, rtol=1e-5)
    assert some.shape == (3, 13)


@every_kind
def test_the_default_mask_written_out(kind):
    model, ids = model_of(kind), ids_of()
    causal = torch.ones(10, 10, dtype=torch.bool).tril()
    with torch.no_grad():
        for mask in (
            causal,
            causal[None, None],
            causal.expand(2, 1, 10, 10),
            causal.expand(2, 4, 10, 10),
        ):
            close(model(ids, mask=mask), model(ids), atol=1e-4, rtol=1e-4)


def test_a_cache_is_asked_as_agreed():
    """The smallest cache that keeps the protocol: whole and piece by piece give the same logits."""

    class Keeper:
        def __init__(self):
            self.length, self.kept = 0, {}

        def begin(self, B, T):
            self.T = T
            mask = None
            if self.length:
                mask = torch.ones(T, self.length + T, dtype=torch.bool).tril(self.length)
                mask = mask.expand(B, 1, T, self.length + T)
            return torch.arange(self.length, self.length + T).expand(B, T), mask

        def append(self, layer, k, v):
            if layer in self.kept:
                k, v = (torch.cat(pair, 2) for pair in zip(self.kept[layer], (k, v), strict=True))
            self.kept[layer] = k, v
            return k, v

    ids = ids_of()
    for kind in KINDS:
        model, cache = model_of(kind), Keeper()
        with torch.no_grad():
            parts = []
            for piece in ids.split([4, 1, 3, 2], dim=1):
                parts.append(model(piece, cache=cache))
                cache.length += piece.shape[1]
            close(torch.cat(parts, 1), model(ids), atol=1e-4, rtol=1e-4)
        assert cache.kept[0][0].shape == (2, model.config.n_kv_heads, 10, model.config.head_dim)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (1, 2, 3)])
def test_ids_of_a_wrong_shape(shape):
    with pytest.raises(CourseError, match=r"ids must be \[B, T\]"):
        model_of("llama")(torch.zeros(shape, dtype=torch.long))


def test_too_many_tokens():
    model = model_of("llama")
    assert model(ids_of(1, 10)).shape == (1, 10, 13)
    with pytest.raises(CourseError, match="11 tokens, but the model sees 10"):
        model(torch.zeros(1, 11, dtype=torch.long))


def test_no_rows():
    assert model_of("llama")(torch.zeros(0, 3, dtype=torch.long)).shape == (0, 3, 13)


@pytest.mark.parametrize("bad", [13, 1000, -1, -100])
def test_ids_beyond_the_vocabulary(bad):
    with pytest.raises(IndexError):
        model_of("llama")(torch.tensor([[1, bad]]))


# ------------------------------------------------------------------ gradients


@every_kind
def test_gradients_by_finite_differences(kind):
    """Every parameter, in float64, nudged up and down: the slope is what backward says."""
    small = {
        "n_layers": 1,
        "vocab_size": 5,
        "context_length": 4,
        "width": 8,
        "hidden": 6,
        "n_heads": 2,
    }
    small |= {"n_kv_heads": 1} if KINDS[kind].get("n_kv_heads") else {}
    model = model_of(kind, **small).double()
    ids = torch.randint(5, (2, 4))
    weights = torch.randn(2, 4, 5, dtype=torch.float64)  # some smooth function of all the logits

    def loss():
        return (model(ids).tanh() * weights).sum()

    loss().backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        flat, grad = p.data.view(-1), p.grad.view(-1)
        for i in torch.randperm(flat.numel())[:6].tolist():
            with torch.no_grad():
                value = flat[i].item()
                flat[i] = value + 1e-6
                up = loss().item()
                flat[i] = value - 1e-6
                down = loss().item()
                flat[i] = value
            slope = (up - down) / 2e-6
            assert slope == pytest.approx(grad[i].item(), rel=1e-4, abs=1e-6), f"{name}[{i}]"


@every_kind
def test_the_same_gradients_with_a_probe(kind):
    model, ids = model_of(kind), ids_of()

    def gradients():
        model.zero_grad()
        model(ids).square().mean().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    plain = gradients()
    model.probe = lambda name, value: value
    probed = gradients()
    for name, g in plain.items():
        assert g.abs().sum() > 0 or name.endswith("attention.k.bias"), name
        close(probed[name], g, atol=1e-4, rtol=1e-3, msg=name)


# ------------------------------------------------------------------ looking inside


def expected_names(layers):
    inside = ["attention_norm", *(f"attention.{n}" for n in ("q", "k", "v", "weights", "heads")),
              "attention", "after_attention", "mlp_norm", "mlp.hidden", "mlp", "output"]  # fmt: skip
    blocks = [f"blocks.{n}.{name}" for n in range(layers) for name in inside]
    return ["embedding", "input", *blocks, "norm", "logits", "probabilities"]


@every_kind
def test_trace(kind):
    model, ids = model_of(kind), ids_of(2, 7)
    trace = model.trace(ids)
    c, B, T = model.config, 2, 7
    smeared = [f"blocks.{n}.attention.smeared" for n in range(2)] if c.smear else []
    assert [name for name in trace if name not in smeared] == expected_names(2)
    for name in smeared:  # between the values and the weights
        place = list(trace).index(name)
        assert list(trace)[place - 1].endswith("attention.v")
        assert list(trace)[place + 1].endswith("attention.weights")
    shapes = {
        "attention.q": (B, c.n_heads, T, c.head_dim),
        "attention.k": (B, c.n_kv_heads, T, c.head_dim),
        "attention.v": (B, c.n_kv_heads, T, c.head_dim),
        "attention.smeared": (B, c.n_kv_heads, T, c.head_dim),
        "attention.weights": (B, c.n_heads, T, T),
        "attention.heads": (B, c.n_heads, T, c.head_dim),
        "mlp.hidden": (B, T, c.hidden),
    }
    for name, value in trace.items():
        short = name.split(".", 2)[2] if name.startswith("blocks.") else name
        vocabulary = name in ("logits", "probabilities")
        assert value.shape == shapes.get(short, (B, T, 13 if vocabulary else 16)), name
        assert not value.requires_grad
    assert model.probe is None


@every_kind
def test_trace_is_what_happens(kind):
    """The traced numbers are consistent with each other, and with an ordinary pass."""
    model, ids = model_of(kind), ids_of(2, 7)
    t = model.trace(ids)
    with torch.no_grad():
        close(t["logits"], model(ids), atol=1e-4, rtol=1e-4)
        close(t["embedding"], model.embedding.weight[ids])
        x = t["input"]
        for n, block in enumerate(model.blocks):
            here = {
                k.removeprefix(f"blocks.{n}."): v
                for k, v in t.items()
                if k.startswith(f"blocks.{n}.")
            }
            close(here["attention_norm"], block.attention_norm(x))
            weights = here["attention.weights"]
            assert (weights.triu(1) == 0).all()
            close(weights.sum(-1), torch.ones(2, 4, 7))
            v = here["attention.v"].repeat_interleave(4 // model.config.n_kv_heads, 1)
            close(here["attention.heads"], weights @ v, atol=1e-5, rtol=1e-4)
            close(
                here["attention"],
                block.attention.out(here["attention.heads"].transpose(1, 2).flatten(2)),
            )
            close(here["after_attention"], x + here["attention"])
            close(here["mlp_norm"], block.mlp_norm(here["after_attention"]))
            close(here["mlp"], block.mlp(here["mlp_norm"]), atol=1e-5, rtol=1e-4)
            close(here["output"], here["after_attention"] + here["mlp"])
            x = here["output"]
        close(t["norm"], model.norm(x))
        exit_weight = model.embedding.weight if model.config.tied else model.head.weight
        close(t["logits"], t["norm"] @ exit_weight.T, atol=1e-4, rtol=1e-4)
        close(t["probabilities"].sum(-1), torch.ones(2, 7))


@pytest.mark.parametrize("name", expected_names(2)[:-1])
def test_a_probe_changes_what_follows(name):
    """Replacing any intermediate changes the logits, and nothing that was computed before it."""
    model, ids = model_of("llama"), ids_of(2, 7)
    plain = model.trace(ids)
    order = expected_names(2)
    replaced = torch.randn_like(plain[name])
    model.probe = lambda n, value: replaced if n == name else value
    changed = model.trace(ids)
    assert model.probe is not None  # trace put it back
    assert torch.equal(changed[name], replaced)
    assert not torch.allclose(changed["logits"], plain["logits"], atol=1e-2)
    if "attention.v" not in name:  # v is seen before the weights, which do not depend on it
        for earlier in itertools.takewhile(lambda n: n != name, order):
            assert torch.equal(changed[earlier], plain[earlier]), earlier
    with torch.no_grad():
        close(model(ids), changed["logits"])
    model.probe = None
    with torch.no_grad():
        close(model(ids), plain["logits"], atol=1e-4, rtol=1e-4)


def test_switching_off_a_head_by_probe():
    model, ids = model_of("gpt2"), ids_of(1, 6)
    without = copy.deepcopy(model)
    with torch.no_grad():
        without.blocks[1].attention.out.weight[:, 8:12] = 0  # head 2 of 4, 4 numbers each

    def off(name, value):
        if name == "blocks.1.attention.heads":
            value = value.clone()
            value[:, 2] = 0
        return value

    model.probe = off
    with torch.no_grad():
        close(model(ids), without(ids), atol=1e-4, rtol=1e-4)


def test_trace_clears_up_after_an_error():
    model = model_of("llama")

    def fails(name, value):
        raise RuntimeError("in the probe")

    model.probe = fails
    with pytest.raises(RuntimeError, match="in the probe"):
        model.trace(ids_of())
    assert model.probe is fails


def test_a_probe_sees_masked_and_cached_passes():
    model, ids = model_of("llama"), ids_of(2, 5)
    real = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], dtype=torch.bool)
    mask = torch.ones(5, 5, dtype=torch.bool).tril() & real[:, None, None]
    seen = {}
    with torch.no_grad():
        plain = model(ids, mask=mask)
        model.probe = lambda name, value: seen.setdefault(name, value)
        close(model(ids, mask=mask), plain, atol=1e-4, rtol=1e-4)
    weights = seen["blocks.0.attention.weights"]
    assert (weights[0, :, :, :2] == 0).all() and (weights[0, :, :2] == 0).all()


# ------------------------------------------------------------------ as a module


@every_kind
def test_state_dict_round_trip(kind):
    model, ids = model_of(kind), ids_of()
    other = Transformer(model.config)
    assert not torch.equal(other(ids), model(ids))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(ids), model(ids))
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({})


@every_kind
def test_copies_and_pickles(kind):
    model, ids = model_of(kind), ids_of()
    model.trace(ids)
    with torch.no_grad():
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
            assert torch.equal(twin(ids), model(ids))
            assert twin.config == model.config
            twin.embedding.weight.zero_()
            assert model.embedding.weight.any()


@every_kind
def test_other_types(kind):
    model, ids = model_of(kind), ids_of()
    with torch.no_grad():
        exact = model.double()(ids)
        assert exact.dtype == torch.float64
        close(model.float()(ids).double(), exact, atol=1e-4, rtol=1e-4)
        low = model.bfloat16()(ids)
    assert low.dtype == model.dtype == torch.bfloat16
    error = (low.double() - exact).square().mean().sqrt() / exact.std()
    assert error < 0.1


def test_autocast():
    model, ids = model_of("llama"), ids_of()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        low = model(ids)
    with torch.no_grad():
        exact = model(ids)
    assert (low.float() - exact).square().mean().sqrt() < 0.1 * exact.std()


def test_fresh_parameters():
    config = ModelConfig(**SHAPE | {"width": 128, "hidden": 512, "n_layers": 8, "tied": False})
    model = Transformer(config)
    small = INIT_STD / math.sqrt(16)
    for name, p in model.named_parameters():
        std = small if name.endswith(("attention.out.weight", "w2.weight")) else INIT_STD
        if p.ndim == 2:
            assert abs(p.std().item() / std - 1) < 0.1, name
        else:
            assert (p == 1).all(), name
    with torch.no_grad():  # no opinion: every symbol about as likely as any other
        spread = model(ids_of()).log_softmax(-1)
    assert (spread + math.log(13)).abs().max() < 1.0


def test_the_generator_decides():
    config = ModelConfig(**SHAPE)
    torch.manual_seed(5)
    first = Transformer(config).state_dict()
    torch.manual_seed(5)
    again = Transformer(config).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_tied_exit_is_one_tensor():
    model = model_of("llama")
    assert not hasattr(model, "head")
    loss = model(ids_of())[..., 3].sum()
    loss.backward()
    rows = model.embedding.weight.grad.abs().sum(-1)
    assert rows[3] > 0  # as an exit, even where symbol 3 was no input


def test_short_enough_to_read():
    assert len(inspect.getsource(transformer).splitlines()) < 350


@pytest.mark.slow
def test_compiled():
    """One graph without breaks. (Turned into code on a GPU below: a CPU would need a C++ compiler.)"""
    for kind in ("gpt2", "llama"):
        model, ids = model_of(kind), ids_of()
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        with torch.no_grad():
            close(compiled(ids), model(ids), atol=1e-4, rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_kind
def test_on_a_gpu(kind):
    model, ids = model_of(kind), ids_of()
    real = torch.ones(2, 10, dtype=torch.bool)
    real[0, :4] = False  # left padding: its queries may look at nothing at all
    mask = torch.ones(10, 10, dtype=torch.bool).tril() & real[:, None, None]
    with torch.no_grad():
        plain, masked = model(ids), model(ids, mask=mask)
        model.cuda()
        ids, mask = ids.cuda(), mask.cuda()
        close(model(ids).cpu(), plain, atol=1e-3, rtol=1e-3)
        close(model(ids, mask=mask).cpu()[real], masked[real], atol=1e-3, rtol=1e-3)
        close(model.trace(ids)["logits"].cpu(), plain, atol=1e-3, rtol=1e-3)
        model.bfloat16()
        low = model(ids, mask=mask)
        assert low.isfinite().all()
        close(model(ids).float().cpu(), plain, atol=0.15 * plain.std().item(), rtol=0.1)
    logits = model(ids, mask=mask)
    logits[real.cuda()].float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        close(compiled(ids), model(ids), atol=0.3, rtol=0.1)
