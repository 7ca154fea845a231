"""Bits per byte: how well a model predicts text, in a unit that does not depend on its tokenizer.

A model that gives the next token the probability p has used −log₂ p bits to write it down. Loss per
token cannot be compared between tokenizers, because their tokens are of different lengths; bits per
byte of UTF-8 can. 8 would be no compression at all; English takes about 1 with today's small models.

Every token is predicted once, with at least `context − stride` tokens before it where there are so many.

Taught in chapter 06.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import CourseError

LOGITS = 32 * 1024 * 1024
"""So many logits are held at once at most: 128 MB."""

START_TOKENS = ("<|endoftext|>", "<|begin_of_text|>", "<s>")


class Encoder(Protocol):
    """What is asked of a tokenizer: ids of plain text, and which tokens are special."""

    def encode_ordinary(self, text: str) -> list[int]: ...

    @property
    def special_tokens(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class Score:
    """How many bits a model needs for some texts.

    Attributes:
        bits: For all tokens together.
        bytes: Of the texts' UTF-8.
        tokens: Predicted.
    """

    bits: float
    bytes: int
    tokens: int

    @property
    def bits_per_byte(self) -> float:
        return self.bits / self.bytes

    @property
    def loss(self) -> float:
        """Mean cross-entropy per token, in nats: what training curves show."""
        return self.bits * math.log(2) / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(loss): the number of equally likely tokens between which the model hesitates."""
        return math.exp(self.loss)


def bits_per_byte(
    model: Any,
    tokenizer: Encoder,
    texts: str | Iterable[str],
    *,
    context: int | None = None,
    stride: int | None = None,
    batch: int | None = None,
    start: int | None = None,
) -> float:
    """Bits per byte of UTF-8 that the model needs for the texts: `score`'s result in one number."""
    return score(
        model, tokenizer, texts, context=context, stride=stride, batch=batch, start=start
    ).bits_per_byte


@torch.inference_mode()
def score(
    model: Any,
    tokenizer: Encoder,
    texts: str | Iterable[str],
    *,
    context: int | None = None,
    stride: int | None = None,
    batch: int | None = None,
    start: int | None = None,
) -> Score:
    """Let a model predict texts, each from a fresh start.

    Args:
        model: `Transformer`, `FastModel`, or anything that turns ids [B, T] into logits [B, T, V] and has
            a `config`.
        tokenizer: Texts to ids; special tokens inside a text are plain text.
        texts: One, or several.
        context: Tokens the model sees at once (default: all it can, but no more than 1,024).
        stride: Tokens by which the window moves on (default: half the context). Each window predicts
            what the one before did not.
        batch: Windows at once (default: as many as fit into 128 MB of logits).
        start: Id of the token that stands before each text, so that its first token is predicted too
            (default: ``<|endoftext|>`` or whatever the vocabulary has in its place).

    Raises:
        CourseError: if the texts are empty, a number is out of range, there is no start token, or a
            probability is 0 or NaN.
    """
    limit = model.config.context_length
    context = min(limit, 1024) if context is None else context
    stride = max(context // 2, 1) if stride is None else stride
    if not 1 <= stride <= context <= limit:
        raise CourseError(
            f"context {context} and stride {stride} do not fit",
            hint=f"1 ≤ stride ≤ context ≤ {limit}, what the model sees",
        )
    if batch is None:
        batch = max(LOGITS // (context * model.config.vocab_size), 1)
    if batch < 1:
        raise CourseError(f"batch cannot be {batch}", hint="1 or more windows at once")
    start = _start_token(tokenizer) if start is None else start
    texts = [texts] if isinstance(texts, str) else list(texts)
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    if size == 0:
        raise CourseError("there is no text to predict", hint="give at least one byte")

    device = getattr(model, "device", None)
    nats, tokens, rows = 0.0, 0, []
    for text in texts:
        ids = [start, *tokenizer.encode_ordinary(text)]
        tokens += len(ids) - 1
        for window in windows(len(ids) - 1, context, stride):
            rows.append((ids[window[0] : window[1] + 1], window[2] - window[0]))
            if len(rows) == batch:
                nats += _nats(model, rows, device)
                rows = []
    if rows:
        nats += _nats(model, rows, device)
    if not math.isfinite(nats):
        raise CourseError(
            f"the model gave these texts a probability of {math.exp(-nats)}",
            hint="look for NaN or −inf in its logits",
        )
    return Score(nats / math.log(2), size, tokens)


def windows(n: int, context: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Windows over n predictions: (first, end, from which on they count).

    Prediction i is that of token i + 1 from the tokens up to i. The counting parts lie side by side.
    """
    counted = 0
    while counted < n:
        end = min(context if counted == 0 else counted + stride, n)
        yield max(end - context, 0), end, counted
        counted = end


def _start_token(tokenizer: Encoder) -> int:
    special = tokenizer.special_tokens
    for name in START_TOKENS:
        if name in special:
            return special[name]
    raise CourseError(
        "the tokenizer has no token to start a text with",
        hint=f"give start=…, the id of what stood before each text in training ({START_TOKENS[0]})",
    )


def _nats(model: Any, rows: list[tuple[list[int], int]], device: torch.device | None) -> float:
    """−Σ log p over the counted tokens of some windows (ids, index of the first that counts)."""
    T = max(len(ids) for ids, _ in rows) - 1
    # Right padding: causal attention never looks at it, and it does not count.
    ids = torch.tensor([ids + [0] * (T + 1 - len(ids)) for ids, _ in rows], device=device)
    logits: Tensor = model(ids[:, :-1])  # [B, T, V]
    total = 0.0
    for row, (window, first) in enumerate(rows):
        end = len(window) - 1
        counted, targets = logits[row, first:end].float(), ids[row, first + 1 : end + 1]
        chosen = counted.gather(-1, targets[:, None])[:, 0]
        total += float((counted.logsumexp(-1) - chosen).double().sum())
    return total
