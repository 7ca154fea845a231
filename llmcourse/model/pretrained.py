"""Models that somebody really released, by name or by path: weights, tokenizer, chat template.

    pretrained = load("smollm2")
    pretrained.model, pretrained.tokenizer, pretrained.chat_template

Offline first: the course's own models come with this package, SmolLM2 out of another one. Everything else
is fetched from the Hugging Face hub, once. This file does NOT read formats (`weights`). Taught in chapter 05.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from llmcourse import assets
from llmcourse.errors import CourseError
from llmcourse.tokenizer import Tokenizer
from llmcourse.tokenizer.chat_template import ChatTemplate, load_chat_template
from llmcourse.tokenizer.gguf_tokenizer import named_token, tokenizer_from_gguf
from llmcourse.tokenizer.huggingface import load_tokenizer

from . import shipped
from .config import ModelConfig
from .transformer import Transformer
from .weights import Checkpoint, build, open_checkpoint
from .weights.build import checked_device, checked_dtype
from .weights.extras import extra

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
ALIASES = {"smollm2": "smollm2-135m-instruct"}
HUB = {
    "smollm2-135m-instruct": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "smollm2-135m": "HuggingFaceTB/SmolLM2-135M",
    "smollm2-360m-instruct": "HuggingFaceTB/SmolLM2-360M-Instruct",
    "smollm2-360m": "HuggingFaceTB/SmolLM2-360M",
    "smollm2-1.7b-instruct": "HuggingFaceTB/SmolLM2-1.7B-Instruct",
    "smollm2-1.7b": "HuggingFaceTB/SmolLM2-1.7B",
    "qwen2.5-0.5b-instruct": "Qwen/Qwen2.5-0.5B-Instruct",
    "qwen2.5-0.5b": "Qwen/Qwen2.5-0.5B",
    "gpt2": "openai-community/gpt2",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
}
"""Names that `load` knows, and where the hub has them."""

WANTED = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "chat_template.jinja",
    "model.safetensors", "model-*.safetensors", "model.safetensors.index.json",
)  # fmt: skip


@dataclass(frozen=True)
class Pretrained:
    """A released model, ready to use.

    Args:
        model: In evaluation mode.
        tokenizer: Its own.
        chat_template: How conversations are written for it; None for a base model.
        config: The model's shape.
        source: Where it was found: a file, a folder, or the hub's name of it.
    """

    model: Transformer
    tokenizer: Tokenizer
    chat_template: ChatTemplate | None
    config: ModelConfig
    source: str


def load(
    name_or_path: str | Path = "smollm2",
    *,
    dtype: torch.dtype | str = torch.float32,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Pretrained:
    """Load a released model.

    Args:
        name_or_path: One of the course's models (`shipped`), a name of `HUB` (``smollm2`` is short for the
            135M chat model, which needs no network), a ``.gguf`` file, or a folder: ours or Hugging
            Face's, with a tokenizer.
        dtype: Of the parameters: float32, bfloat16 or float16.
        device: Where the parameters shall be.
        progress: Show bars on standard error.

    Raises:
        CourseError: if there is no such model here and none can be fetched (it says what to
            install), or its files are damaged or of a kind that is not supported.
    """
    dtype, device = checked_dtype(dtype), checked_device(device)  # before anything is downloaded
    path, source = _find(str(name_or_path), progress)
    checkpoint = open_checkpoint(path)
    tokenizer, template = _words(checkpoint, path)
    config = checkpoint.config
    if tokenizer.n_vocab > config.vocab_size:
        raise CourseError(
            f"{source}: the tokenizer has ids up to {tokenizer.n_vocab - 1:,}, the model has rows for "
            f"{config.vocab_size:,}",
            hint="the files do not belong together",
        )
    model = build(checkpoint, dtype=dtype, device=device, progress=progress)
    return Pretrained(model, tokenizer, template, config, source)


def names() -> list[str]:
    """The names that `load` knows."""
    return [*shipped.names(), *ALIASES, *HUB]


def _find(name: str, progress: bool) -> tuple[Path, str]:
    """Where the files are, fetched if need be, and what to call that place."""
    known = ALIASES.get(name.lower(), name.lower())
    if known in shipped.names():
        return shipped.folder(known), known
    if known not in HUB:
        path = Path(name).expanduser()
        if not path.exists():
            raise CourseError(
                f"no model is called {name!r}, and there is no such file or folder",
                hint=f"known: {', '.join(names())}",
            )
        return path, str(path)
    if known != ALIASES["smollm2"]:
        return _from_hub(HUB[known], "connect to a network, or load smollm2", progress), HUB[known]
    if assets.locate(SMOLLM2)[0] is not None:
        path = assets.fetch(SMOLLM2, progress=progress)
        return path, str(path)
    return _from_hub(HUB[known], assets.ASSETS[SMOLLM2].install, progress), HUB[known]


def _from_hub(repository: str, cure: str, progress: bool) -> Path:
    """A repository of the hub as a folder; what was fetched before is not fetched again."""
    hub, bars = extra("huggingface_hub"), extra("huggingface_hub.utils")  # not there by itself
    quiet = not progress and not bars.are_progress_bars_disabled()
    if quiet:
        bars.disable_progress_bars()
    try:
        return Path(hub.snapshot_download(repository, allow_patterns=list(WANTED)))
    except Exception as error:  # of half a dozen libraries, depending on what is not reachable
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CourseError(
            f"{repository} is not on this machine and cannot be fetched: {reason}", hint=cure
        ) from error
    finally:
        if quiet:
            bars.enable_progress_bars()


def _words(checkpoint: Checkpoint, path: Path) -> tuple[Tokenizer, ChatTemplate | None]:
    if path.is_dir():
        return load_tokenizer(path), load_chat_template(path)
    metadata = checkpoint.metadata
    tokenizer = tokenizer_from_gguf(metadata, str(path))
    text = metadata.get("tokenizer.chat_template")
    if text is None:
        return tokenizer, None
    bos, eos = named_token(metadata, "bos"), named_token(metadata, "eos")
    return tokenizer, ChatTemplate(text, bos_token=bos, eos_token=eos)
