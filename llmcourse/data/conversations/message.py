"""A conversation, as data: who said what, and where a tool was called.

A message is text; an assistant's may have parts of other kinds between its text: a search, a program, what a
tool gave back, thoughts. Nothing here knows of tokens: `tokenizer.chat` turns a conversation into ids.

Taught in chapter 08.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from ...errors import CourseError

Role = Literal["system", "user", "assistant"]
Kind = Literal["text", "think", "search", "python", "result"]

ROLES: tuple[Role, ...] = ("system", "user", "assistant")
CALLS: tuple[Kind, ...] = ("search", "python")
KINDS: tuple[Kind, ...] = ("text", "think", *CALLS, "result")


@dataclass(frozen=True)
class Part:
    """A piece of a message.

    Attributes:
        kind: ``text``; of an assistant's message also ``think``, ``search`` and ``python`` (a call of that tool) and
            ``result`` (what the call just before gave back: the model is shown it, and does not write it).
        text: What it says.
    """

    kind: Kind
    text: str


@dataclass(frozen=True)
class Message:
    """One turn.

    Attributes:
        role: Who speaks. What a tool says is a part of the assistant's turn.
        parts: What is said, in order.
    """

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, text: str) -> Message:
        """A message of text alone."""
        return cls(role, (Part("text", text),))

    @property
    def text(self) -> str:
        """What is said aloud: its text, without calls, results and thoughts."""
        return "".join(part.text for part in self.parts if part.kind == "text")


@dataclass(frozen=True)
class Conversation:
    """Turns, and what is known about them.

    Attributes:
        messages: An optional system message, then user and assistant in turn.
        about: For whoever needs it: the kind of conversation, the entity and the facts it is about, …
    """

    messages: tuple[Message, ...]
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, *texts: str, system: str | None = None, **about: Any) -> Conversation:
        """User, assistant, user, …: ``Conversation.of("Hello.", "Hello! What can I do for you?")``."""
        said: list[Message] = [] if system is None else [Message.of("system", system)]
        for i, text in enumerate(texts):
            said.append(Message.of("assistant" if i % 2 else "user", text))
        return cls(tuple(said), about)

    @property
    def prompt(self) -> Conversation:
        """What stands before the last answer: it ends with a user's message.

        Raises:
            CourseError: if the last message is not an assistant's.
        """
        if not self.messages or self.messages[-1].role != "assistant":
            raise CourseError("the conversation does not end with an answer")
        return Conversation(self.messages[:-1], self.about)


def check(conversation: Conversation, where: str = "the conversation") -> Conversation:
    """The conversation itself, if it is well formed.

    At most one system message, and that at the start; then user and assistant in turn, the user first; no turn
    empty; a result directly after a call, and calls, results and thoughts in an assistant's turns only.

    Args:
        conversation: To look at.
        where: What to call it in an error: ``line 7 of chats.jsonl``.

    Raises:
        CourseError: says which turn is wrong, and what would be right.
    """
    messages = conversation.messages
    if not messages:
        raise CourseError(f"{where}: there are no messages", hint="begin with a user's message")
    turns = messages[1:] if messages[0].role == "system" else messages
    if not turns:
        raise CourseError(
            f"{where}: there is a system message only", hint="let the user say something"
        )
    for number, message in enumerate(messages, 1):
        _check_parts(message, f"{where}, message {number}")
    first = len(messages) - len(turns) + 1
    for number, (message, due) in enumerate(zip(turns, _in_turn(), strict=False), first):
        if message.role not in ROLES:
            raise CourseError(
                f"{where}, message {number}: the role {message.role!r} is unknown",
                hint="roles are " + ", ".join(ROLES),
            )
        if message.role != due:
            raise CourseError(
                f"{where}, message {number}: it is the {due}'s turn, not the {message.role}'s",
                hint="user and assistant speak in turn, after at most one system message",
            )
    return conversation


def _in_turn() -> Iterable[Role]:
    while True:
        yield "user"
        yield "assistant"


def _check_parts(message: Message, where: str) -> None:
    if not any(part.text.strip() for part in message.parts):
        raise CourseError(f"{where}: it is empty", hint="leave the turn out, or say something")
    before: Kind = "text"
    for part in message.parts:
        if part.kind not in KINDS:
            raise CourseError(
                f"{where}: unknown kind of part {part.kind!r}", hint="kinds are " + ", ".join(KINDS)
            )
        if part.kind != "text" and message.role != "assistant":
            raise CourseError(f"{where}: only an assistant's turn has a part of kind {part.kind!r}")
        if part.kind == "result" and before not in CALLS:
            raise CourseError(
                f"{where}: a result without a call before it",
                hint="put it after a search or python part",
            )
        before = part.kind
