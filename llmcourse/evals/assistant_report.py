"""An assistant's report: does it answer in the format, is it right, and does it say when it does not know?

    llmcourse eval assistant work/sft/model

All questions are of the parts that no fine-tuning sees: other entities, other wordings. Of the facts that the base
model was told often there is one more pile, *reserved*: of entities that fine-tuning asks about, but never for these.

Taught in chapters 08 and 09.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from ..data.conversations.make import make
from ..data.conversations.message import Conversation
from ..data.conversations.split import Known, Split
from ..data.conversations.stages import RARE_TO, Material, conversations, seldom_told, strangers
from ..data.world.whole.entities import Encyclopaedia
from ..tokenizer import Tokenizer
from .assistant import Generate, Reply, ask, shares
from .interrogate import refuses
from .knowledge import Share

BANDS = ((1, 1), (2, 9), (10, 29), (30, 99), (100, 399), (400, 10_000))
"""Numbers of mentions that are looked at together."""

NOBODY, RARE, RESERVED, HELD = "strangers", "rare facts", "reserved facts", "held-out facts"


def quiz(
    facts: Sequence[Known], n: int, world: Encyclopaedia, seed: int, kind: str = "fact"
) -> list[Conversation]:
    """Up to ``n`` questions about different facts, in wordings that only tests use."""
    rng = random.Random(seed)
    chosen = rng.sample(list(facts), min(n, len(facts)))
    return [make(kind, world, rng, facts=[fact], part="held") for fact in chosen]


def report(
    tokenizer: Tokenizer,
    generate: Generate,
    world: Encyclopaedia,
    mentions: Mapping[str, Mapping[str, int]],
    parts: Split,
    *,
    n: int = 300,
    split_seed: int = 0,
    seed: int = 0,
    before: Generate | None = None,
) -> dict[str, Any]:
    """Measure an assistant that answers without tools.

    Args:
        tokenizer: The model's.
        generate: Of `assistant.generator`.
        world: What is true.
        mentions: How often each fact was told in pretraining.
        parts: The facts, as they were dealt out for fine-tuning.
        n: Questions of each sort.
        split_seed: Of the split: whoever is held out of one fine-tuning may be in another.
        seed: Of the questions.
        before: The model of an earlier stage: which of its right answers are ``kept``?

    Returns:
        For JSON: ``prompts`` (in format, ended, right by kind); for each sort of fact, and for each band of mentions,
        how many are ``right`` and how many ``refused``, of how many; and with `before`, what is ``kept``.
    """
    held = conversations("sft", n, world, Material(parts.held), "held", seed)
    prompts = [c for c in held if c.about["kind"] != "follow-up"]
    found = shares(ask(prompts, tokenizer, generate))
    piles = {
        RESERVED: quiz(parts.reserved, n, world, seed + 1),
        HELD: quiz(parts.held, n, world, seed + 2),
        RARE: quiz(seldom_told(world, mentions, "held", RARE_TO, split_seed), n, world, seed + 3),
        NOBODY: quiz(strangers(world, "held", split_seed), n, world, seed + 4, kind="unknown"),
    }
    replies = {name: ask(asked, tokenizer, generate) for name, asked in piles.items()}
    result = {
        "seed": split_seed,
        "prompts": {name: _row(share) for name, share in found.items()},
        "facts": {name: _answered(some) for name, some in replies.items()},
        "bands": {
            label: _answered(ask(quiz(facts, n, world, seed + 5), tokenizer, generate))
            for label, facts in banded(world, mentions, split_seed).items()
        },
    }
    if before is not None:
        known = [*piles[RESERVED], *piles[HELD]]
        now = [*replies[RESERVED], *replies[HELD]]
        result["kept"] = _row(kept(ask(known, tokenizer, before), now))
    return result


def banded(
    world: Encyclopaedia, mentions: Mapping[str, Mapping[str, int]], split_seed: int = 0
) -> dict[str, list[Known]]:
    """The facts of held-out entities, by how often they were told: ``2–9`` → facts. Empty bands are left out."""
    facts = seldom_told(world, mentions, "held", 10**9, split_seed)
    bands: dict[str, list[Known]] = {}
    for low, high in BANDS:
        label = str(low) if low == high else f"{low}–{high}" if high < 10_000 else f"{low}+"
        inside = [
            (who, what) for who, what in facts
            if low <= mentions.get(who.name, {}).get(what, 0) <= high
        ]  # fmt: skip
        if inside:
            bands[label] = inside
    return bands


def kept(before: Sequence[Reply], now: Sequence[Reply]) -> Share:
    """Of the answers that were right before, how many still are.

    Args:
        before: What was answered before …
        now: … and now, to the same questions in the same order.
    """
    pairs = [(bool(a.right), bool(b.right)) for a, b in zip(before, now, strict=True)]
    return Share(sum(now for was, now in pairs if was), sum(was for was, _ in pairs))


def _answered(replies: Sequence[Reply]) -> dict[str, Any]:
    right = Share(sum(bool(reply.right) for reply in replies), len(replies))
    refused = Share(sum(refuses(reply.message.text) for reply in replies), len(replies))
    return {"right": _row(right), "refused": _row(refused)}


def _row(share: Share) -> dict[str, Any]:
    return {"right": share.right, "of": share.of, "share": share.value}
