"""From a checkpoint to a model: every name used, every shape checked, then the numbers.

The order matters. A file may claim a model of a billion layers; so the claim is compared with the
headers first, on a model without memory (torch's *meta* device), and a byte is allocated only for
tensors that are known to be there. Taught in chapter 04.
"""

from __future__ import annotations

import sys
from collections.abc import Collection

import torch
from torch import Tensor

from llmcourse.errors import CourseError

from ..config import ModelConfig
from ..names import Origin, Shape, is_no_parameter, layout, take, without_prefix
from ..transformer import Transformer, meta_model
from .stored import Checkpoint, Stored

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_HEAD = "head.weight"


def build(
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype | str = torch.float32,
    device: torch.device | str = "cpu",
    allow_non_finite: bool = False,
    progress: bool = False,
) -> Transformer:
    """Make the model and fill it. The one function through which all weights come.

    Args:
        checkpoint: What a file or a folder says it holds.
        dtype: Of the parameters: float32, bfloat16 or float16, whatever the file has.
        device: Where the parameters shall be.
        allow_non_finite: Take weights that are NaN or infinite; without it they are an error, as
            one of them makes every answer NaN.
        progress: Show a bar on standard error.

    Raises:
        CourseError: naming the tensors that are missing, left over, or of another shape or type.
    """
    from tqdm import tqdm

    dtype, device = checked_dtype(dtype), checked_device(device)
    model, plan = match(checkpoint)
    state: dict[str, Tensor] = {}
    source, stored = "", torch.empty(0)
    # Parts of one tensor one after the other: GPT-2's q, k and v are read once, not three times.
    parts = sorted(plan.items(), key=lambda item: item[1].source)
    for name, origin in tqdm(parts, "weights", disable=None if progress else True, file=sys.stderr):
        if origin.source != source:
            source, stored = origin.source, checkpoint.tensors[origin.source].read()
        tensor = take(origin, stored).to(dtype).contiguous()
        if tensor.untyped_storage().nbytes() > tensor.nbytes:  # a part of another's memory
            tensor = tensor.clone()
        if not allow_non_finite:
            _check_finite(tensor, origin.source, checkpoint.tensors[origin.source])
        state[name] = tensor.to(device)
    if checkpoint.config.tied:
        _check_tied(checkpoint, state["embedding.weight"])
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


def match(checkpoint: Checkpoint) -> tuple[Transformer, dict[str, Origin]]:
    """A model without memory, and where each of its tensors comes from; nothing is read.

    Raises:
        CourseError: as `build`, for names, shapes and types.
    """
    model = _empty(checkpoint)
    shapes: dict[str, Shape] = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    try:
        plan = layout(checkpoint.kind, checkpoint.config, shapes)
    except KeyError as error:
        raise CourseError(
            f"{checkpoint.path}: the layout {checkpoint.kind} has no {error.args[0]}",
            hint="the configuration does not belong to these weights",
        ) from error
    tensors = checkpoint.tensors
    plan = without_prefix(checkpoint.kind, plan, tensors.keys())
    wanted = {origin.source: origin.shape for origin in plan.values()}
    known = wanted.keys() | ({_head_source(checkpoint)} if checkpoint.config.tied else set())
    left_over = [n for n in tensors if n not in known and not is_no_parameter(checkpoint.kind, n)]
    wrong = [
        f"{name} is {_by(tensors[name].shape)}, not {_by(shape)}"
        for name, shape in wanted.items()
        if name in tensors and tensors[name].shape != shape
    ]
    problems = [
        *_named("missing", [name for name in wanted if name not in tensors]),
        *_named("left over", left_over),
        *_named("wrong shape", wrong),
    ]
    if problems:
        raise CourseError(
            f"{checkpoint.path} does not fit its configuration: {'; '.join(problems)}",
            hint="the files do not belong together, or were altered",
        )
    return model, plan


def checked_dtype(dtype: torch.dtype | str) -> torch.dtype:
    """A type for parameters.

    Raises:
        CourseError: if it is none of `DTYPES`.
    """
    found = DTYPES.get(str(dtype).removeprefix("torch."))
    if found is None:
        raise CourseError(f"parameters cannot be {dtype}", hint=f"one of {', '.join(DTYPES)}")
    return found


def checked_device(device: torch.device | str) -> torch.device:
    """A device that this machine has.

    Raises:
        CourseError: if it has not.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise CourseError(
            f"there is no device {str(device)!r} here", hint='"cpu" is always there'
        ) from error


def _empty(checkpoint: Checkpoint) -> Transformer:
    config, there = checkpoint.config, len(checkpoint.tensors)
    if config.n_layers > there:  # before a loop as long as somebody's claim
        raise CourseError(
            f"{checkpoint.path} claims {f'{config.n_layers:,}'[:40]} layers and has {there:,} tensors",
            hint="the files do not belong together, or were altered",
        )
    _check_possible(config, checkpoint)
    return meta_model(config)


def _check_possible(config: ModelConfig, checkpoint: Checkpoint) -> None:
    """No claimed size may be greater than the file's largest tensor: torch cannot even name 2^63."""
    largest = max((max(t.shape, default=0) for t in checkpoint.tensors.values()), default=0)
    claims = {
        "vocab_size": config.vocab_size,
        "width": config.width,
        "hidden": config.hidden,
        "n_heads · head_dim": config.n_heads * config.head_dim,
        "context_length": config.context_length if config.position == "learned" else 0,
    }
    for claim, value in claims.items():
        if value > largest:
            raise CourseError(
                f"{checkpoint.path} claims {claim} {f'{value:,}'[:40]}, and no tensor has more than "
                f"{largest:,} rows or columns",
                hint="the files do not belong together, or were altered",
            )


def _check_finite(tensor: Tensor, name: str, stored: Stored) -> None:
    low, high = torch.aminmax(tensor)  # NaN is passed on by both
    if not bool(torch.isfinite(low) & torch.isfinite(high)):
        count = int((~torch.isfinite(tensor)).sum())
        raise CourseError(
            f"{stored.where}: {name} has {count:,} weights that are NaN or infinite as {tensor.dtype}",
            hint="the file is damaged, or needs a wider dtype; allow_non_finite=True takes it as it is",
        )


def _head_source(checkpoint: Checkpoint) -> str:
    """What the exit's weight would be called, if it were not the embedding."""
    plan = layout(checkpoint.kind, checkpoint.config, {_HEAD: (0, 0)})
    return plan[_HEAD].source


def _check_tied(checkpoint: Checkpoint, embedding: Tensor) -> None:
    name = _head_source(checkpoint)
    stored = checkpoint.tensors.get(name)
    if stored is None:
        return
    head = stored.read().to(embedding.dtype)
    if head.shape != embedding.shape or not torch.equal(head, embedding.cpu()):
        raise CourseError(
            f"{stored.where}: {name} differs from the embedding, but the configuration ties them",
            hint="the configuration does not belong to these weights",
        )


def _named(what: str, names: Collection[str], show: int = 3) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - show:,} more" if len(names) > show else ""
    return [f"{what}: {', '.join(n[:100] for n in list(names)[:show])}{more}"]


def _by(shape: Shape) -> str:
    return " × ".join(f"{n:,}" for n in shape) or "a single number"
