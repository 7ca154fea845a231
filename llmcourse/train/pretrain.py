"""A training run from its settings to its end: the loop of `loop.fit`, made to last.

What is added: batches larger than memory, in parts (*gradient accumulation*); several processes; fewer
bits where they do; held-out text, samples, and a record of everything; and an end at any moment, planned
or not, from which the run goes on as if nothing had happened. Each of these is a file of its own.

Taught in chapter 06.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CourseError
from ..model.config import ModelConfig
from ..model.pretrained import load
from ..model.transformer import Transformer
from ..presets import TrainSection
from ..runtime import seed_everything
from .derived import Derived, derive
from .distributed import Team, accumulate, clip, join, leave, parallelise, unwrap
from .drill import Drill
from .held_out import evaluate
from .journal import Journal, OnSample, OnStep, Row
from .loop import make_optimizers
from .losses import IGNORE
from .precision import LossScaler, Precision
from .randomness import random_state, restore_random_state
from .run_folder import RunFolder, settings_of
from .samples import write_samples
from .schedule import warmup_cosine
from .signals import StopSignals
from .snapshot_files import snapshot_name
from .snapshots import load_snapshot, save_snapshot
from .sources import Batch, Source
from .speed import prepare


@dataclass(frozen=True)
class Result:
    """What came of a run, or of the part of it that was run now.

    Args:
        folder: The run's.
        step: Steps made, in all.
        finished: Whether they are all of them; if not, the same call goes on.
        loss: Of the last step's batch, in nats per token; None if no step was made now.
        bits_per_byte: At the last evaluation of this call; None if there was none.
        tokens: Trained on, in all.
        seconds: Spent in steps, in all.
        signal: What asked the run to stop: a signal's number, or 0.
    """

    folder: Path
    step: int
    finished: bool
    loss: float | None
    bits_per_byte: float | None
    tokens: int
    seconds: float
    signal: int = 0


def pretrain(
    config: ModelConfig,
    train: TrainSection,
    source: Source,
    out: str | Path,
    *,
    team: Team | None = None,
    resume: bool = True,
    progress: bool = True,
    stop_after: int | None = None,
    max_seconds: float | None = None,
    on_start: Callable[[Derived], object] | None = None,
    on_step: OnStep | None = None,
    on_sample: OnSample | None = None,
) -> Result:
    """Train a model, or go on training it.

    Args:
        config: The model; its first parameters follow from ``train.seed``.
        train: The settings of the run.
        source: Its tokens, for example ``ShardSource.open(folder)``.
        out: The run's folder (`run_folder`).
        team: Who takes part; by default whoever `torchrun` started.
        resume: Go on from the newest whole snapshot in `out`. Otherwise an earlier run there is removed.
        progress: Show a bar and a line for each evaluation, on standard error.
        stop_after: Stop after so many steps of this call, with a snapshot …
        max_seconds: … or after so long.
        on_start: Called on the main process with all that was derived, before anything is done …
        on_step: … after each step with its row of ``metrics.csv`` …
        on_sample: … and with the step and the texts after each sampling.

    Returns:
        What came of it. SIGTERM and SIGINT (Ctrl-C) end a run after the step that they interrupt, with a
        snapshot, and are no error.

    Raises:
        CourseError: if the settings do not fit together or differ from those of the run in `out`; if the
            loss or the gradient is no longer a number, naming the step (the state before it is saved);
            or if the last snapshot cannot be written.

    Taught in chapter 06.
    """
    team, own = (join(), True) if team is None else (team, False)
    try:
        derived = derive(config, train, source, team)
        if on_start is not None and team.is_main:
            on_start(derived)
        run = _Run(config, train, source, derived, RunFolder(out), team)
        run.prepare(resume)
        run.restore(
            lambda after: Journal(
                run.folder, after, train.steps, writes=team.is_main, progress=progress,
                on_step=on_step, on_sample=on_sample,
            )
        )  # fmt: skip
        with StopSignals() as signals:
            return run.go(signals, stop_after, max_seconds)
    finally:
        if own:
            leave(team)


class _Run:
    """A run in progress: prepared, put back where it was, and driven to its end."""

    journal: Journal

    def __init__(
        self,
        config: ModelConfig,
        train: TrainSection,
        source: Source,
        derived: Derived,
        folder: RunFolder,
        team: Team,
    ) -> None:
        self.config, self.train, self.source = config, train, source
        self.derived, self.folder, self.team = derived, folder, team
        self.step, self.tokens, self.seconds = 0, 0, 0.0  # made, trained on, spent so far
        self.loss: float | None = None
        self.bits_per_byte: float | None = None
        self.saved: Path | None = None  # the snapshot of `step`, if there is one

    def prepare(self, resume: bool) -> None:
        """Batches, folder, model, optimizers: the same on every process."""
        train, team, name = self.train, self.team, self.derived.precision
        self.loader = self.source.loader(train, team.rank, team.world_size)
        self.drill = Drill(self.loader) if train.drill_steps else None
        self.held_out = self.source.held_out(train)
        settings = settings_of(self.config, train, self.source.describe())
        facts = {"derived": asdict(self.derived)}
        self._on_main(
            lambda: self.folder.begin(settings, facts, self.source.tokenizer, fresh=not resume)
        )
        if team.device.type == "cuda":  # what is left in float32 is multiplied as TF32, much faster
            torch.set_float32_matmul_precision("high")
        seed_everything(train.seed)
        self.precision = Precision(name, team.device.type)
        self.scaler = LossScaler(enabled=name == "fp16")
        self.model = parallelise(
            self._first_model(), team, train.strategy,
            precision=None if name == "fp32" else self.precision.dtype,
            activation_checkpointing=train.activation_checkpointing,
        )  # fmt: skip
        self.loss_of = prepare(
            self.model, team.device, self.precision.dtype, compiled=self.derived.compiled
        )
        self.optimizers = make_optimizers(
            unwrap(self.model), train.optimizer, lr=train.lr,
            betas=(train.beta1, train.beta2), weight_decay=train.weight_decay,
        )  # fmt: skip

    def _first_model(self) -> Transformer:
        """The model before the first step: drawn, or the one that the settings name.

        Raises:
            CourseError: if that one is not here, or has another shape.
        """
        if self.train.start is None:
            return Transformer(self.config)
        model = load(self.train.start).model
        if model.config != self.config:
            raise CourseError(
                f"{self.train.start} has another shape than the preset's [model]",
                hint="name a model of this shape in start, or leave start out",
            )
        return model.train()

    # ------------------------------------------------------------------ the loop

    def go(self, signals: StopSignals, stop_after: int | None, max_seconds: float | None) -> Result:
        """Steps until the last one, or until somebody says stop."""
        train, began, stopped = self.train, time.monotonic(), False
        last = train.steps if stop_after is None else min(train.steps, self.step + stop_after)
        try:
            if self.step == 0:
                self._look()
            batch = self._batch(self.step) if self.step < last else None
            while batch is not None and not stopped:
                row, batch = self._step(batch, more=self.step + 1 < last)
                self.journal.step(row)
                self._look()
                late = max_seconds is not None and time.monotonic() - began > max_seconds
                stopped = self.team.any(bool(signals.received) or late)
                if self.step == last or stopped:
                    self._save()
                elif train.save_every and self.step % train.save_every == 0:
                    self._try_to_save()
        finally:
            self.journal.close()
        if finished := self.step == train.steps:
            self._on_main(self._finish)
        return Result(
            self.folder.path, self.step, finished, self.loss, self.bits_per_byte, self.tokens,
            self.seconds, 0 if finished else signals.received,
        )  # fmt: skip

    def _step(self, batch: Batch, more: bool) -> tuple[Row, Batch | None]:
        """One step of the optimizer: its row, and the next batch, which is read while a GPU computes."""
        train, number, began = self.train, self.step + 1, time.perf_counter()
        # Counted from 1, as in `fit`: the first step is a step, and the last one has `min_lr`.
        rate = warmup_cosine(number, train.lr, train.warmup_steps, train.steps, train.min_lr)
        loss = self._backward(batch)
        following = self._batch(number) if more else None

        self.loss = self.team.mean(loss).item()
        self._finite("loss", self.loss)
        self.scaler.unscale(self.model.parameters())
        norm = clip(self.model, train.clip, self.team).item()
        if self.scaler.update(norm):
            self._finite("length of the gradient", norm)
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
        self.model.zero_grad(set_to_none=True)

        seconds = time.perf_counter() - began
        self.step, self.saved = number, None
        self.tokens, self.seconds = self.tokens + train.batch_tokens, self.seconds + seconds
        speed, peak = train.batch_tokens / seconds, self.derived.peak_flops
        return {
            "step": number, "tokens": self.tokens, "loss": self.loss, "lr": rate, "grad_norm": norm,
            "tokens_per_second": speed,
            "mfu": None if peak is None else speed * self.derived.flops_per_token / peak,
            "seconds": self.seconds,
        }, following  # fmt: skip

    def _batch(self, step: int) -> Batch:
        """The drill first, if there is one, and then the text from its beginning."""
        before = self.train.drill_steps
        if self.drill is not None and step < before:
            return self.drill.batch(step)
        return self.loader.batch(step - before)

    def _backward(self, batch: Batch) -> Tensor:
        """Gradients of a batch, micro-batch by micro-batch, and this process's mean loss."""
        x, y = (self._to_device(ids) for ids in batch)
        micro, count = self.derived.micro_batch, self.derived.accumulation
        mean = torch.zeros((), device=self.team.device)
        for i, share in enumerate(_shares(batch[1], micro)):
            rows = slice(i * micro, (i + 1) * micro)
            with accumulate(self.model, last=i == count - 1):
                with self.precision.autocast():
                    loss = self.loss_of(self.model, x[rows], y[rows])
                (loss * (self.scaler.scale * share)).backward()  # type: ignore[no-untyped-call]
            mean += loss.detach() * share
        return mean

    def _to_device(self, ids: Any) -> Tensor:
        tensor = torch.from_numpy(ids)
        if self.team.device.type == "cuda":  # page-locked memory is copied while the GPU computes
            tensor = tensor.pin_memory()
        return tensor.to(self.team.device, non_blocking=True)

    # ------------------------------------------------------------------ looking

    def _look(self) -> None:
        """Evaluate and write samples, if it is time: at the beginning, every so often, at the end."""

        def due(every: int) -> bool:
            return every > 0 and (self.step % every == 0 or self.step == self.train.steps)

        self.model.eval()
        if self.held_out is not None and due(self.train.eval_every):
            found = evaluate(
                self.model, self.held_out, self.derived.micro_batch, self.precision, self.team
            )
            self.bits_per_byte = found.bits_per_byte
            self.journal.evaluation({
                "step": self.step, "tokens": self.tokens, "loss": found.loss,
                "bits_per_byte": found.bits_per_byte, "seconds": self.seconds,
            })  # fmt: skip
        if (tokenizer := self.source.tokenizer) is not None and due(self.train.sample_every):
            texts = write_samples(
                self.model, self.config, tokenizer, self.train.prompts, self.train.sample_tokens,
                self.precision, self.team.device, seed=self.train.seed,
            )  # fmt: skip
            self.journal.sample(self.step, texts)
        self.model.train()

    # ------------------------------------------------------------------ stopping and going on

    def restore(self, open_journal: Callable[[int], Journal]) -> None:
        """Put back the newest whole snapshot, if there is one, and open the records behind it."""
        found = load_snapshot(self.folder.snapshots, self.model, self.optimizers, self.team)
        if found is not None:
            self.step, extra = found
            self.tokens, self.seconds = extra["tokens"], extra["seconds"]
            self.scaler.load_state_dict(extra["scaler"])
            restore_random_state(extra["random"])
            self.saved = self.folder.snapshots / snapshot_name(self.step)
        self.journal = open_journal(self.step if found is not None else -1)
        if found is not None:
            self.journal.say(f"going on after step {self.step:,}")

    def _save(self) -> None:
        """A snapshot of this moment, unless there is one."""
        if self.saved is None:
            extra = {
                "tokens": self.tokens, "seconds": self.seconds, "scaler": self.scaler.state_dict(),
                "random": random_state(),
            }  # fmt: skip
            self.saved = save_snapshot(
                self.folder.snapshots, self.step, self.model, self.optimizers, extra, self.team,
                keep=self.train.keep, milestones=self.train.milestones, beside=self.folder.beside,
            )  # fmt: skip

    def _try_to_save(self) -> None:
        """A snapshot on the way: if it cannot be written the run goes on, and those before are kept."""
        try:
            self._save()
        except CourseError as error:
            self.journal.say(f"step {self.step:,}: no snapshot, and those before are kept: {error}")

    def _finite(self, what: str, value: float) -> None:
        """Is it still a number? If not, keep the state before this step, and stop."""
        if math.isfinite(value):
            return
        self.model.zero_grad(set_to_none=True)
        good = all(bool(p.detach().isfinite().all()) for p in self.model.parameters())
        where = "see its snapshots for a state before it"
        if not self.team.any(not good):
            self._save()
            where = f"the state before it is in {self.saved}"
        raise CourseError(
            f"the {what} is {value} at step {self.step + 1}; {where}",
            hint="start anew with --fresh and a smaller --lr, and look at that step's batch",
        )

    def _finish(self) -> None:
        assert self.saved is not None  # the last step has been saved, or it was loaded
        summary = {"step": self.step, "tokens": self.tokens, "seconds": self.seconds}
        self.folder.finish(self.saved, summary)

    def _on_main(self, do: Callable[[], object]) -> None:
        """Let the main process do something; if it fails, all stop."""
        error: CourseError | None = None
        if self.team.is_main:
            try:
                do()
            except CourseError as caught:
                error = caught
        if self.team.any(error is not None):
            raise error or CourseError("process 0 cannot go on", hint="see its message")


def _shares(y: Any, micro: int) -> list[float]:
    """What each micro-batch's mean counts in the batch's: its part of the targets that count.

    Without a mask that is the same for all. Several processes count alike whatever their targets are.
    """
    counts = [int((y[i : i + micro] != IGNORE).sum()) for i in range(0, len(y), micro)]
    total = sum(counts)
    return [n / total for n in counts] if total else [0.0 for _ in counts]
