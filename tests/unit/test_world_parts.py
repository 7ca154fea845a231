"""The parts the World is made with: banks, grammar, names, copies, publishing."""

from __future__ import annotations

import random
import string
from importlib import resources

import pytest

from llmcourse.data.world import textbank
from llmcourse.data.world.country import Country, invent
from llmcourse.data.world.dirt import DirtWriter, near_copy
from llmcourse.data.world.generate import SHARES
from llmcourse.data.world.grammar import (
    Scribe,
    Shelf,
    a_or_an,
    conjoin,
    expand,
    number_word,
    polish,
)
from llmcourse.data.world.inventor import Inventor
from llmcourse.data.world.names import Namer, skeleton
from llmcourse.data.world.publish import Publisher, curl, slug
from llmcourse.data.world.writing.draft import Draft, jaccard, lettered, shingles
from llmcourse.data.world.writing.lists import ListWriter
from llmcourse.data.world.writing.tales import TaleWriter, titles


@pytest.fixture(scope="module")
def country() -> Country:
    return invent(random.Random(3), SHARES)


def test_number_word() -> None:
    assert [number_word(n) for n in (1, 20, 21, 4300)] == ["one", "twenty", "21", "4,300"]


@pytest.mark.parametrize(
    ("word", "article"),
    [
        *[("eel", "an"), ("hour", "an"), ("umbrella", "an"), ("uninvited", "an")],
        *[("useful", "a"), ("one", "a"), ("boat", "a")],
        *[("8", "an"), ("11", "an"), ("18", "an"), ("12", "a")],
    ],
)
def test_a_or_an(word: str, article: str) -> None:
    assert a_or_an(word) == article


def test_conjoin() -> None:
    assert conjoin(["a"]) == "a"
    assert conjoin(["a", "b"]) == "a and b"
    assert conjoin(["a", "b", "c"], "or") == "a, b or c"


def test_expand_nests() -> None:
    rng = random.Random(0)
    seen = {expand("[red [fox|hen]|owl]", rng) for _ in range(100)}
    assert seen == {"red fox", "red hen", "owl"}


def test_polish() -> None:
    assert polish("a(n) eel.  it bit a(n) boy . A(n) owl saw") == "An eel. It bit a boy. An owl saw"
    assert polish('"go?" she asked') == '"go?" she asked'  # speech goes on in small letters


def test_shelf_uses_every_line_before_it_repeats_one() -> None:
    shelf, lines = Shelf(random.Random(0)), textbank.load_bank("person")["habit"]
    assert sorted(shelf.take("person", "habit", set()) for _ in lines) == sorted(lines)
    with pytest.raises(KeyError):
        shelf.take("person", "no such beat", set())


def test_shelf_when_everything_is_to_be_avoided() -> None:
    lines = textbank.load_bank("person")["habit"]
    assert Shelf(random.Random(0)).take("person", "habit", set(lines)) in lines


def test_subject_is_named_first_and_then_by_pronoun() -> None:
    slots = {"short": "Pell", "she": "she", "her": "her"}
    scribe = Scribe(Shelf(random.Random(0)), random.Random(0), "person", slots)
    text = scribe.fill("{N} sang. {N} sang. {Ns} dog sang. {N} sang. {Ns} cat sang.")
    assert text.startswith("Pell sang. ")
    assert "She sang." in text
    with pytest.raises(KeyError):
        scribe.fill("{nobody}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a line\n== b\nc", "before the first heading"),
        ("== b\nc\n== b\nd", "empty or defined twice"),
        ("== b", "empty or defined twice"),
        ("== b needs: x\nno slot", "no \\['x'\\]"),
    ],
)
def test_bad_banks(monkeypatch: pytest.MonkeyPatch, tmp_path, text: str, message: str) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "bad.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=message):
        textbank.load_bank.__wrapped__("bad")


@pytest.mark.parametrize(
    "text", ["== a\nx: 1\nx: 2", "== a\nx: 1\n== a\nx: 2", "== a\nx: 1\n== b\ny: 2"]
)
def test_bad_records(monkeypatch: pytest.MonkeyPatch, tmp_path, text: str) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "bad.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"twice|differ"):
        textbank.load_records.__wrapped__("bad")


def slots_in(line: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(line) if name}


def test_every_line_of_the_article_banks_can_be_filled(country: Country) -> None:
    """No line asks for a slot that its writer does not provide, used or not in a given World."""
    person = next(p for p in country.people if p.teacher and p.friend)
    someone = {"person", "person_trade"}
    extras = {"N", "Ns"}
    allowed = {
        "person": {*person.slots(), "dish", "festival", "animal"},
        "trade_lines": {*person.slots()},
        "town": {
            *country.towns[0].slots(),
            "child",
            "child_trade",
            "dish",
            "festival",
            "festival_month",
        },
        "river": {*country.rivers[0].slots(), "town", *someone},
        "animal": {*country.animals[0].slots()},
        "craft": {*country.crafts[0].slots()},
        "festival": {*country.festivals[0].slots(), *someone},
        "dish": {*country.dishes[0].slots(), "festival", *someone},
    }
    for bank, slots in allowed.items():
        for beat, lines in textbank.load_bank(bank).items():
            for line in lines:
                assert slots_in(line) <= slots | extras, (bank, beat, line)


def test_every_line_of_the_tales_can_be_told(country: Country) -> None:
    """Each plot, thread and diary, often enough to use all of its lines."""
    rng = random.Random(0)
    tales = TaleWriter(country, Shelf(rng), rng)
    for write, bank in ((tales.story, "story"), (tales.thread, "forum"), (tales.diary, "diary")):
        for plot in titles(bank):
            texts = " ".join(write(plot).text for _ in range(3))
            assert "{" not in texts and "[" not in texts
        beats = {beat.split(".")[0] for beat in textbank.load_bank(bank)} - {"titles"}
        assert beats == set(titles(bank))


def test_lists(country: Country) -> None:
    rng = random.Random(0)
    writer = ListWriter(country, Shelf(rng), rng)
    with pytest.raises(ValueError, match="no list of 'kings'"):
        writer.write("kings")
    counts = {"Four": 4, "Five": 5, "Six": 6, "Seven": 7, "Eight": 8}
    for _ in range(60):
        draft = writer.write("towns")
        first = draft.title.split()[0]
        if first in counts:
            assert len(draft.paragraphs) - 2 == counts[first]


def test_names_do_not_sound_alike() -> None:
    namer = Namer(random.Random(0))
    towns = [namer.town() for _ in range(200)]
    assert len({skeleton(town) for town in towns}) == 200
    assert skeleton("Perrin") == skeleton("Porin") == "prn"


def test_names_run_out() -> None:
    namer = Namer(random.Random(0))
    with pytest.raises(ValueError, match="no river names are left"):
        for _ in range(1000):
            namer.river()


def test_inventions_run_out() -> None:
    inventor = Inventor(random.Random(0))
    assert inventor.fresh("[a bell]", " of X") == "a bell"
    assert inventor.fresh("[a bell]", " of X") == "a bell of X"
    with pytest.raises(ValueError, match="nothing new is left"):
        inventor.fresh("[a bell]", " of X")


def test_people_live_in_order(country: Country) -> None:
    for person in country.people:
        assert person.born < person.work_year < person.died
        assert person.birthplace is not person.home
        if person.teacher:
            assert person.teacher.trade == person.trade
            assert person.teacher.born < person.born < person.teacher.died


def test_shingles_and_jaccard() -> None:
    a, b = shingles("One, two three; four five!"), shingles("one two three four five six")
    assert len(a) == 1 and len(b) == 2
    assert jaccard(a, b) == 0.5
    assert jaccard(shingles("too short"), shingles("")) == 1.0


def test_lettered() -> None:
    assert lettered("Well, 3!") == 0.25
    assert lettered("") == 0.0


def test_a_short_page_has_no_near_copy() -> None:
    draft = Draft("article", "towns", "Short", ["Nothing to see here, people."])
    assert near_copy(draft, random.Random(0)) is None


def test_unknown_spam_sorts_leak_a_script(country: Country) -> None:
    rng = random.Random(0)
    assert "{" in DirtWriter(country, Shelf(rng), rng).spam("braces").text


def test_slug_and_curl() -> None:
    assert slug("Galével: a Story") == "galevel-a-story"
    assert slug("???") == "page"
    assert curl('"It\'s" ("so")') == "“It’s” (“so”)"


def test_two_pages_cannot_share_an_address() -> None:
    publisher = Publisher([], random.Random(0))
    draft = Draft("article", "towns", "Here", ["Text."])
    publisher.place(draft, "forum.world.example", "/here")
    with pytest.raises(ValueError, match="two pages at"):
        publisher.place(draft, "forum.world.example", "/here")
    first = publisher.place(draft, "forum.world.example")
    second = publisher.place(draft, "forum.world.example")
    assert (first.path, second.path) == ("/towns/here", "/towns/here-2")
