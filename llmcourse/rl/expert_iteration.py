"""The rung below reinforcement learning: attempt, keep what was right, fine-tune on it, again.

No gradient of a policy is needed, and no wrong attempt teaches anything. Known as expert iteration (Anthony et
al., arXiv:1705.08439), STaR (arXiv:2203.14465), rejection sampling fine-tuning (arXiv:2308.01825) and ReST-EM
(arXiv:2312.06585, section 3). It is REINFORCE with rewards of 0 and 1, with several steps from the same attempts.
One process.

Taught in chapter 15.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..engine import Engine
from ..engine.sampling import stream_seed
from ..errors import CourseError
from ..model.transformer import Transformer
from ..tokenizer import Tokenizer
from ..train.sft import sft
from .group import Group, check
from .rewards import Problem, Reward, correctness
from .rollout import Prompt, chat_prompt, roll_out

Example = tuple[list[int], list[int]]
"""Ids and loss mask, as `train.sft` takes them."""


@dataclass(frozen=True)
class Round:
    """What one round found and learnt.

    Attributes:
        groups: All attempts.
        examples: How many were kept.
        reward: Mean of all attempts.
        solved: Share of problems with at least one that was kept.
        loss: Of each step of fine-tuning.
    """

    groups: list[Group]
    examples: int
    reward: float
    solved: float
    loss: list[float]


def keep_the_best(
    groups: Sequence[Group], threshold: float = 1.0, per_problem: int = 4
) -> list[Example]:
    """The attempts that earned at least `threshold`, as examples to be fine-tuned on.

    Args:
        groups: Attempts with rewards.
        threshold: What is good enough.
        per_problem: At most so many, all different, the best first; so that easy problems do not crowd out hard ones.

    Returns:
        Ids and loss masks: 1 on what the model chose.

    Taught in chapter 15.
    """
    examples = []
    for group in groups:
        best = sorted(
            zip(group.rewards.tolist(), group.attempts, strict=True), key=lambda pair: -pair[0]
        )
        seen: set[tuple[int, ...]] = set()
        for reward, attempt in best:
            if reward >= threshold and attempt.ids not in seen and len(seen) < per_problem:
                seen.add(attempt.ids)
                ids = [*attempt.prompt_ids, *attempt.ids]
                examples.append((ids, [0] * len(attempt.prompt_ids) + list(attempt.mask)))
    return examples


def expert_iteration(
    model: Transformer,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    reward: Reward = correctness,
    *,
    rounds: int = 3,
    attempts: int = 8,
    max_tokens: int = 96,
    threshold: float = 1.0,
    per_problem: int = 4,
    prompt: Prompt | None = None,
    streams: int = 64,
    seed: int = 0,
    on_round: Callable[[int, Round], object] | None = None,
    **fine_tuning: Any,
) -> list[Round]:
    """Attempt all problems, fine-tune on what was right; so many times.

    Args:
        model: Changed in place.
        tokenizer: Its own.
        problems: Attempted in every round.
        reward: `Rewards`, or a function (text, problem).
        rounds: How often.
        attempts: At each problem.
        max_tokens: The longest attempt.
        threshold, per_problem: See `keep_the_best`.
        prompt: Problem → ids (default: `chat_prompt`).
        streams: How many attempts at once.
        seed: Of the draws.
        on_round: Called after each round with its number and what came of it.
        fine_tuning: Settings of `train.sft.sft`, for example ``lr=3e-4, epochs=1``.

    Raises:
        CourseError: if no attempt of a round was good enough: then there is nothing to learn from.

    Taught in chapter 15.
    """
    prompt = prompt or chat_prompt(tokenizer)
    prompts = [prompt(problem) for problem in problems]
    done: list[Round] = []
    for number in range(rounds):
        engine = Engine(model, tokenizer, weights="fp32", max_streams=streams)
        drawn = roll_out(
            engine, prompts, attempts, seeds=stream_seed(seed, number), max_tokens=max_tokens
        )
        groups = [check(p, made, reward) for p, made in zip(problems, drawn, strict=True)]
        examples = keep_the_best(groups, threshold, per_problem)
        if not examples:
            raise CourseError(
                f"round {number + 1}: of {len(problems) * attempts:,} attempts none earned {threshold:g}",
                hint="easier problems, more attempts, or a model that is right now and then",
            )
        settings = {"progress": False, "seed": stream_seed(seed, number) % 2**31, **fine_tuning}
        result = sft(model, examples, **settings)
        earned = [r for group in groups for r in group.rewards.tolist() if r == r]
        solved = sum(bool((group.rewards >= threshold).any()) for group in groups) / len(groups)
        done.append(
            Round(groups, len(examples), sum(earned) / max(len(earned), 1), solved, result.loss)
        )
        if on_round is not None:
            on_round(number, done[-1])
    return done
