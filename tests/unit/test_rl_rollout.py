"""Attempts: what is kept of them, and that a forward pass agrees about how probable they were."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from llmcourse.engine import Engine
from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer
from llmcourse.rl.group import check
from llmcourse.rl.logprobs import token_logprobs
from llmcourse.rl.rewards import Rewards, correctness, states_one_answer
from llmcourse.rl.rollout import as_batch, chat_prompt, pad, roll_out
from llmcourse.tokenizer import Tokenizer
from llmcourse.tokenizer.chat import SPECIALS

CHAT = Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|endoftext|>", *SPECIALS])
ID = CHAT.special_tokens
END = ID["<|im_end|>"]


@dataclass(frozen=True)
class P:
    question: str
    answer: str


def tiny(seed=0, position="rope", **changes):
    torch.manual_seed(seed)
    settings = {
        "n_layers": 2,
        "n_heads": 2,
        "width": 16,
        "hidden": 24,
        "context_length": 96,
        **changes,
    }
    model = Transformer(ModelConfig(vocab_size=CHAT.n_vocab, position=position, **settings))
    with torch.no_grad():  # so that some tokens are likelier than others
        for p in model.parameters():
            p.mul_(3)
    return model


class Scripted:
    """Writes a text token by token: the first id of a prompt is the text's number. What is forced is skipped."""

    def __init__(self, *scripts):
        self.scripts = [CHAT.encode(script) for script in scripts]
        self.config = SimpleNamespace(
            vocab_size=CHAT.n_vocab, context_length=256, n_layers=1, n_heads=1, n_kv_heads=1, head_dim=1
        )  # fmt: skip

    def __call__(self, ids, cache=None):
        B, T = ids.shape
        positions, _ = cache.begin(B, T)
        keys = ids.float()[:, None, :, None]
        seen, _ = cache.append(0, keys, keys)
        logits = torch.zeros(B, T, CHAT.n_vocab)
        for row in range(B):
            last = int(positions.expand(B, T)[row, -1])
            logits[row, -1, self.next(seen[row, 0, : last + 1, 0].int().tolist())] = 50.0
        return logits

    def next(self, history):
        script, n, inside = self.scripts[history[0]], 0, False
        for token in history[1:]:
            inside = inside or token == ID["<|result_start|>"]
            n += not inside
            inside = inside and token != ID["<|result_end|>"]
        return script[n]


def write(*scripts, tools=(), max_tokens=64):
    engine = Engine(Scripted(*scripts), CHAT)
    prompts = [[n] for n in range(len(scripts))]
    return [g[0] for g in roll_out(engine, prompts, 1, tools=tools, max_tokens=max_tokens)]


# ------------------------------------------------------------------ what is kept


def test_the_end_of_a_turn_is_part_of_what_was_done():
    done, cut, other, stray = write(
        "7.<|im_end|>", "7 and on and on", "7<|endoftext|>", "7<|think_end|>.<|im_end|>", max_tokens=6
    )  # fmt: skip
    assert done.ids == (*b"7.", END) and done.mask == (1, 1, 1) and done.length == 3
    assert done.ended and done.in_format and done.text == "7."
    assert not cut.ended and not cut.in_format and cut.length == 6 and cut.text == "7 and "
    assert not other.ended and other.ids[-1] == ID["<|endoftext|>"]
    assert stray.ended and not stray.in_format
    batch = as_batch([done, cut])
    assert batch.targets[0].tolist() == [*b"7.", END, 0, 0, 0]
    assert batch.inputs[0].tolist() == [0, *b"7.", END, 0, 0]
    assert batch.mask[0].tolist() == [1, 1, 1, 0, 0, 0]


def test_thoughts_are_shown_as_such():
    (attempt,) = write("<|think_start|>3+4<|think_end|>7<|im_end|>")
    assert attempt.text == "<think>3+4</think>7" and attempt.in_format
    assert correctness(attempt.text, P("3+4?", "7")) == 1
    (only,) = write("<|think_start|>7<|im_end|>")
    assert correctness(only.text, P("3+4?", "7")) == 0 and not only.in_format


def test_what_a_tool_said_was_nobodys_choice():
    class Echo:
        name, start, end = "python", "<|python_start|>", "<|python_end|>"

        def call(self, text):
            return "42"

    script = "<|python_start|>6*7<|python_end|>It is 42.<|im_end|>"
    (attempt,) = write(script, tools=[Echo()])
    shown = CHAT.encode("<|result_start|>42<|result_end|>")
    before = len(CHAT.encode("<|python_start|>6*7<|python_end|>"))
    after = len(attempt.ids) - before - len(shown)
    assert list(attempt.ids[before : before + len(shown)]) == shown
    assert attempt.mask == (1,) * before + (0,) * len(shown) + (1,) * after
    assert not any(attempt.logprobs[before : before + len(shown)])
    assert attempt.text == "It is 42." and attempt.ended and attempt.length == before + after
    batch = as_batch([attempt])
    assert int(batch.mask.sum()) == attempt.length and batch.mask[0, -1] == 1


# ------------------------------------------------------------------ how probable it was


@pytest.mark.parametrize("position", ["rope", "learned"])
@pytest.mark.parametrize("smear", [False, True])
def test_a_forward_pass_agrees(position, smear):
    """Ragged prompts, all attempts in one padded batch: every log-probability is the engine's to 1e-4."""
    model = tiny(position=position, smear=smear)
    engine = Engine(model, CHAT, weights="fp32", max_streams=5)
    prompt = chat_prompt(CHAT)
    problems = [P("1", "1"), P("What is 2 + 2?", "4"), P("Three and three and three?", "9")]
    groups = roll_out(engine, [prompt(p) for p in problems], 4, max_tokens=24)
    attempts = [a for g in groups for a in g]
    assert len({len(a.prompt_ids) for a in attempts}) == 3 and len({a.ids for a in attempts}) == 12
    batch = as_batch(attempts)
    with torch.no_grad():
        found = token_logprobs(model, batch.inputs, batch.targets)
    torch.testing.assert_close(found * batch.mask, batch.logprobs, atol=1e-4, rtol=0)
    # And it does not depend on who else is in the batch.
    for i in (0, 5, 11):
        alone = as_batch([attempts[i]])
        with torch.no_grad():
            mine = token_logprobs(model, alone.inputs, alone.targets)
        torch.testing.assert_close(mine[0], found[i, : mine.shape[1]], atol=1e-5, rtol=0)


def test_an_attempt_depends_on_its_seed_alone():
    model = tiny()
    prompts = [chat_prompt(CHAT)(P(q, "")) for q in ("1", "22")]
    all_of_them = roll_out(Engine(model, CHAT), prompts, 3, seeds=[1, 2, 3, 4, 5, 6], max_tokens=8)
    again = roll_out(
        Engine(model, CHAT, max_streams=2), prompts[1:], 3, seeds=[4, 5, 6], max_tokens=8
    )
    assert [a.ids for a in all_of_them[1]] == [a.ids for a in again[0]]
    one = roll_out(Engine(model, CHAT), prompts, 3, seeds=7, max_tokens=8)
    assert len({a.ids for g in one for a in g}) == 6
    greedy = roll_out(Engine(model, CHAT), prompts, 2, temperature=0.0, max_tokens=8)
    assert greedy[0][0].ids == greedy[0][1].ids


def test_errors():
    engine = Engine(tiny(), CHAT)
    with pytest.raises(CourseError, match="2 seeds for 3"):
        roll_out(engine, [[1]], 3, seeds=[1, 2])
    with pytest.raises(CourseError, match="both ≥ 1"):
        roll_out(engine, [[1]], 0)
    with pytest.raises(CourseError, match="im_end"):
        roll_out(Engine(tiny(), Tokenizer({i: bytes([i]) for i in range(256)}, [])), [[1]], 1)
    with pytest.raises(CourseError, match="empty"):
        pad([], [])


# ------------------------------------------------------------------ what it earns


def test_rewards_of_a_group():
    attempts = write(
        "The answer is 7.<|im_end|>", "It is 7.<|im_end|>", "8<|im_end|>", "So 7. " * 12
    )
    reward = Rewards(correct=correctness, form=(states_one_answer, 0.5))
    group = check(P("3 + 4?", "7"), attempts, reward)
    assert group.rewards.tolist() == [1.5, 1, 0, 0]  # what was cut earns nothing
    assert group.parts[1] == {"correct": 1.0, "form": 0.0}
    assert check(P("3 + 4?", "7"), attempts, reward, unfinished=-1.0).rewards[3] == -1
    assert check(P("3 + 4?", "7"), attempts, correctness, unfinished=None).rewards[3] == 1
    assert check(P("3 + 4?", ""), attempts[:3], correctness).rewards.isnan().all()
