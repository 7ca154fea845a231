"""A model that can think before it answers, made of the base model: where reinforcement learning begins.

    make(base.model, base.tokenizer, out="work/reasoner", seed=0)

It is fine-tuned on `data.conversations.reasons`. Nothing here prefers careful thoughts to hasty ones.

Taught in chapters 12 and 15.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..data.conversations import Conversation
from ..data.conversations.reasons import reasons
from ..model.transformer import Transformer
from ..tokenizer import Tokenizer
from ..tokenizer.chat import MARKS, Rendered, TooLong, render
from ..train.sft import Result, sft

CONVERSATIONS = 60_000
"""How many are learnt from, each once."""

SETTINGS: dict[str, Any] = {
    "epochs": 1, "lr": 4e-3, "min_lr": 1e-4, "batch_tokens": 4096, "micro_tokens": 4096, "precision": "native",
    "optimizer": "muon",
}  # fmt: skip
"""Of the fine-tuning."""


def without_slips(conversation: Conversation, tokenizer: Tokenizer, max_tokens: int) -> Rendered:
    """Tokens and loss mask of a conversation; what is wrong on purpose carries no loss.

    Raises:
        TooLong: if it does not fit.
    """
    made = render(conversation, tokenizer, max_tokens=max_tokens)
    slips = conversation.about.get("slips", ())
    if slips:
        text = conversation.messages[-1].parts[0].text
        at = made.ids.index(tokenizer.special_tokens[MARKS["think"][0]]) + 1
        for start, end in slips:
            first = at + len(tokenizer.encode_ordinary(text[:start]))
            last = at + len(tokenizer.encode_ordinary(text[:end]))
            made.loss_mask[first:last] = [0] * (last - first)
    return made


def rendered(
    conversations: Iterable[Conversation], tokenizer: Tokenizer, max_tokens: int
) -> list[Rendered]:
    """All that fit."""
    found = []
    for conversation in conversations:
        try:
            found.append(without_slips(conversation, tokenizer, max_tokens))
        except TooLong:
            continue
    return found


def make(
    model: Transformer,
    tokenizer: Tokenizer,
    *,
    conversations: int = CONVERSATIONS,
    seed: int = 0,
    out: str | Path | None = None,
    **settings: Any,
) -> Result:
    """Fine-tune a base model into a reasoner, or go on doing so.

    Args:
        model: Changed in place.
        tokenizer: Its own, with the marks of a thought.
        conversations: How many.
        seed: Of conversations and order.
        out: The run's folder, or None.
        settings: Any of `train.sft.sft`, instead of `SETTINGS`.

    Taught in chapter 12.
    """
    room = model.config.context_length + 1
    learnt = rendered(reasons(conversations, "train", seed), tokenizer, room)
    test = rendered(reasons(max(20, conversations // 100), "validation", seed), tokenizer, room)
    return sft(
        model, learnt, validation=test, tokenizer=tokenizer, seed=seed, out=out,
        **{**SETTINGS, **settings},
    )  # fmt: skip
