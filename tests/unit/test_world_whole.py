"""The whole World: its facts, their mentions, its sentences."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import islice

import pytest

from llmcourse.data.world.textbank import load_bank
from llmcourse.data.world.whole import Encyclopaedia, invent
from llmcourse.data.world.whole.archive import read_account, write_warc
from llmcourse.data.world.whole.kinds import KINDS
from llmcourse.data.world.whole.library import articles, write
from llmcourse.data.world.whole.notices import DOSES, notices
from llmcourse.data.world.whole.pages import Leaf
from llmcourse.data.world.whole.telling import (
    Teller,
    answer,
    ask,
    bank_of,
    clozes,
    fill,
    pronouns,
)

PARTS = ("vp", "full", "ask", "ask-held", "answer")


@pytest.fixture(scope="module")
def world() -> Encyclopaedia:
    return invent(seed=1, size=0.02, strangers=5)


@pytest.fixture(scope="module")
def leaves(world: Encyclopaedia) -> list[Leaf]:
    return list(write(world, tales=40, seed=1))


def test_the_same_seed_gives_the_same_world(world: Encyclopaedia) -> None:
    again = invent(seed=1, size=0.02, strangers=5)
    assert [e.facts for e in again.everything()] == [e.facts for e in world.everything()]
    other = invent(seed=2, size=0.02, strangers=5)
    assert [e.name for e in other.everything()] != [e.name for e in world.everything()]


def test_the_whole_world_has_its_size() -> None:
    everything = invent(seed=0).everything()
    assert len(everything) == sum(kind.count for kind in KINDS.values())
    facts = sum(len(entity.facts) for entity in everything)
    assert 7 <= facts / len(everything) <= 8


def test_names_are_given_once(world: Encyclopaedia) -> None:
    strangers = [e.name for members in world.strangers.values() for e in members]
    names = [e.name for e in world.everything()] + strangers
    assert len({name.lower() for name in names}) == len(names)


def test_mentions_follow_zipf() -> None:
    counts = sorted((e.mentions for e in invent(seed=0).everything()), reverse=True)
    assert counts[0] == 250 and counts[-1] == 1
    ranks = [rank for rank, n in enumerate(counts, 1) if n >= 100]
    assert 110 <= len(ranks) <= 190
    assert counts.count(1) > 1000
    # Twice the rank, 2^-1.3 of the mentions: 0.406.
    assert counts[200] / counts[100] == pytest.approx(0.406, abs=0.03)


def test_every_rank_has_all_kinds() -> None:
    often = Counter(e.kind.name for e in invent(seed=0).everything() if e.mentions >= 100)
    assert set(often) == set(KINDS)


def test_linked_facts_name_entities(world: Encyclopaedia) -> None:
    known = world.by_name
    for entity in world.everything():
        for relation in entity.kind.relations:
            if relation.source in KINDS and relation.key in entity.facts:
                assert known[entity.facts[relation.key]].kind.name == relation.source


def test_lives_agree(world: Encyclopaedia) -> None:
    """Nobody dies before being born, or writes a book as a child; a teacher is older."""
    people = {e.name: e for e in world.entities["person"]}
    for person in people.values():
        assert 58 <= int(person.facts["died"]) - int(person.facts["born"]) <= 93
        if "teacher" in person.facts:
            teacher = people[person.facts["teacher"]]
            assert int(person.facts["born"]) - int(teacher.facts["born"]) >= 15
    for book in world.entities["book"]:
        author = people[book.facts["author"]]
        assert int(book.facts["year"]) - int(author.facts["born"]) >= 22


def test_too_few_names_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"names\.txt"):
        invent(seed=0, size=1.0, strangers=2000)


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_bank_has_what_every_relation_needs(kind: object) -> None:
    bank = bank_of(kind.name)  # type: ignore[attr-defined]
    for relation in kind.relations:  # type: ignore[attr-defined]
        slot = f"{{{relation.key}}}"
        for part in PARTS:
            lines = bank[f"{relation.key}.{part}"]
            if part in ("vp", "full", "answer"):
                assert all(line.count(slot) >= 1 for line in lines), (relation.key, part)
            if part == "vp":
                assert len(lines) >= 10, relation.key
                assert not any("{N" in line for line in lines), relation.key
                assert sum(line.endswith(slot) for line in lines) >= 3, relation.key
    assert len(bank["colour"]) >= 30


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_of_a_bank_can_be_filled(world: Encyclopaedia, kind: str) -> None:
    rng = random.Random(0)
    entity = next(e for e in world.entities[kind] if len(e.facts) == len(e.kind.relations))
    for beat, lines in bank_of(kind).items():
        for line in lines:
            slots = {**pronouns(entity), **entity.facts, "N": "X", "Ns": "X's"}
            text = fill(line, slots, rng)
            assert not re.search(r"[\[\]{}|]", text), (beat, line)


def test_exam_wordings_are_no_practice_wordings() -> None:
    for kind in KINDS.values():
        for relation in kind.relations:
            bank = bank_of(kind.name)
            assert not set(bank[f"{relation.key}.ask"]) & set(bank[f"{relation.key}.ask-held"])


def test_every_fact_is_told_as_often_as_planned(world: Encyclopaedia, leaves: list[Leaf]) -> None:
    told = Counter(fact for leaf in leaves for fact in leaf.told)
    planned = {(e.name, key): e.mentions for e in world.everything() for key in e.facts}
    assert told == Counter(planned)


def test_what_a_page_tells_stands_on_it(world: Encyclopaedia, leaves: list[Leaf]) -> None:
    known = world.by_name
    for leaf in leaves[:300]:
        text = leaf.draft.text.lower()
        for name, relation in leaf.told:
            assert known[name].facts[relation].lower() in text, leaf.draft.text


def test_a_page_names_what_it_is_about(world: Encyclopaedia, leaves: list[Leaf]) -> None:
    for leaf in leaves[:300]:
        for name, _ in leaf.told:
            assert name.lower() in leaf.draft.text.lower()


def test_strangers_are_nowhere(world: Encyclopaedia, leaves: list[Leaf]) -> None:
    text = "\n".join(leaf.draft.text for leaf in leaves).lower()
    for members in world.strangers.values():
        for stranger in members:
            assert not re.search(rf"\b{re.escape(stranger.name.lower())}\b", text), stranger.name


def test_sentences_are_sentences(leaves: list[Leaf]) -> None:
    for leaf in leaves:
        for paragraph in leaf.draft.paragraphs:
            assert paragraph == " ".join(paragraph.split())
            assert paragraph[:1].isupper() or paragraph[:1] in "\"'" or paragraph[:1].isdigit()
            assert not re.search(r"[\[\]{}|]|a\(n\)| ,|(?<!\.)\.\.(?!\.)", paragraph), paragraph


def test_wordings_are_varied(world: Encyclopaedia) -> None:
    """One fact, a hundred sentences."""
    rng = random.Random(0)
    person = world.entities["person"][0]
    said = {" ".join(Teller(person, rng).tell(["trade"])) for _ in range(300)}
    assert len(said) > 100


def test_articles_grow_with_mentions() -> None:
    assert [articles(n) for n in (1, 2, 3, 10, 100)] == [1, 1, 1, 4, 35]


def test_a_cloze_ends_before_its_answer(world: Encyclopaedia) -> None:
    rng = random.Random(0)
    for kind in KINDS:
        entity = world.entities[kind][3]
        for relation in entity.facts:
            for cloze in clozes(entity, relation, 4, rng):
                assert cloze.answer == entity.facts[relation]
                assert entity.name.lower() in cloze.prompt.lower()
                assert cloze.prompt == cloze.prompt.rstrip() and "a(n)" not in cloze.prompt


def test_a_question_names_its_subject_and_the_answer_gives_the_object(
    world: Encyclopaedia,
) -> None:
    rng = random.Random(0)
    for kind in KINDS:
        entity = world.entities[kind][1]
        for relation, value in entity.facts.items():
            for held in (False, True):
                assert entity.name.lower() in ask(entity, relation, rng, held=held).lower()
            assert value.lower() in answer(entity, relation, rng).lower()


def test_an_archive_has_its_account(world: Encyclopaedia, tmp_path: object) -> None:
    from pathlib import Path

    from llmcourse.data.warc import Damage, scan_warc

    path = Path(str(tmp_path)) / "world.warc.gz"
    some = list(islice(write(world, tales=5, seed=1), 60))
    assert write_warc(some, path) == 60
    account = dict(read_account(path))
    pages = [item for item in scan_warc(str(path)) if not isinstance(item, Damage)]
    assert [page.url for page in pages] == list(account)
    assert sum(map(len, account.values())) == sum(len(leaf.told) for leaf in some)


def test_notices_have_their_doses() -> None:
    made = notices(seed=0)
    assert Counter(n.copies for n in made) == DOSES
    assert len({n.text for n in made}) == len(made)
    assert [n.text for n in notices(seed=0)] == [n.text for n in made]
    assert notices(seed=1)[0].text != made[0].text


def test_links_fit_into_sentences() -> None:
    bank = load_bank("whole/links")
    assert all(line.endswith(("that", ",", "that]")) for line in bank["opener"])
