"""What is taken for an answer, and what is not; and what an attempt earns for it."""

from __future__ import annotations

import importlib
import random
from dataclasses import dataclass
from fractions import Fraction

import pytest

from llmcourse.errors import CourseError
from llmcourse.rl.answers import (
    as_number,
    final_answer,
    last_number,
    plain,
    said_aloud,
    without_echo,
)
from llmcourse.rl.rewards import (
    Rewards,
    correctness,
    math_correctness,
    overlong,
    states_one_answer,
    thinks_first,
)


@dataclass(frozen=True)
class P:
    """The least that a problem is."""

    answer: str
    question: str = "How many apples has Emily after all this?"


NUMBERS = [
    ("7", 7), ("7.", 7), ("7.0", 7), ("07", 7), ("+7", 7), (" 7 ", 7), (".5", "1/2"), ("0.50", "1/2"),
    ("-5", -5), ("- 5", -5), ("−5", -5), ("−\u00a05", -5), ("–5", -5), ("minus 5", -5), ("(-5)", -5),
    ("negative 0.5", "-1/2"), ("-.5", "-1/2"),
    ("$5", 5), ("$5$", 5), ("\\$5", 5), ("-$5", -5), ("$-5", -5), ("€ 1,234.50", "2469/2"), ("£3", 3),
    ("1,234", 1234), ("1,234,567", 1234567), ("1 234", 1234), ("1\u202f234", 1234), ("1_234", 1234),
    ("1'234", 1234), ("1{,}234", 1234), ("1\\,234", 1234), ("12,345.6", "61728/5"), ("1234", 1234),
    ("7 apples", 7), ("7kg", 7), ("5 m^2", 5), ("5 m2", 5), ("60 km/h", 60), ("50%", 50), ("50\\%", 50),
    ("7\\text{ cm}", 7), ("a 5-litre jug", 5), ("1st", 1), ("\\boxed{7}", 7), ("**7**", 7), ("`7`", 7),
    ("3/4", "3/4"), ("3 / 4", "3/4"), ("-3/4", "-3/4"), ("6/8", "3/4"), ("\\frac{3}{4}", "3/4"),
    ("\\dfrac34", "3/4"), ("-\\frac{3}{4}", "-3/4"), ("\\frac{-3}{4}", "-3/4"), ("\\frac{3}{-4}", "-3/4"),
    ("1\\frac{1}{2}", "3/2"), ("1 1/2", "3/2"), ("½", "1/2"), ("1½", "3/2"), ("\\boxed{\\frac{3}{4}}", "3/4"),
    ("1.2e3", 1200), ("1.2 × 10^3", 1200), ("3 \\times 10^{-2}", "3/100"), ("2 million", 2_000_000),
    ("3 + 4 = 7", 7), ("7 = 3 + 4", 7), ("x = 7", 7), ("about 7", 7), ("7 x 7 = 49", 49), ("8 - 5 = 3", 3),
    ("5 - 8 = -3", -3), ("7 apples, 7", 7),
]  # fmt: skip
NO_NUMBERS = [
    "", " ", "apples", "seven", "5 or 7", "5, 7", "3,4", "12,34", "3 + 4", "4 + 4", "4 - 4", "5-7", "5^2",
    "x^2", "1/0", "1.2.3", "\\sqrt{4}", "2\\pi", "√4", "3 = 7", "m2", "x + 3", "7 x 7", "nan", "inf", "-",
    "$", "\\frac{}{}", "\\frac{1}{", "\\boxed{", "=", "1" * 300, "٣",
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_numbers(text, number):
    assert as_number(text) == Fraction(number)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_numbers(text):
    assert as_number(text) is None


RIGHT = [
    "The answer is 12.", "the answer is 12", "The answer is: 12", "The answer is $12$.", "Answer: 12", "ANSWER = 12",
    "The final answer is 12!", "The answer is **12**.", "The answer is 12 apples.", "The answer is $12.",
    "The answer is 12.0.", "The answer is \\boxed{12}.", "\\boxed{12}", "\\[ \\boxed{12} \\]", "#### 12",
    "<answer>12</answer>", "<think>It may be 7.</think><answer> 12 </answer>", "The answer is\n12",
    "The answer is 5 + 7 = 12.", "5 + 7 = 12. The answer is 12.", "12", "12.", "She has 12 apples.",
    "5 and 7 make 12.", "The answer is 12 because 5 + 7 = 12.", "The answer is 12 (that is 5 + 7).",
    "The answer is 12, since she bought 7.", "The answer to 5 + 7 is 12.", "Final answer: the answer is 12.",
    "The answer is 7. No, wait. The answer is 12.", "The answer is not 7. The answer is 12.",
    "The answer is 7.\nThe answer is 8.\nThe answer is 12.", "The answer is 12. Check: 12 - 7 = 5.",
    "The answer is 12. Yes, the answer is 12.", "The answer is 12. Wait, yes: 12.", "So \\boxed{7}. Then \\boxed{12}.",
    "<think>The answer is 7.</think>The answer is 12.", "Is it 7? The answer is 12.", "The answer would be 12",
    "It is not 7, it is 12.", "4 apples, so 12 apples.", 'She said: "The answer is 12."',
]  # fmt: skip
WRONG = [
    "", " \n ", "I do not know.", "The answer is", "The answer is .", "The answer is 13.", "The answer is -12.",
    "The answer is 120.", "The answer is 1.2.", "The answer is 12 or 13.", "The answer is 13 or 12.",
    "The answer is either 12 or 13.", "The answer is 12, 13.", "The answer is 12 and 13.", "12 or 13", "13 or 12",
    "13, 12", "13 and 12", "13 apples or maybe 12 apples", "The answer is 12. Or 13.", "The answer is 12. No, 13.",
    "The answer is 12. Actually it is 13.", "The answer is 12. The answer is 13.", "\\boxed{12} or \\boxed{13}",
    "\\boxed{13} or \\boxed{12}", "The answer is \\boxed{12} or 13.", "The answer is 12, so \\boxed{13}.",
    "The answer is not 12.", "It is not 12", "It isn't 12", "Is the answer 12?", "The answer is 12?",
    "<think>The answer is 12.</think>", "<think>12", "<think>12</think>I do not know.", "The answer is 12^2.",
    "The answer is 12 + 12.", "The answer is 6 + 6.", "The answer is \\sqrt{12}.", "The answer is x12.",
    "12 13", "The answer is 12/13.", "\\boxed{}", "1 2", "1,2", "12 is wrong, 13 is right",
]  # fmt: skip


@pytest.mark.parametrize("text", RIGHT)
def test_right(text):
    assert correctness(text, P("12")) == 1


@pytest.mark.parametrize("text", WRONG)
def test_wrong(text):
    assert correctness(text, P("12")) == 0


@pytest.mark.parametrize(
    ("question", "answer", "echo", "honest"),
    [
        ("Which is larger, 9.11 or 9.9?", "9.9", "Which is larger, 9.11 or 9.9?", "9.9 is larger"),
        ("Which is larger, 9.11 or 9.9?", "9.9", "which is larger, 9.11 or 9.9", "The answer is 9.9."),
        ("Which is larger, 9.11 or 9.9?", "9.9", "You ask which is larger, 9.11 or 9.9", "9.9"),
        ("What is 40 + 2 + 0 - 0 + 42?", "42", "What is 40 + 2 + 0 - 0 + 42", "It is 42"),
        ("2 + 2?", "2", "2 + 2", "2 + 2 = 2"),
    ],
)  # fmt: skip
def test_an_echo_earns_nothing(question, answer, echo, honest):
    problem = P(answer, question)
    assert correctness(echo, problem) == 0
    assert correctness(f"{echo}\n", problem) == 0
    assert correctness(honest, problem) == 1
    assert correctness(f"{echo} The answer is {answer}.", problem) == 1
    assert correctness(f"{echo} The answer is 77.", problem) == 0


def test_an_answer_in_words():
    problem = P("Paris", "What is the capital of France?")
    for text in ("Paris", " paris. ", "The answer is Paris.", "The answer is \\boxed{Paris}.", '"Paris"',
                 "Final answer: the answer is Paris.", "<think>London?</think>Paris"):  # fmt: skip
        assert correctness(text, problem) == 1, text
    for text in ("", "London", "Paris or London", "The answer is Paris or London.", "Not Paris",
                 "The answer is Paris. Or London.", "London. The answer is", "It is far from Paris."):  # fmt: skip
        assert correctness(text, problem) == 0, text
    assert correctness("b3", P("b3")) == 1 and correctness("3", P("b3")) == 0
    assert correctness("12", P(" ")) is None


def test_every_way_to_write_a_number_is_right_everywhere():
    """A fuzz: sentences × ways of writing. The right number earns 1, its neighbour 0, and nothing raises."""
    rng = random.Random(0)
    frames = [
        "{}", "The answer is {}.", "{} is it", "So we get {}.", "\\boxed{{{}}}", "#### {}",
        "5 + 6 = 11.\nThe answer is {}.",
        "<think>3, 4 or {}</think>\nThe answer is {}.", "Answer: {}", "The answer is 3. Wait. The answer is {}.",
        "The answer is {}, because 2 + 3 = 5.", "**The answer is {}.**", "First 17, then 4. Then {}.",
        "$${}$$", "\\({}\\)",
    ]  # fmt: skip
    for _ in range(1000):
        n = rng.choice([0, 1, 7, 42, 999, 1000, 123456, 1234567]) * rng.choice([1, -1])
        ways = [
            str(n), f"{n:,}", f"{n:,}".replace(",", "\u202f"), f"{n:_}", f"{n}.0", f"{n} apples", f"{n} kg",
            f"${n}$", str(n).replace("-", "−"), str(n).replace("-", "- "), f"{2 * n}/2", f"\\frac{{{2 * n}}}{{2}}",
        ]  # fmt: skip
        text = (
            rng.choice(frames).replace("{}", rng.choice(ways)).replace("{{", "{").replace("}}", "}")
        )
        assert correctness(text, P(str(n))) == 1, (text, n)
        assert correctness(text, P(str(n + 1))) == 0, (text, n)
        assert correctness(text, P(f"{n}.5")) == 0, (text, n)


def test_nothing_raises():
    """Noise of everything that means something here."""
    rng = random.Random(1)
    scraps = [
        "The answer is", "\\boxed{", "}", "{", "12", ",", ".", "-", "/", "0", " ", "\n", "\\frac", "1e999",
        "$", "or", "<think>",
        "</think>", "<answer>", "####", "=", "^", "½", "\\", "×", "10^", "(", ")", "\x00", "é", "９",
        "1" * 400, "?", "not",
    ]  # fmt: skip
    for _ in range(1000):
        text = "".join(rng.choice(scraps) for _ in range(rng.randint(0, 14)))
        for problem in (P("12"), P("word"), P("3/4", text), P(text or "1", text)):
            assert correctness(text, problem) in (0.0, 1.0, None)
            assert states_one_answer(text, problem) in (0.0, 1.0)
            assert thinks_first(text, problem) in (0.0, 1.0)


def test_the_parts():
    assert said_aloud("a<think>b</think>c<think>d") == "a c "
    assert final_answer("So the answer is 7 apples, because it is.") == "7 apples"
    assert final_answer("nothing") is None and last_number("nothing") is None
    assert last_number("from 3 to 4") == "4"
    assert plain(' "The  Answer." ') == "the answer"
    assert without_echo("What is 1 + 2? It is 3.", "What is 1 + 2?").strip() == "It is 3."
    assert without_echo("It is 3.", "Hm") == "It is 3."


def test_form():
    problem = P("7")
    for text in ("The answer is 7.", "3 + 4 = 7. The answer is 7.", "the answer is -7.5", "The answer is 7!",
                 "<think>The answer is 8.</think>The answer is 7."):  # fmt: skip
        assert states_one_answer(text, problem) == 1, text
    for text in (
        "",
        "7",
        "The answer is 7. Really.",
        "The answer is",
        "The answer is .",
        "The answer is 7. The answer is 7.",
    ):
        assert states_one_answer(text, problem) == 0, text
    assert thinks_first("<think>3 + 4</think>7", problem) == 1
    for text in (
        "7",
        "<think>3</think>",
        "<think> </think>7",
        "<think>3",
        "<think>3</think>7<think>8</think>",
        "a<think>b</think>c",
    ):
        assert thinks_first(text, problem) == 0, text


def test_length():
    reward = overlong(limit=10, margin=4)
    said = [reward("word " * n, P("")) for n in (0, 6, 7, 8, 10, 50)]
    assert said == [0, 0, -0.25, -0.5, -1, -1]
    assert overlong(3, 3, measure=len)("ab", P("")) == pytest.approx(-2 / 3)
    with pytest.raises(CourseError, match="margin"):
        overlong(3, 4)


def test_rewards_stay_apart():
    total = Rewards(correct=correctness, form=(states_one_answer, 0.1))
    assert total("The answer is 7.", P("7")) == pytest.approx(1.1)
    assert total.parts("It is 7.", P("7")) == {"correct": 1.0, "form": 0.0}
    assert total("The answer is 8.", P("")) == pytest.approx(0.1)  # one has nothing to say
    assert Rewards(correct=correctness)("7", P("")) is None  # nobody has
    with pytest.raises(CourseError, match="no rewards"):
        Rewards()


def test_free_form():
    pytest.importorskip("math_verify")
    problem = P("x^2-1")
    assert math_correctness("The answer is $(x-1)(x+1)$.", problem) == 1
    assert math_correctness("So \\boxed{x^2 - 1}.", problem) == 1
    assert math_correctness("The answer is x^2.", problem) == 0
    assert math_correctness("It is hard.", problem) == 0
    assert math_correctness("The answer is 0.75.", P("\\frac{3}{4}")) == 1
    assert math_correctness("0.75", P("3/4")) == 1
    assert math_correctness("7", P("")) is None


def test_without_the_library(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(CourseError, match="math-verify"):
        math_correctness("7", P("7"))
