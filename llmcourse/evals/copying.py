"""Can a model say again what stands before it? A name that it never read, and tokens in no order.

Nothing predicts the first mention of a name that was made up a moment ago, so a model pays for its tokens about
what chance would. The second mention stands in the text already: who can look back pays next to nothing. The
difference is what answering from a page, using a tool's result or naming whom one does not know are built on.

Source: Olsson et al. (2022), arXiv:2209.11895, "Repeated random sequences". Taught in chapter 07.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from .bits_per_byte import START_TOKENS, Encoder

_SENTENCES = (
    ("{n} was born in 1832.", " A neighbour remembers {n}"),
    ("Nobody in the village had heard of {n}.", " Then a letter came from {n}"),
    ("The book is about {n}.", " On the last page we see {n}"),
    ("Yesterday I met {n} at the market.", " My sister also knows {n}"),
)


@dataclass(frozen=True)
class Copying:
    """What tokens cost the first and the second time, in nats.

    Attributes:
        name_first, name_again: Of names that were never read, all tokens but the first.
        random_first, random_again: Of tokens drawn at random.
    """

    name_first: float
    name_again: float
    random_first: float
    random_again: float


@torch.no_grad()
def copying(
    model: Any, tokenizer: Encoder, names: Sequence[str], *, length: int = 24, seed: int = 0
) -> Copying:
    """Measure it.

    Args:
        model: A `Transformer` or anything else that makes logits [B, T, V] of ids [B, T].
        tokenizer: The model's.
        names: Names that no text holds: `Encyclopaedia.strangers`, for example.
        length: Random tokens in a row, said twice.
        seed: Of sentences and random tokens.

    Raises:
        ValueError: if there is no name, or one is a single token.
    """
    if not names:
        raise ValueError("no names")
    rng = random.Random(seed)
    start = [t for s in START_TOKENS if (t := tokenizer.special_tokens.get(s)) is not None][:1]
    first, again = list[float](), list[float]()
    for name in names:
        said, after = (part.format(n=name) for part in rng.choice(_SENTENCES))
        ids = tokenizer.encode_ordinary(said + after)
        found = tokenizer.encode_ordinary(f" {name}")
        if len(found) < 2:
            raise ValueError(f"{name!r} is a single token")
        costs = _costs(model, [start + ids])[0]
        before = tokenizer.encode_ordinary(said.partition(name)[0].rstrip())
        # A name at the very start has no space before it, and its tokens differ.
        bare = tokenizer.encode_ordinary(name) if said.startswith(name) else found
        place = len(start) + len(before) - 1
        first += costs[place + 1 : place + len(bare)].tolist()
        again += costs[len(costs) - len(found) + 1 :].tolist()
    ordinary = [i for i in range(_size(model)) if i not in set(tokenizer.special_tokens.values())]
    rows = [[rng.choice(ordinary) for _ in range(length)] for _ in range(32)]
    costs = _costs(model, [start + row + row for row in rows])
    skipped = len(start) + length  # the first of the second time cannot be known to be a repetition
    return Copying(
        sum(first) / len(first),
        sum(again) / len(again),
        float(costs[:, : length - 1].mean()),
        float(costs[:, skipped:].mean()),
    )


def _costs(model: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """−log p of every token but the first: [B, T] ids → [B, T − 1]."""
    ids = torch.tensor([list(row) for row in rows], device=getattr(model, "device", None))
    logits = model(ids[:, :-1]).float()
    return functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")


def _size(model: Any) -> int:
    return int(model.config.vocab_size)
