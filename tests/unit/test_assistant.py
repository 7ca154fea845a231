"""What is counted of an assistant's answers: format, end, truth."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from llmcourse.data.conversations import Conversation
from llmcourse.errors import CourseError
from llmcourse.evals.assistant import ask, generator, shares
from llmcourse.model import pretrained
from llmcourse.tokenizer import Tokenizer
from llmcourse.tokenizer.chat import render_prompt

FACT = Conversation.of("When was Adry born?", "Adry was born in 1832.", kind="fact",
                       relation="born", answer="1832")  # fmt: skip
HELLO = Conversation.of("Hello.", "Hello!", kind="small-talk", relation=None, answer="Hello!")


@pytest.fixture(scope="module")
def base() -> pretrained.Pretrained:
    return pretrained.load("course-base")


def written(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text)


@pytest.mark.parametrize(
    ("text", "ended", "in_format", "right"),
    [
        ("In 1832.<|im_end|>", True, True, True),
        ("In 1833.<|im_end|>", True, True, False),
        ("In 1832.", False, False, True),
        ("In 1832.<|endoftext|>", False, False, True),
        ("In <|think_end|>1832.<|im_end|>", True, False, True),
        ("<|search_start|>1832<|im_end|>", True, False, False),  # never closed, and said to nobody
    ],
)
def test_one_answer(
    base: pretrained.Pretrained, text: str, ended: bool, in_format: bool, right: bool
) -> None:
    tokenizer = base.tokenizer
    seen: list[Sequence[Sequence[int]]] = []

    def generate(prompts: Sequence[Sequence[int]], max_tokens: int) -> list[list[int]]:
        seen.append(prompts)
        return [written(tokenizer, text)]

    (reply,) = ask([FACT], tokenizer, generate)
    assert (reply.ended, reply.in_format, reply.right) == (ended, in_format, right)
    assert list(seen[0][0]) == render_prompt(FACT.prompt, tokenizer)


def test_what_has_no_single_answer_is_not_judged(base: pretrained.Pretrained) -> None:
    tokenizer = base.tokenizer
    replies = ask([FACT, HELLO], tokenizer, lambda p, n: [written(tokenizer, "Eh?<|im_end|>")] * 2)
    found = shares(replies)
    assert found["in format"].value == 1 and found["ended"].of == 2
    assert (found["right"].right, found["right"].of) == (0, 1)
    assert "right: small-talk" not in found


def test_a_question_without_an_answer_is_refused(base: pretrained.Pretrained) -> None:
    with pytest.raises(CourseError, match="does not end with an answer"):
        ask([Conversation.of("Hello?")], base.tokenizer, lambda p, n: [])


def test_a_base_model_does_not_answer_in_format(base: pretrained.Pretrained) -> None:
    """Real weights, real engine: it goes on with a page and never ends a turn."""
    generate = generator(base.model, base.tokenizer)
    found = shares(ask([FACT, HELLO] * 4, base.tokenizer, generate, max_tokens=24))
    assert found["in format"].value == 0
