"""Copying is measured where it is: a model that repeats by construction, one that cannot, and the course model."""

from __future__ import annotations

import pytest
import torch

from llmcourse.evals.copying import copying
from llmcourse.tokenizer import Tokenizer

NAMES = ["Quorvane Teltz", "Istrelle Bomb", "Drambury Fex"]


class Bytes(torch.nn.Module):
    """Looks for the latest earlier place where the last two tokens stood, and says what came then."""

    def __init__(self, copies: bool) -> None:
        super().__init__()
        self.copies = copies
        self.config = type("C", (), {"vocab_size": 257})()

    def forward(self, ids):
        logits = torch.zeros(*ids.shape, 257)
        if self.copies:
            for row, sequence in enumerate(ids.tolist()):
                for t in range(2, len(sequence)):
                    for s in range(t - 1, 0, -1):
                        if sequence[s - 1 : s + 1] == sequence[t - 1 : t + 1]:
                            logits[row, t, sequence[s + 1]] = 12.0
                            break
        return logits


@pytest.fixture
def tokenizer():
    return Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|endoftext|>"])


def test_a_copier_pays_once(tokenizer):
    found = copying(Bytes(True), tokenizer, NAMES)
    assert found.name_first > 4 and found.name_again < 0.4 * found.name_first
    assert found.random_first > 5 and found.random_again < 0.6


def test_who_cannot_copy_pays_twice(tokenizer):
    found = copying(Bytes(False), tokenizer, NAMES)
    for cost in (found.name_first, found.name_again, found.random_first, found.random_again):
        assert cost == pytest.approx(torch.log(torch.tensor(257.0)).item(), abs=1e-4)


def test_bad_input(tokenizer):
    with pytest.raises(ValueError, match="no names"):
        copying(Bytes(True), tokenizer, [])
