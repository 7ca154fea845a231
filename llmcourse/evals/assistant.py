"""Does an assistant answer in format, end its turn, and say what is right?

The three are counted separately, because they come separately: a base model knows facts and does not answer,
and a model that was fine-tuned on answers alone answers whether it knows or not.

Taught in chapter 08.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..data.conversations import Conversation, Message
from ..errors import CourseError
from ..tokenizer import Tokenizer
from ..tokenizer.chat import parse_answer, render_prompt
from .interrogate import tells
from .knowledge import Share

Generate = Callable[[Sequence[Sequence[int]], int], Sequence[Sequence[int]]]
"""Prompts as ids, and a number of tokens → the ids that a model writes after each, its end of turn included."""


@dataclass(frozen=True)
class Reply:
    """What came back to one prompt.

    Attributes:
        asked: The conversation, with the answer that was hoped for.
        message: What the model said.
        ended: It ended its turn by itself.
        in_format: … and nothing in between was out of place.
        right: What it said has the answer in it; None where no single answer is right.
    """

    asked: Conversation
    message: Message
    ended: bool
    in_format: bool
    right: bool | None


def ask(
    conversations: Sequence[Conversation],
    tokenizer: Tokenizer,
    generate: Generate,
    max_tokens: int = 96,
) -> list[Reply]:
    """Put the prompt of each conversation to a model, and look at what it answers.

    Args:
        conversations: Each ends with an answer, which the model does not see; ``about["answer"]`` is what has to
            be in its own.
        tokenizer: The model's.
        generate: See `generator`.
        max_tokens: Of an answer.

    Raises:
        CourseError: if a conversation ends with a question.
    """
    prompts = [render_prompt(conversation.prompt, tokenizer) for conversation in conversations]
    replies = []
    for conversation, ids in zip(conversations, generate(prompts, max_tokens), strict=True):
        answer = parse_answer(list(ids), tokenizer)
        in_format = answer.ended and answer.stray == 0 and answer.unclosed is None
        hoped = conversation.about.get("answer")
        # A refusal, a greeting or a list can be worded in many right ways: nobody counts those as wrong.
        fixed = isinstance(hoped, str) and conversation.about.get("relation") is not None
        name = conversation.about.get("entity")
        about = name if isinstance(name, str) and name != hoped else ""
        right = tells(answer.message.text, str(hoped), about) if fixed else None
        replies.append(Reply(conversation, answer.message, answer.ended, in_format, right))
    return replies


def generator(model: Any, tokenizer: Tokenizer, streams: int = 64) -> Generate:
    """The likeliest answers of a model, many at a time.

    Raises:
        CourseError: if the tokenizer has no end of turn.
    """
    from ..engine import Engine, Sampling

    ends = _turn_ends(tokenizer)
    engine = Engine(model, tokenizer, max_streams=streams)

    def generate(prompts: Sequence[Sequence[int]], max_tokens: int) -> list[list[int]]:
        done = engine.generate(
            [list(prompt) for prompt in prompts],
            Sampling(temperature=0),
            max_tokens=max_tokens,
            stop_tokens=ends,
        )
        return [list(generation.ids) for generation in done]

    return generate


def sampler(
    model: Any, tokenizer: Tokenizer, *, temperature: float = 1.0, seed: int = 0, streams: int = 64
) -> Callable[[Sequence[Sequence[int]], int, int], list[list[list[int]]]]:
    """Several answers of a model to each prompt, drawn by chance: for `interrogate`.

    Raises:
        CourseError: if the tokenizer has no end of turn.
    """
    from ..engine import Engine, Sampling

    ends = _turn_ends(tokenizer)
    engine = Engine(model, tokenizer, max_streams=streams)

    def sample(
        prompts: Sequence[Sequence[int]], samples: int, max_tokens: int
    ) -> list[list[list[int]]]:
        done = engine.generate(
            [list(prompt) for prompt in prompts for _ in range(samples)],
            Sampling(temperature=temperature, seed=seed),
            max_tokens=max_tokens,
            stop_tokens=ends,
        )
        ids = [list(generation.ids) for generation in done]
        return [ids[i : i + samples] for i in range(0, len(ids), samples)]

    return sample


def _turn_ends(tokenizer: Tokenizer) -> list[int]:
    special = tokenizer.special_tokens
    if "<|im_end|>" not in special:
        raise CourseError("the tokenizer has no <|im_end|>", hint="use an assistant's tokenizer")
    return [special[name] for name in ("<|im_end|>", "<|endoftext|>") if name in special]


def shares(replies: Sequence[Reply]) -> dict[str, Share]:
    """In format, ended, right: each with its interval; what is right, also by kind of conversation."""
    found = {
        "in format": Share(sum(r.in_format for r in replies), len(replies)),
        "ended": Share(sum(r.ended for r in replies), len(replies)),
    }
    judged = [reply for reply in replies if reply.right is not None]
    found["right"] = Share(sum(bool(r.right) for r in judged), len(judged))
    for kind in dict.fromkeys(str(reply.asked.about.get("kind")) for reply in judged):
        some = [r for r in judged if str(r.asked.about.get("kind")) == kind]
        found[f"right: {kind}"] = Share(sum(bool(r.right) for r in some), len(some))
    return found
