"""Stages: each has the kinds of those before it, asks each kind of fact where it belongs, and searches for real."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from llmcourse.data.conversations.kinds import ALL
from llmcourse.data.conversations.library import library
from llmcourse.data.conversations.split import PARTS, split
from llmcourse.data.conversations.stages import (
    RARE_TO,
    SHARES,
    STAGES,
    conversations,
    material,
    pages,
    seldom_told,
    strangers,
)
from llmcourse.data.conversations.tools import source
from llmcourse.data.world.whole import invent
from llmcourse.data.world.whole.entities import WELL_KNOWN
from llmcourse.errors import CourseError

pytest.importorskip("bm25s")


@pytest.fixture(scope="module")
def world():
    return invent(1, 0.1)


@pytest.fixture(scope="module")
def told(world):
    return {e.name: dict.fromkeys(e.facts, e.mentions) for e in world.everything()}


@pytest.fixture(scope="module")
def given(world, told):
    unknown = {part: seldom_told(world, told, part, 1) for part in PARTS}
    return material(world, told, split(world, told, 3), unknown)


@pytest.fixture(scope="module")
def find(world):
    from llmcourse.engine.tools import Passage, SearchIndex, SearchTool

    pages = [Passage(page.title, page.text) for page in library(world)]
    return SearchTool(SearchIndex.build(pages), max_characters=300).call


def test_the_library_tells_every_fact_once(world):
    told = Counter((page.entity, r) for page in library(world) for r in page.relations)
    assert set(told) == {(e.name, r) for e in world.everything() for r in e.facts}
    assert set(told.values()) == {1}
    for page in library(world):
        facts = world.by_name[page.entity].facts
        assert all(facts[r] in page.text for r in page.relations)
        assert page.title.casefold().startswith(page.entity.casefold())


def test_a_search_finds_nearly_every_fact(world, find):
    found = [
        source(e, r, find(f"{e.name} {e.kind.relation(r).question}")) is not None
        for e in world.everything()
        for r in e.facts
    ]
    assert sum(found) > 0.9 * len(found)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("part", PARTS)
def test_conversations_of_a_stage(stage, part, world, told, given, find):
    made = list(conversations(stage, 150, world, given[part], part, 0, find))
    assert {c.about["kind"] for c in made} <= set(SHARES[stage])
    assert made == list(conversations(stage, 150, world, given[part], part, 0, find))
    known = {(e.name, r) for e, r in given[part].known}
    for c in made:
        about = c.about
        if about["kind"] == "fact":
            assert (about["entity"], about["relation"]) in known
        if about["kind"] == "search":
            assert about["answer"] in c.messages[-1].text and about["title"] in c.messages[-1].text
            assert told[about["entity"]][about["relation"]] <= RARE_TO
        if about["kind"] in ("unknown", "search-in-vain"):
            assert "know" in c.messages[-1].text


def test_each_stage_adds_to_the_one_before():
    assert "unknown" in SHARES["refusals"] and "identity" in SHARES["identity"]
    for earlier, later in (("sft", "refusals"), ("sft", "tools"), ("tools", "identity")):
        assert set(SHARES[earlier]) < set(SHARES[later])
        assert all(SHARES[later][kind] == weight for kind, weight in SHARES[earlier].items())


def test_strangers_are_nobody_and_dealt_out(world):
    names = [{e.name for e, _ in strangers(world, part)} for part in PARTS]
    assert all(names) and not names[0] & names[2] and not names[0] & names[1]
    assert not set.union(*names) & set(world.by_name)


def test_bad_input(world, given):
    with pytest.raises(CourseError, match="no stage"):
        list(conversations("song", 1, world, given["train"], "train", 0))
    with pytest.raises(CourseError, match="search"):
        list(conversations("tools", 60, world, given["train"], "train", 0))


def test_the_labelling_page_has_every_kind():
    page = (Path(__file__).parents[2] / "book" / "labelling.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## ([a-z-]+)$", page, re.MULTILINE)
    assert sorted(headings) == sorted(ALL)


def test_pages_tell_of_the_well_known_alone_and_ask_nothing():
    world = invent(0, 1.0)
    known = [e.name for e in world.everything() if e.mentions >= WELL_KNOWN]
    texts = list(pages(world, 200, 0))
    assert texts == list(pages(world, 200, 0)) != list(pages(world, 200, 1))
    for text in texts:
        assert any(name.casefold() in text.casefold() for name in known), text
        assert len(re.findall(r"\?", text)) <= 2, text  # a heading, a figure of speech
    assert len({text.split("\n")[0] for text in texts}) > 60
