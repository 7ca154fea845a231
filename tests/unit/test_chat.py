"""Conversations as tokens: the protocol, the loss mask, truncation, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.data.conversations import Conversation, Message, Part
from llmcourse.errors import CourseError
from llmcourse.model import shipped
from llmcourse.tokenizer import Tokenizer
from llmcourse.tokenizer.chat import (
    SPECIALS,
    TooLong,
    parse,
    parse_answer,
    render,
    render_prompt,
)

TOKENIZER = Tokenizer.load(shipped.root() / "course-base")
IDS = TOKENIZER.special_tokens
TOOLS = Conversation(
    (
        Message.of("system", "Be brief."),
        Message.of("user", "Who built it?"),
        Message(
            "assistant",
            (
                Part("think", "Look."),
                Part("search", "bridge"),
                Part("result", "Ada built the bridge."),
                Part("text", "Ada."),
            ),
        ),
    )
)

plain = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
text = (plain | st.sampled_from(SPECIALS) | st.just("\n") | st.just("user\n")).map(
    lambda s: s + "."
)


@st.composite
def answers(draw):
    parts = [Part("text", draw(text))]  # no two texts side by side: they would come back as one
    for kind in draw(st.lists(st.sampled_from(["think", "search", "python"]), max_size=3)):
        parts.append(Part(kind, draw(text)))
        if kind != "think" and draw(st.booleans()):
            parts.append(Part("result", draw(text)))
        if draw(st.booleans()):
            parts.append(Part("text", draw(text)))
    return Message("assistant", tuple(parts))


@st.composite
def conversations(draw):
    messages = [Message.of("system", draw(text))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        messages += [Message.of("user", draw(text)), draw(answers())]
    if draw(st.booleans()):
        messages.append(Message.of("user", draw(text)))
    return Conversation(tuple(messages))


def test_the_protocol_to_the_letter():
    assert TOKENIZER.decode(render(TOOLS, TOKENIZER).ids) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWho built it?<|im_end|>\n"
        "<|im_start|>assistant\n<|think_start|>Look.<|think_end|>"
        "<|search_start|>bridge<|search_end|><|result_start|>Ada built the bridge.<|result_end|>"
        "Ada.<|im_end|>\n"
    )


def test_the_loss_is_on_what_the_assistant_writes():
    made = render(TOOLS, TOKENIZER)
    written = [i for i, m in zip(made.ids, made.loss_mask, strict=True) if m]
    assert TOKENIZER.decode(written) == (
        "<|think_start|>Look.<|think_end|><|search_start|>bridge<|search_end|>Ada.<|im_end|>"
    )


@settings(max_examples=60, deadline=None)
@given(conversations())
def test_there_and_back(conversation):
    assert parse(render(conversation, TOKENIZER).ids, TOKENIZER).messages == conversation.messages


@settings(max_examples=60, deadline=None)
@given(conversations())
def test_the_mask_counts_the_tokens_of_the_assistants_parts(conversation):
    expected = 0
    for message in conversation.messages:
        if message.role == "assistant":
            expected += 1  # the end of the turn
            for part in message.parts:
                if part.kind != "result":
                    marks = 0 if part.kind == "text" else 2
                    expected += len(TOKENIZER.encode_ordinary(part.text)) + marks
    made = render(conversation, TOKENIZER)
    assert len(made.ids) == len(made.loss_mask)
    assert sum(made.loss_mask) == expected


@settings(max_examples=60, deadline=None)
@given(conversations())
def test_what_is_typed_is_never_special(conversation):
    """Special ids stand where the structure puts them and nowhere else."""
    made = render(conversation, TOKENIZER)
    parts = [part for message in conversation.messages for part in message.parts]
    marks = 2 * len(conversation.messages) + 2 * sum(part.kind != "text" for part in parts)
    assert sum(i in IDS.values() for i in made.ids) == marks


@settings(max_examples=30, deadline=None)
@given(conversations().filter(lambda c: c.messages[-1].role == "assistant"))
def test_a_prompt_is_the_beginning_of_the_whole(conversation):
    prompt = render_prompt(conversation.prompt, TOKENIZER)
    made = render(conversation, TOKENIZER)
    assert made.ids[: len(prompt)] == prompt
    assert not any(made.loss_mask[i] for i in range(len(prompt)) if i >= len(prompt) - 3)
    assert made.loss_mask[len(prompt)] == 1
    assert TOKENIZER.decode(prompt).endswith("<|im_start|>assistant\n")
    assert parse(prompt, TOKENIZER).messages == conversation.prompt.messages


@settings(max_examples=40, deadline=None)
@given(answers(), st.data())
def test_an_answer_cut_anywhere_is_read(answer, data):
    conversation = Conversation((Message.of("user", "Go."), answer))
    prompt = render_prompt(conversation.prompt, TOKENIZER)
    ids = render(conversation, TOKENIZER).ids[len(prompt) :]
    cut = data.draw(st.integers(0, len(ids)))
    read = parse_answer(ids[:cut], TOKENIZER)
    assert read.stray == 0
    assert read.ended == (IDS["<|im_end|>"] in ids[:cut])
    whole = parse(prompt + ids[:cut], TOKENIZER).messages[1:]
    assert (whole[0].parts if whole else ()) == read.message.parts
    if read.ended:
        assert read.message == answer and read.unclosed is None


def test_a_call_that_is_not_closed():
    ids = [IDS["<|search_start|>"], *TOKENIZER.encode_ordinary("the bri")]
    read = parse_answer(ids, TOKENIZER)
    assert read.message.parts == (Part("search", "the bri"),)
    assert read.unclosed == "search" and not read.ended and read.stray == 0


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (["<|search_end|>"], ()),
        (["<|think_start|>", "<|python_start|>", "<|python_end|>"], ("think", "python")),
        (["<|think_start|>", "<|search_end|>"], ("think",)),
        (["<|endoftext|>"], ()),
        (["<|im_start|>", "<|think_start|>"], ()),
    ],
)
def test_special_tokens_out_of_place_are_counted(names, kinds):
    read = parse_answer([IDS[name] for name in names], TOKENIZER)
    assert read.stray == 1
    assert tuple(part.kind for part in read.message.parts) == kinds


LONG = Conversation.of("a", "b", "c", "d", "e", "f", system="s")


def test_whole_exchanges_are_left_out_the_oldest_first():
    every = len(render(LONG, TOKENIZER).ids)
    assert render(LONG, TOKENIZER, max_tokens=every).dropped == 0
    made = render(LONG, TOKENIZER, max_tokens=every - 1)
    assert made.dropped == 1
    assert parse(made.ids, TOKENIZER).messages == LONG.messages[:1] + LONG.messages[3:]
    assert made.ids[-2:] == [IDS["<|im_end|>"], *TOKENIZER.encode_ordinary("\n")]


def test_one_exchange_too_long():
    least = len(render(Conversation.of("e", "f", system="s"), TOKENIZER).ids)
    assert render(LONG, TOKENIZER, max_tokens=least).dropped == 2
    with pytest.raises(TooLong, match="last exchange"):
        render(LONG, TOKENIZER, max_tokens=least - 1)


def test_a_prompt_counts_the_header():
    whole = render_prompt(Conversation.of("a", "b", "c"), TOKENIZER)
    shorter = render_prompt(Conversation.of("a", "b", "c"), TOKENIZER, max_tokens=len(whole) - 1)
    assert shorter == render_prompt(Conversation.of("c"), TOKENIZER)


def test_a_prompt_ends_with_a_question():
    with pytest.raises(CourseError, match="nothing to answer"):
        render_prompt(Conversation.of("a", "b"), TOKENIZER)


def test_only_the_tokens_that_are_needed_must_be_there():
    bytes_only = {i: bytes([i]) for i in range(256)}
    with pytest.raises(CourseError, match=r"no special token <\|im_start\|>"):
        render(LONG, Tokenizer(bytes_only, []))
    chat = Tokenizer(bytes_only, [], ["<|im_start|>", "<|im_end|>"])
    assert parse(render(LONG, chat).ids, chat).messages == LONG.messages
    with pytest.raises(CourseError, match=r"no special token <\|think_start\|>"):
        render(TOOLS, chat)


def test_malformed_conversations_are_not_rendered():
    with pytest.raises(CourseError, match="turn"):
        render(Conversation((Message.of("assistant", "Hello."),)), TOKENIZER)


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("Hello.", "token 0: there should be"),
        ("<|im_start|>tool\nHello.<|im_end|>\n", "begins with 'tool'"),
        ("<|im_start|>user", "begins with 'user'"),
        ("<|im_start|>user\na<|im_start|>assistant\n", "does not end"),
        ("<|im_start|>user\na<|im_end|>\nb", "there should be"),
        ("<|im_start|>user\n<|think_start|>a<|think_end|><|im_end|>", "only an assistant"),
        ("<|im_start|>assistant\n<|think_start|>a<|im_end|>", "out of place"),
        ("<|im_start|>assistant\na<|search_end|><|im_end|>", "out of place"),
    ],
)
def test_what_is_no_conversation(written, error):
    with pytest.raises(CourseError, match=error):
        parse(TOKENIZER.encode(written), TOKENIZER)
