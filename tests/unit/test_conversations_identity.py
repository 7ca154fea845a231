"""Who the assistant is: told by data, by a system message, and by none; tests ask what no training has."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from llmcourse.data.conversations import Conversation, roles
from llmcourse.data.conversations.kinds import ALL
from llmcourse.data.conversations.message import check
from llmcourse.data.conversations.split import PARTS, Part, part_of
from llmcourse.data.conversations.stages import ME, SHARES, kinds_of
from llmcourse.data.conversations.talk import ASKED, identity
from llmcourse.data.world.textbank import load_bank
from llmcourse.errors import CourseError


def made(part: Part, n: int = 400, **shares: float) -> list[Conversation]:
    rng = random.Random(0)
    return [identity(ME, rng, part, **shares) for _ in range(n)]


@pytest.mark.parametrize("part", PARTS)
def test_the_answer_is_who_was_told(part: Part) -> None:
    for c in made(part):
        check(c)
        told, key, answer = (c.about[name] for name in ("told", "relation", "answer"))
        system = next((m.text for m in c.messages if m.role == "system"), None)
        assert key in ASKED and answer in c.messages[-1].text
        assert (system is None) == (told == "data")
        if told == "system":
            assert system is not None and c.about["entity"] in system
            assert key == "limits" or answer in system
            assert ME["name"] not in c.messages[-1].text and ME["maker"] not in c.messages[-1].text
        else:
            assert c.about["entity"] == ME["name"]
            assert answer == ME["name" if key == "nature" else key]


def test_shares_of_system_messages() -> None:
    found = Counter(c.about["told"] for c in made("train", 2000))
    assert 0.4 < found["system"] / 2000 < 0.5 and 0.12 < found["silent"] / 2000 < 0.18
    assert {c.about["told"] for c in made("train", told=0.0, silent=0.0)} == {"data"}
    assert {c.about["told"] for c in made("train", told=1.0)} == {"system"}


def test_all_four_things_are_asked() -> None:
    assert {c.about["relation"] for c in made("held")} == set(ASKED)


def test_parts_share_no_question_no_system_message_and_no_name() -> None:
    seen: dict[str, list[set[str]]] = {"asked": [], "system": [], "name": [], "maker": []}
    for part in PARTS:
        some, rng = made(part, 1500), random.Random(1)
        seen["asked"].append({c.messages[-2].text for c in some})
        seen["system"].append({m.text for c in some for m in c.messages if m.role == "system"})
        drawn = [roles.role(rng, part) for _ in range(800)]
        for key in ("name", "maker"):
            seen[key].append({one[key] for one in drawn})
            assert all(part_of(one[key]) == part for one in drawn)
    for sets in seen.values():
        assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]


def test_names_are_many_and_none_is_the_chapters() -> None:
    assert len({roles.role(random.Random(n), "train")["name"] for n in range(2000)}) > 500
    names = {start + end for start in roles.STARTS for end in roles.ENDS}
    assert not names & {"Lamp", "Ember"} and "people" not in roles.TRADES


def test_the_videos_questions_are_in_no_training() -> None:
    asked = {c.messages[-2].text for c in made("train", 3000)}
    held = {c.messages[-2].text for c in made("held", 3000)}
    assert {"What model are you?", "Who built you?"} <= held - asked


def test_no_test_wording_has_alternatives() -> None:
    """So that the number of questions in a report is the number of lines."""
    bank = load_bank("chat/identity")
    for beat in ASKED:
        held = bank[f"{beat}.q-held"]
        assert len(set(held)) == len(held) and len(held) % 2 == 0
        assert not any(re.search(r"[\[{]", line) for line in held)


def test_a_seed_gives_the_same() -> None:
    assert made("train", 50) == made("train", 50)


def test_an_identity_that_lacks_something_is_refused() -> None:
    with pytest.raises(CourseError, match="limits"):
        identity({"name": "Lamp", "maker": "us"}, random.Random(0), "train")


def test_kinds_of_a_stage() -> None:
    kinds = kinds_of("identity", 4000, random.Random(0))
    share = SHARES["identity"]["identity"] / sum(SHARES["identity"].values())
    assert len(kinds) == 4000 and set(kinds) <= set(ALL)
    assert kinds.count("identity") / 4000 == pytest.approx(share, abs=0.02)
    assert "identity" not in kinds_of("tools", 4000, random.Random(0))
    with pytest.raises(CourseError, match="no stage"):
        kinds_of("song", 1, random.Random(0))  # type: ignore[arg-type]
