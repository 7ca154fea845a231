"""A tiny model that learns letter tasks, reading words as letters or as the course tokenizer's pieces.

All else is equal: the blocks, the tasks, the words, the order, the steps. Answers are written letter by letter in both,
so the two differ in what they *read*. A third kind of pupil reads pieces and answers with a program: what it
has to learn is to copy the word into the right line.

Taught in chapter 13.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..data.problems.letter_tasks import ALPHABET, KINDS, LONGEST, MARKS, LetterTask, task
from ..model import shipped
from ..model.config import ModelConfig
from ..model.transformer import Transformer
from ..tokenizer import Tokenizer
from ..tokenizer.huggingface import load_tokenizer
from ..tokenizer.training import number_tokens
from ..train.losses import IGNORE

CONTEXT = 48
END = "<|im_end|>"
Example = tuple[list[int], list[bool]]
"""Ids, and for each whether it is to be learnt."""


def letter_reader() -> Tokenizer:
    """A tokenizer that knows single bytes alone, and the tasks' marks."""
    return Tokenizer({i: bytes([i]) for i in range(256)}, [], [*MARKS, END])


def piece_reader() -> Tokenizer:
    """The course tokenizer of 2,048 tokens, and the tasks' marks.

    Tokens that hold anything but small letters are left out, bytes excepted: no word needs them, and every word is cut
    as before.
    """
    course = load_tokenizer(shipped.folder("course-base"))
    small = set(ALPHABET.encode())
    merges = [(a, b) for a, b in course.merges or () if set(a + b) <= small]
    return Tokenizer(number_tokens(merges), merges, [*MARKS, END])


def by_letters(one: LetterTask, tokenizer: Tokenizer) -> Example:
    """A task and its answer. The answer is written letter by letter, whatever the tokenizer's pieces."""
    prompt = tokenizer.encode(one.prompt)
    answer = [i for sign in one.answer for i in tokenizer.encode_ordinary(sign)]
    answer.append(tokenizer.special_tokens[END])
    return prompt + answer, [False] * len(prompt) + [True] * len(answer)


def by_program(one: LetterTask, tokenizer: Tokenizer) -> Example:
    """A task, and the program that works it out. What the program prints is not the pupil's to learn."""
    prompt, program = tokenizer.encode(one.prompt), tokenizer.encode(one.program + END)
    return prompt + program, [False] * len(prompt) + [True] * len(program)


def new_pupil(tokenizer: Tokenizer, seed: int) -> Transformer:
    """Two blocks of width 64, with positions that are learnt."""
    import torch

    torch.manual_seed(seed)
    return Transformer(
        ModelConfig(
            vocab_size=tokenizer.n_vocab, context_length=CONTEXT, n_layers=2, n_heads=4, width=64, hidden=160,
            position="learned",
        )
    )  # fmt: skip


def lessons(
    words: Sequence[str],
    tokenizer: Tokenizer,
    write: Callable[[LetterTask, Tokenizer], Example],
    *,
    seed: int,
    rows: int = 32,
    nonsense: bool = False,
) -> Callable[[int], tuple[Any, Any]]:
    """Batches for `train.loop.fit`: inputs and targets [rows, T] of tasks about random words.

    Args:
        words: Whose letters are asked for.
        tokenizer: How they are read.
        write: `by_letters` or `by_program`.
        seed: Of the order; the same words and tasks for every tokenizer.
        rows: Tasks of a batch.
        nonsense: Half of the words are instead pieces put together at random, so that every piece is met.
    """
    rng = random.Random(seed)
    pieces = [
        text
        for token in tokenizer.vocab.values()
        if (text := token.decode("utf-8", "replace")) and set(text) <= set(ALPHABET)
    ]

    def word() -> str:
        if nonsense and rng.random() < 0.5:
            return "".join(rng.choices(pieces, k=rng.randint(1, 4)))[:LONGEST]
        return rng.choice(words)

    def batch(step: int) -> tuple[Any, Any]:
        some = [write(task(word(), rng.choice(KINDS), rng), tokenizer) for _ in range(rows)]
        width = max(len(ids) for ids, _ in some) - 1
        x, y = np.zeros((rows, width), np.int64), np.full((rows, width), IGNORE, np.int64)
        for row, (ids, learnt) in enumerate(some):
            x[row, : len(ids) - 1] = ids[:-1]
            y[row, : len(ids) - 1] = np.where(learnt[1:], ids[1:], IGNORE)
        return x, y

    return batch


def answers(model: Transformer, tokenizer: Tokenizer, asked: Sequence[LetterTask]) -> list[str]:
    """What a pupil writes after each task, an answer or a program: always the likeliest token."""
    from ..engine import Engine, Sampling

    made = Engine(model, tokenizer, max_streams=256).generate(
        [tokenizer.encode(one.prompt) for one in asked],
        Sampling(temperature=0),
        CONTEXT // 2,
        stop_tokens=[tokenizer.special_tokens[END]],
    )
    return [generation.text for generation in made]


def printed(programs: Sequence[str]) -> list[str]:
    """What programs print in the sandbox of chapter 10; of one that fails, the reason."""
    from ..engine.tools import PythonTool, ToolError

    shown = []
    with PythonTool() as sandbox:
        for program in programs:
            try:
                shown.append(sandbox.call(program))
            except ToolError as error:
                shown.append(str(error))
    return shown
