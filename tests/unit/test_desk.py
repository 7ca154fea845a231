"""The reference desk: what is asked stands on its page, of nobody in this World, and windows do not cut it."""

from __future__ import annotations

import random
import re

import numpy as np

from llmcourse.data.mixture import uncut
from llmcourse.data.problems.desk import asked, others, pages
from llmcourse.data.world.whole import invent

WORLD = invent(0, 0.1)
TAKEN = {
    word
    for entity in WORLD.everything()
    for word in (entity.name, *(entity.name.split() if entity.kind.name == "person" else ()))
}


def test_a_seed_gives_the_same_and_all_sorts_come():
    some = list(pages(200, TAKEN, 1, size=0.1))
    assert some == list(pages(200, TAKEN, 1, size=0.1)) != list(pages(200, TAKEN, 2, size=0.1))
    assert {sort for sort, _ in some} == {"lookup", "page", "copies", "programs"}
    assert not list(pages(0, TAKEN))


def test_nobody_of_this_world_is_asked_for():
    known = {entity.name.lower() for entity in WORLD.everything()}
    people = {entity.short for entity in WORLD.entities["person"]}
    for kind, members in others(TAKEN, 0, 0.1).items():
        assert len(members) > 10
        for entity in members:
            assert entity.name.lower() not in known
            assert kind != "person" or entity.short not in people


def test_a_lookup_quotes_a_card_and_names_it_or_says_that_there_is_none():
    found = 0
    for sort, text in pages(300, TAKEN, size=0.1):
        if sort != "lookup":
            continue
        cards = dict(re.findall(r"^\[(.+?)\] (.*)$", text, re.M))
        last = text.rstrip("\n").split("\n")[-1]
        quoted = re.fullmatch(r'(.*) \(Source: "(.*)"\)', last)
        if quoted:
            found += 1
            assert quoted[1] in cards[quoted[2]]
        else:
            missing = re.search(r"(?:about|of) (.+)\.$", last)
            assert missing and not cards and "\nnothing found\n" in text
    assert found > 50


def test_programs_print_what_is_right():
    lines = 0
    for sort, text in pages(200, TAKEN, size=0.1):
        if sort == "programs":
            for a, sign, b, value in re.findall(r"print\((\d+) ([*+]) (\d+)\)\n(\d+)\n", text):
                lines += 1
                assert int(value) == (int(a) * int(b) if sign == "*" else int(a) + int(b))
    assert lines > 20


def test_copies_are_copies():
    for sort, text in pages(100, TAKEN, size=0.1):
        if sort == "copies":
            said = [line.split(": ", 1)[1] for line in text.rstrip("\n").split("\n")]
            assert said[::2] == said[1::2]


def test_the_last_answer_is_right_and_only_what_can_be_read_counts():
    for one in asked(300, TAKEN, 5, 0.1):
        text, counts = one.pieces[one.last]
        assert counts and one.key in text
        assert one.text.startswith(one.prompt + text)
        free = "".join(text for text, counts in one.pieces if not counts)
        if one.sort in ("lookup", "copies") and "nothing found" not in free:
            words = one.key.split(" (Source")[0].split(", ")
            assert all(word.rstrip(".").lower() in free.lower() for word in words)


def test_what_must_stay_whole_is_not_cut():
    rng = random.Random(0)
    documents = [(np.full(rng.randint(20, 400), i), i % 3 > 0) for i in range(600)]
    for window in (64, 256):
        place, seen, cut = 0, [], 0
        for ids in uncut(documents, window):
            i = int(ids[0])
            seen.append(i)
            if documents[i][1] and len(ids) <= window:
                cut += place // window != (place + len(ids) - 1) // window
            place += len(ids)
        assert sorted(seen) == list(range(600))
        short = sum(whole and len(ids) <= window for ids, whole in documents)
        # What is left at the end is written as it comes.
        assert cut < 0.1 * short


def test_without_windows_nothing_moves():
    documents = [(np.array([i]), True) for i in range(5)]
    assert [int(ids[0]) for ids in uncut(documents, 0)] == [0, 1, 2, 3, 4]
