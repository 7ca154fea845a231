"""GSM8K's format: read as it is, refused with the line where it is not, written so that it reads back."""

from __future__ import annotations

import json
import re
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from llmcourse.data.problems import Problem
from llmcourse.data.problems.gsm8k import fetch_gsm8k, read_gsm8k, write_gsm8k, write_sample
from llmcourse.data.problems.verifiable import check, problems
from llmcourse.errors import CourseError

# In the manner of the data set: marks after a currency sign, decimals, fractions, thousands, brackets.
LINES = [
    {"question": "A miller sells 48 sacks in April and half as many in May. How many in all?",
     "answer": "In May the miller sold 48/2 = <<48/2=24>>24 sacks.\nIn all 48+24 = <<48+24=72>>72 sacks.\n#### 72"},
    {"question": "Ana\u2019s house cost $80,000.  It rose by 150%.  By how much?",
     "answer": "It rose by 80,000*1.5=$<<80000*1.5=120000>>120,000\n#### 120,000"},
    {"question": "Kim owes 3 * (16.50 + 2).", "answer": "3 * (16.50 + 2) = $<<3*(16.50+2)=55.5>>55.50\n#### 55.50"},
    {"question": "How cold is it?", "answer": "2 - 7 is five below.\n#### -5"},
    {"question": "A line\u2028with a separator of Unicode?", "answer": "#### 0"},
]  # fmt: skip


def write_lines(path: Path, lines: list[object]) -> Path:
    path.write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8"
    )
    return path


def test_lines_are_read(tmp_path):
    first, house, brackets, cold, separator = read_gsm8k(write_lines(tmp_path / "a.jsonl", LINES))
    assert first.kind == "gsm8k" and first.level == 2 and first.answer == "72"
    assert first.question == LINES[0]["question"]
    assert first.steps == ("In May the miller sold 48/2 = 24 sacks.", "In all 48+24 = 72 sacks.")
    assert house.answer == "120000" and house.steps == ("It rose by 80,000*1.5=$120,000",)
    assert brackets.steps == ("3 * (16.50 + 2) = $55.50",) and cold.answer == "-5"
    assert "\u2028" in separator.question and separator.steps == () and separator.level == 1
    assert (
        check(first, "#### 72")
        and check(house, "The answer is $120,000.")
        and check(brackets, "55.5")
    )
    assert not check(first, "#### 24") and not check(house, "150") and not check(cold, "5")


def test_blank_lines_and_a_missing_last_newline_do_no_harm(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n" + json.dumps(LINES[0]) + "\r\n\n" + json.dumps(LINES[3]), encoding="utf-8")
    assert [p.answer for p in read_gsm8k(path)] == ["72", "-5"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{oops", "line 2: no JSON"),
        ("[1, 2]", "line 2: no object"),
        ('{"question": "Q?"}', "line 2: no text 'answer'"),
        ('{"answer": "#### 1"}', "line 2: no text 'question'"),
        ('{"question": "Q?", "answer": 72}', "line 2: no text 'answer'"),
        ('{"question": "  ", "answer": "#### 1"}', "line 2: no text 'question'"),
        ('{"question": "Q?", "answer": "It is 72."}', "line 2: not one line ####"),
        ('{"question": "Q?", "answer": "#### 1\\n#### 2"}', "line 2: not one line ####"),
        ('{"question": "Q?", "answer": "so\\n####"}', "line 2: '' is no number"),
        ('{"question": "Q?", "answer": "#### seven"}', "line 2: 'seven' is no number"),
        ('{"question": "Q?", "answer": "#### 7 apples"}', "line 2: '7 apples' is no number"),
        ('{"question": "Q?", "answer": "#### 1,20"}', "line 2: '1,20' is no number"),
        ('{"question": "Q?", "answer": "#### ."}', "line 2: '.' is no number"),
    ],
)
def test_errors_name_the_line(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(LINES[0]) + "\n" + line + "\n", encoding="utf-8")
    reader = read_gsm8k(path)
    assert next(reader).answer == "72"
    with pytest.raises(CourseError, match=re.escape(message)) as error:
        next(reader)
    assert str(path) in error.value.message and error.value.hint


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(CourseError, match=r"nowhere\.jsonl cannot be read"):
        list(read_gsm8k(tmp_path / "nowhere.jsonl"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "caf\xe9"}\n')
    with pytest.raises(CourseError, match="not UTF-8"):
        list(read_gsm8k(tmp_path / "latin.jsonl"))


# --------------------------------------------------------------------------------- written and read


@pytest.mark.parametrize("part", ["train", "held"])
def test_a_sample_reads_back(tmp_path, part):
    path = write_sample(tmp_path / "ours.jsonl", 30, part, seed=2, steps=(2, 5), digits=(1, 3))
    ours = problems("story", 30, part, seed=2, steps=(2, 5), digits=(1, 3))
    again = list(read_gsm8k(path))
    assert [(p.question, p.steps, p.answer, p.level) for p in again] == [
        (p.question, p.steps, p.answer, p.level) for p in ours
    ]
    assert all(check(p, ours_.worked) for p, ours_ in zip(again, ours, strict=True))


def test_every_step_of_a_sample_has_its_mark(tmp_path):
    path = write_sample(tmp_path / "ours.jsonl", 20, level="hard")
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        assert set(record) == {"question", "answer"}
        *steps, last = record["answer"].split("\n")
        assert re.fullmatch(r"#### \d+", last)
        for step in steps:
            (mark,) = re.findall(
                r"(\d+) ([-+x/]) (\d+) = <<(\d+)([-+*/])(\d+)=(\d+)>>(\d+)\.$", step
            )
            a, sign, b, a2, sign2, b2, result, again = mark
            assert (a, sign.replace("x", "*"), b, result) == (a2, sign2, b2, again)
            x, y = Fraction(a), Fraction(b)
            assert {"+": x + y, "-": x - y, "*": x * y, "/": x / y}[sign2] == int(result)


def test_other_kinds_are_written_too_if_their_answers_are_numbers(tmp_path):
    chain = Problem("chain", "What is 7 + 5 - 2?", ("7 + 5 = 12.", "12 - 2 = 10."), "10", 2)
    text = write_gsm8k(tmp_path / "a.jsonl", [chain]).read_text(encoding="utf-8")
    assert json.loads(text)["answer"] == "7 + 5 = <<7+5=12>>12.\n12 - 2 = <<12-2=10>>10.\n#### 10"
    word = Problem("letters", "Spell tub backwards.", (), "b-u-t")
    with pytest.raises(CourseError, match="'b-u-t' is no number"):
        write_gsm8k(tmp_path / "b.jsonl", [chain, word])
    assert not (tmp_path / "b.jsonl").exists()


# --------------------------------------------------------------------------------- from the hub


class FolderHub:
    """A folder that answers like the hub; notes what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fetched = folder, []

    def files(self, repository, folder, revision):
        assert repository == "openai/gsm8k"
        return "abc", sorted(
            str(f.relative_to(self.folder)) for f in (self.folder / folder).glob("*.parquet")
        )

    def fetch(self, repository, file, revision, into, again=False):
        assert revision == "abc"
        self.fetched.append(file)
        target = Path(into) / file
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(self.folder / file, target))


def write_parquet(path: Path, lines: list[dict[str, str]]) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.Table.from_pylist(lines), path)


@pytest.fixture
def hub(tmp_path):
    write_parquet(tmp_path / "hub/main/train-00000-of-00002.parquet", LINES[:2])
    write_parquet(tmp_path / "hub/main/train-00001-of-00002.parquet", LINES[2:4])
    write_parquet(tmp_path / "hub/main/test-00000-of-00001.parquet", LINES[3:])
    return FolderHub(tmp_path / "hub")


def test_by_name_from_the_hub_and_once_only(hub, tmp_path):
    out = tmp_path / "out"
    assert [p.answer for p in fetch_gsm8k("test", out, hub=hub)] == ["-5", "0"]
    assert hub.fetched == ["main/test-00000-of-00001.parquet"]
    train = fetch_gsm8k("train", out, hub=hub)
    assert [p.answer for p in train] == ["72", "120000", "55.50", "-5"] and len(hub.fetched) == 3
    assert fetch_gsm8k("train", out, hub=hub) == train and len(hub.fetched) == 3
    (out / "main/train-00001-of-00002.parquet").unlink()  # as after an interruption
    assert fetch_gsm8k("train", out, hub=hub) == train and len(hub.fetched) == 5


def test_what_can_go_wrong_with_the_hub(hub, tmp_path):
    with pytest.raises(CourseError, match="no split 'valid'"):
        fetch_gsm8k("valid", tmp_path / "out", hub=hub)
    (tmp_path / "hub/main/test-00000-of-00001.parquet").unlink()
    with pytest.raises(CourseError, match="no file of the split test"):
        fetch_gsm8k("test", tmp_path / "out", hub=hub)
    write_parquet(
        tmp_path / "hub/main/test-00000-of-00001.parquet",
        [LINES[0], {"question": "Q?", "answer": "7"}],
    )
    with pytest.raises(CourseError, match="row 2: not one line ####"):
        fetch_gsm8k("test", tmp_path / "out", hub=hub)
    damaged = tmp_path / "out/main/test-00000-of-00001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(CourseError, match="cut short or damaged"):
        fetch_gsm8k("test", tmp_path / "out", hub=hub)
