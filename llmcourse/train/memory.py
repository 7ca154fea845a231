"""What has to be in a GPU's memory at the same time while it trains, by component.

Three kinds. What belongs to the *parameters* (themselves, their gradients, the optimizer's two
averages) is 16 bytes for each, whatever the batch, and several GPUs can share it. What belongs to the
*batch* (everything the forward pass made that the backward pass will ask for) grows with rows and
tokens, and can be computed again instead of kept. And the *logits*: a number for each symbol of the
vocabulary at each position, several times over, for a moment.

The formulas count what autograd keeps of this book's own blocks (`llmcourse.model`), after Korthikanti
et al., "Reducing activation recomputation in large transformer models", arXiv:2205.05198, section 4,
but without dropout (we have none) and without the T × T scores (flash attention never stores them).
`llmcourse.train.simulate` checks them against a run of torch's FSDP without memory.

Taught in chapter 06.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..model.config import ModelConfig
from .flops import multiplied, parameters
from .hardware import Precision

Strategy = Literal["ddp", "fsdp"]
OptimizerName = Literal["adamw", "muon"]

OVERHEAD = 2 * 10**9
"""A guess, and the only one: CUDA's context, NCCL's and cuBLAS's buffers, gaps between allocations."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU, by component.

    Args:
        parameters: float32, those that the optimizer moves (*master weights*).
        optimizer: AdamW's m and v, float32; one average where Muon moves.
        gradients: float32. Under FSDP they are there at the end of a step only.
        accumulated: FSDP only: whole gradients, kept until the last micro-batch of a step.
        copies: The weights in the precision of the products: all of them under DDP, the tables (embedding,
            positions, exit) under FSDP.
        activations: What the forward pass leaves for the backward pass.
        logits: The loss, between the two passes: logits, probabilities and their gradient.
        block: Later, while a block goes back: under FSDP its weights and the next one's, gathered, and
            its gradient on its way to those who keep it; gradients of what is inside; and what had to
            be computed again.
        tables: At the end, under FSDP: the gradient of the tables, whole. Activations are gone by then.
        overhead: A guess (`OVERHEAD`).
        sharded: Whether this is FSDP.

    Not all is there at once, so `total` is less than the sum.
    """

    parameters: int
    optimizer: int
    gradients: int
    accumulated: int
    copies: int
    activations: int
    logits: int
    block: int
    tables: int
    sharded: bool
    overhead: int = OVERHEAD

    @property
    def total(self) -> int:
        """Bytes at the worst moment: at the loss, while the last block goes back, or at the end."""
        gradients, ending = self.gradients, self.tables
        if self.sharded:
            gradients, ending = 0, self.gradients + self.tables
        always = self.parameters + self.optimizer + gradients + self.accumulated + self.copies
        moment = max(self.activations + max(self.logits, self.block), ending)
        return always + moment + self.overhead


def memory_of(
    config: ModelConfig,
    *,
    micro_batch: int,
    context: int,
    strategy: Strategy,
    ranks: int,
    precision: Precision = "bf16",
    optimizer: OptimizerName = "adamw",
    activation_checkpointing: bool = False,
    compiled: bool = False,
    accumulated: bool = False,
) -> Memory:
    """Bytes on each of `ranks` GPUs.

    Args:
        config: The shape.
        micro_batch: Rows that a GPU holds at once.
        context: Tokens in a row, T.
        strategy: ``ddp``: everything that belongs to parameters is on every GPU. ``fsdp``: it is shared.
        ranks: How many GPUs. With one there is nothing to share, whatever the strategy.
        precision: Of the matrix products; parameters and sums are float32 in any case.
        optimizer: ``adamw`` or ``muon``.
        activation_checkpointing: Only what enters each block is kept, and one block's inside at a time.
        compiled: Whether `torch.compile` fuses what lies between the matrix products.
        accumulated: Whether a step has several micro-batches.
    """
    parts = parameters(config)
    total = sum(parts.values())
    sharded = strategy == "fsdp" and ranks > 1
    share = ranks if sharded else 1
    e = 4 if precision == "fp32" else 2
    # Under FSDP the tables too are in the low precision, and so is the sum that runs through the blocks;
    # under autocast it stays float32.
    r = e if sharded else 4
    norms_in_blocks = parts["norms"] * 2 * config.n_layers // (2 * config.n_layers + 1)
    blocks = parts["attention"] + parts["MLP"] + norms_in_blocks
    one_block = blocks // config.n_layers
    tables = total - blocks

    tokens = micro_batch * context
    inside = tokens * block_activations(config, e, r, compiled)
    kept = tokens * r * config.width if activation_checkpointing else inside
    copies = 0
    if sharded:
        copies = e * tables
    elif precision != "fp32":
        copies = e * multiplied(config)
    return Memory(
        parameters=4 * total // share,
        optimizer=optimizer_bytes(config, optimizer) // share,
        gradients=4 * total // share,
        accumulated=4 * total if sharded and accumulated else 0,
        copies=copies,
        activations=config.n_layers * kept + tokens * outside_activations(config, e, r, compiled),
        # float32 whatever the precision: exponentials and two gradients that are added up, or logits
        # twice and once in low precision. Either comes to about 12 bytes a number; compiled, to less, which
        # is not counted on.
        logits=12 * tokens * config.vocab_size,
        # Its own gradients come and go; at most about four as wide as the MLP were seen at once.
        block=(2 * e + e + 4) * one_block * sharded
        + inside * activation_checkpointing
        + 4 * e * tokens * config.hidden,
        tables=(e + 4) * tables * sharded,
        sharded=sharded,
    )


def optimizer_bytes(config: ModelConfig, optimizer: OptimizerName) -> int:
    """Bytes of an optimizer's averages, over all parameters: two of float32, or one where Muon moves."""
    parts = parameters(config)
    if optimizer == "adamw":
        return 8 * sum(parts.values())
    C, H = config.width, config.hidden
    queries, keys = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    ways = 3 if config.mlp == "swiglu" else 2
    matrices = config.n_layers * (2 * C * queries + 2 * C * keys + ways * C * H)
    return 8 * sum(parts.values()) - 4 * matrices


def block_activations(config: ModelConfig, e: int, r: int, compiled: bool) -> int:
    """Bytes that one block keeps for the backward pass, for each token.

    For GPT-2's block in bfloat16: 32 C compiled (Korthikanti et al. have 34 C, 2 of it for dropout), and
    68 C as written, because layers that are written out keep each intermediate.

    Args:
        config: The shape; C, H and A below are `width`, `hidden`, and heads times numbers per head.
        e: Bytes of a number in a matrix product.
        r: Bytes of a number in the sum that runs through the blocks.
        compiled: Whether what lies between the products is fused.
    """
    C, H, A = config.width, config.hidden, config.n_heads * config.head_dim
    attention = 4 * e * A + 4 * config.n_heads  # q, k, v, the mixture; the logarithm of each sum
    if compiled:
        # A norm's input and output; the second norm's input is the first's plus the attention's output.
        norms = (r + e) * C + 2 * e * C + 4 * 4
        return norms + attention + {"swiglu": 3, "gelu": 2, "gelu_tanh": 2}[config.mlp] * e * H
    norms = 2 * (8 * C + 4)  # float32: centred, and scaled; 1 / deviation
    if (
        config.position == "rope"
    ):  # turned queries lie in memory in another order, and so does the mixture:
        attention += e * A  # what enters the exit matrix is a copy
    if config.smear:  # how each key differs from the one before
        attention += e * config.n_kv_heads * config.head_dim
    # Autocast copies what enters a matrix product, for each product anew.
    ways_in = 2 if config.mlp == "swiglu" else 1
    inputs = (2 if r == e else 3 + ways_in) * e * C
    if (
        config.mlp == "gelu_tanh" and r != e
    ):  # autocast takes powers in float32, and all that follows
        return norms + attention + inputs + (12 + 2 * e) * H
    # swiglu: gate, its sigmoid, their product, values, all together. gelu, similarly, 4 or 5.
    return norms + attention + inputs + {"swiglu": 5, "gelu": 4, "gelu_tanh": 5}[config.mlp] * e * H


def outside_activations(config: ModelConfig, e: int, r: int, compiled: bool) -> int:
    """The same for what is not in a block: ids, the last norm, and what enters the exit."""
    C = config.width
    return 8 + (r * C + 8 if compiled else 8 * C + 4) + e * C
