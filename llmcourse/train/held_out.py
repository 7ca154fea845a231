"""How well a model in training predicts text that it does not learn from.

The held-out tokens are cut into windows of T, always the same ones, and each window is predicted from
its own beginning. That is quick, and a little worse than the truth, for the first tokens of a window have
little before them; `llmcourse.evals.bits_per_byte` looks back half a context at least. Between two
steps of a run, or two runs with one T, it is a fair comparison.

Taught in chapter 06.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from ..data.shards import ShardSet
from ..errors import CourseError
from ..tokenizer import Tokenizer
from .losses import IGNORE
from .precision import Precision
from .team import Team

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HeldOut:
    """Windows to predict, and how many bytes of text each symbol stands for.

    Args:
        x: What the model sees [N, T].
        y: What comes next [N, T]; −100 counts for nothing.
        lengths: Bytes of every symbol [V]; 0 for special tokens, which are no text. None: unknown.
    """

    x: Ids
    y: Ids
    lengths: npt.NDArray[np.int64] | None = None

    @property
    def tokens(self) -> int:
        """How many are predicted."""
        return int((self.y != IGNORE).sum())


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Args:
        loss: Mean over all tokens, in nats: what the training loss is compared with.
        bits_per_byte: Bits for the tokens that are text, by their bytes; None if those are unknown.
    """

    loss: float
    bits_per_byte: float | None


def held_out_windows(
    shards: ShardSet, context: int, tokens: int, tokenizer: Tokenizer | None = None
) -> HeldOut:
    """The first windows of a set of shards: about `tokens` of them, or as many as there are.

    Raises:
        CourseError: if there is not even one window.
    """
    count = min(max(1, tokens // context), (len(shards) - 1) // context)
    if count < 1:
        raise CourseError(
            f"{len(shards)} held-out tokens are too few for a context of {context}",
            hint="hold out more text, or set eval_every to 0",
        )
    ids = shards.read(0, count * context + 1)
    x, y = ids[:-1].reshape(count, context), ids[1:].reshape(count, context)
    return HeldOut(x, y, None if tokenizer is None else token_lengths(tokenizer, shards.vocab_size))


def token_lengths(tokenizer: Tokenizer, vocab_size: int) -> npt.NDArray[np.int64]:
    """Bytes of every token [V], 0 for special ones and for ids that stand for nothing."""
    lengths = np.zeros(max(vocab_size, tokenizer.n_vocab), dtype=np.int64)
    for token, data in tokenizer.vocab.items():
        lengths[token] = len(data)
    lengths[list(tokenizer.special_tokens.values())] = 0
    return lengths


@torch.no_grad()
def evaluate(
    model: nn.Module, held_out: HeldOut, rows: int, precision: Precision, team: Team
) -> Evaluation:
    """Let the model predict the windows. All processes of a team share the work and get the answer.

    Args:
        model: Ids [B, T] → logits [B, T, V].
        held_out: The windows.
        rows: Windows at once, on each process.
        precision: What to compute in.
        team: Who takes part.
    """
    sums = [0.0, 0.0, 0.0, 0.0]  # nats and tokens of everything; nats and bytes of what is text
    starts = range(0, len(held_out.x), rows)
    for turn in range(0, len(starts), team.world_size):
        # Under FSDP a forward pass is everybody's: who has no windows left repeats the first ones.
        mine = turn + team.rank
        first = starts[mine] if mine < len(starts) else 0
        x, y = (torch.from_numpy(ids[first : first + rows]) for ids in (held_out.x, held_out.y))
        losses = _losses(model, x.to(team.device), y.to(team.device), precision)
        if mine < len(starts):
            for i, value in enumerate(_sums(losses, y, held_out.lengths)):
                sums[i] += value
    exact = torch.float32 if team.device.type == "mps" else torch.float64
    total = team.sum(torch.tensor(sums, dtype=exact, device=team.device)).tolist()
    per_byte = total[2] / total[3] / math.log(2) if total[3] else None
    return Evaluation(total[0] / total[1], per_byte)


def _losses(model: nn.Module, x: torch.Tensor, y: torch.Tensor, precision: Precision) -> Any:
    with precision.autocast():
        logits = model(x)
    flat = functional.cross_entropy(
        logits.float().flatten(0, 1), y.flatten(), ignore_index=IGNORE, reduction="none"
    )
    return flat.view(y.shape).double().cpu().numpy()


def _sums(
    losses: npt.NDArray[np.float64], y: torch.Tensor, lengths: npt.NDArray[np.int64] | None
) -> tuple[float, float, float, float]:
    targets = y.numpy()
    counts = targets != IGNORE
    if lengths is None:
        return losses.sum(), counts.sum(), 0.0, 0.0
    size = np.where(counts, lengths[targets * counts], 0)
    return losses.sum(), counts.sum(), losses[size > 0].sum(), size.sum()
