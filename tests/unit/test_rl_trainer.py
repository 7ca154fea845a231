"""The loop: it learns, it writes down, it goes on, it warns, and two processes do what one does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.rl.config import LADDER
from llmcourse.rl.evaluation import evaluator, pass_at_k
from llmcourse.rl.expert_iteration import expert_iteration, keep_the_best
from llmcourse.rl.group import Group
from llmcourse.rl.records import read_rollouts
from llmcourse.rl.rewards import Rewards
from llmcourse.rl.rollout import Attempt
from llmcourse.rl.trainer import train
from llmcourse.rl.update import learn
from llmcourse.rl.watch import Limits, SilentFailure, Watch
from llmcourse.tokenizer import Tokenizer
from llmcourse.tokenizer.chat import SPECIALS
from llmcourse.train.loop import make_optimizers
from llmcourse.train.metrics import read_table
from llmcourse.train.team import Team

CHAT = Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|endoftext|>", *SPECIALS])
A, B, END = ord("a"), ord("b"), CHAT.special_tokens["<|im_end|>"]
ALONE = Team(0, 1, 0, torch.device("cpu"), None)


@dataclass(frozen=True)
class P:
    question: str
    answer: str


PROBLEMS = [P("x", "a"), P("y", "b"), P("z", "a")]


def prompt(problem):
    return [ord(problem.question)]


def tiny(seed=0):
    """About 5,000 parameters. It already prefers a, b and the end of a turn, as after fine-tuning."""
    torch.manual_seed(seed)
    config = ModelConfig(
        vocab_size=CHAT.n_vocab, context_length=16, n_layers=1, n_heads=2, width=12, hidden=16, tied=False
    )  # fmt: skip
    model = Transformer(config)
    with torch.no_grad():
        model.head.weight.zero_()
        # A constant direction of the last norm's output, on which the three are likelier.
        model.embedding.weight[:, 0] = 1.0
        model.head.weight[[A, B, END], 0] = 2.0
    return model


def says(text, problem):
    """1 for the right letter and nothing else."""
    return float(text == problem.answer)


SMALL = {
    "problems_per_step": 3, "attempts": 8, "max_tokens": 4, "lr": 2e-2, "prompt": prompt, "progress": False,
    "warmup_steps": 0, "team": ALONE,
}  # fmt: skip


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# ------------------------------------------------------------------ it learns


QUICK = ("group", "grpo")  # of the others it is enough to know now and then


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in LADDER],
)
@pytest.mark.filterwarnings("ignore::llmcourse.rl.watch.SilentFailure")
def test_every_rung_learns(name):
    model = tiny()
    assert sum(p.numel() for p in model.parameters()) < 10_000
    evaluate = evaluator(PROBLEMS, CHAT, says, attempts=16, max_tokens=4, prompt=prompt)
    before = evaluate(0, model)["pass@1"]
    rung = replace(LADDER[name], kl=min(LADDER[name].kl, 0.01))
    result = train(model, CHAT, PROBLEMS, says, rung=rung, steps=30, evaluate=evaluate, **SMALL)
    after = result.evaluations[-1][1]["pass@1"]
    assert before < 0.35 and after > before + 0.3, (before, after)
    assert result.finished and len(result.rows) == 30 and result.evaluations[0][0] == 0
    assert result.rows[0]["gap"] < 1e-4


def test_expert_iteration_learns():
    model = tiny()
    evaluate = evaluator(PROBLEMS, CHAT, says, attempts=16, max_tokens=4, prompt=prompt)
    before = evaluate(0, model)["pass@1"]
    rounds = expert_iteration(
        model, CHAT, PROBLEMS * 4, says, rounds=3, attempts=8, max_tokens=4, prompt=prompt,
        lr=2e-2, epochs=6, batch_tokens=64, micro_tokens=64, team=ALONE,
    )  # fmt: skip
    assert len(rounds) == 3 and rounds[-1].reward > rounds[0].reward
    assert evaluate(0, model)["pass@1"] > before + 0.3
    with pytest.raises(CourseError, match="none earned"):
        expert_iteration(model, CHAT, PROBLEMS, lambda t, p: 0.0, prompt=prompt, max_tokens=2)


def attempt(ids, logprobs=None, start=(1,), ended=True):
    return Attempt(
        start, tuple(ids), (1,) * len(ids), tuple(logprobs or [-1.0] * len(ids)), ended, ended, ""
    )


def test_the_best_are_kept():
    made = [attempt([A, END]), attempt([A, END]), attempt([A, B, END]), attempt([B, END])]
    group = Group(P("", ""), tuple(made), torch.tensor([1.0, 1.0, 2.0, 0.0]), ({},) * 4)
    assert keep_the_best([group]) == [
        ([1, A, B, END], [0, 1, 1, 1]), ([1, A, END], [0, 1, 1])
    ]  # fmt: skip
    assert len(keep_the_best([group], per_problem=1)) == 1


def test_pass_at_k():
    assert pass_at_k(4, 1, 1) == 0.25 and pass_at_k(4, 1, 4) == 1 and pass_at_k(4, 0, 4) == 0
    assert pass_at_k(4, 2, 2) == pytest.approx(1 - 1 / 6)  # one of six pairs has none
    with pytest.raises(CourseError):
        pass_at_k(2, 1, 3)


# ------------------------------------------------------------------ one update


def test_micro_batches_change_nothing():
    made = [
        attempt([A, END]),
        attempt([B, A, END], start=(1, 2)),
        attempt([B]),
        attempt([A, B, A, END]),
    ]
    better, counts = torch.tensor([1.0, -0.5, -0.5, 0.0]), torch.ones(4, dtype=torch.bool)
    after = []
    for tokens in (1, 8, 1000):
        model = tiny()
        optimizers = [torch.optim.SGD(model.parameters(), lr=0.1)]
        for name in ("group", "grpo", "dapo"):
            lesson = learn(
                model, optimizers, LADDER[name], made, better, counts,
                longest=4, team=ALONE, micro_tokens=tokens,
            )  # fmt: skip
            assert lesson.steps == LADDER[name].epochs
        after.append(weights(model))
    torch.testing.assert_close(after[0], after[1], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(after[0], after[2], atol=1e-6, rtol=1e-5)


def test_attempts_that_do_not_count_teach_nothing():
    made = [attempt([A, END]), attempt([B, END])]
    model, before = tiny(), weights(tiny())
    optimizers = make_optimizers(model, lr=0.1)
    for better, counts in (([1.0, -1.0], [False, False]), ([0.0, 0.0], [True, True]), ([], [])):
        lesson = learn(
            model, optimizers, LADDER["group"], made[: len(counts)], torch.tensor(better),
            torch.tensor(counts, dtype=torch.bool), longest=4, team=ALONE,
        )  # fmt: skip
        assert lesson.steps == 0 and torch.equal(weights(model), before)


def test_probabilities_can_be_computed_again():
    """An engine that is off by a nat: the ratio would be e; computed again it is 1, and the gap is reported."""
    model = tiny()
    made = [attempt([A, END], [-9.0, -9.0]), attempt([B, END], [-9.0, -9.0])]
    found = {}
    for recompute in (False, True):
        found[recompute] = learn(
            model, [], LADDER["clip"], made, torch.tensor([1.0, -1.0]),
            torch.ones(2, dtype=torch.bool), longest=4, team=ALONE, recompute=recompute,
        )  # fmt: skip
    assert found[True].clipped == 0 and found[False].clipped > 0
    assert found[True].gap > 1 and found[True].loss == pytest.approx(0, abs=1e-6)


def test_a_loss_that_is_no_number():
    model = tiny()
    with torch.no_grad():
        model.head.weight[0] = float("nan")
    with pytest.raises(CourseError, match="loss is nan"):
        learn(
            model, [], LADDER["group"], [attempt([A])], torch.tensor([1.0]),
            torch.tensor([True]), longest=4, team=ALONE,
        )  # fmt: skip


# ------------------------------------------------------------------ what is written, and going on


@pytest.mark.filterwarnings("ignore::llmcourse.rl.watch.SilentFailure")
def test_a_run_is_written_down_and_goes_on(tmp_path):
    reward = Rewards(right=says, short=(lambda text, p: -float(len(text) > 1), 0.1))
    settings = {**SMALL, "rung": LADDER["kl"], "steps": 6, "save_every": 2, "seed": 3}
    whole = tiny()
    one = train(whole, CHAT, PROBLEMS, reward, out=tmp_path / "one", **settings)
    first = train(tiny(), CHAT, PROBLEMS, reward, out=tmp_path / "two", stop_after=3, **settings)
    assert not first.finished and first.step == 3
    rest = tiny()
    two = train(rest, CHAT, PROBLEMS, reward, out=tmp_path / "two", **settings)
    assert two.finished and len(two.rows) == 3
    torch.testing.assert_close(weights(rest), weights(whole), atol=1e-6, rtol=1e-5)
    tables = [read_table(tmp_path / name / "metrics.csv") for name in ("one", "two")]
    assert tables[0]["step"] == [1, 2, 3, 4, 5, 6] == tables[1]["step"]
    assert tables[0]["reward"] == tables[1]["reward"] and "right" in tables[0]
    assert tables[0]["drawn"][-1] == 18
    lines = read_rollouts(tmp_path / "two")
    assert lines == read_rollouts(tmp_path / "one")
    assert len(lines) == 18 and [line["step"] for line in lines[:4]] == [1, 1, 1, 2]
    line = lines[0]
    assert len(line["attempts"]) == len(line["rewards"]) == len(line["advantages"]) == 8
    assert line["parts"][0].keys() == {"right", "short"}
    assert sum(line["advantages"]) == pytest.approx(0, abs=1e-4)
    assert (tmp_path / "one" / "model" / "model.safetensors").exists()
    assert one.folder == tmp_path / "one"
    with pytest.raises(CourseError, match=r"rl.seed was 3 and is 4"):
        train(tiny(), CHAT, PROBLEMS, reward, out=tmp_path / "one", **{**settings, "seed": 4})
    again = train(
        tiny(), CHAT, PROBLEMS, reward, out=tmp_path / "one", resume=False, **{**settings, "steps": 1, "seed": 4}
    )  # fmt: skip
    assert again.step == 1 and len(read_rollouts(tmp_path / "one")) == 3


@pytest.mark.filterwarnings("ignore::llmcourse.rl.watch.SilentFailure")
def test_dynamic_sampling_draws_until_there_is_something_to_learn():
    hard = [P("x", "no"), P("y", "b"), P("z", "no")]
    seen = []
    train(
        tiny(), CHAT, hard, says, rung="dapo", steps=2, on_step=lambda row, groups: seen.append((row, groups)),
        **{**SMALL, "problems_per_step": 2, "max_tokens": 1, "unfinished": None},
    )  # fmt: skip
    row, groups = seen[0]
    assert row["drawn"] > 2 and len(groups) == row["drawn"]
    assert row["informative"] < 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attempts": 1}, "compares attempts"), ({"steps": 0}, "≥ 1"), ({"rung": "nothing"}, "no rung"),
        ({"rung": "group", "minibatches": 2}, "without a ratio"), ({"lr": -1.0}, "lr"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(CourseError, match=message):
        train(tiny(), CHAT, PROBLEMS, says, **{**SMALL, "steps": 1, **settings})


def test_no_problems():
    with pytest.raises(CourseError, match="no problems"):
        train(tiny(), CHAT, [], says, **SMALL)


# ------------------------------------------------------------------ failures that raise no error

GOOD = {
    "reward": 0.5, "reward_std": 0.5, "ended": 1.0, "entropy": 1.0, "length": 20.0, "gap": 1e-5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"reward": 0.0, "reward_std": 0.0}, "every attempt earned 0"),
        ({"reward": None, "reward_std": 0.0}, "no attempt got any reward"),
        ({"ended": 0.0}, "no attempt ended"),
        ({"ended": 0.4}, "60% of the attempts were cut"),
        ({"entropy": 0.05}, "entropy fell from 1 to 0.05"),
        ({"length": 41.0}, "from 20 to 41 tokens"),
        ({"length": 9.0}, "from 20 to 9 tokens"),
        ({"gap": 0.2}, "differ by 0.2 nats"),
    ],
)  # fmt: skip
def test_each_sign_is_seen_once_while_it_lasts(bad, message):
    watch = Watch()
    assert watch.look({"step": 1, **GOOD}) == []
    (text,) = watch.look({"step": 2, **GOOD, **bad})
    assert message in text and text.startswith("step 2: ")
    assert watch.look({"step": 3, **GOOD, **bad}) == []
    twin = Watch()
    twin.restore(json.loads(json.dumps(watch.state())))
    assert twin.look({"step": 4, **GOOD, **bad}) == []
    assert watch.look({"step": 4, **GOOD}) == []
    assert len(watch.look({"step": 5, **GOOD, **bad})) == 1
    assert (
        Watch(Limits(drift=9, cut=2, gap=9, entropy=0)).look({"step": 1, **GOOD, "gap": 0.2}) == []
    )


def warned(settings, model=None, reward=says):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model = model or tiny()
        result = train(model, CHAT, PROBLEMS, reward, **{**SMALL, "steps": 1, **settings})
    said = [str(w.message) for w in seen if w.category is SilentFailure]
    assert said == [text for _, text in result.warnings]
    return " ".join(said)


def test_a_run_that_learns_nothing_says_so(tmp_path):
    before = tiny()
    model = tiny()
    assert "every attempt earned 0," in warned({"out": tmp_path}, model, lambda t, p: 0.0)
    assert torch.equal(weights(model), weights(before))  # and nothing was changed
    (line,) = (tmp_path / "warnings.jsonl").read_text().splitlines()[:1]
    assert json.loads(line)["step"] == 1
    assert "every attempt earned 1," in warned({"unfinished": None}, None, lambda t, p: 1.0)
    assert "no attempt got any reward" in warned({"unfinished": None}, None, lambda t, p: None)


def test_a_run_in_which_nobody_ends_says_so():
    model = tiny()
    with torch.no_grad():
        model.head.weight[END] = -5.0
    assert "no attempt ended" in warned({}, model)


@pytest.mark.slow
def test_a_run_that_collapses_says_so():
    """Paid for one letter, with far too large a rate."""
    said = warned(
        {"steps": 40, "lr": 0.1, "rung": "reinforce", "unfinished": None, "min_lr": 0.1},
        None, lambda text, p: float(text.startswith("a")),
    )  # fmt: skip
    assert "entropy fell" in said


@pytest.mark.slow
def test_a_run_whose_attempts_grow_says_so():
    """Paid for length, it gets length."""
    said = warned(
        {"steps": 40, "max_tokens": 12, "rung": "group", "unfinished": None, "min_lr": 2e-2},
        None, lambda text, p: float(len(text)),
    )  # fmt: skip
    assert "does the loss or the reward pay" in said


# ------------------------------------------------------------------ two processes


def run_as_two(folder: Path) -> None:
    """What each of two processes runs."""
    warnings.simplefilter("ignore")
    model = tiny(seed=int(os.environ["RANK"]))  # rank 0's counts
    settings = {**SMALL, "team": None, "problems_per_step": 3, "steps": 4, "rung": "grpo"}
    train(model, CHAT, PROBLEMS, says, out=folder / "run", **settings)
    torch.save(weights(model), folder / f"weights-{os.environ['RANK']}.pt")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::llmcourse.rl.watch.SilentFailure")
def test_two_processes_learn_what_one_learns(tmp_path):
    """Three problems for two: one has two of them. Attempts, rewards and parameters are those of a single process."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    common = {
        **os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2]),
    }  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, __file__, tmp_path],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=120)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said
    alone = tiny(seed=0)
    train(alone, CHAT, PROBLEMS, says, out=tmp_path / "alone", steps=4, rung="grpo", **SMALL)
    both = [torch.load(tmp_path / f"weights-{rank}.pt", weights_only=True) for rank in range(2)]
    assert torch.equal(both[0], both[1])
    torch.testing.assert_close(both[0], weights(alone), atol=1e-5, rtol=1e-4)

    def key(line):
        return line["step"], line["question"]

    one, two = (sorted(read_rollouts(tmp_path / name), key=key) for name in ("alone", "run"))
    assert [(*key(a), a["rewards"]) for a in one] == [(*key(b), b["rewards"]) for b in two]
    assert len(two) == 12 and (tmp_path / "run" / "rollouts-1.jsonl").exists()
    tables = [read_table(tmp_path / name / "metrics.csv") for name in ("alone", "run")]
    assert tables[0]["reward"] == pytest.approx(tables[1]["reward"])
    assert tables[0]["loss"] == pytest.approx(tables[1]["loss"], abs=1e-5)


if __name__ == "__main__":
    run_as_two(Path(sys.argv[1]))
