"""The tokenizer room: from text to token ids, and how a vocabulary is learnt. Chapter 02.

The BPE ladder is `bpe_clear` → `bpe_incremental` → `bpe_fast`; `Tokenizer` encodes and decodes.
"""

from __future__ import annotations

from .bpe_incremental import train_bpe, train_bpe_from_text
from .pretokenize import GPT2_PATTERN, GPT4_PATTERN
from .tokenizer import Tokenizer

__all__ = ["GPT2_PATTERN", "GPT4_PATTERN", "Tokenizer", "train_bpe", "train_bpe_from_text"]
