"""How reinforcement learning fails: without an error. Each way has a sign, and each sign a warning.

    watch.look({"step": 1, "reward_std": 0.0, …})    # ["every attempt earned the same, …"]

A warning is given when its sign appears, not again while it stays. Taught in chapter 15.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Value = int | float | None


class SilentFailure(UserWarning):
    """Training goes on, and probably nothing is learnt."""


@dataclass(frozen=True)
class Limits:
    """From where on to warn.

    Attributes:
        entropy: Of a token's choice, as a share of what it was at the beginning.
        drift: The mean length has become so many times as long or as short.
        cut: Share of attempts that do not end.
        gap: Between a token's log-probability on the engine and in training, in nats.
    """

    entropy: float = 0.1
    drift: float = 2.0
    cut: float = 0.5
    gap: float = 0.05


class Watch:
    """Looks at each step's numbers.

    Args:
        limits: From where on to warn.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.first: dict[str, float] = {}
        self.seen: set[str] = set()

    def look(self, row: Mapping[str, Value]) -> list[str]:
        """Warnings that are new at this step.

        Args:
            row: ``step``, ``reward`` (mean; NaN or None if there was none) and ``reward_std`` over the batch, ``ended``
                (share), ``entropy`` (nats per token), ``length`` (mean, in tokens) and ``gap``; a number that is left
                out is not looked at.
        """
        now = {key: float(value) for key, value in row.items() if value is not None}
        for name in ("entropy", "length"):
            if name in now:
                self.first.setdefault(name, now[name])
        signs = self._signs(now)
        new = [text for sign, text in signs.items() if sign not in self.seen]
        self.seen = set(signs)
        return new

    def _signs(self, now: dict[str, float]) -> dict[str, str]:
        found, limits, where = {}, self.limits, f"step {now.get('step', 0):.0f}: "
        reward = now.get("reward", math.nan)
        if "reward_std" in now:
            if math.isnan(reward):
                found["none"] = (
                    "no attempt got any reward, so nothing is learnt: has every problem an answer?"
                )
            elif now["reward_std"] < 1e-9:
                found["equal"] = (
                    f"every attempt earned {reward:g}, so nothing is learnt: are the problems too hard or too easy, "
                    "and is the model asked as it was taught?"
                )
        ended = now.get("ended", 1.0)
        if ended == 0:
            found["ended"] = (
                "no attempt ended its turn: is max_tokens too small, and was the end of a turn ever taught?"
            )
        elif ended < 1 - limits.cut:
            found["cut"] = (
                f"{1 - ended:.0%} of the attempts were cut at the limit: raise max_tokens"
            )
        first = self.first.get("entropy", 0.0)
        if first > 0 and now.get("entropy", math.inf) < limits.entropy * first:
            found["entropy"] = (
                f"entropy fell from {first:.3g} to {now['entropy']:.3g} nats: all attempts are becoming the same, and "
                "nothing is left to choose from; try a smaller learning rate, clip-higher, or a price for leaving"
            )
        first, length = self.first.get("length", 0.0), now.get("length", 0.0)
        if first > 0 and not first / limits.drift <= length <= first * limits.drift:
            found["length"] = (
                f"attempts went from {first:.0f} to {length:.0f} tokens: read some; does the loss or the reward pay "
                "for length?"
            )
        if now.get("gap", 0.0) > limits.gap:
            found["gap"] = (
                f"the engine and training differ by {now['gap']:.2g} nats about one token: are prompts padded or "
                "placed differently, or weights rounded?"
            )
        return {sign: where + text for sign, text in found.items()}

    def state(self) -> dict[str, Any]:
        """What a snapshot has to keep."""
        return {"first": dict(self.first), "seen": sorted(self.seen)}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        self.first, self.seen = dict(state["first"]), set(state["seen"])
