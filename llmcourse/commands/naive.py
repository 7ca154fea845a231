"""Chapter 05's loop, watched: the tokens of `generate_naive` as they come.

The loop gives its tokens back when it is done. But it shows the model everything so far before each
new one, so a model that looks at what it is shown knows them one by one. Taught in chapter 05.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..engine.naive import generate_naive
from ..engine.sampling import filtered
from ..engine.stream import Alternatives, FinishReason, Request
from ..engine.text import TextStream, TextTokenizer
from ..model.transformer import Transformer


class NaiveStream:
    """One continuation by the loop. What it has come to is in attributes named as `engine.Stream`'s.

    Args:
        model: Runs as it is, on whatever device it is.
        tokenizer: For the text.
        request: What is wanted; `max_tokens` must be a number.
        changed: Called after each token.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: TextTokenizer,
        request: Request,
        changed: Callable[[], object],
    ) -> None:
        self.config = model.config  # the loop asks for it
        self.request = request
        self.ids: list[int] = []
        self.logprobs: list[float | None] = []
        self.probabilities: list[float | None] = []
        self.alternatives: list[Alternatives] = []
        self.text = ""
        self.finish_reason: FinishReason | None = None
        self._model, self._tokenizer, self._changed = model, tokenizer, changed
        self._streamer = TextStream(request.stop_strings)
        self._logits = torch.empty(0)

    def run(self) -> None:
        """Generate until something ends it."""
        request, limit = self.request, self.request.max_tokens or 0
        try:
            ids = generate_naive(
                self, request.prompt_ids, request.sampling, limit, request.stop_tokens, request.seed_index
            )  # fmt: skip
            self._take(ids)  # the last one was not shown to the model
        except _StopString:
            return self.finish("stop_string")
        if ids[-1] in request.stop_tokens:
            return self.finish("stop_token")
        return self.finish("length" if len(ids) == limit else "context")

    def finish(self, reason: FinishReason) -> None:
        """End it, if it has not ended; text that was held back comes out."""
        if self.finish_reason is None:
            self.text += self._streamer.flush()
            self.finish_reason = reason
            self._changed()

    def __call__(self, ids: Tensor) -> Tensor:
        """The model's logits for everything so far, [1, T] → [1, T, V]; new tokens are taken note of."""
        self._take(ids[0, len(self.request.prompt_ids) :].tolist())
        logits: Tensor = self._model(ids.to(self._model.device)).float().cpu()
        self._logits = logits[0, -1]
        return logits

    def _take(self, ids: list[int]) -> None:
        for token in ids[len(self.ids) :]:
            self._note_probabilities(token)
            self.ids.append(token)
            if token not in self.request.stop_tokens:
                self.text += self._streamer.push(self._tokenizer.token_bytes(token))
            self._changed()
            if self._streamer.stopped:
                raise _StopString

    def _note_probabilities(self, token: int) -> None:
        n = self.request.alternatives
        if n == 0:
            return
        logprobs = self._logits.log_softmax(-1)
        values, ids = logprobs.topk(n)
        self.alternatives.append(list(zip(ids.tolist(), values.exp().tolist(), strict=True)))
        self.logprobs.append(float(logprobs[token]))
        seen = torch.tensor([*self.request.prompt_ids, *self.ids])
        drawn = filtered(self._logits, self.request.sampling, seen)
        self.probabilities.append(float(drawn[token]))


class _StopString(Exception):
    """A stop string is complete."""
