"""A model that may not use certain tokens.

Most released weights have been trained for conversation. Used as a base model such a model soon writes the tokens
of its chat format (chapter 08), and with them it slips back into its role. Take these tokens away, and what is left
can only go on with the text.

Taught in chapter 07.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ..errors import CourseError


class TextOnly:
    """A model, some of whose tokens cannot come: their logits are −inf. For the engine it is a model like any other.

    Args:
        model: `FastModel`, `Transformer`, or anything that turns ids [B, T] into logits [*, V] and has a `config`.
        forbidden: Ids of the tokens that shall not come.

    Raises:
        CourseError: if an id does not exist, or no token would be left.
    """

    def __init__(self, model: Any, forbidden: Iterable[int]) -> None:
        ids, V = sorted(set(forbidden)), model.config.vocab_size
        if ids and not 0 <= ids[0] <= ids[-1] < V:
            raise CourseError(
                f"no token has the id {ids[-1] if ids[-1] >= V else ids[0]}",
                hint=f"the model knows 0 to {V - 1:,}",
            )
        if len(ids) == V:
            raise CourseError("every token is forbidden", hint="leave the model something to say")
        self.model, self.forbidden = model, torch.tensor(ids, dtype=torch.long)

    def __getattr__(self, name: str) -> Any:
        if name == "model":  # while a copy is being made there is none yet
            raise AttributeError(name)
        return getattr(self.model, name)

    def __call__(self, ids: Tensor, **settings: Any) -> Tensor:
        """The model's logits, with −inf in some places."""
        logits: Tensor = self.model(ids, **settings)
        return logits.index_fill(-1, self.forbidden.to(logits.device), -math.inf)
