"""The key-value cache: what attention computed about earlier tokens, kept instead of computed again.

A token's keys and values depend only on the tokens before it, so they never change once computed.
With them stored, a new token costs one position's work, not the whole sequence's. The price is memory:
2 · layers · key heads · head_dim numbers for each token of each stream (`bytes_per_token`).

Rows are streams, each with a length of its own, and rows in use are always the first ones: when a
stream leaves, the last row moves into the hole. Memory grows in steps as the longest stream does.

Layout: [layers, rows, key heads, positions, head_dim], so that all positions of one head lie side by
side, which is the order in which attention reads them. (With heads inside positions, writing is a
little faster and reading 16 streams of 1,024 tokens 10 to 20 % slower, measured on two CPU cores.)

Taught in chapter 05.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import CourseError
from ..model.config import ModelConfig

STEP = 256
"""Positions by which the memory grows at least."""


class KVCache:
    """Keys and values of some streams, for every layer.

    `begin`, `append` and `advance` are one forward pass: `begin` says where the coming tokens stand and
    what they may see, `append` stores one layer's keys and values and gives back all of them, `advance`
    makes the tokens count. Rows may advance by less than T: the rest was padding, will be overwritten,
    and nothing ever looks at it.

    Args:
        config: The model's shape.
        slots: How many streams at most.
        max_length: How many tokens each at most (default: the model's context).
        dtype: Of the stored numbers.
        device: Where they are.
        static: Take all the memory at once and always show all of it, masked: tensors then keep their
            addresses and shapes, which CUDA graphs need.

    Raises:
        CourseError: if `slots` or `max_length` is below 1, or `max_length` above the context.
    """

    def __init__(
        self,
        config: ModelConfig,
        slots: int = 1,
        max_length: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        *,
        static: bool = False,
    ) -> None:
        self.max_length = config.context_length if max_length is None else max_length
        if slots < 1 or not 1 <= self.max_length <= config.context_length:
            raise CourseError(
                f"a cache cannot have {slots} rows of {self.max_length} tokens",
                hint=f"at least one row, of 1 to {config.context_length} tokens",
            )
        self.slots, self.static = slots, static
        self.lengths = [0] * slots
        self.all_visible = False
        capacity = self.max_length if static else 0
        shape = (config.n_layers, slots, config.n_kv_heads, capacity, config.head_dim)
        # Zeros, not empty memory: a masked NaN is still NaN after 0 · NaN.
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        if static and self.keys.device.type == "cuda":
            # A graph writes into the cache: it must know that the address stays.
            torch._dynamo.mark_static_address(self.keys)
            torch._dynamo.mark_static_address(self.values)
        self._first, self._last, self._visible = 0, 0, 0
        self._at: int | None = 0
        self._positions = self._rows = torch.zeros(1, 1, dtype=torch.long, device=device)

    @property
    def capacity(self) -> int:
        """Positions for which there is memory now."""
        return self.keys.shape[3]

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken now."""
        return self.keys.nbytes + self.values.nbytes

    @property
    def bytes_per_token(self) -> int:
        """Bytes that one token of one stream takes: 46,080 for SmolLM2-135M in float32."""
        layers, _, heads, _, head_dim = self.keys.shape
        return 2 * layers * heads * head_dim * self.keys.element_size()

    # ---------------------------------------------------------------- one forward pass

    def begin(self, B: int, T: int, first: int = 0) -> tuple[Tensor, Tensor | None]:
        """Announce T more tokens for each of the rows first … first + B − 1.

        Returns:
            The tokens' positions [B, T], and a mask [B, 1, T, S], True = may attend, over the S positions
            that `append` will show; None where every row is empty: plain causal attention.

        Raises:
            CourseError: if there are not so many rows, or a row would grow too long.
        """
        lengths = self.lengths[first : first + B]
        if len(lengths) < B:
            raise CourseError(
                f"{B} rows from row {first} on, but the cache has {self.slots}",
                hint="make it with more slots",
            )
        longest = max(lengths)
        if longest + T > self.max_length:
            raise CourseError(
                f"{T} more tokens after {longest}: the cache holds {self.max_length} for a stream",
                hint="make it with a greater max_length, or give it less",
            )
        if longest + T > self.capacity:
            self._grow(longest + T)
        device = self.keys.device
        self._first, self._last = first, first + B
        self._visible = self.capacity if self.static else longest + T
        same = longest == min(lengths) and not self.static
        self._at = longest if same else None  # where to write: one place for all rows, or …
        starts = torch.tensor(lengths, device=device)
        positions = starts[:, None] + torch.arange(T, device=device)  # [B, T]
        self._positions = positions
        self._rows = torch.arange(first, first + B, device=device)[:, None]
        self.all_visible = same and (T == 1)
        if same and longest == 0:
            return positions, None
        keys = torch.arange(self._visible, device=device)
        return positions, keys <= positions[:, None, :, None]

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values [B, Hkv, T, hd]; return all so far [B, Hkv, S, hd]."""
        if k.requires_grad:  # a cache holds numbers, not their history
            k, v = k.detach(), v.detach()
        keys, values = self.keys[layer], self.values[layer]
        rows = slice(self._first, self._last)
        if self._at is not None:
            place = slice(self._at, self._visible)
            keys[rows, :, place], values[rows, :, place] = k, v
        else:  # … one for each row. Indexed first and third axis come first: [B, T, Hkv, hd]
            keys[self._rows, :, self._positions] = k.transpose(1, 2).to(keys.dtype)
            values[self._rows, :, self._positions] = v.transpose(1, 2).to(values.dtype)
        return keys[rows, :, : self._visible], values[rows, :, : self._visible]

    def advance(self, counts: Sequence[int], first: int | None = None) -> None:
        """Count the tokens just stored: `counts[i]` of the row `first` + i (default: `begin`'s first)."""
        first = self._first if first is None else first
        for row, count in enumerate(counts, first):
            self.lengths[row] += count

    def rows(self, first: int) -> Rows:
        """The same cache, seen from row `first` on: for a forward pass of some rows in the middle."""
        return Rows(self, first)

    # ---------------------------------------------------------------- streams come and go

    def move(self, source: int, target: int) -> None:
        """Row `source` becomes row `target`, and is empty afterwards."""
        length = self.lengths[source]
        for store in (self.keys, self.values):
            store[:, target, :, :length] = store[:, source, :, :length]
        self.lengths[target], self.lengths[source] = length, 0

    def swap(self, a: int, b: int) -> None:
        """Exchange two rows."""
        length = max(self.lengths[a], self.lengths[b])
        for store in (self.keys, self.values):
            kept = store[:, a, :, :length].clone()
            store[:, a, :, :length] = store[:, b, :, :length]
            store[:, b, :, :length] = kept
        self.lengths[a], self.lengths[b] = self.lengths[b], self.lengths[a]

    def clear(self, row: int) -> None:
        """Forget a row; its memory is wiped too, in case it held NaN."""
        self.keys[:, row] = 0
        self.values[:, row] = 0
        self.lengths[row] = 0

    def _grow(self, needed: int) -> None:
        steps = -(-max(needed, self.capacity * 3 // 2) // STEP)
        capacity = min(steps * STEP, self.max_length)
        used = max((row + 1 for row, length in enumerate(self.lengths) if length), default=0)
        length = max(self.lengths)
        # Plain tensors also when called in inference mode: the cache may be used outside it later.
        with torch.inference_mode(False), torch.no_grad():
            for name in ("keys", "values"):
                old: Tensor = getattr(self, name)
                new = old.new_zeros(*old.shape[:3], capacity, old.shape[4])
                new[:, :used, :, :length] = old[:, :used, :, :length]
                setattr(self, name, new)


class Rows:
    """A cache whose row 0 is another row of a larger one. Same protocol."""

    def __init__(self, cache: KVCache, first: int) -> None:
        self.cache, self.first = cache, first

    @property
    def all_visible(self) -> bool:
        return self.cache.all_visible

    def begin(self, B: int, T: int) -> tuple[Tensor, Tensor | None]:
        return self.cache.begin(B, T, self.first)

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return self.cache.append(layer, k, v)

    def advance(self, counts: Sequence[int]) -> None:
        self.cache.advance(counts, self.first)
