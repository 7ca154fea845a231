"""Traces of thought, the conversations made of them, and what of them is learnt."""

from __future__ import annotations

import random
import re

import pytest

from llmcourse.data.conversations.reasons import WAYS, ask, reason, reasons
from llmcourse.data.problems.expression import value
from llmcourse.data.problems.problem import Problem
from llmcourse.data.problems.traces import CHECKING, Habits, program, steps_of, trace
from llmcourse.data.problems.verifiable import check, problems
from llmcourse.errors import CourseError
from llmcourse.model import pretrained
from llmcourse.rl.reasoner import rendered, without_slips

EQUALITY = re.compile(r"([\d (][-+x/\d ()]*) = (\d+)\.")


def _text(pieces: tuple[tuple[str, bool], ...]) -> str:
    return "".join(text for text, _ in pieces)


def _some(n: int = 60) -> list[Problem]:
    return problems("chain", n, "train", 3, length=(2, 5), digits=2) + problems(
        "story", n, "train", 3, steps=(2, 4), digits=(1, 2)
    )


def test_a_trace_without_habits_is_the_worked_answer() -> None:
    for problem in _some():
        assert _text(trace(problem, random.Random(0), Habits())) == " ".join(problem.steps)


def test_every_equality_of_a_trace_holds_but_slips_and_it_ends_at_the_answer() -> None:
    rng = random.Random(1)
    for problem in _some():
        for _ in range(4):
            pieces = trace(problem, rng, Habits(*(rng.random() for _ in range(3)), slip=0.4))
            wrong = sum(not learnt for _, learnt in pieces)
            text = _text(pieces)
            held = [value(left) == int(right) for left, right in EQUALITY.findall(text)]
            assert held.count(False) == wrong
            last = [right for _, right in EQUALITY.findall(CHECKING.split(text)[0])]
            assert last or wrong
            without_checks = re.sub(
                r"(?:[^.]*\. Check: [^.]*\. No\.)|(?: Check: [^.]*\.)", "", text
            )
            assert EQUALITY.findall(without_checks)[-1][1] == problem.answer


def test_each_habit_does_what_it_says() -> None:
    rng = random.Random(2)
    chain = problems("chain", 1, "train", 5, length=5, digits=2)[0]
    assert _text(trace(chain, rng, Habits(leap=1.0))).count("=") == 1
    assert len(_text(trace(chain, rng, Habits(split=1.0)))) > len(" ".join(chain.steps))
    checked = _text(trace(chain, rng, Habits(check=1.0)))
    assert len(CHECKING.findall(checked)) == 5 and "No." not in checked
    slipped = trace(chain, rng, Habits(check=1.0, slip=0.9))
    assert _text(slipped).count("No.") == sum(not learnt for _, learnt in slipped) > 0


def test_a_step_that_has_not_two_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="two numbers"):
        steps_of(Problem("chain", "?", ("1 + 2 + 3 = 6.",), "6"))


@pytest.mark.parametrize("kind", ["chain", "story"])
def test_programs_print_the_answer(kind: str) -> None:
    made = [(p, code) for p in problems(kind, 60, "train", 4) if (code := program(p))]
    assert len(made) >= 15
    for problem, code in made:
        inside = code.removeprefix("print(").removesuffix(")")
        assert value(inside.replace("//", "/")) == int(problem.answer)


def test_programs_count_what_is_asked_for() -> None:
    made = [(p, code) for p in problems("counting", 60, "train", 4) if (code := program(p))]
    assert len(made) >= 15
    for problem, code in made:
        if found := re.fullmatch(r'print\("(.+)"\.count\("(.)"\)\)', code):
            assert found[1].count(found[2]) == int(problem.answer)
            assert found[2] in problem.question.replace(found[1], "")
        else:
            row = code.removeprefix('print(len("').removesuffix('".split()))')
            assert len(row.split()) == int(problem.answer)
        assert problem.given[0] in code


def test_conversations_follow_from_the_seed_and_answer_rightly() -> None:
    made = list(reasons(300, "train", 7))
    assert made == list(reasons(300, "train", 7))
    assert made != list(reasons(300, "train", 8))
    assert {c.about["kind"] for c in made} == {f"reason-{way}" for way in WAYS}
    for c in made:
        assert c.messages[-1].text == f"The answer is {c.about['answer']}."


def test_ways_differ_in_the_wish_and_in_the_answer_alone() -> None:
    problem = problems("chain", 1, "held", 0, length=3, digits=2)[0]
    kinds = {}
    for way in WAYS:
        made = reason(problem, way, random.Random(0), "held")
        assert problem.question in made.messages[0].text
        assert check(problem, made.messages[-1].text)
        kinds[way] = [part.kind for part in made.messages[-1].parts]
    assert kinds["once"] == ["text"]
    assert kinds["steps"] == ["think", "text"]
    assert kinds["python"] == ["python", "result", "text"]
    with pytest.raises(CourseError, match="nobody asks"):
        ask(problem, "slowly", random.Random(0))  # type: ignore[arg-type]


def test_slips_are_shown_and_carry_no_loss() -> None:
    tokenizer = pretrained.load("course-base").tokenizer
    found = [c for c in reasons(2000, "train", 0) if c.about["slips"]][:20]
    assert len(found) == 20
    for conversation in found:
        try:
            made = without_slips(conversation, tokenizer, 400)
        except CourseError:
            continue
        text = conversation.messages[-1].parts[0].text
        unlearnt, ids = [], made.ids
        start = ids.index(tokenizer.special_tokens["<|think_start|>"])
        run: list[int] = []
        for i, m in zip(ids[start:], made.loss_mask[start:], strict=True):
            if not m:
                run.append(i)
            elif run:
                unlearnt.append(tokenizer.decode(run))
                run = []
        assert unlearnt == [text[a:b] for a, b in conversation.about["slips"]]


def test_what_does_not_fit_is_left_out() -> None:
    tokenizer = pretrained.load("course-base").tokenizer
    conversations = list(reasons(100, "train", 0))
    assert len(rendered(conversations, tokenizer, 1000)) == 100
    few = rendered(conversations, tokenizer, 60)
    assert 0 < len(few) < 100 and all(len(one.ids) <= 60 for one in few)
