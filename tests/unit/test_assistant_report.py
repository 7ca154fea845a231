"""The report of an assistant, against two whose answers are known: one knows everything, one nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from llmcourse.data.conversations.split import split
from llmcourse.data.world.whole import invent
from llmcourse.evals.assistant_report import HELD, NOBODY, RARE, RESERVED, banded, report
from llmcourse.model import shipped
from llmcourse.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.load(shipped.folder("course-base"))


@pytest.fixture(scope="module")
def world():
    return invent(1, 0.1)


@pytest.fixture(scope="module")
def told(world):
    return {e.name: dict.fromkeys(e.facts, e.mentions) for e in world.everything()}


def saying(answer, tokenizer):
    end = tokenizer.special_tokens["<|im_end|>"]

    def generate(prompts: Sequence[Sequence[int]], max_tokens: int) -> list[list[int]]:
        texts = [answer(tokenizer.decode(list(ids))) for ids in prompts]
        return [[*tokenizer.encode_ordinary(text), end] for text in texts]

    return generate


def knows_all(world):
    names = sorted((e.name for e in world.everything()), key=len, reverse=True)

    def answer(prompt: str) -> str:
        found = next((name for name in names if name.casefold() in prompt.casefold()), None)
        if found is None:
            return "I'm sorry, I don't know."
        return "; ".join(world.by_name[found].facts.values())

    return answer


def knows_nothing(prompt: str) -> str:
    return "Perhaps."


def made(world, told, tokenizer, answer, before=None):
    generate = saying(answer, tokenizer)
    earlier = None if before is None else saying(before, tokenizer)
    parts = split(world, told, 3)
    return report(tokenizer, generate, world, told, parts, n=40, before=earlier)


def test_who_knows_everything_is_right_and_refuses_strangers_alone(world, told, tokenizer):
    found = made(world, told, tokenizer, knows_all(world))
    assert found["prompts"]["ended"]["share"] == 1 and found["prompts"]["in format"]["share"] == 1
    for pile in (RESERVED, HELD, RARE):
        assert found["facts"][pile]["right"]["share"] == 1, pile
        assert found["facts"][pile]["refused"]["share"] == 0, pile
    assert found["facts"][NOBODY]["refused"]["share"] == 1
    assert found["facts"][NOBODY]["right"]["share"] == 0
    assert all(band["right"]["share"] == 1 for band in found["bands"].values())
    assert "kept" not in found


def test_what_was_right_before_and_is_lost_is_not_kept(world, told, tokenizer):
    lost = made(world, told, tokenizer, knows_nothing, before=knows_all(world))
    assert lost["kept"]["share"] == 0 and lost["kept"]["of"] > 20
    assert (
        lost["facts"][RESERVED]["right"]["share"] < 0.2
    )  # some facts are in their questions' words
    kept = made(world, told, tokenizer, knows_all(world), before=knows_all(world))
    assert kept["kept"]["share"] == 1


def test_bands_hold_each_fact_of_held_out_entities_once(world, told):
    bands = banded(world, told)
    facts = [(who.name, what) for some in bands.values() for who, what in some]
    assert len(facts) == len(set(facts)) > 50
    assert all(told[who][what] >= 1 for who, what in facts)
    assert all(told[who.name][what] == 1 for who, what in bands["1"])
