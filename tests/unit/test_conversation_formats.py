"""Files of conversations: what is read, what is refused and where, and what is written."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.data.conversations import Conversation, Message, Part
from llmcourse.data.conversations.formats import FORMATS, Limits, read, write
from llmcourse.errors import CourseError

HELLO = Conversation.of("Hello.", "Hello!")
GOOD = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def texts(conversation):
    return [(m.role, m.text) for m in conversation.messages]


@pytest.fixture
def file(tmp_path):
    def make(*records, name="c.jsonl"):
        lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        return tmp_path / name

    return make


def turns(*pairs):
    return {"messages": [{"role": role, "content": content} for role, content in pairs]}


@pytest.mark.parametrize(
    ("format", "record"),
    [
        ("chatml", GOOD),
        ("ultrachat", {"id": "1", "data": ["a", "b"]}),
        ("ultrachat", {"prompt": "a", "prompt_id": "1", **GOOD}),
        ("sharegpt", {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}),
        ("alpaca", {"instruction": "a", "input": "", "output": "b"}),
        (
            "openassistant",
            {"prompt": {"text": "a", "role": "prompter", "replies": [{"text": "b", "role": "assistant"}]}},
        ),
    ],
)  # fmt: skip
def test_each_format_is_read(file, format, record):
    (conversation,) = read(file(record), format)
    assert texts(conversation) == [("user", "a"), ("assistant", "b")]


def test_alpacas_input_stands_under_the_instruction(file):
    (conversation,) = read(file({"instruction": "Add.", "input": "1, 2", "output": "3"}), "alpaca")
    assert conversation.messages[0].text == "Add.\n\n1, 2"


def test_a_tools_message_is_part_of_the_assistants_turn(file):
    call = [{"type": "text", "text": "Wait. "}, {"type": "search", "text": "bridge"}]
    path = file(
        turns(("user", "Who?"), ("assistant", call), ("tool", "Ada."), ("assistant", "Ada!"))
    )
    (conversation,) = read(path)
    assert conversation.messages[1].parts == (
        Part("text", "Wait. "),
        Part("search", "bridge"),
        Part("result", "Ada."),
        Part("text", "Ada!"),
    )


def node(text, *replies, rank=None, **more):
    return {"text": text, "rank": rank, "replies": list(replies), **more}


def tree():
    def a(*args, **more):
        return node(*args, role="assistant", **more)

    def p(*args, **more):
        return node(*args, role="prompter", **more)

    return {
        "prompt": p(
            "q",
            a("second", p("why?", a("so")), rank=1),
            a("gone", rank=0, deleted=True),
            a("first", p("and?"), rank=0),
            a("unranked"),
        )
    }


def test_the_best_ranked_path_ends_with_an_answer(file):
    (conversation,) = read(file(tree()), "openassistant")
    assert texts(conversation) == [("user", "q"), ("assistant", "first")]


def test_the_best_path_prefers_a_prompt_that_was_answered(file):
    record = tree()
    first = record["prompt"]["replies"][2]
    first["replies"].append(node("or?", node("yes", role="assistant"), role="prompter"))
    (conversation,) = read(file(record), "openassistant")
    assert [m.text for m in conversation.messages] == ["q", "first", "or?", "yes"]


def test_all_paths(file):
    found = [c.messages[1:] for c in read(file(tree()), "openassistant", paths="all")]
    said = [[m.text for m in messages] for messages in found]
    assert said == [["first"], ["second", "why?", "so"], ["unranked"]]


BAD = {
    "bad JSON": ('{"messages": [', "not JSON"),
    "a list": ("[1]", "it is a list"),
    "no messages": ({}, "messages: Field required"),
    "none": ({"messages": []}, "no messages"),
    "missing role": ({"messages": [{"content": "a"}]}, r"messages\.0\.role: Field required"),
    "unknown role": (turns(("robot", "a")), "role 'robot' is unknown"),
    "repeated role": (turns(("user", "a"), ("user", "b")), "message 2: it is the assistant's turn"),
    "repeated assistant": (turns(("user", "a"), ("assistant", "b"), ("assistant", "c")), "message 3"),
    "two systems": (turns(("system", "a"), ("system", "b"), ("user", "c")), "message 2"),
    "empty turn": (turns(("user", " \n")), "message 1: it is empty"),
    "a number": (turns(("user", 7)), r"messages\.0\.content"),
    "null": (turns(("user", None)), r"messages\.0\.content"),
    "unknown part": (turns(("user", [{"type": "image", "text": "a"}])), "type"),
    "a user's call": (turns(("user", [{"type": "search", "text": "a"}])), "only an assistant"),
    "tool first": (turns(("tool", "a")), "no assistant called it"),
    "tool uncalled": (turns(("user", "a"), ("assistant", "b"), ("tool", "c")), "without a call"),
    "empty result": (
        turns(("user", "a"), ("assistant", [{"type": "search", "text": "b"}]), ("tool", "")),
        "'tool' is empty",
    ),
    "tool_calls": (
        {"messages": [{"role": "user", "content": "a", "tool_calls": [{"id": 1}]}]},
        "tool_calls",
    ),
    "special token": (turns(("user", "a<|im_end|>b")), r"<\|im_end\|> stands in the text"),
    "megabyte": (turns(("user", "a" * 1_000_001)), "1,000,001 characters"),
    "half a surrogate": ('{"messages": [{"role": "user", "content": "\\ud800"}]}', "surrogate"),
    "too deep": ("[" * 100_000, "no JSON|not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_malformed_records_are_named_by_their_line(file, name):
    record, error = BAD[name]
    path = file(GOOD, "", record, GOOD)
    with pytest.raises(CourseError, match=error) as caught:
        list(read(path))
    assert caught.value.message.startswith(f"line 3 of {path}")


def test_malformed_records_are_skipped_and_counted(file):
    reader = read(file(GOOD, *(record for record, _ in BAD.values()), GOOD), on_error="skip")
    assert len(list(reader)) == 2 == reader.given
    assert reader.skipped == len(BAD)
    assert len(reader.errors) == 20
    assert len(list(reader)) == 2 and reader.skipped == len(BAD)  # it counts anew


@pytest.mark.parametrize(
    ("format", "record", "error"),
    [
        ("ultrachat", {"data": ["a", ""]}, "message 2: it is empty"),
        ("ultrachat", {"data": ["a", 1]}, r"data\.1"),
        ("sharegpt", {"conversations": [{"value": "a"}]}, "from: Field required"),
        ("sharegpt", {"conversations": [{"from": "bing", "value": "a"}]}, "'bing' is unknown"),
        ("alpaca", {"instruction": "a"}, "output: Field required"),
        ("alpaca", {"instruction": "a", "output": ""}, "message 2: it is empty"),
        ("openassistant", {"prompt": {"text": "a", "role": "prompter"}}, "no prompt .* answered"),
        ("openassistant", {"prompt": {"text": "a", "role": "user"}}, r"prompt\.role"),
    ],
)
def test_malformed_records_of_other_formats(file, format, record, error):
    with pytest.raises(CourseError, match=f"^line 1 of .*{error}"):
        list(read(file(record), format))


def test_special_tokens_may_be_allowed(file):
    path = file(turns(("user", "a<|im_end|>b")))
    (conversation,) = read(path, limits=Limits(special_text=True))
    assert conversation.messages[0].text == "a<|im_end|>b"


def test_a_line_too_long_is_passed_over(file):
    path = file(turns(("user", "a" * 3000)), GOOD)
    reader = read(path, on_error="skip", limits=Limits(line=1000))
    assert [len(c.messages) for c in reader] == [2]
    assert "line 1 of" in reader.errors[0].message and "1,000 bytes" in reader.errors[0].message


def test_not_utf8(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n"\xff"\n')
    with pytest.raises(CourseError, match=r"line 2 of .*not UTF-8"):
        list(read(path))


def test_a_file_is_read_as_it_is_asked_for(file):
    reader = iter(read(file(GOOD, "{")))
    assert len(next(reader).messages) == 2
    with pytest.raises(CourseError, match="line 2"):
        next(reader)


def test_one_list_in_a_file(file):
    path = file(json.dumps([GOOD, {}]), name="c.json")
    with pytest.raises(CourseError, match="record 2 of"):
        list(read(path))
    assert len(list(read(path, on_error="skip"))) == 1


def test_a_damaged_archive_is_an_error_even_when_skipping(tmp_path):
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode() * 50)[:-12])
    with pytest.raises(CourseError, match="damaged"):
        list(read(path, on_error="skip"))


def test_files_and_settings_that_are_not_there(tmp_path):
    with pytest.raises(CourseError, match="cannot be read"):
        list(read(tmp_path / "none.jsonl"))
    with pytest.raises(CourseError, match="not a file of conversations"):
        list(read(tmp_path / "none.csv"))
    with pytest.raises(CourseError, match="no format is called 'vicuna'"):
        read(tmp_path / "c.jsonl", "vicuna")
    with pytest.raises(CourseError, match="raise or skip"):
        read(tmp_path / "c.jsonl", on_error="ignore")


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz", "c.json"])
@pytest.mark.parametrize("format", FORMATS)
def test_written_and_read(tmp_path, format, name):
    said = [HELLO, Conversation.of("Größe?\n", "“Twelve”\u2028metres.")]
    assert write(tmp_path / name, said, format) == 2
    assert [c.messages for c in read(tmp_path / name, format)] == [c.messages for c in said]


said = st.text(st.characters(exclude_categories=("Cs",)), max_size=20).map(lambda s: s + ".")


@settings(max_examples=40, deadline=None)
@given(said, said, said, st.sampled_from(["search", "python"]))
def test_chatml_keeps_everything(tmp_path_factory, a, b, c, tool):
    parts = (Part("think", a), Part(tool, b), Part("result", c), Part("text", a))
    made = Conversation((Message.of("user", c), Message("assistant", parts)), {"kind": "fact"})
    path = tmp_path_factory.mktemp("chatml") / "c.jsonl.gz"
    write(path, [made])
    assert list(read(path, limits=Limits(special_text=True))) == [made]


@pytest.mark.parametrize(
    ("format", "conversation", "error"),
    [
        ("sharegpt", Conversation((Message.of("user", "a"), Message("assistant", (Part("think", "b"),)))), "no place"),
        ("alpaca", Conversation.of("a", "b", "c", "d"), "one exchange"),
        ("alpaca", Conversation.of("a", "b", system="c"), "no system"),
        ("openassistant", Conversation.of("a"), "ends with an answer"),
        ("chatml", Conversation.of("a", ""), "empty"),
        ("chatml", Conversation.of("a", "b", who=object()), "cannot be written as JSON"),
        ("chatml", Conversation.of("\ud800", "b"), "cannot be written as JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_leaves_no_file(tmp_path, format, conversation, error):
    with pytest.raises(CourseError, match=f"conversation 2.*{error}"):
        write(tmp_path / "c.jsonl", [HELLO, conversation], format)
    assert list(tmp_path.iterdir()) == []


def test_the_same_conversations_are_the_same_bytes(tmp_path):
    write(tmp_path / "a.jsonl.gz", [HELLO])
    write(tmp_path / "b.jsonl.gz", [HELLO])
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_no_conversations(tmp_path):
    for name in ("c.jsonl", "c.json"):
        assert write(tmp_path / name, []) == 0
        assert list(read(tmp_path / name)) == []
