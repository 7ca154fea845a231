"""Sampling for many streams at once: the same tokens as `sampling.py`, without sorting the vocabulary.

Top-p wants the tokens in the order of their probability. But the few hundred most probable of 49,152
nearly always hold the mass it asks for, and to find those few takes a fraction of the time. So: take
a row's best candidates, filter and draw among them, and where they may not suffice, let the clear path
decide. Every row has settings of its own.

Taught in chapter 05.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .sampling import (
    COLDEST,
    ROUNDING,
    Sampling,
    filtered,
    penalise_repetition,
    sample,
    settle_infinities,
)

CANDIDATES = 512
"""How many of the most probable tokens top-p and min-p look at before they ask for all."""


def draw(
    logits: Tensor,
    samplings: Sequence[Sampling],
    uniforms: Tensor,
    seen: Sequence[Tensor | None] | None = None,
) -> tuple[Tensor, Tensor]:
    """One token for each stream.

    Args:
        logits: [B, V], checked (`check_logits`).
        samplings: The settings of each stream.
        uniforms: One number in [0, 1) each, [B], double precision.
        seen: For each stream the ids that occurred [n], for its repetition penalty.

    Returns:
        Ids [B], and the probability with which each was drawn [B] (double precision).
    """
    logits = settle_infinities(logits)
    uniforms = uniforms.to(logits.device)
    for row, sampling in enumerate(samplings):
        ids = seen[row] if seen is not None else None
        if sampling.repetition_penalty != 1 and ids is not None:
            penalised = penalise_repetition(logits[row], sampling.repetition_penalty, ids)
            logits = logits.index_copy(
                0, torch.tensor([row], device=logits.device), penalised[None]
            )

    ids, drawn = logits.argmax(-1), torch.ones_like(uniforms)  # greedy; the lowest of equal ones
    few: list[int] = []
    all_of_them: list[int] = []
    for row, sampling in enumerate(samplings):
        if sampling.temperature == 0:
            continue
        narrow = sampling.top_k or sampling.top_p not in (None, 1) or sampling.min_p
        (few if narrow else all_of_them).append(row)
    if few:
        left_over = _among_candidates(logits, samplings, uniforms, few, ids, drawn)
        for row in left_over:
            p = filtered(logits[row], _without_penalty(samplings[row]))
            ids[row] = sample(p, uniforms[row])
            drawn[row] = p[ids[row]]
    if all_of_them:
        rows = torch.tensor(all_of_them, device=logits.device)
        p = _tempered(logits[rows], [samplings[row] for row in all_of_them]).softmax(-1)
        ids[rows] = sample(p, uniforms[rows])
        drawn[rows] = p.gather(-1, ids[rows, None])[:, 0]
    return ids, drawn


def _without_penalty(sampling: Sampling) -> Sampling:
    return Sampling(sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    """Numbers as a tensor [B, 1] where `like` is."""
    return torch.tensor(values, dtype=torch.float64, device=like.device)[:, None]


def _tempered(logits: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """`apply_temperature` for every row its own, in double precision."""
    temperatures = [max(sampling.temperature, COLDEST) for sampling in samplings]
    return logits.double() / _column(temperatures, logits)


def _among_candidates(
    logits: Tensor,
    samplings: Sequence[Sampling],
    uniforms: Tensor,
    rows: list[int],
    ids: Tensor,
    drawn: Tensor,
) -> list[int]:
    """Draw for `rows` among each row's most probable tokens, into `ids` and `drawn`.

    Returns the rows whose candidates may not be enough: those are untouched.
    """
    settings = [samplings[row] for row in rows]
    V = logits.shape[-1]
    limits = [min(s.top_k or V, V) for s in settings]
    # One more than top-k asks for, to see whether the next one is equal to the last.
    M = min(V, CANDIDATES, max(limit + 1 for limit in limits))
    logits = logits[rows]  # [R, V]
    best, tokens = logits.topk(M)
    tokens, order = tokens.sort(-1)  # equal ones by id …
    best, order = best.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    tokens = tokens.gather(-1, order)  # … and all by probability, falling: [R, M]

    values = _tempered(best, settings)
    top = values[:, :1].clone()
    limit = torch.tensor(limits, device=logits.device)[:, None]
    keep = torch.arange(M, device=logits.device)[None] < limit
    if any(s.top_p is not None for s in settings):
        # Top-p takes its part of what top-k left: of the k best, or of all V.
        weights = (values - top).exp().masked_fill(~keep, 0.0)
        mass = weights.sum(-1, keepdim=True)
        if any(k > M for k in limits):
            everything = (_tempered(logits, settings) - top).exp().sum(-1, keepdim=True)
            mass = torch.where(limit >= V, everything, mass)
        share = weights / mass
        ends = [s.top_p if s.top_p is not None and s.top_p < 1 else math.inf for s in settings]
        keep &= share.cumsum(-1) - share < _column(ends, logits) - ROUNDING
    floors = [math.log(s.min_p) if s.min_p else -math.inf for s in settings]
    keep &= ~(values - top < _column(floors, logits))
    if M == V:
        enough = torch.ones(len(rows), dtype=torch.bool, device=logits.device)
    else:  # something was left out, and it was not equal to the last one that was kept
        count = keep.sum(-1, keepdim=True)
        enough = (count < M) & (best.gather(-1, count - 1) > best[:, -1:])
        enough = (enough & ((limit >= V) | (limit <= M)))[:, 0]

    p = values.masked_fill(~keep, -math.inf).softmax(-1)
    tokens, order = tokens.sort(-1)  # the line of `sample` is in the order of the ids
    p = p.gather(-1, order)
    place = sample(p, uniforms[rows])[:, None]
    good = enough.tolist()
    chosen = torch.tensor([row for row, fine in zip(rows, good, strict=True) if fine])
    chosen = chosen.to(logits.device, torch.long)
    ids[chosen] = tokens.gather(-1, place)[enough, 0]
    drawn[chosen] = p.gather(-1, place)[enough, 0]
    return [row for row, fine in zip(rows, good, strict=True) if not fine]
