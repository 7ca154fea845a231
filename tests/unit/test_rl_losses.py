"""Advantages, losses and their gradients, against numbers that were worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from llmcourse.errors import CourseError
from llmcourse.rl import advantages as adv
from llmcourse.rl.config import LADDER, Rung, rung
from llmcourse.rl.grpo import (
    compute_group_normalized_rewards,
    compute_policy_gradient_loss,
    grpo_microbatch_step,
    tokenize_prompt_and_response,
)
from llmcourse.rl.logprobs import (
    entropy,
    masked_mean,
    masked_normalize,
    token_logprobs,
    token_logprobs_and_entropy,
)
from llmcourse.rl.policy_loss import clipped, kl_k3, policy_gradient, row_weights

NAN = math.nan
R = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])


def close(found, expected, atol=1e-6):
    expected = torch.as_tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found, expected, atol=atol, rtol=1e-5)


# ------------------------------------------------------------------ advantages


def test_each_baseline():
    """Three problems, four attempts: one right, two right, all right. The mean of all is 7/12."""
    close(adv.rewards_alone(R), R)
    close(adv.minus_batch_mean(R)[0], [5 / 12, -7 / 12, -7 / 12, -7 / 12])
    close(adv.minus_batch_mean(R, 0.5)[2], [0.5] * 4)
    close(adv.minus_group_mean(R), [[0.75, -0.25, -0.25, -0.25], [0.5, 0.5, -0.5, -0.5], [0] * 4])
    # The others' mean: 0 for the right attempt of the first problem, 1/3 for each wrong one.
    close(adv.leave_one_out(R)[0], [1, -1 / 3, -1 / 3, -1 / 3])
    # Deviations of k − 1: √(0.75² + 3 · 0.25²)/√3 = 1/2, and √(4 · 0.5²)/√3 = 1/√3.
    third = 0.5 * math.sqrt(3)
    close(
        adv.group_normalised(R, 0.0)[:2], [[1.5, -0.5, -0.5, -0.5], [third, third, -third, -third]]
    )
    close(adv.group_normalised(R)[2], [0.0] * 4)  # all alike: no 0/0
    close(adv.group_normalised(R[:1], 0.5)[0], [0.75, -0.25, -0.25, -0.25])  # eps added: 1/2 + 1/2


def test_a_reward_that_was_not_given_is_in_no_mean():
    rewards = torch.tensor([[1.0, NAN, 0.0], [NAN, NAN, NAN], [1.0, NAN, NAN]])
    for function in (adv.minus_group_mean, adv.leave_one_out, adv.group_normalised):
        assert function(rewards).isfinite().all() and not function(rewards)[1:].any()
    close(adv.minus_group_mean(rewards)[0], [0.5, 0, -0.5])
    close(adv.leave_one_out(rewards)[0], [1, 0, -1])
    close(adv.group_normalised(rewards, 0.0)[0], [1 / math.sqrt(2), 0, -1 / math.sqrt(2)])
    close(adv.rewards_alone(rewards)[0], [1, 0, 0])
    assert adv.informative(rewards).tolist() == [True, False, False]
    assert adv.informative(R).tolist() == [True, True, False]


def test_a_group_is_several():
    for function in (adv.minus_group_mean, adv.leave_one_out, adv.group_normalised):
        with pytest.raises(CourseError, match="no groups"):
            function(torch.ones(3, 1))


# ------------------------------------------------------------------ losses and gradients


def test_the_gradient_of_reinforce_by_hand():
    """One choice among three symbols with logits 0, ln 2, ln 5: probabilities 1/8, 2/8, 5/8; symbol 1 is drawn.

    d log π(1) / d logits = (0, 1, 0) − (1/8, 2/8, 5/8). With A = 2 the loss is −2 ln(1/4), its gradient
    −2 · (−1/8, 6/8, −5/8) = (1/4, −3/2, 5/4): a step against it makes symbol 1 more probable.
    """
    logits = torch.tensor([[[0.0, math.log(2), math.log(5)]]], requires_grad=True)
    logprobs = token_logprobs(lambda ids: logits, torch.zeros(1, 1).long(), torch.tensor([[1]]))
    close(logprobs, [[math.log(1 / 4)]])
    loss = policy_gradient(logprobs, torch.tensor([[2.0]]))
    close(loss, [[2 * math.log(4)]])
    loss.sum().backward()
    close(logits.grad, [[[0.25, -1.5, 1.25]]])


def test_the_clip_by_hand():
    """Ratios 1/2, 1, 3/2 for A = 1 and A = −1, clipped to [0.8, 1.2].

    A = 1:  min(0.5, 0.8) = 0.5;  1;  min(1.5, 1.2) = 1.2, clipped: no gradient.
    A = −1: min(−0.5, −0.8) = −0.8, clipped: no gradient;  −1;  min(−1.5, −1.2) = −1.5.
    The gradient of −r·A with respect to log π is −r·A.
    """
    old = torch.log(torch.tensor([[0.4, 0.4, 0.4]])).repeat(2, 1)
    new = (old + torch.log(torch.tensor([0.5, 1.0, 1.5]))).requires_grad_()
    loss, cut = clipped(new, old, torch.tensor([[1.0], [-1.0]]))
    close(loss, [[-0.5, -1, -1.2], [0.8, 1, 1.5]])
    assert cut.tolist() == [[False, False, True], [True, False, False]]
    loss.sum().backward()
    close(new.grad, [[-0.5, -1, 0], [0, 1, 1.5]])
    # Clip-higher moves the upper bound alone.
    loss, cut = clipped(new.detach(), old, torch.tensor([[1.0], [-1.0]]), 0.2, 0.6)
    close(loss, [[-0.5, -1, -1.5], [0.8, 1, 1.5]])
    for low, high in ((-0.1, 0.2), (1.5, 0.2), (0.2, -0.1)):
        with pytest.raises(CourseError, match="clip at"):
            clipped(old, old, torch.ones(2, 1), low, high)


def test_on_policy_the_clipped_loss_has_the_gradient_of_reinforce():
    logprobs = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    A = torch.tensor([[1.0], [-2.0], [0.5]])
    (one,) = torch.autograd.grad(policy_gradient(logprobs, A).sum(), logprobs)
    (other,) = torch.autograd.grad(clipped(logprobs, logprobs.detach(), A)[0].sum(), logprobs)
    close(one, other)


def test_k3_by_hand():
    """π = 1/2, π_ref = 1/4: d = −ln 2, so 1/2 + ln 2 − 1. Its gradient with respect to log π is 1 − e^d = 1/2."""
    logprobs = torch.tensor([[math.log(0.5)]], requires_grad=True)
    kl = kl_k3(logprobs, torch.tensor([[math.log(0.25)]]))
    close(kl, [[math.log(2) - 0.5]])
    kl.sum().backward()
    close(logprobs.grad, [[0.5]])
    assert kl_k3(torch.tensor([-1.0]), torch.tensor([-1.0])) == 0
    # In the mean over draws from π it is the divergence.
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.5])
    close((p * kl_k3(p.log(), q.log())).sum(), (p * (p / q).log()).sum())
    assert (kl_k3(p.log(), q.log()) >= 0).all()


def test_three_ways_to_one_number_by_hand():
    """An attempt of 1 token and one of 3, every token's loss 1, at most 4 tokens.

    sequence: 1/(2·1) and 1/(2·3): both attempts weigh 1/2. tokens: 1/4 each. constant: 1/(2·4) each.
    """
    mask = torch.tensor([[1.0, 0, 0], [1, 1, 1]])
    sizes = {"attempts": 2, "tokens": 4, "longest": 4}
    close(row_weights(mask, "sequence", **sizes), [[1 / 2], [1 / 6]])
    close(row_weights(mask, "tokens", **sizes), [[1 / 4]] * 2)
    close(row_weights(mask, "constant", **sizes), [[1 / 8]] * 2)
    with pytest.raises(CourseError, match="normalised"):
        row_weights(mask, "length", **sizes)


def test_means_over_what_counts():
    x = torch.tensor([[1.0, 2.0], [3.0, NAN]])
    mask = torch.tensor([[1, 1], [1, 0]])
    assert masked_mean(x, mask) == 2
    close(masked_mean(x, mask, -1), [1.5, 3])
    assert masked_mean(x, torch.zeros(2, 2)).isnan()
    assert masked_mean(x, torch.tensor([[1, 0], [1, 0]]), 0).isnan().tolist() == [False, True]
    assert masked_normalize(x, mask, 4) == 1.5
    close(masked_normalize(x, mask, 2, -1), [1.5, 1.5])
    with pytest.raises(CourseError, match="a mask"):
        masked_mean(x, mask[:1])
    with pytest.raises(CourseError, match="by 0"):
        masked_normalize(x, mask, 0)


def test_entropy():
    close(entropy(torch.zeros(2, 8)), [math.log(8)] * 2)
    close(entropy(torch.tensor([0.0, 0.0, -math.inf])), math.log(2))
    assert entropy(torch.tensor([0.0, 1e4])) == 0

    class Output:
        logits = torch.zeros(1, 2, 4)

    logprobs, H = token_logprobs_and_entropy(
        lambda ids: Output, torch.zeros(1, 2).long(), torch.tensor([[0, 3]])
    )
    close(logprobs, [[-math.log(4)] * 2])
    close(H, [[math.log(4)] * 2])


# ------------------------------------------------------------------ the ladder


def test_every_rung_is_one_change():
    rungs = list(LADDER.values())
    assert [r.name for r in rungs] == [
        "reinforce", "baseline", "group", "group_std", "clip", "kl", "grpo", "dr_grpo", "dapo"
    ]  # fmt: skip
    for before, after in pairwise(rungs[:7]):
        a, b = vars(before), vars(after)
        changed = {key for key in a if a[key] != b[key]} - {"name", "adds", "source"}
        assert len(changed) == 1 or after.name == "clip", (after.name, changed)
        assert after.adds and after.source
    assert rung("grpo") is LADDER["grpo"] and rung(LADDER["dapo"]).name == "dapo"
    with pytest.raises(CourseError, match="known: reinforce"):
        rung("ppo")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs"), ({"kl": -1.0}, "kl"), ({"clip_low": 0.2}, "two bounds"),
        ({"epochs": 2}, "without a ratio"), ({"divide_by_std": True}, "not its mean"),
    ],
)  # fmt: skip
def test_rungs_that_contradict_themselves(settings, message):
    with pytest.raises(CourseError, match=message):
        Rung("x", **settings)


def test_what_each_rung_makes_of_rewards():
    group = adv.minus_group_mean(R)
    close(LADDER["reinforce"].advantages(R), R)
    close(LADDER["baseline"].advantages(R), R - 7 / 12)
    close(LADDER["baseline"].advantages(R, 0.0), R)
    for name in ("group", "dr_grpo"):
        close(LADDER[name].advantages(R), group)
    for name in ("group_std", "clip", "kl", "grpo", "dapo"):
        close(LADDER[name].advantages(R), adv.group_normalised(R))
    close(replace(LADDER["group"], baseline="leave_one_out").advantages(R), adv.leave_one_out(R))


def test_grpo_whole_by_hand():
    """Two attempts, A = 1 and −1, of 1 and 2 tokens; ratios 3/2; π_ref = π; β = 0.04.

    First: −1.2 (clipped). Second: 1.5 and 1.5, mean 1.5. Loss: (−1.2 + 1.5)/2 = 0.15. Gradient: 0 for the first; for
    the second 1.5 · 1/(2·2) = 0.375 each; the divergence is 0 and so is its gradient.
    """
    old = torch.full((2, 2), math.log(0.4))
    new = torch.full((2, 2), math.log(0.6)).requires_grad_()
    mask = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    A = torch.tensor([[1.0], [-1.0]])
    losses, cut, kl = LADDER["grpo"].losses(new, old, A, new.detach())
    weights = row_weights(mask, "sequence", attempts=2, tokens=3, longest=2)
    loss = (losses * mask * weights).sum()
    close(loss, 0.15)
    loss.backward()
    close(new.grad, [[0, 0], [0.375, 0.375]])
    assert not kl.any() and cut[0, 0]
    # The same in one function, without a reference.
    again = new.detach().clone().requires_grad_()
    said, _ = grpo_microbatch_step(again, mask, 1, "grpo_clip", advantages=A, old_logprobs=old)
    close(said, 0.15)
    close(again.grad, new.grad)


# ------------------------------------------------------------------ single functions


def test_group_normalised_rewards():
    def reward(text, answer):
        return {"reward": float(text == answer), "format_reward": 1.0}

    texts, answers = ["7", "8", "8", "8", "1", "1", "1", "1"], ["7"] * 4 + ["1"] * 4
    better, raw, said = compute_group_normalized_rewards(reward, texts, answers, 4, 0.0 + 1e-6)
    close(raw, [1, 0, 0, 0, 1, 1, 1, 1])
    close(better, [1.5, -0.5, -0.5, -0.5, 0, 0, 0, 0], atol=1e-5)
    assert said["mean"] == 0.625 and said["informative"] == 0.5 and said["max"] == 1
    plain, _, _ = compute_group_normalized_rewards(
        lambda t, a: float(t == a), texts, answers, 4, normalize_by_std=False
    )
    close(plain, [0.75, -0.25, -0.25, -0.25, 0, 0, 0, 0])
    for wrong in ((texts, answers, 3), (texts, answers[:1], 4), ([], [], 4), (texts, answers, 1)):
        with pytest.raises(CourseError, match="groups of"):
            compute_group_normalized_rewards(reward, *wrong)


def test_micro_batches_add_up():
    torch.manual_seed(0)
    logprobs, mask = torch.randn(4, 5), torch.ones(4, 5)
    mask[1, 3:] = 0
    A = torch.randn(4, 1)
    for constant in (None, 5.0):
        whole = logprobs.clone().requires_grad_()
        loss, _ = grpo_microbatch_step(
            whole, mask, 1, "reinforce_with_baseline", advantages=A, constant=constant
        )
        parts, total = logprobs.clone().requires_grad_(), 0.0
        for i in (0, 2):
            rows = slice(i, i + 2)
            total += grpo_microbatch_step(
                parts[rows], mask[rows], 2, "reinforce_with_baseline",
                advantages=A[rows], constant=constant,
            )[0]  # fmt: skip
        close(torch.as_tensor(total), loss)
        close(parts.grad, whole.grad)
        assert not whole.grad[mask == 0].any()
    loss, said = compute_policy_gradient_loss(logprobs, "no_baseline", raw_rewards=A)
    close(loss, -A * logprobs)
    assert said == {}
    with pytest.raises(CourseError, match="needs old_logprobs"):
        compute_policy_gradient_loss(logprobs, "grpo_clip", advantages=A)
    with pytest.raises(CourseError, match="no loss"):
        compute_policy_gradient_loss(logprobs, "ppo")
    with pytest.raises(CourseError, match="micro-batches"):
        grpo_microbatch_step(logprobs, mask, 0, "no_baseline", raw_rewards=A)


def test_prompt_and_response():
    class Letters:
        def encode(self, text):
            return [ord(c) - 96 for c in text]

    batch = tokenize_prompt_and_response(["ab", "a"], ["c", "bcd"], Letters(), padding=9)
    assert batch.inputs.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert batch.targets.tolist() == [[2, 3, 9], [2, 3, 4]]
    assert batch.mask.tolist() == [[0, 1, 0], [1, 1, 1]]
    with pytest.raises(CourseError, match="empty"):
        tokenize_prompt_and_response([""], ["a"], Letters())
