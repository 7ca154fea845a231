"""Generated conversations: well formed, true, short, varied, and disjoint between training and tests."""

from __future__ import annotations

import difflib
import random
import re

import pytest

from llmcourse.data.conversations import kinds
from llmcourse.data.conversations.facts import asking
from llmcourse.data.conversations.make import make, many
from llmcourse.data.conversations.message import Conversation, check
from llmcourse.data.conversations.split import PARTS, Part, Split, part_of, split
from llmcourse.data.variety import variety
from llmcourse.data.world.grammar import polish
from llmcourse.data.world.textbank import load_bank
from llmcourse.data.world.whole import Encyclopaedia, invent
from llmcourse.errors import CourseError

ME = {"name": "Lamp", "maker": "the readers of a book", "limits": "see or hear"}


@pytest.fixture(scope="module")
def world() -> Encyclopaedia:
    return invent(seed=1, size=0.1)


@pytest.fixture(scope="module")
def parts(world: Encyclopaedia) -> Split:
    told = {e.name: dict.fromkeys(e.facts, e.mentions) for e in world.everything()}
    return split(world, told, 2)


def _some(
    kind: str, world: Encyclopaedia, parts: Split, part: Part = "train", n: int = 100
) -> list[Conversation]:
    def find(query: str) -> str:
        """All that is true of whom the query names."""
        found = [e for e in world.everything() if e.name.removeprefix("the ") in query]
        entity = max(found, key=lambda e: len(e.name))
        told = "\n".join(f"[A page] {entity.name}: {value}" for value in entity.facts.values())
        return f"{told}\n[Another page] Nothing."

    return list(many(n, {kind: 1.0}, world, 3, facts=getattr(parts, part), part=part, me=ME,
                     find=find))  # fmt: skip


@pytest.mark.parametrize("kind", kinds.ALL)
@pytest.mark.parametrize("part", PARTS)
def test_well_formed_short_and_named(
    kind: str, part: Part, world: Encyclopaedia, parts: Split
) -> None:
    for conversation in _some(kind, world, parts, part, 40):
        check(conversation)
        assert conversation.about["kind"] == kind
        assert {"entity", "relation", "answer", "template"} <= set(conversation.about)
        parts_ = [p for m in conversation.messages for p in m.parts]
        text = " ".join(p.text for p in parts_ if p.kind != "result")
        assert "{" not in text and "[" not in text and "  " not in text
        assert len(text) < 700


@pytest.mark.parametrize("kind", ["fact", "follow-up", "search"])
def test_answers_are_true(kind: str, world: Encyclopaedia, parts: Split) -> None:
    for c in _some(kind, world, parts):
        value = world.by_name[c.about["entity"]].facts[c.about["relation"]]
        assert value == c.about["answer"] and value in c.messages[-1].text


def test_sums_are_right(world: Encyclopaedia, parts: Split) -> None:
    for c in _some("sums", world, parts) + _some("python", world, parts):
        a, sign, b = re.search(r"(\d+) ([-+x]) (\d+)", c.about["question"]).groups()  # type: ignore[union-attr]
        right = {"+": int(a) + int(b), "-": int(a) - int(b), "x": int(a) * int(b)}[sign]
        assert str(right) == c.about["answer"] and str(right) in c.messages[-1].text


def test_letters_are_right(world: Encyclopaedia, parts: Split) -> None:
    for c in _some("spelling", world, parts):
        if c.about["relation"] in ("spell", "length"):
            word = c.about["entity"]
            assert c.about["answer"] in ("-".join(word), str(len(word)))


def test_parts_share_no_entity(parts: Split) -> None:
    names = [{e.name for e, _ in getattr(parts, part)} for part in PARTS]
    assert not names[0] & names[1] and not names[0] & names[2] and not names[1] & names[2]


def test_reserved_facts_are_of_trained_entities_and_not_trained(parts: Split) -> None:
    asked = {(e.name, r) for e, r in parts.train}
    kept = {(e.name, r) for e, r in parts.reserved}
    assert kept and not kept & asked
    assert all(part_of(name) == "train" for name, _ in kept)


@pytest.mark.parametrize("kind", [k for k in kinds.ALL if k != "spelling"])
def test_parts_share_no_prompt(kind: str, world: Encyclopaedia, parts: Split) -> None:
    seen = [{c.messages[0].text for c in _some(kind, world, parts, part)} for part in PARTS]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_a_source_names_the_entity_and_the_fact(world: Encyclopaedia, parts: Split) -> None:
    rng = random.Random(0)
    for entity, relation in rng.sample(parts.train, 60):
        value, name = entity.facts[relation], entity.name
        wrong = f"[Within a word] {name}: x{value}1\n[Of another] Nobody: {value}"
        right = f"{wrong}\n[Right] {polish(name)}: {value}"
        made = make("search", world, rng, facts=[(entity, relation)], find=lambda q, r=right: r)
        assert made.about["title"] == "Right" and '(Source: "Right")' in made.messages[-1].text
        with pytest.raises(CourseError, match="no passage tells"):
            make("search", world, rng, facts=[(entity, relation)], find=lambda q, w=wrong: w)


def test_answers_say_the_fact_and_no_more(world: Encyclopaedia) -> None:
    """No word of an answer but the name and the fact stands for something that the World does not hold."""
    bank = load_bank("chat/answers")
    for kind, members in world.entities.items():
        for relation in members[0].facts:
            for line in bank[f"{kind}.{relation}"]:
                assert line.startswith("{N} ") and line.endswith(f"{{{relation}}}.")
                assert not re.search(r"summer|autumn|winter|spring|early|late|suddenly", line)


def test_a_search_in_vain_ends_with_not_knowing(world: Encyclopaedia) -> None:
    rng = random.Random(0)
    for entity in world.strangers["person"][:20]:
        made = make(
            "search-in-vain", world, rng, facts=[(entity, "born")], find=lambda q: "nothing found"
        )
        assert "know" in made.messages[-1].text and entity.name in made.messages[-1].text
        assert made.about["answer"] is None


def test_nobody_is_sad_and_glad_at_once(world: Encyclopaedia, parts: Split) -> None:
    for c in _some("small-talk", world, parts, n=600):
        assert not ("sad." in c.about["template"] and "glad." in c.about["template"])


def test_a_seed_gives_the_same(world: Encyclopaedia, parts: Split) -> None:
    assert _some("summary", world, parts) == _some("summary", world, parts)


def test_rarely_told_facts_are_not_asked(world: Encyclopaedia) -> None:
    told = {e.name: dict.fromkeys(e.facts, e.mentions) for e in world.everything()}
    assert all(told[e.name][r] >= 3 for e, r in split(world, told, 3).train)


def test_varied(world: Encyclopaedia, parts: Split) -> None:
    found = variety(m.text for c in _some("fact", world, parts, n=600) for m in c.messages)
    assert found.top < 0.05 and found.distinct[2] > 0.2


def test_bad_input(world: Encyclopaedia, parts: Split) -> None:
    rng = random.Random(0)
    for kind, given in (("song", {}), ("fact", {}), ("identity", {}), ("search", {"facts": parts.train}),
                        ("sums", {"part": "exam"})):  # fmt: skip
        with pytest.raises(CourseError):
            make(kind, world, rng, **given)  # type: ignore[arg-type]
    with pytest.raises(CourseError, match="mentions"):
        split(world, {}, 1)


def test_no_wording_of_a_test_is_nearly_one_of_training(world: Encyclopaedia) -> None:
    for kind, members in world.entities.items():
        bank = asking(kind)
        for relation in members[0].facts:
            assert len(bank[f"{relation}.ask"]) >= 25
            for held in bank[f"{relation}.ask-held"]:
                close = difflib.get_close_matches(held, bank[f"{relation}.ask"], n=1, cutoff=0.93)
                assert not close, (held, close)
