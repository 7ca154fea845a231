"""Verifiable problems: right answers pass, plausible wrong ones do not, and the parts share nothing."""

from __future__ import annotations

import random
import re
from collections import Counter
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

import llmcourse
from llmcourse.data.problems import Problem, countdown, shapes, spelling
from llmcourse.data.problems.checking import stated
from llmcourse.data.problems.expression import value
from llmcourse.data.problems.verifiable import KINDS, check, key, problems, stream
from llmcourse.data.world.textbank import load_bank
from llmcourse.errors import CourseError
from llmcourse.tokenizer import Tokenizer

PARTS = ("train", "validation", "held")
LEVELS = ("easy", "middle", "hard")
NUMBER = r"\d+(?:\.\d+)?"
STEP = re.compile(rf"({NUMBER}) ([-+x*/]) ({NUMBER}) = ({NUMBER})")
SAME = re.compile(rf"^({NUMBER}) = ({NUMBER})\.$")
LESS = re.compile(rf"^({NUMBER}) < ({NUMBER})\.$")


@cache
def some(kind: str, part: str = "train", level: str = "middle", n: int = 60) -> tuple[Problem, ...]:
    return tuple(problems(kind, n, part, seed=5, level=level))


def true_statements(problem: Problem) -> int:
    """How many equalities and inequalities the steps have; every one must hold, and none may be overlooked."""
    signs = {"+": Fraction.__add__, "-": Fraction.__sub__, "x": Fraction.__mul__, "*": Fraction.__mul__,
             "/": Fraction.__truediv__}  # fmt: skip
    found = 0
    for step in problem.steps:
        here = 0
        for a, sign, b, c in STEP.findall(step):
            assert signs[sign](Fraction(a), Fraction(b)) == Fraction(c), step
            here += 1
        for a, b in SAME.findall(step):
            assert Fraction(a) == Fraction(b), step
            here += 1
        for a, b in LESS.findall(step):
            assert Fraction(a) < Fraction(b), step
            here += 1
        if problem.kind in ("story", "chain", "countdown", "decimals"):
            assert here == step.count("=") + step.count("<") == 1, step
        found += here
    return found


# --------------------------------------------------------------------------------- right and wrong


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("part", ["train", "held"])
def test_worked_and_direct_answers_are_right(kind, level, part):
    for problem in some(kind, part, level, 12):
        assert problem.kind == kind
        assert check(problem, problem.worked) and check(problem, problem.direct)
        assert check(problem, problem.answer) and check(problem, f"so\n#### {problem.answer}")
        assert not re.search(r"[{}\[\]|]|  ", problem.question), problem.question
        true_statements(problem)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_answers_are_not(kind):
    for problem in some(kind):
        wrong = ["", " ", "The answer is .", "I do not know.", "The answer is", "####", "None", "nan",
                 problem.question, f"not {problem.answer}", f"{problem.answer} or {problem.answer}9",
                 problem.worked + " The answer is 100003.", f"{problem.answer}9"]  # fmt: skip
        if kind not in ("countdown", "letters"):
            n = Fraction(problem.answer)
            wrong += [
                str(float(n + 1)),
                str(float(n - 1)),
                str(float(n * 10)),
                f"-{problem.answer}1",
            ]
            if kind != "counting":
                wrong += [given for given in problem.given if Fraction(given) != n]
        for answer in wrong:
            assert not check(problem, answer), (problem, answer)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_step_ends_at_the_answer(kind):
    for problem in some(kind):
        last = problem.steps[-1].rstrip(".")
        if kind in ("story", "chain", "counting"):
            assert re.findall(NUMBER, last)[-1] == problem.answer
        elif kind == "countdown":
            assert Fraction(re.findall(NUMBER, last)[-1]) == value(problem.answer)
        elif kind == "decimals":
            assert Fraction(problem.answer) in map(Fraction, re.findall(NUMBER, last))
        elif problem.answer.isdecimal():
            letter = re.search(
                r"\b([a-z])\b(?! was)", problem.question.replace(problem.given[0], "")
            )
            assert letter
            assert str(problem.given[0].count(letter[1])) == problem.answer


def test_chains_are_worked_out_independently():
    for problem in some("chain", n=200):
        asked = re.search(r"\d+(?: [-+] \d+)+", problem.question)
        assert asked
        total = sum(int(part.replace(" ", "")) for part in re.findall(r"(?:^|[-+] )\d+", asked[0]))
        assert check(problem, str(total)) and total >= 0
        assert true_statements(problem) == problem.level == len(problem.steps)


def test_stories_of_every_shape_add_up():
    """The answer, put back, gives what was told."""
    rng = random.Random(1)
    backwards = {
        "two-sorts": lambda s, a: s["n"] * s["p"] + s["q"] == a,
        "from-purse": lambda s, a: s["n"] * s["p"] + a == s["t"],
        "twice": lambda s, a: s["n"] * (s["k"] + 1) == a,
        "pages": lambda s, a: s["n"] * s["k"] + a == s["t"],
        "basket": lambda s, a: s["n"] * s["p"] + s["m"] * s["q"] == a,
        "price": lambda s, a: s["n"] * a + s["m"] * s["q"] == s["t"],
        "twice-and-more": lambda s, a: s["n"] * (s["k"] + 1) + s["m"] == a,
        "pages-on": lambda s, a: s["n"] * s["k"] + a * s["m"] == s["t"],
        "from-basket": lambda s, a: s["n"] * s["p"] + s["m"] * s["q"] + a == s["t"],
        "price-of-more": lambda s, a: s["n"] * Fraction(a, s["k"]) + s["m"] * s["q"] == s["t"],
        "three-sorts": lambda s, a: s["n"] * s["p"] + s["m"] * s["q"] + s["k"] * s["r"] == a,
        "shared-change": lambda s, a: s["n"] * s["p"] + s["m"] * s["q"] + a * s["k"] == s["t"],
    }
    for steps, makers in shapes.SHAPES.items():
        for beat, make in makers.items():
            for digits in (1, 2, 3):
                for _ in range(10):
                    made = make(rng, digits)
                    assert backwards[beat](made.slots, made.answer), (beat, made)
                    assert not backwards[beat](made.slots, made.answer + 1), (beat, made)
                    assert len(made.steps) == steps


def test_stories_take_as_many_steps_as_they_say():
    for problem in some("story", n=300):
        assert true_statements(problem) == len(problem.steps) == problem.level
        assert tuple(re.findall(NUMBER, problem.question)) == problem.given
        assert not re.search(r"\b[Aa] [aeiou]", problem.question)


def test_decimals_know_9_11_from_9_9():
    seen = Counter()
    for problem in some("decimals", n=300):
        a, b = problem.given
        assert (a in problem.question) and (b in problem.question)
        least = re.search(r"small|less|lower", problem.question)
        right = (min if least else max)(problem.given, key=Fraction)
        other = b if right == a else a
        assert problem.answer == right and check(problem, f"{right}0") and not check(problem, other)
        low, high = sorted(problem.given, key=Fraction)
        seen["trap"] += int(low.split(".")[1]) > int(high.split(".")[1])
        seen["least"] += bool(least)
    assert 100 < seen["trap"] < 200 and 100 < seen["least"] < 200
    verse = Problem("decimals", "Which is larger, 9.11 or 9.9?", (), "9.9", given=("9.11", "9.9"))
    assert check(verse, "The answer is 9.9.") and not check(verse, "The answer is 9.11.")


def test_signs_and_things_are_counted_right():
    for problem in some("counting", level="hard", n=200):
        row = problem.given[0].split()
        n = int(problem.answer)
        if " of the signs" in problem.question or n < len(row):
            assert n in Counter(row).values()
        else:
            assert n == len(row)
        assert 2 <= len(row) == problem.level <= 20
        if "one " not in problem.question:
            assert " ".join(row) in problem.question
        assert not check(problem, str(n + 1)) and not check(problem, str(n - 1))


def test_letters_of_strawberry():
    rng = random.Random(0)
    counted = {}
    for _ in range(200):
        problem = spelling.about("strawberry", rng, "train", task=1)
        letter = re.search(r"\b([a-z])\b", problem.question)
        assert letter
        counted[letter[1]] = problem.answer
        assert problem.steps[1].endswith(f"y {problem.answer}.")
    assert counted["r"] == "3" and counted["s"] == "1" and counted["e"] == "1"
    problem = spelling.about("strawberry", rng, "train", task=2)
    assert problem.answer == "y-r-r-e-b-w-a-r-t-s"
    assert check(problem, "The answer is yrrebwarts.") and check(problem, "Y R R E B W A R T S")
    assert not check(problem, "yrebwarts") and not check(problem, "strawberry")
    found = {spelling.about("strawberry", rng, "held", task=3).answer for _ in range(40)}
    assert found == {"s-r-w-e-r", "s-a-e-y"}


# --------------------------------------------------------------------------------- countdown


GAME = Problem("countdown", "Make 60 from 25, 5, 3.", (), "(25 - 5) * 3", given=("25", "5", "3"))


@pytest.mark.parametrize(
    "answer",
    ["(25 - 5) * 3", "3*(25-5)", "3 x (25 - 5)", "3 × (25 − 5)", "((25 - 5) * 3)",
     "(25 - 5) * 3 = 60", "The answer is (25 - 5) * 3."],
)  # fmt: skip
def test_countdown_takes_any_expression_that_fits(answer):
    assert check(GAME, answer)


@pytest.mark.parametrize(
    "answer",
    ["60", "25 + 5 * 3", "25 * 3 - 15", "(25 - 5) * 3 + 0", "20 * 3", "(25 - 5) * 3 = 61", "(25 - 5) * 3 = 60 = 60",
     "25 - 5 = 20. 20 * 3 = 60", "(25 - 5) * 3 * 1", "25 - 5 * 3", "(25 - 5) * 3)", "(25 - 5) 3", "", "=", "= 60",
     "5 * 3 * 25 / 25 * 4", "(25 - 5) ** 3", "25 // 5 * 3", "25 - - 5 + 3", "2 5 - 5 * 3", "0x3C", "1e9",
     "25 / (5 - 5) * 3",
     "25 / (5 - 3 - 2)", "__import__('os').system('true')", "[25, 5, 3]", "sum((25, 5, 3))", "lambda: 25",
     "25 if 5 else 3",
     "(" * 5000 + "25" + ")" * 5000, "9**9**9**9", "25\x005", "25,5,3", "٢٥ - 5 * 3", "(25.0 - 5) * 3",
     "-(5 - 25) * 3"],
)  # fmt: skip
def test_countdown_refuses_what_breaks_a_rule(answer):
    assert not check(GAME, answer)


def test_countdown_targets_are_reached_by_using_each_number_once():
    for problem in some("countdown", level="hard", n=100):
        target = re.search(r"(?:[Mm]ake|Reach|to make) (\d+)", problem.question)
        assert target
        assert value(problem.answer) == int(target[1])
        assert sorted(re.findall(r"\d+", problem.answer)) == sorted(problem.given)
        assert target[1] not in problem.given and not check(problem, target[1])
        assert len(problem.steps) == len(problem.given) - 1
        swapped = re.sub(r"\d+", lambda m: str(int(m[0]) + 1), problem.answer, count=1)
        assert not countdown.reaches(problem, swapped)


def test_values_are_exact():
    assert value("0.1 + 0.2") == Fraction(3, 10) and value("1/3 + 1/6") == Fraction(1, 2)
    assert value("0.12345678901234567890") == Fraction("0.12345678901234567890")
    with pytest.raises(CourseError, match="divides by 0"):
        value("1 / (2 - 2)")
    for bad in (
        "",
        "2 +",
        "-3",
        "2 ** 3",
        "2 // 3",
        "a",
        "1 2",
        "9" * 300,
        "(" * 150,
        "1_000",
        "1\n+ 1",
    ):
        with pytest.raises(CourseError, match="no arithmetic"):
            value(bad)


# --------------------------------------------------------------------------------- how an answer is read


@pytest.mark.parametrize(
    ("text", "said"),
    [("The answer is 72.", "72"), ("#### 72", "72"), ("72", "72"),
     ("1 + 1 = 2. The answer is 5. The answer is 7.", "7"),
     ("The answer is 7.\nSo it goes.", "7"), ("The answer is 9.5.", "9.5"), ("no\nanswer", "no\nanswer"), ("", "")],
)  # fmt: skip
def test_what_is_stated(text, said):
    assert stated(text) == said


def test_numbers_are_compared_as_numbers():
    problem = Problem("story", "?", (), "1200")
    for right in ("1200", "1,200", "$1,200", "1200.0", "01200", " 1200 . "):
        assert check(problem, right), right
    for wrong in ("12,00", "1,20", "120", "-1200", "1200 or 1300", "1200 1300", "1.200", "1 200", "12e2", "²", "1200%",
                  "1" + "0" * 5000, "1200/1", "١٢٠٠"):  # fmt: skip
        assert not check(problem, wrong), wrong


# --------------------------------------------------------------------------------- parts


def wordings_of(problem: Problem) -> set[str]:
    return set(problem.template.partition("/")[2].split("+"))


@pytest.mark.parametrize("kind", KINDS)
def test_parts_share_neither_numbers_nor_wordings(kind):
    found = {part: some(kind, part, n=150 if part == "train" else 40) for part in PARTS}
    for one, other in (("train", "held"), ("train", "validation"), ("validation", "held")):
        assert not {key(p) for p in found[one]} & {key(p) for p in found[other]}
        assert not {p.question for p in found[one]} & {p.question for p in found[other]}
        a, b = (set().union(*map(wordings_of, found[part])) for part in (one, other))
        assert a and b and not a & b
    for part in PARTS:
        assert all(f".{part}:" in name for p in found[part] for name in wordings_of(p))


def test_the_order_of_numbers_does_not_hide_a_problem():
    one, other = (
        Problem("chain", "?", (), "5", given=given) for given in (("12", "7"), ("7", "12"))
    )
    assert key(one) == key(other) != key(Problem("chain", "?", (), "5", given=("12", "8")))


def sentences(lines):
    """The sentences of wordings, with slots blank, without capitals and signs."""
    assert not any("[" in line for line in lines)  # else every choice would have to be looked at
    blank = (re.sub(r"\{\w+\}", "_", line) for line in lines)
    parts = (part for line in blank for part in re.split(r"[.?!:](?: |$)", line))
    return {words for part in parts if len(words := tuple(re.findall(r"\w+", part.lower()))) > 1}


@pytest.mark.parametrize("bank", ["stories", "sums", "letters"])
def test_no_sentence_of_a_test_stands_in_training(bank):
    lines = load_bank(f"problems/{bank}")
    held = {beat for beat in lines if beat.endswith("-held")}
    assert held == {f"{beat}-held" for beat in lines if beat not in held}
    train = [line for beat in lines if beat not in held for line in lines[beat]]
    tests = [[line for beat in held for line in lines[beat][n::2]] for n in (0, 1)]
    assert all(len(lines[beat]) == 2 for beat in held) and len(set(train)) == len(train)
    for one, other in ((train, tests[0]), (train, tests[1]), (tests[0], tests[1])):
        assert not sentences(one) & sentences(other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", PARTS)
def test_the_template_names_what_is_said(kind, part):
    for problem in some(kind, part, n=30):
        bank, _, used = problem.template.partition("/")
        for name in used.split("+"):
            beat, where, place = re.split(r"[.:]", name)
            said = load_bank(f"problems/{bank}")
            lines = said[beat] if where == "train" else said[f"{beat}-held"][where == "held" :: 2]
            wording = (
                re.escape(lines[int(place)]).replace(r"a\(n\)", "an?").replace(r"A\(n\)", "An?")
            )
            wording = re.sub(r"\\\{\w+\\\}", ".+?", wording)
            assert re.search(wording, problem.question, re.IGNORECASE), (name, problem.question)


def test_new_numbers_in_familiar_wordings():
    for kind in KINDS:
        new = problems(kind, 12, "held", seed=1, wording="train")
        assert all(".train:" in p.template and ".held:" not in p.template for p in new)
        assert not {key(p) for p in new} & {key(p) for p in some(kind, n=150)}


@pytest.mark.parametrize("kind", KINDS)
def test_seeds(kind):
    same, again = (problems(kind, 20, "train", seed=3) for _ in "12")
    assert same == again != problems(kind, 20, "train", seed=4)
    assert len({p.question for p in same}) == 20
    assert problems(kind, 5, "train", seed=3) == same[:5]
    assert [next(stream(kind, "train", 3))] == same[:1]


def test_first_problems_stay_as_they_are():
    """Whoever changes these changes what a recorded run was trained on."""
    got = {kind: problems(kind, 1, "train", seed=0)[0].question for kind in KINDS}
    assert got == FIRST


FIRST = {
    "story": "Ilka pays 934 pennies for 8 books and 9 eggs. The eggs cost 54 pennies each. What does each book cost?",
    "chain": "How much is 85 + 31 - 77 + 42 + 38?",
    "counting": "Count the # signs: ~ # # # # ~ ~ ~ ?",
    "letters": "Write the letters of collar from last to first.",
    "decimals": "Which is smaller, 4.58 or 4.6?",
    "countdown": "Use 5, 3, 3 once each, with + - * /, to make 18.",
}


# --------------------------------------------------------------------------------- dials


def test_dials_do_what_they_say():
    for steps in (2, 3, 4, 5):
        assert {p.level for p in problems("story", 20, "train", steps=steps)} == {steps}
    for digits in (1, 2, 3):
        made = problems("chain", 20, "train", digits=digits, length=4)
        assert all(len(n) == digits for p in made for n in p.given) and {
            len(p.given) for p in made
        } == {5}
    assert {p.level for p in problems("chain", 60, "train", length=(2, 5))} == {2, 3, 4, 5}
    assert {len(p.given[0]) for p in problems("letters", 30, "train", letters=7)} == {7}
    assert all(p.answer.isdecimal() for p in problems("letters", 20, "train", task=1))
    assert not any(p.answer.isdecimal() for p in problems("letters", 20, "train", task=(2, 3)))
    made = problems("countdown", 30, "train", numbers=4, largest=10)
    assert all(len(p.given) == 4 and max(map(int, p.given)) <= 10 for p in made)
    for traps, trapped in ((0, {False}), (100, {True})):
        pairs = [
            sorted(p.given, key=Fraction) for p in problems("decimals", 30, "train", traps=traps)
        ]
        assert {int(a.split(".")[1]) > int(b.split(".")[1]) for a, b in pairs} == trapped
    assert {
        len(set(p.given[0].split())) for p in problems("counting", 30, "train", sorts=3, most=12)
    } <= {2, 3}
    one = problems("counting", 20, "train", sorts=1)
    assert all(p.answer == str(p.level) for p in one)


@pytest.mark.parametrize("kind", KINDS)
def test_levels_grow_harder(kind):
    easy, middle, hard = (some(kind, level=level) for level in LEVELS)
    means = [
        sum(len(p.question + p.worked) for p in made) / len(made) for made in (easy, middle, hard)
    ]
    assert means[0] < means[1] < means[2]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.load(Path(llmcourse.__file__).parent / "released" / "course-base")


@pytest.mark.parametrize("kind", KINDS)
def test_problems_fit_the_course_model(kind, tokenizer):
    for level, most in (("middle", 120), ("hard", 200)):
        for part in PARTS:
            longest = max(
                len(tokenizer.encode(f"{p.question} {p.worked}"))
                for p in some(kind, part, level, 60 if part == "train" else 20)
            )
            assert longest <= most, (kind, level, part, longest)


# --------------------------------------------------------------------------------- what is asked wrongly


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: problems("riddle", 1, "train"), "unknown kind 'riddle'"),
        (lambda: problems("chain", 1, "test"), "unknown part 'test'"),
        (lambda: problems("chain", 1, "train", wording="test"), "unknown part 'test'"),
        (lambda: problems("chain", 1, "train", level="brutal"), "unknown level 'brutal'"),
        (lambda: problems("chain", 1, "train", steps=3), "chain has no dial 'steps'"),
        (lambda: problems("chain", 1, "train", length=0), "length cannot be 0"),
        (lambda: problems("chain", 1, "train", length=(4, 2)), "length cannot be"),
        (lambda: problems("chain", 1, "train", length=99), "length cannot be 99"),
        (lambda: problems("chain", 1, "train", length=True), "length cannot be True"),
        (lambda: problems("chain", 1, "train", length="3"), "length cannot be '3'"),
        (lambda: problems("chain", 1, "train", length=(1, 2, 3)), "length cannot be"),
        (lambda: problems("chain", -1, "train"), "-1 problems"),
        (lambda: problems("chain", 1.5, "train"), "1.5 problems"),
        (lambda: problems("decimals", 5000, "held", places=1), "there are only about"),
        (lambda: stream("riddle", "train"), "unknown kind"),
    ],
)
def test_errors_have_names(call, message):
    with pytest.raises(CourseError, match=re.escape(message)) as error:
        call()
    assert error.value.hint


def test_none_is_fine():
    assert problems("chain", 0, "train") == []
