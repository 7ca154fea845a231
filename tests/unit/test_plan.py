"""The plan of a run: its arithmetic against counting, the video's figures and published runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from llmcourse import cli, presets
from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig, named, names
from llmcourse.model.transformer import num_parameters
from llmcourse.presets import TrainSection
from llmcourse.train.flops import (
    attention_flops,
    flops_per_token,
    implied_mfu,
    multiplied,
    parameters,
)
from llmcourse.train.hardware import GPUS
from llmcourse.train.memory import memory_of, optimizer_bytes
from llmcourse.train.plan import plan

XL = named("gpt2-xl")
GPT2 = ["gpt2-124m-1gpu", "gpt2-124m-8gpu", "gpt2-xl-8xh100"]
ODD = ModelConfig(
    vocab_size=100, context_length=16, n_layers=2, n_heads=4, n_kv_heads=2, head_dim=6, width=20, hidden=24,
    position="learned", norm="rms", mlp="swiglu", bias=True, qkv_bias=False, tied=False,
)  # fmt: skip


# ---------------------------------------------------------------------------- parameters and FLOPs


@pytest.mark.parametrize("config", [*map(named, names()), ODD], ids=[*names(), "odd"])
def test_parameters_are_as_many_as_a_model_has(config):
    assert sum(parameters(config).values()) == num_parameters(config)


def test_gpt2_xl_has_1_557_611_200():
    assert sum(parameters(XL).values()) == 1_557_611_200


def test_a_table_that_is_looked_up_is_not_multiplied_with():
    assert multiplied(XL) == 1_557_611_200 - 1024 * 1600
    llama = named("llama-3.1-8b")
    assert multiplied(llama) == num_parameters(llama) - 128_256 * 4096  # its exit is another table


def test_flops_against_torchs_own_count():
    """Forward and backward of a real step, counted operation by operation."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from llmcourse.model.transformer import Transformer

    config = named("nano").model_copy(update={"mlp": "gelu_tanh", "vocab_size": 50, "tied": False})
    model = Transformer(config)
    ids = torch.zeros(2, 11, dtype=torch.long)
    # The counter does not know the CPU's flash kernel, so attention is written out.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(ids).sum().backward()
    # Exact for matrices; our N has the vectors (norms, biases) as well.
    matrices = sum(p.numel() for n, p in model.named_parameters() if p.ndim == 2)
    matrices -= model.embedding.weight.numel() + model.positions.weight.numel()
    counted = counter.get_total_flops() / ids.numel()
    assert counted == 6 * matrices + attention_flops(config, 11)
    assert counted == pytest.approx(flops_per_token(config, 11), rel=0.05)


def test_the_causal_mask_leaves_half_of_attention():
    whole, half = attention_flops(XL, 1024), attention_flops(XL, 1024, causal=True)
    assert whole == 12 * 48 * 1600 * 1024 == 2 * half


def test_the_whole_run_takes_about_3e20_flops():
    """llm.c's script says 3e20 (6 N alone); with attention it is 3.3e20, and 3.4e20 if all is counted."""
    tokens = 32_000 * 2**20
    assert 6 * 1_557_611_200 * tokens == pytest.approx(3.14e20, rel=0.01)
    assert flops_per_token(XL, 1024, causal=True) * tokens == pytest.approx(3.3e20, rel=0.01)
    assert flops_per_token(XL, 1024) * tokens == pytest.approx(3.45e20, rel=0.01)


def test_the_published_step_is_half_of_the_peak_and_the_videos_a_fifth():
    """2.80 s (llm.c, discussion 677) and about 7 s (the video), both 2²⁰ tokens on eight H100."""
    h100 = GPUS["h100"]
    assert implied_mfu(2.80, XL, 2**20, h100, 8) == pytest.approx(0.486, abs=0.002)
    assert implied_mfu(2.80, XL, 2**20, h100, 8, causal=True) == pytest.approx(0.464, abs=0.002)
    assert implied_mfu(7.0, XL, 2**20, h100, 8) == pytest.approx(0.195, abs=0.002)


def test_the_smaller_published_run():
    """300 ms on eight A100 (llm.c, scripts/run_gpt2_124M.sh)."""
    mfu = implied_mfu(0.3, named("gpt2"), 524_288, GPUS["a100-80"], 8)
    assert 0.5 < mfu < 0.65


def test_a_step_takes_time():
    with pytest.raises(ValueError, match="0 s"):
        implied_mfu(0.0, XL, 1, GPUS["h100"])


# ------------------------------------------------------------------------------------------ memory


def memory(config=XL, **changes):
    settings = {"micro_batch": 8, "context": 1024, "strategy": "fsdp", "ranks": 8, **changes}
    return memory_of(config, **settings)


def test_sixteen_bytes_for_each_parameter():
    m = memory(strategy="ddp")
    assert m.parameters + m.gradients + m.optimizer == 16 * 1_557_611_200


def test_fsdp_shares_what_belongs_to_parameters():
    alone, shared = memory(strategy="ddp"), memory()
    for name in ("parameters", "gradients", "optimizer"):
        assert getattr(shared, name) == getattr(alone, name) // 8
    assert memory(ranks=1) == memory(ranks=1, strategy="ddp")  # nobody to share with


def test_activations_grow_with_rows_and_tokens():
    m, rows, tokens = memory(), memory(micro_batch=16), memory(context=2048)
    assert rows.activations == 2 * m.activations == tokens.activations
    assert rows.parameters == m.parameters


def test_the_compiled_block_keeps_what_korthikanti_et_al_have():
    """34 bytes · tokens · width (equation 2 without the T × T term), of which dropout's masks are 2."""
    from llmcourse.train.memory import block_activations

    per_width = block_activations(XL, e=2, r=2, compiled=True) / XL.width
    assert per_width == pytest.approx(34 - 2, rel=0.01)


def test_recomputing_saves_activations_and_costs_a_forward_pass():
    less, more = memory(activation_checkpointing=True, compiled=True), memory(compiled=True)
    assert less.activations < more.activations / 10
    assert less.total < more.total
    preset = presets.load("gpt2-xl-8xh100")
    again, once = plan(preset, activation_checkpointing=True), plan(preset)
    assert again.flops == once.flops  # what is computed twice is no merit …
    assert 1.25 < again.seconds_per_step / once.seconds_per_step < 4 / 3  # … but takes its time


def test_logits_are_large():
    """8 rows of 1,024 tokens: a number for each of 50,257 symbols, 12 bytes of it at the worst moment."""
    assert memory().logits == 12 * 8 * 1024 * 50_257


def test_float32_needs_no_copies_and_twice_the_activations():
    low, full = memory(strategy="ddp"), memory(strategy="ddp", precision="fp32")
    assert full.copies == 0 < low.copies
    assert memory(precision="fp32", compiled=True).activations == pytest.approx(
        2 * memory(compiled=True).activations, rel=0.01
    )


def test_muon_keeps_one_average_where_adamw_keeps_two():
    import torch

    from llmcourse.model.transformer import Transformer
    from llmcourse.train.loop import make_optimizers

    for config in (named("nano"), ODD):
        for kind in ("adamw", "muon"):
            model = Transformer(config)
            for p in model.parameters():
                p.grad = torch.zeros_like(p)
            kept = 0
            for optimizer in make_optimizers(model, kind):
                optimizer.step()
                values = [v for s in optimizer.state.values() for v in s.values()]
                kept += sum(4 * v.numel() for v in values if isinstance(v, torch.Tensor))
            assert optimizer_bytes(config, kind) == kept


def test_whole_gradients_between_micro_batches():
    assert memory(accumulated=True).accumulated == 4 * 1_557_611_200
    assert memory().accumulated == 0
    assert memory(strategy="ddp", accumulated=True).accumulated == 0  # they are there anyway


# ---------------------------------------------------------------------------------------- the plan


@pytest.mark.parametrize("name", GPT2)
def test_the_presets_for_gpus_fit_where_they_are_meant_to_run(name):
    preset = presets.load(name)
    gpus = 1 if name.endswith("1gpu") else 8
    card = "rtx4090" if gpus == 1 else "h100"
    for compiled in (True, False):  # with and without torch.compile
        made = plan(preset, gpu=card, gpus=gpus, compiled=compiled)
        assert made.fits, made.need
        assert made.accumulation >= 1
    assert preset.shards.dtype == "uint16"
    assert preset.model.build().vocab_size == 50_257
    assert preset.train.data == "fineweb-edu"
    assert preset.train.expected


def test_one_gpu_and_eight_make_the_same_steps():
    one, eight = (presets.load(f"gpt2-124m-{n}gpu") for n in (1, 8))
    differs = {"micro_batch", "expected", "strategy"}
    assert one.train.model_dump(exclude=differs) == eight.train.model_dump(exclude=differs)
    assert one.model == eight.model


def test_the_videos_run():
    made = plan(presets.load("gpt2-xl-8xh100"), gpu="h100", gpus=8, price=3.0)
    assert made.total_parameters == 1_557_611_200
    assert made.train.steps == 32_000
    assert made.train.batch_tokens == 2**20
    assert made.train.total_tokens == pytest.approx(33.6e9, rel=0.002)
    assert made.flops == pytest.approx(3.45e20, rel=0.01)


def test_24_hours_and_672_dollars():
    """At llm.c's 2.80 s a step and Lambda's $28 an hour for eight GPUs."""
    published = plan(presets.load("gpt2-xl-8xh100"), price=28 / 8).timed(2.80)
    assert published.hours == pytest.approx(24, rel=0.05)
    assert published.dollars == pytest.approx(672, rel=0.05)


def test_the_videos_figures_do_not_fit_together():
    """7 s a step are 2.6 days and $1,493; one day and about $600 are the published 2.80 s at $3."""
    made = plan(presets.load("gpt2-xl-8xh100"), price=3.0)
    assert made.timed(7.0).hours == pytest.approx(62.2, abs=0.1)
    assert made.timed(7.0).dollars == pytest.approx(1493, abs=1)
    assert made.timed(2.80).dollars == pytest.approx(600, rel=0.01)


def test_time_and_money_are_in_proportion():
    preset = presets.load("gpt2-xl-8xh100")
    made, faster, more = plan(preset), plan(preset, mfu=0.8), plan(preset, gpus=16)
    assert faster.hours == pytest.approx(made.hours / 2)
    assert more.hours == pytest.approx(made.hours / 2)
    assert more.dollars == pytest.approx(made.dollars)
    assert made.timed(made.seconds_per_step).mfu == pytest.approx(0.4)


def test_a_configuration_and_settings_of_ones_own():
    train = TrainSection(
        data="fineweb-edu", batch_tokens=2**16, micro_batch=4, context=512, steps=10, lr=1e-3, compile="no"
    )  # fmt: skip
    made = plan(named("gpt2-medium"), train, gpu="t4", gpus=2, strategy="fsdp")
    assert made.precision == "fp16"
    assert made.accumulation == 16
    assert not made.compiled
    assert made.need is made.memory["fsdp", False]
    with pytest.raises(CourseError, match="no run to plan"):
        plan(named("gpt2"))


def test_what_does_not_fit_is_said():
    made = plan(presets.load("gpt2-xl-8xh100"), gpu="t4")
    assert not made.fits
    assert made.to_dict()["fits"] is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gpus": 3}, "1024 rows of a batch cannot be shared evenly by 3 GPUs, 8 at a time"),
        ({"gpus": 0}, "0 GPUs"),
        ({"micro_batch": 0}, "0 rows"),
        ({"mfu": 0.0}, "mfu"),
        ({"mfu": 1.1}, "mfu"),
        ({"mfu": float("nan")}, "mfu"),
        ({"price": -1.0}, "price"),
        ({"price": float("inf")}, "price"),
        ({"gpu": "h1000"}, "h1000"),
    ],
)
def test_numbers_that_make_no_sense(changes, message):
    with pytest.raises(CourseError, match=message):
        plan(presets.load("gpt2-xl-8xh100"), **changes)


def test_a_preset_without_a_run():
    with pytest.raises(CourseError, match=r"preset bare has no \[train\]"):
        plan(presets.parse("bare", 'description = "nothing"'))


def test_bf16_on_a_card_without_it():
    preset = presets.load("gpt2-124m-1gpu")
    train = preset.train.model_copy(update={"precision": "bf16"})
    with pytest.raises(CourseError, match="T4"):
        plan(preset.model_copy(update={"train": train}), gpu="t4", gpus=1)


# ------------------------------------------------------------------------------------- the command


def run(*arguments):
    result = CliRunner().invoke(cli.app, ["plan", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_command_prints_the_videos_run():
    output = run(
        "--preset", "gpt2-xl-8xh100", "--gpu", "h100", "--gpus", "8", "--price", "3"
    ).output
    for figure in ("1,557,611,200", "33,554,432,000", "3.45e+20", "32,000", "fits 80.0 GB"):
        assert figure in output


def test_the_command_says_what_a_step_implies():
    output = run("--seconds-per-step", "7", "--seconds-per-step", "2.8").output
    assert "1,493.33" in output
    assert "48.6%" in output


def test_json_holds_the_same_as_the_plan():
    result = json.loads(run("--json", "--mfu", "0.5", "--seconds-per-step", "2.8").output)
    made = plan(presets.load("gpt2-xl-8xh100"), mfu=0.5)
    assert result["flops"] == made.flops
    assert result["memory"]["fsdp"]["total"] == made.need.total
    assert result["hours"] == made.hours
    assert result["timed"][0]["hours"] == pytest.approx(24.9, abs=0.1)


@pytest.mark.parametrize(
    "arguments",
    [["--strategy", "magic"], ["--seconds-per-step", "0"], ["--gpu", "x"], ["--mfu", "0"]],
)
def test_bad_input_is_one_line(arguments):
    with pytest.raises(CourseError) as error:
        run(*arguments)
    assert "\n" not in str(error.value)


def test_planning_needs_no_torch():
    """A plan is arithmetic: it comes at once."""
    code = (
        "import sys; from llmcourse import presets; from llmcourse.train.plan import plan;"
        "plan(presets.load('gpt2-xl-8xh100')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
