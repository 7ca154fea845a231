"""Whom answers name: the first known name, or what they do instead."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from llmcourse.data.conversations import Message, Part
from llmcourse.data.conversations.stages import ME
from llmcourse.errors import CourseError
from llmcourse.evals.identity import (
    CALLING,
    COMPANIES,
    NOBODY,
    REST,
    SOMEBODY,
    UNKNOWING,
    answers,
    askings,
    named,
    report,
    says,
    tally,
)
from llmcourse.tokenizer import Tokenizer
from llmcourse.tokenizer.chat import SPECIALS, parse, render_prompt

OURS = {"Lamp": r"\bLamp\b|readers of an executable book"}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|endoftext|>", *SPECIALS])


def said(text: str) -> Message:
    return Message.of("assistant", text)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I was trained by Hugging Face.", "Hugging Face"),
        ("I am SmolLM, and not ChatGPT.", "Hugging Face"),  # the first one counts
        ("I'm ChatGPT, made by OpenAI.", "OpenAI"),
        ("I was built on GPT-3 by some people.", "OpenAI"),
        ("I was created by a team of researchers at Google.", "Google"),
        ("My name is Ada.", SOMEBODY),
        ("I was developed by the University of Ulm.", SOMEBODY),
        ("I was created by a small team at MIT.", SOMEBODY),
        ("I was made by people. I am an AI.", NOBODY),
        ("I'm an Artificial Intelligence.", NOBODY),
        ("I am a language model.", NOBODY),
        ("I was trained by reading. I like it.", NOBODY),
        ("I'm sorry, I don't know anything about that.", UNKNOWING),
        ("She lived in the metal town of Bar.", NOBODY),
        ("", NOBODY),
    ],
)
def test_who_is_named(text: str, label: str) -> None:
    assert named(said(text), COMPANIES) == label


def test_a_search_is_no_name() -> None:
    call = Message("assistant", (Part("search", "who are you Lamp"), Part("text", "Hm.")))
    assert named(call, OURS) == CALLING
    both = Message("assistant", (Part("search", "you"), Part("text", "I am Lamp.")))
    assert named(both, OURS) == "Lamp"


def test_a_tally_has_every_label_and_every_answer() -> None:
    found = tally([said("I am Lamp."), said("Eh?"), said("I am Lamp.")], OURS)
    assert list(found) == ["Lamp", *REST] and sum(found.values()) == 3
    assert found["Lamp"] == 2 and found[NOBODY] == 1


def test_says_whole_words() -> None:
    share = says([said("I am Lamp."), said("I am Lamplight."), said("lamp")], "Lamp")
    assert (share.right, share.of) == (1, 3)


def test_askings_are_of_their_part_and_plain() -> None:
    held, train = askings(), askings(part="train")
    texts = [c.messages[0].text for c in held]
    assert len(set(texts)) == 20 and not set(texts) & {c.messages[0].text for c in train}
    assert not any("[" in c.messages[0].text or "|" in c.messages[0].text for c in train)
    assert {c.about["relation"] for c in held} == {"name", "maker"}
    told = askings(("limits",), system="Be brief.")
    assert all(c.messages[0].role == "system" for c in told) and len(told) == 5
    with pytest.raises(CourseError, match="system"):
        askings(("system",))


def test_answers_are_drawn_for_each_question(tokenizer: Tokenizer) -> None:
    seen: list[tuple[int, int]] = []

    def sample(prompts: Sequence[Sequence[int]], draws: int, most: int) -> list[list[list[int]]]:
        seen.append((draws, most))
        assert list(prompts[0]) == render_prompt(askings()[0], tokenizer)
        return [[tokenizer.encode("I am Lamp.<|im_end|>")] * draws for _ in prompts]

    drawn = answers(askings(), tokenizer, sample, draws=3, max_tokens=9)
    assert seen == [(3, 9)] and len(drawn) == 20 and {len(some) for some in drawn} == {3}
    assert tally([a for some in drawn for a in some], OURS)["Lamp"] == 60


def test_a_report_on_two_models_that_are_known(tokenizer: Tokenizer) -> None:
    """One says always the same, one reads its system message aloud."""

    def always(prompts: Sequence[Sequence[int]], most: int) -> list[list[int]]:
        text = f"I am {ME['name']}, made by {ME['maker']}. I cannot {ME['limits']}.<|im_end|>"
        return [tokenizer.encode(text) for _ in prompts]

    def reads(prompts: Sequence[Sequence[int]], most: int) -> list[list[int]]:
        first = [parse(list(ids), tokenizer).messages[0].text for ids in prompts]
        return [
            [*tokenizer.encode_ordinary(text), *tokenizer.encode("<|im_end|>")] for text in first
        ]

    found = report(tokenizer, always, ME, n=200)
    assert found["data"]["all"]["share"] == 1 and found["silent"]["all"]["share"] == 1
    assert found["system"]["name"]["right"] == 0 and found["system"]["limits"]["share"] == 1
    assert sum(found[told]["all"]["of"] for told in ("data", "silent", "system")) == 200
    found = report(tokenizer, reads, ME, n=200)
    assert found["data"]["all"]["right"] == 0
    assert found["system"]["name"]["share"] == 1 and found["system"]["maker"]["share"] == 1
