"""How often is it right: at the first try, and in several tries? Taught in chapter 15."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..engine import Engine
from ..errors import CourseError
from ..model.transformer import Transformer
from ..tokenizer import Tokenizer
from .rewards import Problem, Reward, correctness
from .rollout import Prompt, chat_prompt, roll_out


def pass_at_k(attempts: int, right: int, k: int) -> float:
    """The probability that of k attempts at least one is right, from n attempts of which c were.

    1 − C(n − c, k) / C(n, k), which is unbiased; 1 − (1 − c/n)^k is not (Chen et al., arXiv:2107.03374, equation 1).

    Raises:
        CourseError: if there are fewer attempts than k, or more right ones than attempts.

    Taught in chapter 15.
    """
    if not 1 <= k <= attempts or not 0 <= right <= attempts:
        raise CourseError(f"{right} of {attempts} right, k = {k}", hint="1 ≤ k ≤ attempts")
    return 1 - math.comb(attempts - right, k) / math.comb(attempts, k)


def evaluator(
    problems: Sequence[Problem],
    tokenizer: Tokenizer,
    reward: Reward = correctness,
    *,
    attempts: int = 1,
    max_tokens: int = 96,
    prompt: Prompt | None = None,
    streams: int = 64,
    seed: int = 0,
) -> Callable[[int, Transformer], dict[str, Any]]:
    """What `trainer.train` calls to see how it goes on problems that it does not train on.

    Args:
        problems: Held out.
        tokenizer: The model's.
        reward: What counts as right: more than 0, from an attempt that ended its turn.
        attempts: 1: the most probable answer of each (greedy). More: so many drawn at temperature 1.
        max_tokens: The longest attempt.
        prompt: Problem → ids (default: `chat_prompt`).
        streams: How many at once.
        seed: Of the draws.

    Returns:
        A function (step, model) → ``pass@1``, ``ended`` and ``length`` of the attempts, and ``pass@k``, k being
        all of them.

    Raises:
        CourseError: if there are no problems.

    Taught in chapter 15.
    """
    if not problems or attempts < 1:
        raise CourseError("nothing to evaluate", hint="at least one problem and one attempt")
    prompt = prompt or chat_prompt(tokenizer)

    def evaluate(step: int, model: Transformer) -> dict[str, Any]:
        engine = Engine(model, tokenizer, weights="fp32", max_streams=streams)
        drawn = roll_out(
            engine,
            [prompt(problem) for problem in problems],
            attempts,
            seeds=seed,
            max_tokens=max_tokens,
            temperature=0.0 if attempts == 1 else 1.0,
        )
        right = [
            sum(a.ended and (reward(a.text, problem) or 0) > 0 for a in group)
            for problem, group in zip(problems, drawn, strict=True)
        ]
        every = [a for group in drawn for a in group]
        found = {
            "pass@1": sum(right) / len(every),
            "ended": sum(a.ended for a in every) / len(every),
            "length": sum(a.length for a in every) / len(every),
        }
        if attempts > 1:
            each = [pass_at_k(attempts, c, attempts) for c in right]
            found[f"pass@{attempts}"] = sum(each) / len(each)
        return found

    return evaluate
