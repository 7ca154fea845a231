"""How sure a model was of its answer, and whether that tells what it knows from what it makes up.

The engine gives the probability of every token that was written. They can be put together in several ways; `auc` says
of each how well it tells two piles of answers apart.

Taught in chapter 09.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..data.conversations import Conversation
from ..errors import CourseError
from ..tokenizer import Tokenizer
from .assistant import Reply, ask
from .interrogate import refuses

if TYPE_CHECKING:
    from ..engine import Generation

_ENDS = ("<|im_end|>", "<|endoftext|>")


@dataclass(frozen=True)
class SureReply:
    """An answer, and how probable its tokens were.

    Attributes:
        reply: What was said.
        chances: The model's probability of each token that it wrote, the end of the turn included.
    """

    reply: Reply
    chances: tuple[float, ...]

    @property
    def question(self) -> str:
        """The last thing that the user said."""
        return self.reply.asked.prompt.messages[-1].text.strip()

    @property
    def text(self) -> str:
        """What the model said."""
        return self.reply.message.text.strip()

    @property
    def right(self) -> bool:
        """Whether the fact that was asked for is in it; never, where there is none."""
        return bool(self.reply.right)

    @property
    def refused(self) -> bool:
        """Whether it says that it does not know."""
        return refuses(self.text)

    @property
    def invented(self) -> bool:
        """Neither right nor a refusal: something else, said like a fact."""
        return not self.right and not self.refused

    @property
    def mean(self) -> float:
        """The mean of the tokens' probabilities."""
        return statistics.fmean(self.chances)

    @property
    def least(self) -> float:
        """The probability of the token that was least so."""
        return min(self.chances)

    @property
    def whole(self) -> float:
        """The probability of the answer, word for word: the product."""
        return math.prod(self.chances)


def sure_replies(
    conversations: Sequence[Conversation],
    model: Any,
    tokenizer: Tokenizer,
    *,
    max_tokens: int = 48,
    streams: int = 64,
) -> list[SureReply]:
    """The likeliest answer to the last question of each conversation, with the probabilities of its tokens.

    Args:
        conversations: As for `assistant.ask`: each ends with an answer, which the model does not see.
        model: What `Engine` takes.
        tokenizer: The model's, with the protocol's special tokens.
        max_tokens: Of an answer.
        streams: How many are answered at once.

    Raises:
        CourseError: if `max_tokens` or `streams` is below 1, a conversation ends with a question, or the tokenizer
            lacks the protocol's tokens.
    """
    from ..engine import Engine, Sampling

    if max_tokens < 1:
        raise CourseError(f"an answer cannot have {max_tokens} tokens", hint="at least 1")
    engine = Engine(model, tokenizer, max_streams=streams)
    ends = [tokenizer.special_tokens[name] for name in _ENDS if name in tokenizer.special_tokens]
    kept: list[Generation] = []

    def generate(prompts: Sequence[Sequence[int]], limit: int) -> list[list[int]]:
        kept[:] = engine.generate(
            [list(prompt) for prompt in prompts],
            Sampling(temperature=0),
            max_tokens=limit,
            stop_tokens=ends,
        )
        return [generation.ids for generation in kept]

    replies = ask(conversations, tokenizer, generate, max_tokens)
    return [
        SureReply(reply, tuple(math.exp(p) for p in generation.logprobs if p is not None))
        for reply, generation in zip(replies, kept, strict=True)
    ]


def auc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """How well a number tells two piles apart: the *area under the (ROC) curve*.

    Take one of each pile at random: how often has the first the higher number? A draw counts one half. 1: always;
    0.5: no better than a coin; 0: never.

    Raises:
        ValueError: if a pile is empty, or a number is NaN.
    """
    if not higher or not lower:
        raise ValueError(f"piles of {len(higher)} and {len(lower)} cannot be compared")
    if any(math.isnan(x) for x in (*higher, *lower)):
        raise ValueError("NaN is neither higher nor lower than anything")
    ordered = sorted(lower)
    wins = sum(bisect_left(ordered, x) + bisect_right(ordered, x) for x in higher) / 2
    return wins / (len(higher) * len(lower))
