"""What a run says and writes down: rows, samples, a bar, a line now and then.

Only the main process does; on the others every method here does nothing, so that the loop need not ask.
Taught in chapter 06.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from .metrics import Board, Table, Value
from .run_folder import RunFolder

METRICS = ("step", "tokens", "loss", "lr", "grad_norm", "tokens_per_second", "mfu", "seconds")
EVALS = ("step", "tokens", "loss", "bits_per_byte", "seconds")

Row = dict[str, Value]
OnStep = Callable[[Row], object]
OnSample = Callable[[int, list[str]], object]


class Journal:
    """The records of a run.

    Args:
        folder: Where they are.
        after: The step behind which they go on; what is there of later ones is taken back. -1: none is kept.
        steps: Of the whole run.
        writes: Whether this process is the one that writes …
        progress: … and shows a bar, if there is a terminal, and lines, on standard error.
        on_step: Called with each row of ``metrics.csv`` …
        on_sample: … and with the step and texts of each sampling.

    Raises:
        CourseError: if a file cannot be written, now or later.
    """

    def __init__(
        self,
        folder: RunFolder,
        after: int,
        steps: int,
        *,
        writes: bool,
        progress: bool,
        on_step: OnStep | None = None,
        on_sample: OnSample | None = None,
    ) -> None:
        from tqdm import tqdm

        self.folder, self.writes, self.progress = folder, writes, progress and writes
        self.on_step, self.on_sample = on_step, on_sample
        self._bar = tqdm(
            total=steps, initial=max(after, 0), desc="training", unit="step",
            disable=None if self.progress else True, file=sys.stderr,
        )  # fmt: skip
        if writes:
            folder.cut_samples(after)
            self._metrics = Table(folder.metrics, METRICS, after)
            self._evals = Table(folder.evals, EVALS, after)
            self._board = Board(folder.board, after)
            if not Board.available():
                self.say(
                    "no TensorBoard (pip install tensorboard): the curves are in metrics.csv alone"
                )

    def step(self, row: Row) -> None:
        """A step has been made."""
        if self.writes:
            self._metrics.write(row)
            self._board.write("train", row)
            self._bar.update()
            self._bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            if self.on_step is not None:
                self.on_step(row)

    def evaluation(self, row: Row) -> None:
        """Held-out text has been predicted."""
        if self.writes:
            self._evals.write(row)
            self._board.write("held-out", row)
        bits, seconds = row["bits_per_byte"], row["seconds"]
        line = f"step {row['step']:,}: held-out loss {row['loss']:.3f}"
        line += "" if bits is None else f", {bits:.3f} bits per byte"
        self.say(line + (f", {(row['tokens'] or 0) / seconds:,.0f} tokens/s" if seconds else ""))

    def sample(self, step: int, texts: list[str]) -> None:
        """The model has written something."""
        if self.writes:
            self.folder.sample(step, texts)
            self._board.text(step, "samples", "\n\n".join(texts))
            if self.on_sample is not None:
                self.on_sample(step, texts)

    def say(self, line: str) -> None:
        """A line for whoever is watching."""
        if self.progress:
            self._bar.write(line, file=sys.stderr)

    def close(self) -> None:
        """The last line has been written."""
        self._bar.close()
        if self.writes:
            self._metrics.close()
            self._evals.close()
            self._board.close()
