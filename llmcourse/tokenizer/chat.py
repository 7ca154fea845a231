"""One protocol for conversations: rendered to ids and a loss mask, and read back from ids.

    <|im_start|>user
    Who built it?<|im_end|>
    <|im_start|>assistant
    <|search_start|>the bridge<|search_end|><|result_start|>…<|result_end|>Ada did.<|im_end|>

SFT, the engine and RL all use `render` and `render_prompt`, so a model is asked exactly as it was taught. The
form of a turn is ChatML's. The mask is 1 on what the assistant must write, the end of its turn included, and 0
on what it is only shown: headers, other people's turns, results of tools. What anybody *typed* is encoded as
ordinary text: a user who types ``<|im_end|>`` ends nothing. Taught in chapter 08.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..data.conversations.message import ROLES, Conversation, Kind, Message, Part, check
from ..errors import CourseError
from .tokenizer import Tokenizer

TURN = ("<|im_start|>", "<|im_end|>")
MARKS: dict[Kind, tuple[str, str]] = {
    "search": ("<|search_start|>", "<|search_end|>"),
    "python": ("<|python_start|>", "<|python_end|>"),
    "result": ("<|result_start|>", "<|result_end|>"),
    "think": ("<|think_start|>", "<|think_end|>"),
}
SPECIALS: tuple[str, ...] = (*TURN, *(mark for pair in MARKS.values() for mark in pair))
"""The special tokens of the protocol."""


class TooLong(CourseError):
    """Not even the last exchange of a conversation fits."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as a model sees it.

    Attributes:
        ids: Its tokens.
        loss_mask: As long; 1 where the model must learn to write the token, else 0.
        dropped: How many exchanges at its beginning were left out for want of room.
    """

    ids: list[int]
    loss_mask: list[int]
    dropped: int = 0


@dataclass(frozen=True)
class Answer:
    """What a model wrote after the assistant's header.

    Attributes:
        message: Its parts; the last may have been cut short.
        ended: Whether it ended its turn.
        unclosed: The kind of a part that was begun and not closed, or None.
        stray: Special tokens out of place: 0 for an answer in the protocol's form.
    """

    message: Message
    ended: bool
    unclosed: Kind | None
    stray: int


def render(
    conversation: Conversation, tokenizer: Tokenizer, *, max_tokens: int | None = None
) -> Rendered:
    """Tokens and loss mask of a conversation.

    Args:
        conversation: Well formed (`check`); it may end with a user's turn.
        tokenizer: One that has the special tokens this conversation needs.
        max_tokens: Leave out whole exchanges (a user's turn and its answer), the oldest first, until so
            many tokens suffice. The system message stays, and no turn is ever cut.

    Raises:
        TooLong: if the last exchange alone does not fit.
        CourseError: if the conversation is not well formed or the tokenizer lacks a special token.

    Taught in chapter 08.
    """
    return _render(conversation, tokenizer, max_tokens, [])


def render_prompt(
    conversation: Conversation, tokenizer: Tokenizer, *, max_tokens: int | None = None
) -> list[int]:
    """Tokens to continue for an answer: the conversation, then the assistant's header.

    For the same turns they are the beginning of what `render` gives. Arguments and errors as `render`.

    Raises:
        CourseError: also if the last turn is not a user's.
    """
    if conversation.messages and conversation.messages[-1].role != "user":
        raise CourseError(
            "there is nothing to answer: the last turn is not a user's",
            hint="`conversation.prompt` is what stands before the last answer",
        )
    header = _header("assistant", tokenizer)
    return _render(conversation, tokenizer, max_tokens, header).ids


def parse(ids: Sequence[int], tokenizer: Tokenizer) -> Conversation:
    """The conversation that was rendered to these ids; of an unfinished last turn, what there is of it.

    Neighbouring text parts come back as one, and empty ones not at all; an assistant's header with
    nothing after it is no turn.

    Raises:
        CourseError: if the ids are not of the protocol's form, and where they are not.
    """
    start, end = (_special(name, tokenizer) for name in TURN)
    special = set(tokenizer.special_tokens.values())
    messages: list[Message] = []
    at = 0
    while at < len(ids):
        where = f"token {at}"
        if ids[at] != start:
            if messages and not tokenizer.decode([ids[at]]).strip("\n"):
                at += 1
                continue
            raise CourseError(f"{where}: there should be {TURN[0]}", hint="a turn begins with it")
        stop = next((i for i in range(at + 1, len(ids)) if ids[i] in (start, end)), len(ids))
        head = next((i for i in range(at + 1, stop) if ids[i] in special), stop)
        said = tokenizer.decode_bytes(ids[at + 1 : head])
        name, newline, text = said.partition(b"\n")
        role = next((role for role in ROLES if role.encode() == name), None)
        if role is None or not newline:
            raise CourseError(
                f"{where}: a turn begins with {name.decode('utf-8', 'replace')[:40]!r}",
                hint="with a role and a new line: " + ", ".join(ROLES),
            )
        partial = stop == len(ids)
        if not partial and ids[stop] == start:
            raise CourseError(f"{where}: this turn does not end with {TURN[1]}")
        answer = _parts(text, ids[head : stop + 1], tokenizer)
        if answer.stray or (answer.unclosed and not partial):
            raise CourseError(f"{where}: a special token is out of place in this turn")
        message = Message(role, answer.message.parts)
        if role != "assistant" and any(part.kind != "text" for part in message.parts):
            raise CourseError(f"{where}: only an assistant's turn has calls, results and thoughts")
        if message.parts or not partial:
            messages.append(message)
        at = stop + 1
    return Conversation(tuple(messages))


def parse_answer(ids: Sequence[int], tokenizer: Tokenizer) -> Answer:
    """What a model wrote after `render_prompt`, whatever it wrote: no order of tokens is an error.

    What comes after the end of the turn is left out. A part that another part's start interrupts ends
    there; special tokens that fit nowhere are left out and counted.

    Raises:
        CourseError: if an id is not in the vocabulary at all.
    """
    return _parts(b"", ids, tokenizer)


def _render(
    conversation: Conversation, tokenizer: Tokenizer, max_tokens: int | None, tail: list[int]
) -> Rendered:
    messages = check(conversation).messages
    turns = [_turn(message, tokenizer) for message in messages]
    system = 1 if messages[0].role == "system" else 0
    starts = [i for i, message in enumerate(messages) if message.role == "user"]
    length = len(tail) + sum(len(ids) for ids, _ in turns)
    dropped = 0
    while max_tokens is not None and length > max_tokens:
        if dropped == len(starts) - 1:
            raise TooLong(
                f"the last exchange takes {length:,} tokens, and there is room for {max_tokens:,}",
                hint="leave the conversation out, or give it more room",
            )
        length -= sum(len(ids) for ids, _ in turns[starts[dropped] : starts[dropped + 1]])
        dropped += 1
    kept = turns[:system] + turns[starts[dropped] :]
    return Rendered(
        [i for ids, _ in kept for i in ids] + tail,
        [m for _, mask in kept for m in mask] + [0] * len(tail),
        dropped,
    )


def _turn(message: Message, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    ids = _header(message.role, tokenizer)
    mask = [0] * len(ids)
    writes = int(message.role == "assistant")
    for part in _merged(message.parts):
        piece = tokenizer.encode_ordinary(part.text)
        if part.kind != "text":
            opening, closing = MARKS[part.kind]
            piece = [_special(opening, tokenizer), *piece, _special(closing, tokenizer)]
        ids += piece
        mask += [writes if part.kind != "result" else 0] * len(piece)
    after = tokenizer.encode_ordinary("\n")
    return [*ids, _special(TURN[1], tokenizer), *after], [*mask, writes, *[0] * len(after)]


def _header(role: str, tokenizer: Tokenizer) -> list[int]:
    return [_special(TURN[0], tokenizer), *tokenizer.encode_ordinary(role + "\n")]


def _special(name: str, tokenizer: Tokenizer) -> int:
    try:
        return tokenizer.special_tokens[name]
    except KeyError:
        raise CourseError(
            f"the tokenizer has no special token {name}",
            hint="use a tokenizer made for conversations, such as course-base's",
        ) from None


def _merged(parts: Sequence[Part]) -> list[Part]:
    """Text parts side by side as one: how a text was cut must not change its tokens."""
    merged: list[Part] = []
    for part in parts:
        if part.kind == "text" and merged and merged[-1].kind == "text":
            merged[-1] = Part("text", merged[-1].text + part.text)
        elif part.kind != "text" or part.text:
            merged.append(part)
    return merged


def _parts(before: bytes, ids: Sequence[int], tokenizer: Tokenizer) -> Answer:
    """Parts of a turn that begins with some bytes of text and goes on with ids."""
    names = {i: name for name, i in tokenizer.special_tokens.items()}
    opens: dict[str, Kind] = {pair[0]: kind for kind, pair in MARKS.items()}
    parts: list[Part] = []
    text, stray, ended = bytearray(before), 0, False
    current: Kind = "text"

    def close() -> None:
        if text or current != "text":
            parts.append(Part(current, text.decode("utf-8", "replace")))
        text.clear()

    for i in ids:
        mark = names.get(i)
        if mark is None:
            text += tokenizer.token_bytes(i)
        elif mark == TURN[1]:
            ended = True
            break
        elif mark == TURN[0]:
            stray += 1  # somebody else's turn: the rest is not this answer
            break
        elif mark in opens:
            stray += current != "text"
            close()
            current = opens[mark]
        elif current != "text" and mark == MARKS[current][1]:
            close()
            current = "text"
        else:
            stray += 1
    unclosed = None if current == "text" else current
    close()
    return Answer(Message("assistant", tuple(_merged(parts))), ended, unclosed, stray)
