"""From a conversation to the text a model was trained on: the release's own chat template.

A chat model has only ever seen conversations written in one way: which words mark who speaks, and
where a turn ends. Releases carry that way with them as a *template* in the Jinja language. Rendering
another model's template, or a home-made one, gives text the model does not understand as a
conversation.

How conversations are tokenised for our own models is not here. Taught in chapter 08.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmcourse.errors import CourseError

from .json_object import read_json_object

LARGEST = 1 << 16  # characters; the longest templates with tools have about 20,000
FILE_NAME = "chat_template.jinja"


class ChatTemplate:
    """A chat template, ready to render.

    Args:
        text: The template, in Jinja.
        bos_token: What `bos_token` stands for inside it: the name of the token that begins a text …
        eos_token: … and `eos_token`: the one that ends it.

    Raises:
        CourseError: if it is too long or no Jinja template, or jinja2 is not installed.
    """

    def __init__(self, text: str, *, bos_token: str = "", eos_token: str = "") -> None:
        self.text, self.bos_token, self.eos_token = text, bos_token, eos_token
        if not isinstance(text, str) or len(text) > LARGEST:
            raise CourseError(f"a chat template has at most {LARGEST:,} characters", hint=_DAMAGED)
        try:
            from .bounded_jinja import BoundedEnvironment
        except ImportError as error:
            raise CourseError(
                "chat templates need jinja2", hint="pip install 'llmcourse[weights]'"
            ) from error
        try:
            self._template = BoundedEnvironment().from_string(text)
        except Exception as error:  # jinja2's own, and Python's for what nests too deeply
            raise CourseError(f"no chat template: {_line(error)}", hint=_DAMAGED) from error

    def __repr__(self) -> str:
        return f"ChatTemplate({len(self.text):,} characters)"

    def __reduce__(self) -> tuple[Any, ...]:  # so that it can be sent to another process
        return _from_parts, (self.text, self.bos_token, self.eos_token)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        add_generation_prompt: bool = False,
        **variables: Any,
    ) -> str:
        """The conversation as one text, special tokens by name.

        Args:
            messages: ``{"role": "user", "content": "…"}`` and so on; what else may stand in them
                depends on the template.
            add_generation_prompt: Whether to open the assistant's next turn.
            variables: What else the template knows, for example `tools`.

        Raises:
            CourseError: if a message is not as it must be, the template refuses the conversation
                (some want user and assistant to take turns), or it does more work than any needs.
        """
        from .bounded_jinja import render

        given = [_checked(message, i) for i, message in enumerate(messages)]
        names: dict[str, Any] = {
            "messages": given,
            "add_generation_prompt": add_generation_prompt,
            "bos_token": self.bos_token,
            "eos_token": self.eos_token,
        }
        try:
            return render(self._template, names | _plain(variables))
        except Exception as error:  # a template is a program: it may raise anything
            raise CourseError(
                f"the chat template failed: {_line(error)}",
                hint="does it know these roles, in this order?",
            ) from error


def load_chat_template(folder: str | Path) -> ChatTemplate | None:
    """The chat template in a folder from Hugging Face, or None: base models have none.

    It is in ``chat_template.jinja`` or, in older releases, in ``tokenizer_config.json``, which also
    says what the first and the last token are called.

    Raises:
        CourseError: if a file is damaged, or the template is none.
    """
    folder = Path(folder)
    path, config = folder / FILE_NAME, folder / "tokenizer_config.json"
    content = read_json_object(config) if config.exists() else {}
    text = content.get("chat_template")
    if path.exists():
        try:
            with path.open(encoding="utf-8", newline="") as file:
                text = file.read(LARGEST + 1)
        except (OSError, UnicodeDecodeError) as error:
            raise CourseError(f"cannot read {path}: {_line(error)}", hint=_DAMAGED) from error
    elif isinstance(text, list):  # several, by name
        named = {t.get("name"): t.get("template") for t in text if isinstance(t, dict)}
        text = named.get("default")
    if text is None:
        return None
    bos, eos = (_name(content.get(key)) for key in ("bos_token", "eos_token"))
    return ChatTemplate(text, bos_token=bos, eos_token=eos)


def _checked(message: Any, number: int) -> dict[str, Any]:
    plain = _plain(message)
    if not isinstance(plain, dict) or not isinstance(plain.get("role"), str):
        raise CourseError(
            f"message {number} is {str(plain)[:60]!r}",
            hint='a message is {"role": "user", "content": "…"}',
        )
    return plain


def _plain(value: Any, depth: int = 0) -> Any:
    """A copy in plain JSON types, so that a template holds no object with methods that act."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if depth < 64:
        if isinstance(value, Mapping):
            return {str(k): _plain(v, depth + 1) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [_plain(item, depth + 1) for item in value]
    return f"<{type(value).__name__}>"


def _name(token: Any) -> str:
    """A token's name in ``tokenizer_config.json``: a string, or an object with its content."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""


def _line(error: Exception) -> str:
    """An error as one short line."""
    text = " ".join(str(error).split())[:200]
    return text or type(error).__name__


def _from_parts(text: str, bos_token: str, eos_token: str) -> ChatTemplate:
    return ChatTemplate(text, bos_token=bos_token, eos_token=eos_token)


_DAMAGED = "get the release's files again"
