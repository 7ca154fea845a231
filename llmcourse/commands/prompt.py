"""What the user typed, as the token ids that the model is given. Taught in chapters 05 and 08."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import CourseError

if TYPE_CHECKING:
    from ..model.pretrained import Pretrained
    from ..tokenizer import Tokenizer
    from ..tokenizer.chat_template import ChatTemplate

LARGEST = 16 << 20  # bytes of a prompt; a hundred times more than any context holds
ENDS = ("<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>")
"""What tokens are called that end a document or a turn."""


def read_prompt(given: str | None) -> str:
    """The prompt: the argument, or standard input for ``-`` and where there is none but a pipe.

    One line end at the end of standard input is left out: it is the shell's, and a model would take it
    for the end of a paragraph.

    Raises:
        CourseError: if there is none, it is empty, too large, or not UTF-8.
    """
    if given is None and sys.stdin.isatty():
        raise CourseError("there is no prompt", hint='llmcourse generate "Once upon a time"')
    if given is None or given == "-":
        data = sys.stdin.buffer.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise CourseError(
                f"standard input has more than {LARGEST:,} bytes", hint="no context holds so much"
            )
        try:
            given = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CourseError(
                f"standard input is not UTF-8 (byte {error.start:,} is 0x{data[error.start]:02x})",
                hint="convert it, for example with iconv",
            ) from None
        given = given.removesuffix("\n").removesuffix("\r")
    check_utf8(given, "the prompt")
    if not given:
        raise CourseError("the prompt is empty", hint="a model goes on from something")
    return given


def check_utf8(text: str, what: str) -> None:
    """Refuse what the shell gave us that is no text.

    Raises:
        CourseError: if `text` holds bytes that were not UTF-8.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise CourseError(f"{what} is not UTF-8", hint="check the terminal's encoding") from None


def prompt_ids(loaded: Pretrained, text: str, chat: bool, system: str | None) -> list[int]:
    """Token ids of a prompt; the end is where the model goes on.

    Args:
        loaded: The model.
        text: What the user typed. Without `chat`, names of special tokens in it are special tokens.
        chat: Make a conversation of it, in the form that the model was trained on.
        system: The conversation's system message, if any.

    Raises:
        CourseError: if the model has no chat template, or the prompt has no token or too many.
    """
    if not chat:
        ids = loaded.tokenizer.encode(text)
    elif loaded.chat_template is None:
        raise CourseError(
            f"{loaded.source} is a base model: it has no chat template",
            hint="leave --chat out, or take an instruct model",
        )
    else:
        messages = [] if system is None else [{"role": "system", "content": system}]
        messages.append({"role": "user", "content": text})
        ids = chat_ids(loaded.tokenizer, loaded.chat_template, messages)
    room = loaded.config.context_length
    if not ids:
        raise CourseError(
            "the prompt has no token", hint="this vocabulary lacks all of its characters"
        )
    if len(ids) > room:
        raise CourseError(
            f"the prompt has {len(ids):,} tokens, but the context holds {room:,}",
            hint="give a shorter one",
        )
    return ids


def chat_ids(
    tokenizer: Tokenizer, template: ChatTemplate, messages: Sequence[dict[str, str]]
) -> list[int]:
    """A conversation as token ids, with the assistant's turn begun.

    The template writes text in which ``<|im_end|>`` is a special token. One that a user typed is not: it
    must not end the turn. So those are marked with a character that occurs nowhere before the
    template sees them, and it is taken out again once the template's own have been recognised.
    """
    from ..tokenizer.pretokenize import split_on_special

    special = tokenizer.special_tokens
    used = {*template.text, *(c for message in messages for c in message["content"])}
    mark = next(c for c in map(chr, range(0xE000, 0x110000)) if c not in used)
    marked = []
    for message in messages:
        parts = split_on_special(message["content"], special)
        parts[1::2] = [name[0] + mark + name[1:] for name in parts[1::2]]
        marked.append({**message, "content": "".join(parts)})
    ids: list[int] = []
    text = template.render(marked, add_generation_prompt=True)
    for i, part in enumerate(split_on_special(text, special)):
        if i % 2:
            ids.append(special[part])
        else:
            ids += tokenizer.encode_ordinary(part.replace(mark, ""))
    return ids


def end_tokens(tokenizer: Tokenizer, template: ChatTemplate | None) -> frozenset[int]:
    """Ids of the tokens that end a text or a turn: what the template says, and the usual names."""
    names = (*ENDS, template.eos_token) if template is not None else ENDS
    special = tokenizer.special_tokens
    return frozenset(special[name] for name in names if name in special)
