"""Guess: several attempts at each problem, drawn from the model as it is, all at once on the engine.

An attempt keeps everything that learning from it needs: which tokens the model chose (the end of its turn is one of
them; what a tool answered is none), and how probable each was when it was drawn. Attempts are drawn at temperature 1,
from the whole distribution: what is made more or less probable must be the policy that made them.

Taught in chapter 15.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ..data.conversations import Conversation, Part
from ..engine import Engine, Generation, Sampling
from ..engine.sampling import stream_seed
from ..engine.tools import Budget, Tool, generate_with_tools
from ..errors import CourseError
from ..tokenizer import Tokenizer
from ..tokenizer.chat import TURN, parse_answer, render_prompt
from .rewards import Problem

Prompt = Callable[[Problem], Sequence[int]]
"""A problem → the ids after which the model attempts it."""


@dataclass(frozen=True)
class Attempt:
    """What a model wrote about a problem.

    Attributes:
        prompt_ids: What stood before it.
        ids: Its tokens, results of tools included.
        mask: As long as `ids`; 1 on tokens that the model chose, its end of turn included, 0 on others.
        logprobs: As long; how probable each was when it was drawn, at temperature 1; 0 where it was not drawn.
        ended: Whether it ended its turn by itself.
        in_format: … and nothing in between was out of place.
        text: What it says, with thoughts as ``<think>…</think>`` and without calls and results.
    """

    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    mask: tuple[int, ...]
    logprobs: tuple[float, ...]
    ended: bool
    in_format: bool
    text: str

    @property
    def length(self) -> int:
        """Tokens that the model chose."""
        return sum(self.mask)


@dataclass(frozen=True)
class Batch:
    """Attempts as a rectangle, padded at the end, where causal attention never looks.

    Attributes:
        inputs: What the model sees [B, T] …
        targets: … and what came next [B, T]; 0 where nothing did.
        mask: 1 where that was the model's choice [B, T], float32.
        logprobs: How probable it was then [B, T]; 0 elsewhere.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    logprobs: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def chat_prompt(tokenizer: Tokenizer, system: str | None = None) -> Prompt:
    """The question as a user's turn, and the header of the assistant's."""

    def prompt(problem: Problem) -> list[int]:
        return render_prompt(Conversation.of(problem.question, system=system), tokenizer)

    return prompt


def roll_out(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    attempts: int,
    *,
    seeds: int | Sequence[int] = 0,
    max_tokens: int = 96,
    temperature: float = 1.0,
    tools: Sequence[Tool] = (),
    budget: Budget | None = None,
) -> list[list[Attempt]]:
    """Several attempts at each prompt.

    Args:
        engine: With a tokenizer that has the end of a turn.
        prompts: Ids; `chat_prompt` makes them.
        attempts: k, at each.
        seeds: One, or one for each of the len(prompts) · k attempts, in order: then an attempt does not depend on
            which others are made with it.
        max_tokens: The longest attempt; results of tools do not count.
        temperature: 1 to learn from; 0 to see what the model thinks most probable.
        tools: What may be called.
        budget: Of each attempt's calls.

    Returns:
        A list of k attempts for each prompt.

    Raises:
        CourseError: if there is nothing to do, seeds are missing, or the engine cannot serve a prompt.

    Taught in chapter 15.
    """
    tokenizer = cast(Tokenizer, engine.tokenizer)
    total = len(prompts) * attempts
    if attempts < 1 or max_tokens < 1:
        raise CourseError(f"{attempts} attempts of {max_tokens} tokens", hint="both ≥ 1")
    if isinstance(seeds, int):
        seeds = [stream_seed(seeds, i) for i in range(total)]
    if len(seeds) != total:
        raise CourseError(f"{len(seeds)} seeds for {total} attempts", hint="one each, or one")
    ends = turn_ends(tokenizer)
    repeated = [list(prompt) for prompt in prompts for _ in range(attempts)]
    # A stream with its own Sampling draws number 0 of that seed, whoever its neighbours are.
    each = [Sampling(temperature=temperature, seed=seed) for seed in seeds]
    if tools:
        turns = generate_with_tools(
            engine, repeated, tools, each, budget, max_tokens=max_tokens, stop_tokens=ends
        )
        done = [turn.generation for turn in turns]
    else:
        done = engine.generate(repeated, each, max_tokens=max_tokens, stop_tokens=ends)
    made = [_attempt(generation, tokenizer) for generation in done]
    return [made[i : i + attempts] for i in range(0, total, attempts)]


def as_batch(attempts: Sequence[Attempt]) -> Batch:
    """Attempts as tensors, as wide as the longest. [B, T]

    Raises:
        CourseError: if there are none.
    """
    return pad(
        [attempt.prompt_ids for attempt in attempts],
        [attempt.ids for attempt in attempts],
        [attempt.mask for attempt in attempts],
        [attempt.logprobs for attempt in attempts],
    )


def pad(
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    masks: Sequence[Sequence[int]] | None = None,
    logprobs: Sequence[Sequence[float]] | None = None,
    padding: int = 0,
) -> Batch:
    """Prompts and answers as inputs, targets and a mask of the answers, shifted by one. [B, T]

    Args:
        prompts: Ids, at least one each.
        answers: Ids after each.
        masks: Which of them count (default: all).
        logprobs: Of each of them (default: 0).
        padding: The id that fills up.

    Raises:
        CourseError: if there are none, or a prompt is empty.
    """
    if not prompts or not all(prompts):
        raise CourseError("no prompts, or an empty one", hint="each has at least one id")
    rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    shape = (len(rows), max(map(len, rows)))
    ids = torch.full(shape, padding)
    mask, drawn = torch.zeros(shape), torch.zeros(shape)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        own = slice(len(prompts[i]), len(row))
        mask[i, own] = 1.0 if masks is None else torch.tensor(masks[i], dtype=torch.float32)
        if logprobs is not None:
            drawn[i, own] = torch.tensor(logprobs[i], dtype=torch.float32)
    return Batch(ids[:, :-1], ids[:, 1:], mask[:, 1:], drawn[:, 1:])


def turn_ends(tokenizer: Tokenizer) -> list[int]:
    """Ids after which nobody goes on. Only the first of them ends a turn in the protocol's form.

    Raises:
        CourseError: if the tokenizer has no end of turn.
    """
    special = getattr(tokenizer, "special_tokens", {})
    if TURN[1] not in special:
        raise CourseError(f"the tokenizer has no {TURN[1]}", hint="use an assistant's tokenizer")
    return [special[name] for name in (TURN[1], "<|endoftext|>") if name in special]


def _attempt(generation: Generation, tokenizer: Tokenizer) -> Attempt:
    answer = parse_answer(generation.ids, tokenizer)
    text = "".join(map(_shown, answer.message.parts))
    return Attempt(
        tuple(generation.prompt_ids),
        tuple(generation.ids),
        tuple(int(not forced) for forced in generation.forced),
        tuple(0.0 if p is None else p for p in generation.logprobs),
        answer.ended,
        answer.ended and answer.stray == 0 and answer.unclosed is None,
        text,
    )


def _shown(part: Part) -> str:
    if part.kind == "think":
        return f"<think>{part.text}</think>"
    return part.text if part.kind == "text" else ""
