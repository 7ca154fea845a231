"""Sureness: probabilities are those of the tokens that were written, and the AUC is the share of pairs in order."""

from __future__ import annotations

import itertools
import math
import random

import pytest
import torch

from llmcourse.data.conversations import Conversation, Message
from llmcourse.errors import CourseError
from llmcourse.evals.assistant import Reply
from llmcourse.evals.sureness import SureReply, auc, sure_replies
from llmcourse.model import pretrained
from llmcourse.tokenizer.chat import render_prompt

FACT = Conversation.of("When was Adry born?", "Adry was born in 1832.", kind="fact",
                       relation="born", answer="1832")  # fmt: skip


def said(text: str, right: bool | None, chances: tuple[float, ...] = (1.0,)) -> SureReply:
    return SureReply(Reply(FACT, Message.of("assistant", text), True, True, right), chances)


def test_auc_is_the_share_of_pairs_in_order():
    rng = random.Random(0)
    higher = [rng.randint(3, 9) for _ in range(30)]  # with many draws among them
    lower = [rng.randint(0, 7) for _ in range(20)]
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(higher, lower)]
    assert auc(higher, lower) == pytest.approx(sum(pairs) / len(pairs))
    assert auc(higher, lower) + auc(lower, higher) == pytest.approx(1)
    assert (auc([2, 3], [0, 1]), auc([0], [1]), auc([1, 1], [1])) == (1, 0, 0.5)


@pytest.mark.parametrize(
    ("higher", "lower"), [([], [1]), ([1], []), ([math.nan], [1]), ([1], [math.nan])]
)
def test_what_cannot_be_compared_is_an_error(higher, lower):
    with pytest.raises(ValueError):
        auc(higher, lower)


def test_an_answer_is_right_refused_or_invented():
    right, wrong = said("She was born in 1832.", True), said("She was born in 1833.", False)
    refused, nobody = said("I'm sorry, I don't know.", False), said("In 1700.", None)
    assert [r.right for r in (right, wrong, refused, nobody)] == [True, False, False, False]
    assert [r.refused for r in (right, wrong, refused, nobody)] == [False, False, True, False]
    assert [r.invented for r in (right, wrong, refused, nobody)] == [False, True, False, True]
    sure = said("x", True, (0.5, 1.0, 0.75))
    assert (sure.mean, sure.least, sure.whole) == (0.75, 0.5, 0.375)
    assert sure.question == "When was Adry born?"


def test_the_probabilities_are_the_models():
    base = pretrained.load("course-base")
    other = Conversation.of(
        "What is the trade of Ida Poole?", "?", kind="unknown", relation="trade", answer=None
    )
    replies = sure_replies([FACT, other], base.model, base.tokenizer, max_tokens=6)
    assert [r.question for r in replies] == [FACT.messages[0].text, other.messages[0].text]
    assert replies[1].reply.right is None and not replies[1].right
    prompt = render_prompt(FACT.prompt, base.tokenizer)
    ids: list[int] = []
    for chance in replies[0].chances:  # step by step, without the engine
        with torch.no_grad():
            p = torch.softmax(base.model(torch.tensor([prompt + ids]))[0, -1].float(), -1)
        ids.append(int(p.argmax()))
        assert chance == pytest.approx(float(p.max()), rel=1e-3)
    with pytest.raises(CourseError, match="0 tokens"):
        sure_replies([FACT], base.model, base.tokenizer, max_tokens=0)
