"""Generation as the video explains it: ask for the next token, append it, ask again.

The whole sequence goes through the model for every token, one stream at a time. It is slow, it is
obviously right, and the engine must give the same tokens.

Taught in chapter 05.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from .sampling import Sampling, next_token


@torch.inference_mode()
def generate_naive(
    model: Any,
    prompt: Sequence[int],
    sampling: Sampling | None = None,
    max_tokens: int = 32,
    stop_tokens: Collection[int] = (),
    stream: int = 0,
) -> list[int]:
    """The new tokens after a prompt (a stop token included, if one came).

    Args:
        model: Token ids [1, T] → logits [1, T, V].
        prompt: Token ids.
        sampling: How to choose (default: `Sampling()`).
        max_tokens: How many at most; also no more than the model's context holds.
        stop_tokens: Ids that end the text.
        stream: Which of several streams with one seed this is.
    """
    sampling = sampling or Sampling()
    generator = sampling.generator(stream)
    ids = list(prompt)
    while len(ids) - len(prompt) < max_tokens and len(ids) <= model.config.context_length:
        sequence = torch.tensor(ids)
        logits = model(sequence[None])[0, -1]  # [V]: what may come after the last token
        ids.append(next_token(logits, sampling, generator, seen=sequence))
        if ids[-1] in stop_tokens:
            break
    return ids[len(prompt) :]
