"""What the model in training would write now: the quickest way to see what it has learnt.

The plain loop of chapter 05 and not the engine, which would need a copy of weights that change with
every step, and which does not know models of which each process has only a part.

Taught in chapter 06.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..engine.naive import generate_naive
from ..engine.sampling import Sampling
from ..model.config import ModelConfig
from ..tokenizer import Tokenizer
from .precision import Precision

STARTS = ("<|endoftext|>", "<|begin_of_text|>", "<s>")
"""What stands before a document, for prompts that are empty."""


def write_samples(
    model: nn.Module,
    config: ModelConfig,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    tokens: int,
    precision: Precision,
    device: torch.device,
    *,
    temperature: float = 0.8,
    seed: int = 0,
) -> list[str]:
    """A continuation of each prompt, prompt included; the same for the same weights and seed.

    Under FSDP every process must call it, for each has a part of the model.

    Args:
        model: Ids [B, T] → logits [B, T, V].
        config: Its shape.
        tokenizer: Its words. An empty prompt is the token that stands before a document.
        prompts: Texts; what is too long for the context is cut at the front.
        tokens: How many to write, or as many as the context holds.
        precision: What to compute in.
        device: Where the model is.
        temperature: See `Sampling`.
        seed: Where the chance comes from.
    """
    start = next((tokenizer.special_tokens[s] for s in STARTS if s in tokenizer.special_tokens), 0)
    texts = []
    for number, prompt in enumerate(prompts):
        ids = (tokenizer.encode(prompt) or [start])[-config.context_length :]
        new = generate_naive(
            _Forward(model, config, precision, device),
            ids,
            Sampling(temperature=temperature, seed=seed),
            max_tokens=tokens,
            stream=number,
        )
        texts.append(tokenizer.decode([i for i in [*ids, *new] if prompt or i != start]))
    return texts


class _Forward:
    """The model as chapter 05's loop wants it: ids in and logits out, both on the CPU."""

    def __init__(
        self, model: nn.Module, config: ModelConfig, precision: Precision, device: torch.device
    ) -> None:
        self.model, self.config = model, config
        self.precision, self.device = precision, device

    def __call__(self, ids: Tensor) -> Tensor:
        # Not in inference mode: FSDP keeps what it puts together, and training needs it afterwards.
        with torch.inference_mode(False), torch.no_grad(), self.precision.autocast():
            logits: Tensor = self.model(ids.clone().to(self.device))
        return logits.float().cpu()
