"""What a record of each format looks like, and the conversations in it.

Pydantic says what is missing or of a wrong type; `check` says what is wrong with the turns. Taught in chapter 08.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field, StrictStr

from ....errors import CourseError
from ..message import Conversation, Kind, Message, Part, Role

Paths = Literal["best", "all"]


class ChatPart(BaseModel):
    type: Kind
    text: StrictStr


class ChatTurn(BaseModel):
    role: StrictStr
    content: StrictStr | list[ChatPart]
    tool_calls: None = None  # calls are parts here: to pass over them would lose them silently


class ChatML(BaseModel):
    """``{"messages": [{"role": "user", "content": "Hello."}, …]}``"""

    messages: list[ChatTurn]
    about: dict[str, Any] = {}

    def conversations(self) -> Iterator[Conversation]:
        """One. A tool's message becomes a result in the assistant's turn, which then goes on."""
        said: list[tuple[str, tuple[Part, ...]]] = []
        after_tool = False
        for turn in self.messages:
            parts = _parts(turn.content)
            tool = turn.role == "tool"
            if tool:
                if not said or said[-1][0] != "assistant":
                    raise CourseError("a tool speaks, and no assistant called it")
                if any(part.kind != "text" for part in parts):
                    raise CourseError("a tool's message has a part that is not text")
                parts = (Part("result", "".join(part.text for part in parts)),)
            if tool or (after_tool and turn.role == "assistant"):
                if not any(part.text.strip() for part in parts):
                    raise CourseError(f"a message of role {turn.role!r} is empty")
                said[-1] = ("assistant", said[-1][1] + parts)
            else:
                said.append((turn.role, parts))
            after_tool = tool
        yield Conversation(tuple(Message(_role(r), p) for r, p in said), dict(self.about))


class UltraChat(BaseModel):
    """``{"data": ["Hello.", "Hello! …", …]}``: user and assistant in turn."""

    data: list[StrictStr]

    def conversations(self) -> Iterator[Conversation]:
        """One."""
        yield Conversation.of(*self.data)


class ShareTurn(BaseModel):
    speaker: StrictStr = Field(alias="from")  # a word of Python
    value: StrictStr


class ShareGPT(BaseModel):
    """``{"conversations": [{"from": "human", "value": "Hello."}, …]}``"""

    turns: list[ShareTurn] = Field(alias="conversations")

    def conversations(self) -> Iterator[Conversation]:
        """One."""
        names = {"human": "user", "gpt": "assistant", "chatgpt": "assistant"}
        turns = [(names.get(t.speaker, t.speaker), t.value) for t in self.turns]
        yield Conversation(tuple(Message.of(_role(role), text) for role, text in turns))


class Alpaca(BaseModel):
    """``{"instruction": "Add.", "input": "1 and 2", "output": "3"}``"""

    instruction: StrictStr
    input: StrictStr = ""
    output: StrictStr

    def conversations(self) -> Iterator[Conversation]:
        """One exchange; the input stands under the instruction."""
        asked = f"{self.instruction}\n\n{self.input}" if self.input.strip() else self.instruction
        yield Conversation.of(asked, self.output)


class TreeNode(BaseModel):
    text: StrictStr
    role: Literal["prompter", "assistant"]
    rank: int | None = None
    deleted: bool = False
    replies: list[TreeNode] = []


class OpenAssistant(BaseModel):
    """``{"prompt": {"text": "Hello.", "role": "prompter", "replies": [{"rank": 0, …}, …]}}``"""

    prompt: TreeNode

    def conversations(self, paths: Paths = "best") -> Iterator[Conversation]:
        """From the root down: the best-ranked reply each time, or every way. Each ends with an answer."""
        found = False
        waiting: list[tuple[TreeNode, ...]] = [(self.prompt,)]
        while waiting:
            path = waiting.pop()
            replies = sorted(
                (r for r in path[-1].replies if not r.deleted and _answered(r)),
                key=lambda r: (r.rank is None, r.rank or 0),
            )
            if path[-1].role == "assistant" and not replies:
                found = True
                yield Conversation(tuple(Message.of(_role(n.role), n.text) for n in path))
            waiting += [(*path, r) for r in reversed(replies[:1] if paths == "best" else replies)]
        if not found:
            raise CourseError("no prompt of the tree is answered")


def _answered(node: TreeNode) -> bool:
    """Whether a prompt has an answer (an answer counts as one itself)."""
    return node.role == "assistant" or any(
        r.role == "assistant" and not r.deleted for r in node.replies
    )


def _parts(content: str | list[ChatPart]) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Part("text", content),)
    return tuple(Part(part.type, part.text) for part in content)


def _role(name: str) -> Role:
    roles: dict[str, Role] = {
        "system": "system", "user": "user", "prompter": "user", "assistant": "assistant",
    }  # fmt: skip
    if name not in roles:
        raise CourseError(f"the role {name!r} is unknown", hint="known: " + ", ".join(roles))
    return roles[name]
