"""Problems: the answers are right, the steps lead to them."""

from __future__ import annotations

import random
import re

import pytest

from llmcourse.data.problems import arithmetic, letters, stories
from llmcourse.data.problems.problem import Problem
from llmcourse.data.problems.schoolbook import BARE, pages

STEP = re.compile(r"(\d+) ([-+x/]) (\d+) = (\d+)")


def steps_hold(problem: Problem) -> bool:
    """Every equation in the steps is true."""
    signs = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "x": lambda a, b: a * b,
        "/": lambda a, b: a / b,
    }
    found = [m.groups() for step in problem.steps for m in STEP.finditer(step)]
    return all(signs[sign](int(a), int(b)) == int(c) for a, sign, b, c in found)


def value_of(text: str) -> int:
    """From left to right, without eval."""
    total, sign = 0, "+"
    for token in text.split():
        if token in "+-":
            sign = token
        else:
            total += int(token) if sign == "+" else -int(token)
    return total


@pytest.mark.parametrize("seed", range(40))
def test_arithmetic_is_right(seed: int) -> None:
    rng = random.Random(seed)
    for problem in (
        arithmetic.total(rng, 3),
        arithmetic.difference(rng, 3),
        arithmetic.chain(rng, 4),
    ):
        asked = problem.question.removeprefix("What is ").rstrip("?")
        assert value_of(asked) == int(problem.answer) >= 0
        assert steps_hold(problem) and problem.steps
        assert problem.steps[-1].endswith(f"= {problem.answer}.")
    problem = arithmetic.product(rng, 3)
    a, b = map(int, re.findall(r"\d+", problem.question))
    assert a * b == int(problem.answer) and steps_hold(problem)


@pytest.mark.parametrize("make", [stories.purchase, stories.change, stories.baskets])
def test_stories_are_right(make: object) -> None:
    for seed in range(60):
        problem = make(random.Random(seed))  # type: ignore[operator]
        assert steps_hold(problem)
        assert STEP.findall(problem.steps[-1])[-1][-1] == problem.answer
        assert problem.question.endswith("?")


def test_emily_counts() -> None:
    """The unknown price, put back, gives the total."""
    for seed in range(200):
        problem = stories.purchase(random.Random(seed))
        if "What is the price" in problem.question:
            n, m, other, total = map(int, re.findall(r"\d+", problem.question))
            assert n * int(problem.answer) + m * other == total
            return
    pytest.fail("no such problem")


def test_letters_are_right() -> None:
    rng = random.Random(0)
    for word in ("strawberry", "river", "mississippi"):
        assert letters.spell(word, rng).answer.replace("-", "") == word
        assert letters.length(word, rng).answer == str(len(word))
        problem = letters.occurrences(word, rng)
        letter = re.search(r"letter (\w) occur", problem.question)
        assert letter and problem.answer == str(word.count(letter.group(1)))
    dots = letters.dots(rng)
    row = dots.question.partition(": ")[2].rstrip("?").split()
    assert len(row) == int(dots.answer) and len(set(row)) == 1


def test_pages_mix_bare_and_worked_answers() -> None:
    made = list(pages(300, ["river", "harvest"], seed=0))
    assert len({text for _, text in made}) == 300
    sums = [text for sort, text in made if sort == "arithmetic"]
    worked = sum("= " in text for text in sums) / len(sums)
    assert worked == pytest.approx(1 - BARE, abs=0.1)
    assert {sort for sort, _ in pages(60, ["river"], seed=0)} == {
        "arithmetic",
        "stories",
        "letters",
    }
