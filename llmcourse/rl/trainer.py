"""Reinforcement learning with verifiable rewards: guess, check, learn; again.

    train(model, tokenizer, problems, correctness, rung="grpo", steps=100, out="work/rl")

Each step: draw problems, several attempts at each from the model as it is (`rollout`), rewards (`rewards`),
advantages and loss (`config.LADDER`), steps of the optimizers (`update`). Every attempt has a seed of its own, so a
run on two processes makes the attempts of a run on one. Everything is written down (`records`), and signs of failure
are looked for (`watch`). It can be stopped at any step, and goes on as if nothing had happened.

DeepSeek-R1 (arXiv:2501.12948, section 2.2) is this with a large model. Taught in chapters 15 and 16.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..engine import Engine
from ..engine.sampling import stream_seed
from ..engine.tools import Budget, Tool
from ..errors import CourseError
from ..model.transformer import Transformer
from ..runtime import seed_everything
from ..tokenizer import Tokenizer
from ..train.loop import make_optimizers
from ..train.precision import Precision, choose
from ..train.randomness import random_state, restore_random_state
from ..train.run_folder import RunFolder
from ..train.schedule import warmup_cosine
from ..train.signals import StopSignals
from ..train.snapshots import load_snapshot, save_snapshot
from ..train.team import Team, join, leave
from .advantages import informative
from .config import Rung
from .config import rung as rung_called
from .group import Group, check
from .records import Records, remove_records
from .rewards import Problem, Reward, Rewards
from .rollout import Prompt, chat_prompt, roll_out
from .update import Lesson, begin_alike, learn
from .watch import Limits, SilentFailure, Value, Watch

Evaluate = Callable[[int, Transformer], dict[str, Any]]
"""Step and model → whatever was measured, as JSON can hold it; `evaluation.evaluator` makes one."""

ROUNDS = 4
"""How often dynamic sampling draws before it is content with fewer problems."""


@dataclass(frozen=True)
class Settings:
    """What a run's numbers depend on, its rung aside; see `train`."""

    steps: int
    problems_per_step: int
    attempts: int
    max_tokens: int
    lr: float
    min_lr: float
    warmup_steps: int
    optimizer: Literal["adamw", "muon"]
    betas: tuple[float, float]
    weight_decay: float
    clip: float
    minibatches: int
    unfinished: float | None
    precision: str
    recompute: bool
    seed: int


@dataclass(frozen=True)
class Result:
    """What came of a run, or of the part of it that was run now.

    Attributes:
        model: The one that was given, trained.
        folder: The run's, or None.
        step: Steps made, in all.
        finished: Whether they are all of them; if not, the same call goes on.
        rows: The numbers of each step of this call, as in ``metrics.csv``.
        evaluations: (step, answer) of each call of `evaluate`.
        warnings: (step, text) of each sign of failure.
        seconds: Spent in steps, in all.
        signal: What asked the run to stop: a signal's number, or 0.
    """

    model: Transformer
    folder: Path | None
    step: int
    finished: bool
    rows: list[dict[str, Value]]
    evaluations: list[tuple[int, dict[str, Any]]]
    warnings: list[tuple[int, str]]
    seconds: float
    signal: int = 0


def train(
    model: Transformer,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    reward: Reward,
    *,
    rung: str | Rung = "grpo",
    steps: int = 100,
    problems_per_step: int = 8,
    attempts: int = 16,
    max_tokens: int = 96,
    lr: float = 1e-4,
    min_lr: float | None = None,
    warmup_steps: int | None = None,
    optimizer: Literal["adamw", "muon"] = "adamw",
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.0,
    clip: float = 1.0,
    minibatches: int = 1,
    micro_tokens: int = 4096,
    unfinished: float | None = 0.0,
    precision: str = "fp32",
    recompute: bool = False,
    prompt: Prompt | None = None,
    tools: Sequence[Tool] = (),
    budget: Budget | None = None,
    streams: int = 64,
    seed: int = 0,
    limits: Limits | None = None,
    out: str | Path | None = None,
    evaluate: Evaluate | None = None,
    eval_every: int = 0,
    save_every: int = 0,
    keep: int = 2,
    resume: bool = True,
    progress: bool = True,
    team: Team | None = None,
    stop_after: int | None = None,
    max_seconds: float | None = None,
    on_step: Callable[[dict[str, Value], list[Group]], object] | None = None,
) -> Result:
    """Train a model on problems whose answers can be checked, or go on doing so.

    Args:
        model: Changed in place, and moved to the team's device.
        tokenizer: Its own, with the end of a turn.
        problems: Each with a `question` and an `answer`.
        reward: `rewards.Rewards`, or a function (text, problem) → number or None.
        rung: How to learn: a name of `config.LADDER`, or a `Rung`.
        steps: How many batches of attempts.
        problems_per_step: P …
        attempts: … and k at each.
        max_tokens: The longest attempt.
        lr: The greatest learning rate …
        min_lr: … the last one (default: a tenth) …
        warmup_steps: … and how many steps it takes to get there (default: a tenth, at most 100).
        optimizer: ``adamw``, or ``muon`` for matrices with AdamW for the rest.
        betas: AdamW's.
        weight_decay: For matrices.
        clip: Longest gradient allowed.
        minibatches: Steps of the optimizers in each of the rung's epochs.
        micro_tokens: Positions that each process computes at once.
        unfinished: What an attempt that does not end its turn earns; None: what the reward says.
        precision: As `precision.choose` takes it, but fp16. The engine always computes in float32.
        recompute: Take the attempts' probabilities from a forward pass instead of from the engine.
        prompt: Problem → ids (default: the question as a user's turn).
        tools: What may be called …
        budget: … and how often.
        streams: Attempts that are made at once.
        seed: Of the order of problems, and of the draws.
        limits: From where on to warn.
        out: The run's folder, with records, snapshots and at the end ``model/``. None: nothing is written.
        evaluate: Called with step and model every `eval_every` steps, at the beginning and at the end, on
            each process: it is the same model everywhere.
        eval_every: How often; 0: at the beginning and the end.
        save_every: A snapshot every so many steps; 0: only where the run stops.
        keep: Snapshots kept.
        resume: Go on from the newest snapshot in `out`. Otherwise an earlier run there is removed.
        progress: Show a bar and a line for each evaluation, on standard error.
        team: Who takes part; by default whoever `torchrun` started. Each has the whole model, and its share of the
            problems.
        stop_after: Stop after so many steps of this call …
        max_seconds: … or after so long, with a snapshot if there is a folder.
        on_step: Called after each step with its row of ``metrics.csv`` and this process's groups.

    Raises:
        CourseError: if there are no problems; if settings make no sense or differ from those of the run in `out`; if
            the loss or the gradient is no longer a number.

    Warns:
        SilentFailure: at each sign that nothing is being learnt, or something else than was meant.

    Taught in chapter 15.
    """
    own = team is None
    team = join() if team is None else team
    try:
        how = rung_called(rung)
        settings = Settings(
            steps, problems_per_step, attempts, max_tokens, lr, lr / 10 if min_lr is None else min_lr,
            min(100, steps // 10) if warmup_steps is None else warmup_steps, optimizer, betas, weight_decay,
            clip, minibatches, unfinished, choose(team.device, precision).name, recompute, seed,
        )  # fmt: skip
        _check(settings, how, len(problems))
        run = _Run(model, tokenizer, problems, reward, how, settings, team)
        run.prompt = prompt or chat_prompt(tokenizer)
        run.tools, run.budget, run.streams, run.micro_tokens = tools, budget, streams, micro_tokens
        run.evaluate, run.eval_every, run.on_step = evaluate, eval_every, on_step
        run.save_every, run.keep, run.watch = save_every, keep, Watch(limits)
        run.folder = None if out is None else RunFolder(out)
        run.prepare(resume, progress)
        with StopSignals() as signals:
            return run.go(signals, stop_after, max_seconds)
    finally:
        if own:
            leave(team)


class _Run:
    """A run in progress."""

    prompt: Prompt
    tools: Sequence[Tool]
    budget: Budget | None
    evaluate: Evaluate | None
    on_step: Callable[[dict[str, Value], list[Group]], object] | None
    watch: Watch
    folder: RunFolder | None
    records: Records
    streams, micro_tokens, eval_every, save_every, keep = 64, 4096, 0, 0, 2

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        problems: Sequence[Problem],
        reward: Reward,
        rung: Rung,
        settings: Settings,
        team: Team,
    ) -> None:
        self.model, self.tokenizer, self.problems = model, tokenizer, problems
        self.reward, self.rung, self.set, self.team = reward, rung, settings, team
        self.step, self.drawn, self.tokens, self.seconds = 0, 0, 0, 0.0
        self.rows: list[dict[str, Value]] = []
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.warned: list[tuple[int, str]] = []
        self.saved: Path | None = None
        self._order: tuple[int, list[int]] = (-1, [])

    def prepare(self, resume: bool, progress: bool) -> None:
        """Begin with rank 0's model; take the folder, and put back the newest whole snapshot."""
        s, team = self.set, self.team
        seed_everything(s.seed)
        self.model.to(team.device)
        begin_alike(self.model, team)
        # What it must not go far from is the model as it was given, also when a run goes on.
        self.reference = None
        if self.rung.kl > 0:
            self.reference = copy.deepcopy(self.model).requires_grad_(False)
        base = _fingerprint(self.model)
        self.precision = Precision(s.precision, team.device.type)  # type: ignore[arg-type]
        self.optimizers = make_optimizers(
            self.model, s.optimizer, lr=s.lr, betas=s.betas, weight_decay=s.weight_decay
        )
        found = None
        if self.folder is not None:
            sections = {
                "model": {**self.model.config.model_dump(mode="json"), "weights": base},
                "rl": asdict(s),
                "rung": asdict(self.rung),
                "data": {"problems": len(self.problems), "fingerprint": _checksum(self.problems)},
            }
            settings, folder = json.loads(json.dumps(sections)), self.folder  # lists for tuples
            facts = {"processes": team.world_size}

            def begin() -> None:
                folder.begin(settings, facts, self.tokenizer, fresh=not resume)
                if not resume:
                    remove_records(folder.path)

            self._on_main(begin)
            found = load_snapshot(folder.snapshots, self.model, self.optimizers, team)
        if found is not None:
            self.step, extra = found
            self.drawn, self.tokens = extra["drawn"], extra["tokens"]
            self.seconds = extra["seconds"]
            self.watch.restore(extra["watch"])
            restore_random_state(extra["random"])
        names = list(self.reward.rewards) if isinstance(self.reward, Rewards) else []
        self.records = Records(
            None if self.folder is None else self.folder.path,
            self.step if found is not None else -1,
            s.steps, names, team, progress=progress,
        )  # fmt: skip

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
                self._step()
                self._look()
                late = max_seconds is not None and time.monotonic() - began > max_seconds
                stopped = self.team.any(bool(signals.received) or late)
                if (
                    self.step == last or stopped
                    or (self.save_every and self.step % self.save_every == 0)
                ):  # fmt: skip
                    self._save()
        finally:
            self.model.train(was_training)
            self.model.zero_grad(set_to_none=True)
            self.records.close()
        if (finished := self.step == self.set.steps) and self.folder is not None and self.saved:
            folder, saved = self.folder, self.saved
            result = {"step": self.step, "drawn": self.drawn, "seconds": self.seconds}
            self._on_main(lambda: folder.finish(saved, result))
        return Result(
            self.model, None if self.folder is None else self.folder.path, self.step, finished,
            self.rows, self.answers, self.warned, self.seconds, 0 if finished else signals.received,
        )  # fmt: skip

    def _step(self) -> None:
        s, number, began = self.set, self.step + 1, time.perf_counter()
        rate = warmup_cosine(number, s.lr, s.warmup_steps, s.steps, s.min_lr)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        drawn, used = self._attempts()
        row: dict[str, Value] = {"step": number, "lr": rate, **self._numbers(drawn)}
        rewards = torch.stack([g.rewards for g in drawn]) if drawn else torch.zeros(0, s.attempts)
        better = self.rung.advantages(rewards, row["reward"]) if drawn else rewards
        lesson = self._learn(drawn, used, better)
        self.step, self.saved = number, None
        seconds = time.perf_counter() - began
        self.seconds += seconds
        row |= {
            "drawn": self.drawn, "loss": lesson.loss, "kl": lesson.kl, "clipped": lesson.clipped,
            "gap": lesson.gap, "grad_norm": lesson.grad_norm, "seconds": self.seconds,
            "tokens_per_second": (row["tokens"] or 0) / seconds,
        }  # fmt: skip
        self.tokens += int(row["tokens"] or 0)
        row["tokens"] = self.tokens
        self.rows.append(row)
        self.records.rollouts(number, drawn, list(better))
        self.records.step(row)
        for text in self.watch.look(row):
            self.warned.append((number, text))
            self.records.warning(number, text)
            if self.team.is_main:
                warnings.warn(text, SilentFailure, stacklevel=4)
        if self.on_step is not None:
            self.on_step(row, drawn)

    def _attempts(self) -> tuple[list[Group], list[bool]]:
        """This process's groups, and which of them are to be learnt from."""
        s, enough = self.set, 0
        drawn: list[Group] = []
        used: list[bool] = []
        engine = Engine(
            self.model, self.tokenizer, weights="fp32", max_streams=min(self.streams, s.problems_per_step * s.attempts)
        )  # fmt: skip
        for _ in range(ROUNDS):
            new = self._draw(engine, s.problems_per_step - enough)
            good = [
                not self.rung.dynamic_sampling or bool(informative(g.rewards[None])) for g in new
            ]
            drawn, used = drawn + new, used + good
            enough += int(self.team.sum(torch.tensor(float(sum(good)))))
            if enough >= s.problems_per_step:
                break
        return drawn, used

    def _draw(self, engine: Engine, count: int) -> list[Group]:
        """The next `count` problems of the order, this process's share of them, attempted and checked."""
        s, k = self.set, self.set.attempts
        numbers = range(self.drawn, self.drawn + count)[self.team.rank :: self.team.world_size]
        self.drawn += count
        if not numbers:
            return []
        problems = [self._problem(n) for n in numbers]
        made = roll_out(
            engine,
            [self.prompt(problem) for problem in problems],
            k,
            seeds=[stream_seed(s.seed, n * k + i) for n in numbers for i in range(k)],
            max_tokens=s.max_tokens,
            tools=self.tools,
            budget=self.budget,
        )
        return [
            check(p, attempts, self.reward, s.unfinished)
            for p, attempts in zip(problems, made, strict=True)
        ]

    def _problem(self, number: int) -> Problem:
        """Any of an endless order: all problems, shuffled, again and again."""
        epoch, place = divmod(number, len(self.problems))
        if self._order[0] != epoch:
            chance = np.random.default_rng([self.set.seed, epoch])
            self._order = (epoch, chance.permutation(len(self.problems)).tolist())
        return self.problems[self._order[1][place]]

    def _learn(self, drawn: list[Group], used: list[bool], better: Tensor) -> Lesson:
        attempts, advantages, counts = [], [], []
        for group, own, use in zip(drawn, better, used, strict=True):
            for attempt, reward, a in zip(group.attempts, group.rewards, own, strict=True):
                cut = self.rung.overlong_filtering and not attempt.ended
                attempts.append(attempt)
                advantages.append(a)
                counts.append(use and not cut and not bool(reward.isnan()))
        try:
            return learn(
                self.model, self.optimizers, self.rung, attempts,
                torch.stack(advantages) if advantages else torch.zeros(0), torch.tensor(counts, dtype=torch.bool),
                longest=self.set.max_tokens, team=self.team, reference=self.reference,
                minibatches=self.set.minibatches, micro_tokens=self.micro_tokens, clip=self.set.clip,
                precision=self.precision, recompute=self.set.recompute,
            )  # fmt: skip
        except CourseError as error:
            raise CourseError(f"step {self.step + 1}: {error.message}", hint=error.hint) from error

    def _numbers(self, groups: list[Group]) -> dict[str, Value]:
        """What a step's attempts were like, those of all processes together."""
        names = list(self.reward.rewards) if isinstance(self.reward, Rewards) else []
        every = [
            (a, r, p)
            for g in groups
            for a, r, p in zip(g.attempts, g.rewards.tolist(), g.parts, strict=True)
        ]
        given = [r for _, r, _ in every if not math.isnan(r)]
        said = {name: [v for _, _, p in every if (v := p[name]) is not None] for name in names}
        sums = [
            len(every), len(given), sum(given), sum(r * r for r in given),
            sum(a.ended for a, _, _ in every), sum(a.length for a, _, _ in every),
            -sum(p for a, _, _ in every for p, m in zip(a.logprobs, a.mask, strict=True) if m),
            len(groups), sum(bool(informative(g.rewards[None])) for g in groups),
            *(n for name in names for n in (len(said[name]), sum(said[name]))),
        ]  # fmt: skip
        total = self.team.sum(torch.tensor(sums, dtype=torch.float64)).tolist()
        n, of, reward, squares, ended, tokens, surprise, problems, teach, *rest = total
        mean = reward / of if of else None
        return {
            "attempts": int(n), "tokens": int(tokens), "reward": mean,
            "reward_std": math.sqrt(max(0.0, squares / of - (mean or 0) ** 2)) if of else 0.0,
            "informative": teach / problems, "ended": ended / n, "length": tokens / n,
            # −log p of what was drawn is, in the mean, the entropy of the draw.
            "entropy": surprise / max(tokens, 1),
            **{
                name: rest[2 * i + 1] / rest[2 * i] if rest[2 * i] else None
                for i, name in enumerate(names)
            },
        }  # fmt: skip

    # ------------------------------------------------------------------ looking, stopping

    def _look(self) -> None:
        """Evaluate, if it is time: at the beginning, every so often, at the end."""
        at_ends = self.step in (0, self.set.steps)
        if self.evaluate is None or not (
            at_ends or (self.eval_every and self.step % self.eval_every == 0)
        ):
            return
        state = random_state()  # looking must not change what is drawn next
        self.model.eval()
        with torch.no_grad():
            answer = self.evaluate(self.step, self.model)
        self.model.train()
        restore_random_state(state)
        self.answers.append((self.step, answer))
        self.records.evaluation(self.step, answer)

    def _save(self) -> None:
        if self.saved is None and self.folder is not None:
            extra = {
                "drawn": self.drawn, "tokens": self.tokens, "seconds": self.seconds,
                "watch": self.watch.state(), "random": random_state(),
            }  # fmt: skip
            self.saved = save_snapshot(
                self.folder.snapshots, self.step, self.model, self.optimizers, extra, self.team,
                keep=self.keep, beside=self.folder.beside,
            )  # fmt: skip

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


def _check(s: Settings, rung: Rung, problems: int) -> None:
    if problems < 1:
        raise CourseError("there are no problems to train on", hint="give at least one")
    if min(s.steps, s.problems_per_step, s.attempts, s.max_tokens, s.minibatches) < 1:
        raise CourseError(
            f"steps {s.steps}, problems_per_step {s.problems_per_step}, attempts {s.attempts}, max_tokens "
            f"{s.max_tokens}, minibatches {s.minibatches}",
            hint="all of them ≥ 1",
        )
    if rung.needs_groups and s.attempts < 2:
        raise CourseError(
            f"{rung.name} compares attempts at one problem, and there is {s.attempts}",
            hint="attempts ≥ 2",
        )
    if s.minibatches > 1 and rung.clip_low is None:
        raise CourseError(
            f"{s.minibatches} minibatches without a ratio: the attempts are an older model's after the first",
            hint="minibatches=1, or a rung with a clip",
        )
    if s.precision == "fp16":
        raise CourseError("fp16 is too coarse for a ratio of probabilities", hint="fp32 or bf16")
    warmup_cosine(0, s.lr, s.warmup_steps, s.steps, s.min_lr)  # refuses what contradicts itself


def _fingerprint(model: torch.nn.Module) -> str:
    """A short checksum of every number of a model."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(name.encode() + data.numpy().tobytes())
    return digest.hexdigest()[:16]


def _checksum(problems: Sequence[Problem]) -> str:
    digest = hashlib.sha256()
    for problem in problems:
        digest.update(json.dumps([problem.question, problem.answer]).encode())
    return digest.hexdigest()[:16]
