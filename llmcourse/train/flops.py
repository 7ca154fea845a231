"""How many multiplications and additions a training run takes, and what share of a machine's it was.

A matrix of N numbers costs 2 N FLOPs for each token that goes through it, a multiplication and an
addition for each number, and twice that on the way back: 6 N in all. Attention has no parameters, but
its scores and its mixture are matrix products too: 12 · L · C · T for each token, over L blocks
of width C with T tokens to look at. Everything else (norms, softmax, optimizer) is left out, as in
every published figure.

Sources: Kaplan et al., arXiv:2001.08361, section 2.1 (6 N); Chowdhery et al., "PaLM",
arXiv:2204.02311, appendix B (attention, and *model FLOPs utilisation*, MFU).

Taught in chapter 06.
"""

from __future__ import annotations

from ..model.config import ModelConfig
from .hardware import Gpu, Precision


def parameters(config: ModelConfig) -> dict[str, int]:
    """How many numbers there are to learn, by part, from the shape alone; a tied exit counts once.

    The same as counting them one by one (`num_parameters`), without making a model.
    """
    C, H, L = config.width, config.hidden, config.n_layers
    queries = config.n_heads * config.head_dim
    keys = config.n_kv_heads * config.head_dim
    attention = 2 * C * queries + 2 * C * keys
    attention += (queries + 2 * keys if config.qkv_bias else 0) + (C if config.bias else 0)
    attention += config.n_kv_heads if config.smear else 0
    ways_in = 2 if config.mlp == "swiglu" else 1
    mlp = (ways_in + 1) * C * H + (ways_in * H + C if config.bias else 0)
    norm = 2 * C if config.norm == "layer" and config.bias else C
    return {
        "embedding": config.vocab_size * C,
        "positions": config.context_length * C if config.position == "learned" else 0,
        "attention": L * attention,
        "MLP": L * mlp,
        "norms": (2 * L + 1) * norm,
        "head": 0 if config.tied else config.vocab_size * C,
    }


def multiplied(config: ModelConfig) -> int:
    """N, the parameters that every token is multiplied with: all but tables in which a row is looked up.

    A tied embedding is looked up at the entrance and multiplied with at the exit, so it counts.
    """
    parts = parameters(config)
    looked_up = parts["positions"] + (0 if config.tied else parts["embedding"])
    return sum(parts.values()) - looked_up


def attention_flops(config: ModelConfig, context: int, *, causal: bool = False) -> int:
    """FLOPs of scores and mixtures for one token, forward and backward: 12 · L · C · T.

    Args:
        config: The shape.
        context: T.
        causal: Only what the causal mask leaves over, half of it: a token sees those before it, and
            good kernels skip the rest. PaLM's count, and most published MFUs, take it whole.
    """
    queries = config.n_heads * config.head_dim
    return (6 if causal else 12) * config.n_layers * queries * context


def flops_per_token(config: ModelConfig, context: int, *, causal: bool = False) -> int:
    """FLOPs of training on one token, forward and backward: 6 N + 12 · L · C · T.

    10.3 billion for GPT-2 XL with T = 1,024, of which attention is 0.9 billion.
    """
    return 6 * multiplied(config) + attention_flops(config, context, causal=causal)


def implied_mfu(
    seconds_per_step: float,
    config: ModelConfig,
    tokens_per_step: int,
    gpu: Gpu,
    gpus: int = 1,
    *,
    context: int | None = None,
    precision: Precision | None = None,
    causal: bool = False,
) -> float:
    """Which share of the machine's peak a step of this length comes to: model FLOPs utilisation.

    Args:
        seconds_per_step: As measured, or as published.
        config: The shape of the model.
        tokens_per_step: Over all GPUs.
        gpu: The card …
        gpus: … and how many of them.
        context: T; by default the model's context length.
        precision: Of the matrix products; by default the card's best for training.
        causal: See `attention_flops`. llm.c counts so, this book and PaLM do not.

    Raises:
        CourseError: if the card cannot compute in the precision.
        ValueError: if the time is not positive.
    """
    if not seconds_per_step > 0:
        raise ValueError(f"a step cannot take {seconds_per_step} s")
    each = flops_per_token(config, context or config.context_length, causal=causal)
    available = gpu.peak(precision or gpu.precision) * gpus * seconds_per_step
    return each * tokens_per_step / available
