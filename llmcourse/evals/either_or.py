"""Questions with two possible answers: which of the two does a model find likelier?

No text is generated, so nothing has to be understood in what a model says: its answer is begun for it, and the
probabilities of the two ways to go on are compared at the first token in which they differ. Chance is one half.

Taught in chapter 14.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from ..errors import CourseError

if TYPE_CHECKING:
    from ..engine import FastModel
    from ..engine.text import TextTokenizer


@dataclass(frozen=True)
class EitherOr:
    """A question and its two answers.

    Attributes:
        question: In words.
        start: How the answer is begun.
        right: How it goes on rightly, and …
        wrong: … wrongly.
        sort: What sort of question it is.
        first: Whether the question names the right answer first; None if it names none.
    """

    question: str
    start: str
    right: str
    wrong: str
    sort: str = ""
    first: bool | None = None


def both_orders(form: str, start: str, right: str, wrong: str, sort: str = "") -> list[EitherOr]:
    """A question with ``{a}`` and ``{b}``, asked with the right answer first and with the wrong one first.

    A question without them is asked once.
    """
    if "{a}" not in form:
        return [EitherOr(form, start, right, wrong, sort)]
    return [
        EitherOr(form.format(a=right, b=wrong), start, right, wrong, sort, True),
        EitherOr(form.format(a=wrong, b=right), start, right, wrong, sort, False),
    ]


def log_odds(
    model: FastModel,
    tokenizer: TextTokenizer,
    prompt: Callable[[str], list[int]],
    asked: Sequence[EitherOr],
    *,
    rows: int = 24,
) -> list[float]:
    """How much likelier the right answer is than the wrong one: ln(p / q), in nats; above 0 it wins.

    Args:
        model: The weights.
        tokenizer: The model's.
        prompt: A question → the ids after which the model answers. The beginning that all share is read once.
        asked: The questions.
        rows: Questions at a time.

    Raises:
        CourseError: if the two answers to a question are the same tokens.
    """
    import torch

    from ..engine.cache import KVCache

    prompts, choices = [], []
    for one in asked:
        ids = prompt(one.question)
        ends = [tokenizer.encode(f"{one.start} {x}.") for x in (one.right, one.wrong)]
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))))
        if shared >= min(map(len, ends)):
            raise CourseError(f"{one.right!r} and {one.wrong!r} cannot be told apart")
        prompts.append(ids + ends[0][:shared])
        choices.append([end[shared] for end in ends])
    if not prompts:
        return []
    common = len(list(takewhile(lambda ids: len(set(ids)) == 1, zip(*prompts, strict=False))))
    common = min(common, min(map(len, prompts)) - 1)  # something is left to be read
    rows = min(rows, len(prompts))
    cache = KVCache(model.config, rows, max(map(len, prompts)))
    if common:
        model.hidden(torch.tensor([prompts[0][:common]]), cache=cache)
        for store in (cache.keys, cache.values):
            store[:, 1:, :, :common] = store[:, :1, :, :common]
        cache.lengths = [common] * rows
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # similar lengths together
    found: dict[int, float] = {}
    for begin in range(0, len(order), rows):
        some = order[begin : begin + rows]
        tails = [prompts[i][common:] for i in some]
        width = max(map(len, tails))
        padded = torch.tensor([tail + [0] * (width - len(tail)) for tail in tails])
        last = torch.tensor([len(tail) - 1 for tail in tails])
        # The cache does not advance: it stays at the shared beginning.
        logits = model(padded, cache=cache, logits_at=last)
        for row, i in enumerate(some):
            right, wrong = choices[i]
            found[i] = float(logits[row, right] - logits[row, wrong])
    return [found[i] for i in range(len(prompts))]


def group_interval(groups: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """An interval of 95 % for the mean of all values, where those of a group belong together (*bootstrap*).

    Questions about one pair of numbers are answered alike, so a hundred of them are no hundred independent trials.
    Whole groups are drawn, with replacement, 2,000 times; of the means of the draws the middle 95 % are taken.

    Raises:
        CourseError: if there are fewer than two groups, or an empty one.
    """
    if len(groups) < 2 or not all(groups):
        raise CourseError(
            "an interval needs two groups with values", hint="group by what was asked"
        )
    rng = random.Random(seed)
    sums = [(sum(values), len(values)) for values in groups]
    means = []
    for _ in range(2000):
        drawn = rng.choices(sums, k=len(sums))
        means.append(sum(total for total, _ in drawn) / sum(n for _, n in drawn))
    means.sort()
    return means[50], means[1949]
