"""The state of every generator of chance, as text, so that a run goes on with the same draws.

Batches do not need it: they follow from the seed and the step. It is for what draws from the global
generators inside a model, such as dropout. Taught in chapter 06.
"""

from __future__ import annotations

import base64
import random
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """Python's, numpy's and torch's generators (a GPU's too), as JSON can hold them."""
    version, words, gauss = random.getstate()
    numbers: Any = np.random.get_state(legacy=False)
    keys = numbers["state"]["key"].astype("<u4").tobytes()
    state = {
        "python": [version, list(words), gauss],
        "numpy": {
            "key": _text(keys), "pos": int(numbers["state"]["pos"]),
            "has_gauss": int(numbers["has_gauss"]), "gauss": float(numbers["gauss"]),
        },
        "torch": _text(torch.get_rng_state().numpy().tobytes()),
    }  # fmt: skip
    if torch.cuda.is_available():
        state["cuda"] = _text(torch.cuda.get_rng_state().numpy().tobytes())
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` returned. A GPU's is left alone where there was none, or is none."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    numbers = state["numpy"]
    key = np.frombuffer(base64.b64decode(numbers["key"]), "<u4").astype(np.uint32)
    np.random.set_state(("MT19937", key, numbers["pos"], numbers["has_gauss"], numbers["gauss"]))
    torch.set_rng_state(_tensor(state["torch"]))
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state(_tensor(state["cuda"]))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _tensor(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
