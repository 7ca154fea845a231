"""Supervised fine-tuning: a base model goes on learning, now from conversations.

The loss is that of pretraining, with two differences: only what the assistant must write counts, and
batches hold different numbers of such tokens. A step's loss is the mean over all of *its* tokens, in
whatever parts the batch is computed: a mean of the parts' means would give the tokens of a short answer
more weight than those of a long one. Everything else is `pretrain`'s: optimizers, schedule, clipping,
precision, compiling, snapshots, records, an end at any moment.

Ouyang et al., "Training language models to follow instructions" (arXiv:2203.02155), section 3.5.
Taught in chapter 08.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..assets import atomic_write
from ..errors import CourseError
from ..model.transformer import Transformer
from ..runtime import seed_everything
from ..tokenizer import Tokenizer
from .compiling import wants_compile
from .distributed import Team, accumulate, clip, join, leave, parallelise
from .flops import flops_per_token
from .journal import Journal, OnStep, Row
from .loop import make_optimizers
from .lora import LoraConfig, adapter_of, apply_lora, counts, has_lora, merge, save_adapter
from .precision import LossScaler, Precision, choose
from .randomness import random_state, restore_random_state
from .run_folder import RunFolder
from .schedule import warmup_cosine
from .sft_batches import Layout, Separated, SFTBatch, SFTBatches
from .signals import StopSignals
from .snapshots import load_snapshot, save_snapshot
from .speed import prepare

Evaluate = Callable[[int, Transformer], dict[str, Any]]
"""Step and model, in evaluation mode → whatever was measured, as JSON can hold it."""


@dataclass(frozen=True)
class Settings:
    """What a run's numbers depend on; see `sft`."""

    steps: int
    lr: float
    min_lr: float
    warmup_steps: int
    optimizer: Literal["adamw", "muon"]
    betas: tuple[float, float]
    weight_decay: float
    clip: float
    batch_tokens: int
    context: int
    layout: Layout
    precision: str
    seed: int


@dataclass(frozen=True)
class Result:
    """What came of a run, or of the part of it that was run now.

    Args:
        model: The one that was given, trained; with its adapters, if it has any.
        folder: The run's, or None.
        step: Steps made, in all.
        finished: Whether they are all of them; if not, the same call goes on.
        loss: Of each step of this call, before it, in nats per token that counts.
        validation: (step, loss) of each validation of this call …
        evaluations: … and (step, answer) of each call of `evaluate`.
        tokens: Positions computed, in all, padding included …
        targets: … and tokens among them that counted.
        seconds: Spent in steps, in all.
        signal: What asked the run to stop: a signal's number, or 0.
    """

    model: Transformer
    folder: Path | None
    step: int
    finished: bool
    loss: list[float]
    validation: list[tuple[int, float]]
    evaluations: list[tuple[int, dict[str, Any]]]
    tokens: int
    targets: int
    seconds: float
    signal: int = 0


def sft(
    model: Transformer,
    examples: Sequence[Any],
    *,
    validation: Sequence[Any] = (),
    epochs: float | None = None,
    steps: int | None = None,
    lr: float = 1e-3,
    min_lr: float | None = None,
    warmup_steps: int | None = None,
    optimizer: Literal["adamw", "muon"] = "adamw",
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.0,
    clip: float = 1.0,
    batch_tokens: int = 8192,
    micro_tokens: int = 4096,
    context: int | None = None,
    layout: Layout = "padded",
    lora: LoraConfig | None = None,
    precision: str = "auto",
    compile: str = "auto",
    seed: int = 0,
    out: str | Path | None = None,
    tokenizer: Tokenizer | None = None,
    evaluate: Evaluate | None = None,
    eval_every: int = 0,
    save_every: int = 0,
    keep: int = 2,
    resume: bool = True,
    progress: bool = True,
    team: Team | None = None,
    stop_after: int | None = None,
    max_seconds: float | None = None,
    on_step: OnStep | None = None,
) -> Result:
    """Fine-tune a model on conversations, or go on doing so.

    Args:
        model: Changed in place, and moved to the team's device.
        examples: Rendered conversations: pairs (ids, loss mask), or objects with these attributes.
        validation: Others, for the loss on them.
        epochs: How often each is seen (default: once) …
        steps: … or how many steps are made; one of the two.
        lr: The greatest learning rate …
        min_lr: … the last one (default: a tenth) …
        warmup_steps: … and how many steps it takes to get there (default: a tenth, at most 100).
        optimizer: ``adamw``, or ``muon`` for matrices with AdamW for the rest.
        betas: AdamW's.
        weight_decay: For matrices.
        clip: Longest gradient allowed.
        batch_tokens: Positions of a step, padding included …
        micro_tokens: … and of what each process computes at once; the rest is accumulated.
        context: The longest row (default: the model's).
        layout: See `SFTBatches`.
        lora: Train adapters only; None: everything that is not frozen.
        precision: As `precision.choose` takes it.
        compile: As `compiling.wants_compile` takes it.
        seed: Of the order.
        out: The run's folder, with records, snapshots and at the end ``model/``, adapters merged (and
            alone beside it). None: nothing is written.
        tokenizer: Goes with the model into the folder.
        evaluate: Called with step and model every `eval_every` steps, at the beginning and at the end; its
            answers are a line each in ``answers.jsonl``. On each process: it is the same model everywhere.
        eval_every: How often, and how often the validation loss; 0: at the beginning and the end.
        save_every: A snapshot every so many steps; 0: only where the run stops.
        keep: Snapshots kept.
        resume: Go on from the newest snapshot in `out`. Otherwise an earlier run there is removed.
        progress: Show a bar and a line for each validation, on standard error.
        team: Who takes part; by default whoever `torchrun` started. Each has the whole model (DDP).
        stop_after: Stop after so many steps of this call …
        max_seconds: … or after so long, with a snapshot if there is a folder.
        on_step: Called after each step with its row of ``metrics.csv``.

    Raises:
        CourseError: if there are no conversations, or one cannot be learnt from; if settings make no sense or
            differ from those of the run in `out`; if the loss or the gradient is no longer a number.
            The state before that step is saved then.

    Taught in chapter 08.
    """
    own = team is None
    team = join() if team is None else team
    try:
        context = context or model.config.context_length
        data = SFTBatches(
            examples, context, batch_tokens, layout=layout, seed=seed, multiple=team.world_size
        )
        held_out = (
            SFTBatches(validation, context, micro_tokens, layout=layout, shuffle=False)
            if len(validation)
            else None
        )
        _check(model, data, held_out, context, epochs, steps)
        if steps is None:
            steps = max(1, math.ceil((1.0 if epochs is None else epochs) * len(data)))
        settings = Settings(
            steps, lr, lr / 10 if min_lr is None else min_lr,
            min(100, steps // 10) if warmup_steps is None else warmup_steps,
            optimizer, betas, weight_decay, clip, batch_tokens, context, layout,
            choose(team.device, precision).name, seed,
        )  # fmt: skip
        if lora is not None:
            apply_lora(model, lora.rank, lora.alpha, lora.targets, lora.seed)
        flops = flops_per_token(model.config, context) * steps * batch_tokens
        run = _Run(model, data, held_out, settings, team, micro_tokens, evaluate, eval_every)
        run.folder = None if out is None else RunFolder(out)
        run.keep, run.save_every, run.on_step = keep, save_every, on_step
        run.prepare(wants_compile(team.device, compile, flops))
        run.restore(lora, tokenizer, resume, progress)
        with StopSignals() as signals:
            return run.go(signals, stop_after, max_seconds)
    finally:
        if own:
            leave(team)


def sft_microbatch_step(
    per_token_logprobs: Tensor,
    mask: Tensor,
    gradient_accumulation_steps: int = 1,
    normalise: float = 1.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Backward pass of one micro-batch: gradients are added to what is there.

    The loss is −Σ log p · mask / normalise of each row, averaged over rows and divided by the number of
    micro-batches. With ``normalise = tokens that count / rows`` of the whole batch, in equal
    micro-batches, the steps add up to the mean over its tokens, which is what `sft` minimises.

    Args:
        per_token_logprobs: Of the tokens that came, [B, T], with a gradient.
        mask: 1 where a token counts, [B, T].
        gradient_accumulation_steps: Micro-batches of a step.
        normalise: What each row's sum is divided by.

    Returns:
        The loss, a scalar without gradient, and ``tokens`` that counted and their ``mean_logprob`` (NaN if
        there are none).

    Raises:
        CourseError: if shapes differ, or a number makes no sense.

    Taught in chapter 08.
    """
    if per_token_logprobs.shape != mask.shape or mask.ndim != 2:
        raise CourseError(
            f"log-probabilities {list(per_token_logprobs.shape)} and a mask {list(mask.shape)}",
            hint="both are [B, T]",
        )
    if gradient_accumulation_steps < 1 or not 0 < normalise < math.inf:
        raise CourseError(
            f"{gradient_accumulation_steps} micro-batches, normalised by {normalise}",
            hint="gradient_accumulation_steps ≥ 1, normalise > 0",
        )
    counts_ = mask.to(torch.bool)
    # Masked, not multiplied: −∞ where nothing counts must not become NaN.
    total = per_token_logprobs.masked_fill(~counts_, 0.0).sum(-1)
    loss = -(total / normalise).mean() / gradient_accumulation_steps
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
    tokens = counts_.sum()
    return loss.detach(), {"tokens": tokens, "mean_logprob": total.detach().sum() / tokens}


class _Run:
    """A run in progress: prepared, put back where it was, and driven to its end."""

    folder: RunFolder | None = None
    journal: Journal | None = None
    keep, save_every = 2, 0
    on_step: OnStep | None = None

    def __init__(
        self,
        model: Transformer,
        data: SFTBatches,
        held_out: SFTBatches | None,
        settings: Settings,
        team: Team,
        micro_tokens: int,
        evaluate: Evaluate | None,
        eval_every: int,
    ) -> None:
        self.model, self.data, self.held_out, self.set = model, data, held_out, settings
        self.team, self.micro_tokens = team, micro_tokens
        self.evaluate, self.eval_every = evaluate, eval_every
        self.step, self.tokens, self.targets, self.seconds = 0, 0, 0, 0.0
        self.losses: list[float] = []
        self.validation: list[tuple[int, float]] = []
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.saved: Path | None = None

    def prepare(self, compiled: bool) -> None:
        team, s = self.team, self.set
        seed_everything(s.seed)
        self.base = _fingerprint(self.model)  # before anything is learnt
        self.precision = Precision(s.precision, team.device.type)  # type: ignore[arg-type]
        self.scaler = LossScaler(enabled=s.precision == "fp16")
        self.whole = parallelise(Separated(self.model), team, "ddp")
        self.loss_of = prepare(self.whole, team.device, self.precision.dtype, compiled)
        # What is saved on the way: all of the model, or what is not as it was given.
        self.core: nn.Module = adapter_of(self.model) if has_lora(self.model) else self.model
        self.optimizers = make_optimizers(
            self.model, s.optimizer, lr=s.lr, betas=s.betas, weight_decay=s.weight_decay
        )
        warmup_cosine(0, s.lr, s.warmup_steps, s.steps, s.min_lr)  # refuses what contradicts itself

    # ------------------------------------------------------------------ the loop

    def go(self, signals: StopSignals, stop_after: int | None, max_seconds: float | None) -> Result:
        began, stopped = time.monotonic(), False
        last = self.set.steps if stop_after is None else min(self.set.steps, self.step + stop_after)
        was_training = self.model.training
        self.model.train()
        try:
            if self.step == 0:
                self._look()
            while self.step < last and not stopped:
                row = self._step(self.data.batch(self.step))
                if self.journal is not None:
                    self.journal.step(row)
                if self.on_step is not None and self.team.is_main:
                    self.on_step(row)
                self._look()
                late = max_seconds is not None and time.monotonic() - began > max_seconds
                stopped = self.team.any(bool(signals.received) or late)
                if self.step == last or stopped:
                    self._save()
                elif self.save_every and self.step % self.save_every == 0:
                    self._try_to_save()
        finally:
            self.model.train(was_training)
            self.whole.zero_grad(set_to_none=True)
            if self.journal is not None:
                self.journal.close()
        if (finished := self.step == self.set.steps) and self.folder is not None:
            folder = self.folder
            self._on_main(lambda: self._finish(folder))
        return Result(
            self.model, None if self.folder is None else self.folder.path, self.step, finished,
            self.losses, self.validation, self.answers, self.tokens, self.targets, self.seconds,
            0 if finished else signals.received,
        )  # fmt: skip

    def _step(self, batch: SFTBatch) -> Row:
        s, number, began = self.set, self.step + 1, time.perf_counter()
        rate = warmup_cosine(number, s.lr, s.warmup_steps, s.steps, s.min_lr)
        loss = self.team.sum(self._backward(batch)).item()
        self._finite("loss", loss)
        self.scaler.unscale(self.whole.parameters())
        norm = clip(self.whole, s.clip, self.team).item()
        if self.scaler.update(norm):
            self._finite("length of the gradient", norm)
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
        self.whole.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - began
        self.step, self.saved = number, None
        self.tokens, self.targets = self.tokens + batch.y.size, self.targets + batch.targets
        self.seconds += seconds
        self.losses.append(loss)
        return {
            "step": number, "tokens": self.tokens, "loss": loss, "lr": rate, "grad_norm": norm,
            "tokens_per_second": batch.y.size / seconds, "mfu": None, "seconds": self.seconds,
        }  # fmt: skip

    def _backward(self, batch: SFTBatch) -> Tensor:
        """Gradients of this process's rows; its part of the mean over all tokens of the batch."""
        team, total = self.team, batch.targets
        share = len(batch.y) // team.world_size
        mine = slice(team.rank * share, (team.rank + 1) * share)
        x, y = torch.from_numpy(batch.inputs[mine]), torch.from_numpy(batch.y[mine])
        parts = _micro_batches(x, y, self.micro_tokens)
        loss = torch.zeros((), device=team.device)
        for i, (xs, ys, count) in enumerate(parts):
            with accumulate(self.whole, last=i == len(parts) - 1):
                with self.precision.autocast():
                    mean = self.loss_of(self.whole, xs.to(team.device), ys.to(team.device))
                part = mean * (count / total)
                # DDP divides by the number of processes, but this is a sum already.
                (part * (self.scaler.scale * team.world_size)).backward()  # type: ignore[no-untyped-call]
            loss += part.detach()
        return loss

    # ------------------------------------------------------------------ looking

    def _look(self) -> None:
        """Validate, if it is time: at the beginning, every so often, at the end."""
        at_ends = self.step in (0, self.set.steps)
        if not at_ends and not (self.eval_every and self.step % self.eval_every == 0):
            return
        state = random_state()  # looking must not change what is drawn next
        self.model.eval()
        if self.held_out is not None:
            loss = self._loss_on(self.held_out)
            self.validation.append((self.step, loss))
            if self.journal is not None:
                self.journal.evaluation({
                    "step": self.step, "tokens": self.tokens, "loss": loss, "bits_per_byte": None,
                    "seconds": self.seconds,
                })  # fmt: skip
        if self.evaluate is not None:
            with torch.no_grad():
                answer = self.evaluate(self.step, self.model)
            self.answers.append((self.step, answer))
            if self.folder is not None and self.team.is_main:
                lines = _answers(self.folder.path, self.step - 1)
                lines.append(json.dumps({"step": self.step, **answer}, ensure_ascii=False))
                _write_answers(self.folder.path, lines)
        self.model.train()
        restore_random_state(state)

    @torch.no_grad()
    def _loss_on(self, data: SFTBatches) -> float:
        """Mean over all tokens that count. Each process computes it all: it is little."""
        total = 0.0
        for number in range(len(data)):
            batch = data.batch(number)
            x, y = torch.from_numpy(batch.inputs), torch.from_numpy(batch.y)
            with self.precision.autocast():
                logits = Separated(self.model)(x.to(self.team.device))
            losses = nn.functional.cross_entropy(
                logits.float().flatten(0, 1), y.flatten().to(self.team.device), reduction="sum"
            )
            total += losses.item()
        return total / data.targets

    # ------------------------------------------------------------------ stopping and going on

    def restore(
        self, lora: LoraConfig | None, tokenizer: Tokenizer | None, resume: bool, progress: bool
    ) -> None:
        """Take the folder, put back the newest whole snapshot, and open the records behind it."""
        if self.folder is None:
            return
        sections: dict[str, Any] = {
            "model": {**self.model.config.model_dump(mode="json"), "weights": self.base},
            "sft": {**asdict(self.set), "processes": self.team.world_size},
            "lora": None if lora is None else asdict(lora),
            "data": {"train": self.data.fingerprint, "conversations": len(self.data.pairs)},
        }
        settings = json.loads(json.dumps(sections))  # as it will be read: lists for tuples
        facts = {"numbers": asdict(counts(self.model)), "steps_per_epoch": len(self.data)}
        folder = self.folder
        self._on_main(lambda: folder.begin(settings, facts, tokenizer, fresh=not resume))
        found = load_snapshot(self.folder.snapshots, self.core, self.optimizers, self.team)
        if found is not None:
            self.step, extra = found
            self.tokens, self.targets = extra["tokens"], extra["targets"]
            self.seconds = extra["seconds"]
            self.scaler.load_state_dict(extra["scaler"])
            restore_random_state(extra["random"])
        after = self.step if found is not None else -1
        self.journal = Journal(
            self.folder, after, self.set.steps, writes=self.team.is_main, progress=progress
        )
        if self.team.is_main:
            _write_answers(self.folder.path, _answers(self.folder.path, after))

    def _save(self) -> None:
        if self.saved is None and self.folder is not None:
            extra = {
                "tokens": self.tokens, "targets": self.targets, "seconds": self.seconds,
                "scaler": self.scaler.state_dict(), "random": random_state(),
            }  # fmt: skip
            self.saved = save_snapshot(
                self.folder.snapshots, self.step, self.core, self.optimizers, extra, self.team,
                keep=self.keep, beside=self.folder.beside,
            )  # fmt: skip

    def _try_to_save(self) -> None:
        """A snapshot on the way: if it cannot be written the run goes on, and those before are kept."""
        try:
            self._save()
        except CourseError as error:
            if self.journal is not None:
                self.journal.say(f"step {self.step:,}: no snapshot, those before are kept: {error}")

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

    def _finite(self, what: str, value: float) -> None:
        """Is it still a number? If not, keep the state before this step, and stop."""
        if math.isfinite(value):
            return
        self.whole.zero_grad(set_to_none=True)
        good = all(bool(p.detach().isfinite().all()) for p in self.model.parameters())
        where = "the model is as it was before that step"
        if self.folder is not None and not self.team.any(not good):
            self._save()
            where = f"the state before it is in {self.saved}"
        raise CourseError(
            f"the {what} is {value} at step {self.step + 1}; {where}",
            hint="start anew with a smaller learning rate, and look at that step's batch",
        )

    def _finish(self, folder: RunFolder) -> None:
        """``model/`` from the whole model, adapters merged."""
        from ..model.weights import save

        plain = copy.deepcopy(self.model)
        if has_lora(plain):
            merge(plain)
        folder.path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.path) as temporary:
            save(plain, temporary)
            for path in folder.beside:
                (Path(temporary) / path.name).write_bytes(path.read_bytes())
            summary = {"step": self.step, "tokens": self.tokens, "targets": self.targets}
            folder.finish(Path(temporary), {**summary, "seconds": self.seconds})
        if has_lora(self.model):
            save_adapter(self.model, folder.model)


def _micro_batches(x: Tensor, y: Tensor, tokens: int) -> list[tuple[Tensor, Tensor, int]]:
    """Rows in parts of so many positions, with how many targets count in each."""
    rows = max(1, tokens // y.shape[1])
    parts = []
    for start in range(0, len(y), rows):
        xs, ys = x[start : start + rows], y[start : start + rows].clone()
        count = int((ys >= 0).sum())
        if count == 0:  # rows that fill up the last batch: a mean over nothing is NaN, also times 0
            ys[0, 0] = 0
        parts.append((xs, ys, count))
    return parts


def _check(
    model: Transformer,
    data: SFTBatches,
    held_out: SFTBatches | None,
    context: int,
    epochs: float | None,
    steps: int | None,
) -> None:
    if (epochs is not None and steps is not None) or not (steps or epochs or 1) > 0:
        raise CourseError(f"{epochs} epochs and {steps} steps", hint="one of them, above 0")
    if steps == 0 or epochs == 0 or (epochs is not None and not math.isfinite(epochs)):
        raise CourseError(f"{epochs} epochs and {steps} steps", hint="one of them, above 0")
    if context > model.config.context_length:
        raise CourseError(
            f"rows of {context} tokens, and the model sees {model.config.context_length} at once",
            hint="make context smaller",
        )
    most = max(each.vocab_size for each in (data, held_out) if each is not None)
    if most > model.config.vocab_size:
        raise CourseError(
            f"the conversations have the id {most - 1:,}, the model {model.config.vocab_size:,} symbols",
            hint="are they another tokenizer's?",
        )
    for name, p in model.named_parameters():
        if p.requires_grad and p.dtype in (torch.float16, torch.bfloat16):
            raise CourseError(
                f"{name} is {p.dtype}, too coarse for small steps", hint="load it as float32"
            )


def _fingerprint(model: nn.Module) -> str:
    """A short checksum of every number of a model."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(name.encode() + data.numpy().tobytes())
    return digest.hexdigest()[:16]


def _answers(folder: Path, after: int) -> list[str]:
    """The lines of ``answers.jsonl`` up to a step."""
    path = folder / "answers.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line for line in lines if json.loads(line)["step"] <= after]


def _write_answers(folder: Path, lines: list[str]) -> None:
    if lines or (folder / "answers.jsonl").exists():
        with atomic_write(folder / "answers.jsonl") as temporary:
            temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
