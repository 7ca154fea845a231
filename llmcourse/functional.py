"""The few functions that every training run needs, in one place.

They are plain: tensors in, tensors out, no settings elsewhere. Each is at home in the file that
explains it.
"""

from __future__ import annotations

from .data.batches import get_batch
from .train.losses import cross_entropy
from .train.optim import AdamW, Muon, clip_grad_norm
from .train.schedule import warmup_cosine

__all__ = ["AdamW", "Muon", "clip_grad_norm", "cross_entropy", "get_batch", "warmup_cosine"]
