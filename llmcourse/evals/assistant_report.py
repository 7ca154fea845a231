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
    seed: int = 0,
) -> dict[str, Any]:
    """Measure an assistant that answers without tools.

    Args:
        tokenizer: The model's.
        generate: Of `assistant.generator`.
        world: What is true.
        mentions: How often each fact was told in pretraining.
        parts: The facts, as they were dealt out for fine-tuning.
        n: Questions of each sort.
        seed: Of the questions.

    Returns:
        For JSON: ``prompts`` (in format, ended, right by kind), and for each sort of fact how many are ``right`` and
        how many ``refused``, of how many.
    """
    held = conversations("sft", n, world, Material(parts.held), "held", seed)
    prompts = [c for c in held if c.about["kind"] != "follow-up"]
    found = shares(ask(prompts, tokenizer, generate))
    piles = {
        RESERVED: quiz(parts.reserved, n, world, seed + 1),
        HELD: quiz(parts.held, n, world, seed + 2),
        RARE: quiz(seldom_told(world, mentions, "held", RARE_TO), n, world, seed + 3),
        NOBODY: quiz(strangers(world, "held"), n, world, seed + 4, kind="unknown"),
    }
    facts = {name: _answered(ask(asked, tokenizer, generate)) for name, asked in piles.items()}
    return {
        "seed": seed,
        "prompts": {name: _row(share) for name, share in found.items()},
        "facts": facts,
    }


def _answered(replies: Sequence[Reply]) -> dict[str, Any]:
    right = Share(sum(bool(reply.right) for reply in replies), len(replies))
    refused = Share(sum(refuses(reply.message.text) for reply in replies), len(replies))
    return {"right": _row(right), "refused": _row(refused)}


def _row(share: Share) -> dict[str, Any]:
    return {"right": share.right, "of": share.of, "share": share.value}
