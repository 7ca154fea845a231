"""Attention and rotary positions: against PyTorch's, against each other, and against the algebra."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.model.attention import (
    Attention,
    attention_weights,
    causal_mask,
    scaled_dot_product_attention,
    smeared,
)
from llmcourse.model.config import RopeScaling
from llmcourse.model.names import to_half_rotation, to_interleaved
from llmcourse.model.rope import rope, rope_angles, rope_frequencies, rotate

close = torch.testing.assert_close
LLAMA31 = RopeScaling(
    factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context_length=8192
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


# ------------------------------------------------------------------ the formula


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    lead=st.lists(st.integers(1, 3), max_size=3),
    T=st.integers(1, 6), S=st.integers(1, 6), d=st.integers(1, 8), e=st.integers(1, 8),
    masked=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_against_torch(lead, T, S, d, e, masked, seed):
    g = torch.Generator().manual_seed(seed)
    q = torch.randn(*lead, T, d, generator=g) * 3
    k = torch.randn(*lead, S, d, generator=g) * 3
    v = torch.randn(*lead, S, e, generator=g)
    mask = None
    if masked:
        mask = torch.rand(*lead, T, S, generator=g) < 0.6
        mask[..., 0] = True  # every query has something: rows without are tested below
    got = scaled_dot_product_attention(q, k, v, mask)
    assert got.shape == (*lead, T, e)
    close(got, F.scaled_dot_product_attention(q, k, v, attn_mask=mask), atol=1e-5, rtol=1e-5)


def test_masks_broadcast():
    q, k, v = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 8)
    for shape in ((4, 5), (1, 5), (3, 4, 5), (2, 1, 4, 5), (2, 1, 1, 5), (2, 3, 4, 5)):
        mask = torch.rand(shape) < 0.5
        mask[..., 0] = True
        close(
            scaled_dot_product_attention(q, k, v, mask),
            F.scaled_dot_product_attention(q, k, v, attn_mask=mask),
        )


def test_a_query_that_may_look_at_nothing_gets_nothing():
    q, k, v = torch.randn(2, 4, 8), torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[2] = False
    q.requires_grad_()
    out = scaled_dot_product_attention(q, k, v, mask)
    assert (out[:, 2] == 0).all() and out.isfinite().all()
    out.sum().backward()
    assert q.grad is not None and q.grad.isfinite().all()


def test_weights_are_probabilities():
    q, k = torch.randn(2, 3, 7, 8) * 5, torch.randn(2, 3, 7, 8) * 5
    weights = attention_weights(q, k, causal_mask(7))
    assert (weights >= 0).all()
    close(weights.sum(-1), torch.ones(2, 3, 7))
    assert (weights.triu(1) == 0).all()


def test_causal_mask():
    assert causal_mask(3).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert causal_mask(2, 4).tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert causal_mask(1, 5).all()
    q, k, v = (torch.randn(1, 2, 6, 4) for _ in range(3))
    close(
        scaled_dot_product_attention(q, k, v, causal_mask(6)),
        F.scaled_dot_product_attention(q, k, v, is_causal=True),
    )


# ------------------------------------------------------------------ the module


def by_hand(m: Attention, x, rotation=None, mask=None):
    """One head after the other, with loops."""
    B, T, _ = x.shape
    hd, group = m.head_dim, m.n_heads // m.n_kv_heads
    mask = causal_mask(T) if mask is None else mask
    rows = []
    for b in range(B):
        heads = []
        for h in range(m.n_heads):
            q = m.q(x[b])[:, h * hd : (h + 1) * hd]
            k = m.k(x[b])[:, (h // group) * hd : (h // group + 1) * hd]
            v = m.v(x[b])[:, (h // group) * hd : (h // group + 1) * hd]
            if rotation is not None:
                cos, sin = rotation[0][0, 0], rotation[1][0, 0]
                q, k = rotate(q, cos, sin), rotate(k, cos, sin)
            out = torch.zeros(T, hd)
            for t in range(T):
                seen = [s for s in range(T) if mask[t, s]]
                scores = torch.stack([q[t] @ k[s] / math.sqrt(hd) for s in seen])
                for p, s in zip(torch.softmax(scores, 0), seen, strict=True):
                    out[t] = out[t] + p * v[s]
            heads.append(out)
        rows.append(m.out(torch.cat(heads, -1)))
    return torch.stack(rows)


@pytest.mark.parametrize("kv", [4, 2, 1])
@pytest.mark.parametrize("rotated", [True, False])
def test_module_against_loops(kv, rotated):
    m = Attention(12, 4, kv, head_dim=6, bias=True)
    with torch.no_grad():
        for p in m.parameters():
            p.normal_(std=0.5)
        x = torch.randn(2, 5, 12)
        rotation = None
        if rotated:
            cos, sin = rope_angles(torch.arange(5), rope_frequencies(6))
            rotation = cos[None, None], sin[None, None]
        expected = by_hand(m, x, rotation)
        close(m(x, rotation), expected, atol=1e-5, rtol=1e-4)
        close(m(x, rotation, probe=lambda name, value: value), expected, atol=1e-5, rtol=1e-4)
        mask = causal_mask(5)
        mask[3, 1] = False
        close(m(x, rotation, mask), by_hand(m, x, rotation, mask), atol=1e-5, rtol=1e-4)


def test_module_shapes_and_errors():
    m = Attention(12, 4, 2, bias=False, qkv_bias=True)
    assert m.head_dim == 3 and m.k.weight.shape == (6, 12)
    assert m.q.bias is not None and m.out.bias is None
    with pytest.raises(ValueError, match="4 query heads cannot share 3"):
        Attention(12, 4, 3)


# ------------------------------------------------------------------ rotary positions


def complex_rope(x, positions, theta=10_000.0):
    """Interleaved RoPE as Meta writes it: neighbouring pairs are complex numbers."""
    d = x.shape[-1]
    frequencies = theta ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    turn = torch.polar(
        torch.ones(1, dtype=torch.float64), positions[..., None].double() * frequencies
    )
    pairs = torch.view_as_complex(x.double().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turn).flatten(-2)


def test_interleaved_against_complex_numbers():
    x = torch.randn(2, 3, 7, 8)
    positions = torch.tensor([0, 1, 2, 5, 100, 1000, 3])
    close(
        rope(x, positions, interleaved=True).double(),
        complex_rope(x, positions),
        atol=1e-3,
        rtol=1e-4,
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(heads=st.integers(1, 4), half=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_two_conventions_are_one_in_another_order(heads, half, seed):
    """Permute the rows of the weights, and the other rotation gives the same attention."""
    g = torch.Generator().manual_seed(seed)
    d, width, T = 2 * half, 5, 4
    wq, wk = (torch.randn(heads * d, width, generator=g) for _ in range(2))
    x = torch.randn(T, width, generator=g)

    def scores(wq, wk, interleaved):
        q, k = ((x @ w.T).view(T, heads, d).transpose(0, 1) for w in (wq, wk))
        positions = torch.arange(T)
        return (
            rope(q, positions, interleaved=interleaved)
            @ rope(k, positions, interleaved=interleaved).mT
        )

    same = scores(to_half_rotation(wq, heads), to_half_rotation(wk, heads), False)
    close(scores(wq, wk, True), same, atol=1e-4, rtol=1e-4)
    assert torch.equal(to_interleaved(to_half_rotation(wq, heads), heads), wq)


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize("scaling", [None, LLAMA31])
def test_only_the_distance_counts(interleaved, scaling):
    q, k = torch.randn(16), torch.randn(16)

    def score(at_q, at_k):
        turn = [
            rope(x, torch.tensor(p), 500.0, interleaved, scaling) for x, p in ((q, at_q), (k, at_k))
        ]
        return turn[0] @ turn[1]

    for distance in (0, 1, 7, 40):
        expected = score(distance, 0)
        for shift in (1, 13, 200):
            close(score(distance + shift, shift), expected, atol=1e-3, rtol=1e-3)
    assert abs(score(5, 0) - score(0, 5)) > 1e-2  # before is not after
    assert abs(score(5, 0) - score(6, 0)) > 1e-2


def test_rope_turns_and_does_not_stretch():
    x = torch.randn(2, 3, 5, 8)
    turned = rope(x, torch.arange(5))
    close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[..., 0, :], x[..., 0, :])  # position 0: no turn
    assert not torch.allclose(turned[..., 1, :], x[..., 1, :], atol=0.1)


def test_positions_of_any_shape():
    x = torch.randn(2, 3, 4, 6)
    positions = torch.tensor([[0, 1, 2, 3], [5, 5, 9, 0]])
    turned = rope(x, positions[:, None])
    for b in range(2):
        for t in range(4):
            close(turned[b, :, t], rope(x[b, :, t], positions[b, t]))
    assert rope_angles(torch.zeros(2, 3, 4), rope_frequencies(6))[0].shape == (2, 3, 4, 3)


def test_frequencies():
    close(rope_frequencies(8), torch.tensor([1.0, 0.1, 0.01, 0.001]))
    close(rope_frequencies(4, 100.0), torch.tensor([1.0, 0.1]))
    assert rope(torch.randn(3, 4).bfloat16(), torch.arange(3)).dtype == torch.bfloat16


def test_llama31_frequencies():
    """Fast pairs are kept, slow ones slowed by 8, those between lie between; by the paper's rule."""
    plain = rope_frequencies(128, 500_000.0).double()
    scaled = rope_frequencies(128, 500_000.0, LLAMA31).double()
    waves = 2 * math.pi / plain
    expected = []
    for f, wave in zip(plain.tolist(), waves.tolist(), strict=True):
        if wave < 8192 / 4:
            expected.append(f)
        elif wave > 8192 / 1:
            expected.append(f / 8)
        else:
            smooth = (8192 / wave - 1) / (4 - 1)
            expected.append((1 - smooth) * f / 8 + smooth * f)
    close(scaled, torch.tensor(expected, dtype=torch.float64), atol=0, rtol=1e-5)
    kept, slowed = (scaled == plain).sum(), torch.isclose(scaled * 8, plain).sum()
    assert kept > 20 and slowed > 20 and kept + slowed < 64


def test_rotation_has_a_gradient():
    cos, sin = rope_angles(torch.arange(3), rope_frequencies(4).double())
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    for interleaved in (True, False):
        assert torch.autograd.gradcheck(lambda x: rotate(x, cos, sin, interleaved), (x,))  # noqa: B023


# ------------------------------------------------------------------ smeared keys


def test_a_smeared_key_takes_its_share_of_the_one_before():
    keys = torch.randn(2, 3, 5, 4)
    smear = torch.tensor([-50.0, 0.0, 50.0])  # nothing, half, everything
    new = smeared(keys, smear)
    close(new[:, 0], keys[:, 0])
    close(new[:, 1, 1:], (keys[:, 1, 1:] + keys[:, 1, :-1]) / 2)
    close(new[:, 2, 1:], keys[:, 2, :-1])
    close(new[:, :, 0], keys[:, :, 0])  # nothing stands before the first


def test_nothing_is_smeared_over_the_beginning_of_a_sequence():
    keys, smear = torch.randn(1, 2, 6, 4), torch.ones(2)
    follows = (torch.tensor([0, 1, 2, 0, 1, 2]) > 0).view(1, 1, 6, 1)
    apart = torch.cat([smeared(keys[:, :, :3], smear), smeared(keys[:, :, 3:], smear)], dim=2)
    close(smeared(keys, smear, follows), apart)


def test_one_layer_with_smeared_keys_can_go_on_with_a_repetition():
    """Written by hand: attention finds the token after the earlier copy, and hands it over."""
    V = 12
    eye = torch.eye(V)
    for smear, right in ((50.0, True), (-50.0, False)):
        m = Attention(V, 1, smear=True)
        with torch.no_grad():
            for matrix, gain in ((m.q, 30.0), (m.k, 1.0), (m.v, 1.0), (m.out, 1.0)):
                matrix.weight.copy_(eye * gain)
            m.smear.fill_(smear)
        ids = torch.tensor([0, 3, 7, 1, 9, 5, 3, 7, 1, 9])  # the first key stays itself
        said = m(eye[ids][None])[0].argmax(-1)
        assert (said[6:].tolist() == [7, 1, 9, 5]) == right
