"""The engine: equal to the naive loop whatever happens around a stream; what it refuses; how it ends."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.engine import Engine, FastModel, Request, Sampling, generate_naive
from llmcourse.engine.sampling import next_token
from llmcourse.engine.text import TextStream
from llmcourse.errors import CourseError
from llmcourse.model.config import ModelConfig
from llmcourse.model.transformer import Transformer

CONFIGS = {
    "llama": ModelConfig(vocab_size=50, context_length=64, n_layers=2, n_heads=4, n_kv_heads=2, width=32, hidden=48),
    "gpt2": ModelConfig(
        vocab_size=50, context_length=64, n_layers=2, n_heads=4, width=32, hidden=48,
        position="learned", norm="layer", mlp="gelu_tanh", bias=True,
    ),
}  # fmt: skip
GREEDY = Sampling(temperature=0)


def made(name: str) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(CONFIGS[name]).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4).add_(torch.randn_like(p) * 0.02)
    return model


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    return made(request.param)


@pytest.fixture(scope="module")
def llama():
    return made("llama")


class Bytes:
    """A token is a byte."""

    def encode(self, text):
        return list(text.encode())

    def token_bytes(self, token_id):
        return bytes([token_id])


class Parrot:
    """A model that says what it was told to: after n tokens comes `script[n]`; −1 is NaN.

    It keeps no keys and values, only the cache's account of how long each row is.
    """

    def __init__(self, script: bytes | list[int], context: int = 64):
        self.config = SimpleNamespace(
            vocab_size=256, context_length=context, n_layers=1, n_heads=1, n_kv_heads=1, head_dim=2
        )
        self.script, self.calls = script, []

    def __call__(self, ids, cache=None):
        B, T = ids.shape
        self.calls.append((B, T))
        positions, _ = cache.begin(B, T)
        k = torch.zeros(B, 1, T, 2)
        cache.append(0, k, k)
        logits = torch.zeros(B, T, 256)
        for row, line in enumerate(positions.tolist()):
            for t, position in enumerate(line):
                token = self.script[(position + 1) % len(self.script)]
                logits[row, t, max(token, 0)] = 20.0 if token >= 0 else torch.nan
        return logits


def say(script, prompt="?", tokenizer=True, **options):
    """What a parrot's engine generates greedily after one prompt; the script begins after it."""
    script = [0] * len(prompt.encode()) + list(
        script.encode() if isinstance(script, str) else script
    )
    engine = Engine(Parrot(script), Bytes() if tokenizer else None)
    events = []
    options = {"sampling": GREEDY, "max_tokens": len(script) - len(prompt), **options}
    generation = engine.generate(prompt, on_token=events.append, **options)
    assert not engine.busy
    return generation, events


# ------------------------------------------------------------------ equal to the naive loop


def prompts_of(lengths, seed=0):
    chance = random.Random(seed)
    return [[chance.randrange(50) for _ in range(length)] for length in lengths]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rearrange": False},
        {"max_streams": 1},
        {"max_streams": 5, "chunk": 7},
        {"max_streams": 3, "chunk": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "sampling",
    [
        GREEDY,
        Sampling(seed=3),
        Sampling(0.8, 10, 0.9, seed=5, repetition_penalty=1.2),
        Sampling(1.5, min_p=0.1, seed=6),
    ],
    ids=["greedy", "plain", "penalty", "min_p"],
)
def test_every_stream_is_what_the_naive_loop_makes(model, options, sampling):
    prompts = prompts_of([1, 60, 5, 20, 2, 64, 5, 63])
    engine = Engine(model, **options)
    for i, generation in enumerate(engine.generate(prompts, sampling, 12, stop_tokens=[7])):
        assert generation.ids == generate_naive(model, prompts[i], sampling, 12, [7], stream=i)
        assert generation.prompt_ids == prompts[i]
    assert not engine.busy and set(engine.cache.lengths) == {0}


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_joining_leaving_forcing_and_cancelling_disturb_nobody(data):
    """Whatever is done to other streams between two steps, each stream's tokens are its own."""
    model = made_once["model"]
    engine = Engine(made_once["fast"], max_streams=3, chunk=data.draw(st.sampled_from([2, 5, 512])))
    streams = []
    for _ in range(40):
        action = data.draw(st.sampled_from(["submit", "step", "step", "step", "force", "cancel"]))
        running = [s for s in streams if not s.finished]
        if action == "submit" and len(streams) < 7:
            n = len(streams)
            prompt = prompts_of([data.draw(st.integers(1, 25))], n)[0]
            streams.append(engine.submit(Request(prompt, Sampling(seed=n), max_tokens=9, number=n)))
        elif action == "force" and running:
            stream = data.draw(st.sampled_from(running))
            stream.force(data.draw(st.lists(st.integers(0, 49), max_size=4)))
        elif action == "cancel" and running and data.draw(st.integers(0, 3)) == 0:
            data.draw(st.sampled_from(running)).cancel()
        else:
            engine.step()
    while engine.busy:
        engine.step()
    for stream in streams:
        generator = stream.request.sampling.generator(0)
        ids = list(stream.request.prompt_ids)
        with torch.inference_mode():
            for token, forced in zip(stream.ids, stream.forced, strict=True):
                if not forced:
                    logits = model(torch.tensor([ids]))[0, -1]
                    assert token == next_token(logits, stream.request.sampling, generator)
                ids.append(token)
        assert stream.finish_reason in ("length", "cancelled", "context")
        assert stream.finish_reason != "length" or stream.forced.count(False) == 9
    assert engine.running == [] and set(engine.cache.lengths) == {0}


made_once = {"model": made("llama")}
made_once["fast"] = FastModel(made_once["model"])


def test_logprobs_probabilities_and_alternatives(llama):
    prompts = prompts_of([4, 9])
    sampling = Sampling(0.7, 5, seed=1)
    for generation in Engine(llama).generate(prompts, sampling, 6, alternatives=3):
        ids = torch.tensor([generation.prompt_ids + generation.ids])
        with torch.no_grad():
            p = llama(ids)[0].softmax(-1)[len(generation.prompt_ids) - 1 : -1]
            logits = llama(ids)[0, len(generation.prompt_ids) - 1 : -1]
        for t, token in enumerate(generation.ids):
            assert generation.logprobs[t] == pytest.approx(float(p[t, token].log()), abs=1e-4)
            top5 = (logits[t] / 0.7).topk(5)
            expected = float(top5.values.softmax(-1)[(top5.indices == token).nonzero()[0, 0]])
            assert generation.probabilities[t] == pytest.approx(expected, abs=1e-4)
            best = p[t].topk(3)
            assert [i for i, _ in generation.alternatives[t]] == best.indices.tolist()
            assert [q for _, q in generation.alternatives[t]] == pytest.approx(
                best.values.tolist(), abs=1e-4
            )
    assert Engine(llama).generate([[1]], GREEDY, 2)[0].alternatives == [[], []]
    assert Engine(llama).generate([[1]], GREEDY, 2)[0].probabilities == [1.0, 1.0]


def test_seeds_belong_to_streams(llama):
    engine, prompts = Engine(llama), [[1, 2]] * 3
    first = [g.ids for g in engine.generate(prompts, Sampling(seed=1), 10)]
    assert first == [g.ids for g in engine.generate(prompts, Sampling(seed=1), 10)]
    assert len(set(map(tuple, first))) == 3  # same prompt, three continuations
    assert first != [g.ids for g in engine.generate(prompts, Sampling(seed=2), 10)]
    assert engine.generate([[1, 2]], Sampling(seed=1), 10)[0].ids == first[0]
    own = engine.generate(prompts, [GREEDY, Sampling(seed=1), Sampling(seed=1)], 10)
    assert own[1].ids == own[2].ids == first[0] and own[0].probabilities == [1.0] * 10


def test_a_thousand_prompts_wait_their_turn():
    engine = Engine(Parrot([*range(1, 60)]), max_streams=16)
    prompts = [[1] * (1 + i % 9) for i in range(1000)]
    for i, generation in enumerate(engine.generate(prompts, GREEDY, 2)):
        n = 1 + i % 9
        assert generation.ids == [n + 1, n + 2]
    assert max(B for B, _ in engine.model.calls) == 16


def test_prompts_are_read_in_chunks_and_together():
    model = Parrot([1])
    Engine(model, chunk=10).generate([[1] * 35], GREEDY, 1)
    assert model.calls == [(1, 10), (1, 10), (1, 10), (1, 4), (1, 1)]
    model.calls.clear()
    Engine(model).generate([[1] * 9, [1] * 10, [1] * 40], GREEDY, 1)
    assert model.calls == [
        (2, 9),
        (1, 39),
        (3, 1),
    ]  # similar lengths together, all but the last token


def test_a_long_prompt_does_not_hold_up_the_others():
    engine = Engine(Parrot([1]), chunk=10)
    short = engine.submit(Request([1, 1], GREEDY, max_tokens=20))
    long = engine.submit(Request([1] * 50, GREEDY, max_tokens=1))
    engine.step()
    assert len(short.ids) == 1 and not long.ids
    for _ in range(3):
        engine.step()
    assert len(short.ids) == 4 and not long.ids
    while not long.finished:
        engine.step()
    assert long.ids == [1]


# ------------------------------------------------------------------ ends


def test_stop_tokens_are_kept_but_not_told():
    generation, events = say("abcd", stop_tokens=[ord("c")])
    assert (generation.text, generation.ids, generation.finish_reason) == (
        "ab",
        list(b"abc"),
        "stop_token",
    )
    assert [e.finish_reason for e in events] == [None, None, "stop_token"]


@pytest.mark.parametrize(
    "script, stops, text, reason",
    [
        ("one STOP two", ["STOP"], "one ", "stop_string"),
        ("one STO two", ["STOP"], "one STO two", "length"),
        ("aaab", ["aab"], "a", "stop_string"),
        ("xyz", ["z", "yz"], "x", "stop_string"),
        ("xyz", ["y", "xyz"], "x", "stop_string"),
        ("na\u00efve", ["\u00efv"], "na", "stop_string"),
        ("end\n\n", ["\n\n\n"], "end\n\n", "length"),
    ],
)  # fmt: skip
def test_stop_strings(script, stops, text, reason):
    generation, events = say(script, stop_strings=stops)
    assert (generation.text, generation.finish_reason) == (text, reason)
    assert "".join(e.text for e in events) == text


@given(
    text=st.text(max_size=12),
    stops=st.lists(st.text("ab\u00e9", min_size=1, max_size=3), max_size=2),
    mix=st.text("ab\u00e9", max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_streamed_text_is_whole_and_never_taken_back(text, stops, mix):
    script = (mix + text)[:14]
    if not script.encode("utf-8", "ignore"):
        return
    data = script.encode("utf-8", "ignore")
    whole = data.decode()
    generation, events = say(list(data), stop_strings=stops)
    cuts = [(whole.find(s) + len(s), whole.find(s)) for s in stops if s in whole]
    expected = whole[: min(cuts)[1]] if cuts else whole
    assert generation.text == "".join(e.text for e in events) == expected
    assert all("\ufffd" not in e.text or "\ufffd" in whole for e in events)
    said = ""
    for event in events:
        said += event.text
        assert expected.startswith(said)


def test_bytes_that_are_no_text():
    data = [0xFF, 0x61, 0xE2, 0x82]  # no UTF-8, a letter, and two thirds of a euro sign
    generation, events = say(data)
    assert generation.text == bytes(data).decode("utf-8", "replace") == "\ufffda\ufffd"
    assert [e.text for e in events] == ["\ufffd", "a", "", "\ufffd"]


def test_after_a_stop_string_comes_nothing():
    stream = TextStream(["b"])
    assert stream.push(b"abc") == "a" and stream.stopped
    assert stream.push(b"d") == stream.flush() == ""


def test_lengths():
    assert say("abc", max_tokens=2)[0].finish_reason == "length"
    nothing, events = say("abc", max_tokens=0)
    assert (nothing.ids, nothing.text, nothing.finish_reason) == ([], "", "length")
    assert len(events) == 1 and events[0].id is None
    full = Engine(Parrot([1], context=8)).generate([[1] * 3, [1] * 8], GREEDY, None)
    assert [(len(g.ids), g.finish_reason) for g in full] == [(6, "context"), (1, "context")]
    short = Engine(Parrot([1]), max_length=5).generate([[1] * 3], GREEDY)
    assert (len(short[0].ids), short[0].finish_reason) == (3, "context")


# ------------------------------------------------------------------ forcing and cancelling


def test_forced_tokens():
    engine = Engine(Parrot(list(b"?abcdefgh")), Bytes())
    stream = engine.submit(Request(list(b"?"), GREEDY, max_tokens=4, stop_strings=("XY",)))
    assert [e.text for e in engine.step()] == ["a"]
    stream.force(b"XYZ")
    events = engine.step()
    assert [(e.id, e.forced, e.text) for e in events] == [
        (88, True, "X"), (89, True, "Y"), (90, True, "Z"), (ord("e"), False, "e"),
    ]  # fmt: skip
    assert engine.model.calls == [(1, 1), (1, 3), (1, 1)]  # a, X and Y in one go, then Z
    while engine.busy:
        engine.step()
    generation = stream.generation()
    assert generation.text == "aXYZefg" and generation.forced == [
        False,
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert generation.logprobs[1:4] == generation.probabilities[1:4] == [None] * 3
    with pytest.raises(CourseError, match="finished"):
        stream.force([1])


def test_forcing_ids_of_a_halved_character_and_too_many():
    engine = Engine(Parrot([0xC3] * 9, context=9), Bytes())
    stream = engine.submit(Request([1], GREEDY, max_tokens=1))
    stream.force([0xC3])
    stream.force([0xA9])
    with pytest.raises(CourseError, match="id 256"):
        stream.force([256])
    with pytest.raises(CourseError, match="room for 9"):
        stream.force([1] * 7)
    events = engine.step()
    assert [e.text for e in events] == ["", "\u00e9", "\ufffd"]


def test_cancelling_anywhere():
    engine = Engine(Parrot([1]), max_streams=1)
    running, waiting = (engine.submit(Request([1], GREEDY)) for _ in range(2))
    engine.step()
    with pytest.raises(CourseError, match="not finished"):
        running.generation()
    waiting.cancel()
    running.cancel()
    running.cancel()
    assert [(e.stream, e.finish_reason) for e in engine.step()] == [
        (waiting, "cancelled"),
        (running, "cancelled"),
    ]
    assert running.generation().finish_reason == "cancelled" and running.generation().ids == [1]
    assert not engine.busy and engine.step() == []


def test_cancelling_from_on_token():
    def enough(event):
        if len(event.stream.ids) == 3:
            event.stream.cancel()

    results = Engine(Parrot([1])).generate([[1], [1, 1]], GREEDY, 50, on_token=enough)
    assert [(len(g.ids), g.finish_reason) for g in results] == [(3, "cancelled")] * 2


def test_an_on_token_that_raises_leaves_the_engine_free():
    def fail(event):
        raise KeyError("mine")

    engine = Engine(Parrot([1]), max_streams=2)
    with pytest.raises(KeyError, match="mine"):
        engine.generate([[1]] * 5, GREEDY, 5, on_token=fail)
    assert not engine.busy and engine.cache.lengths == [0, 0]
    assert len(engine.generate([[1]] * 5, GREEDY, 5)) == 5


def test_generate_leaves_other_peoples_events_alone():
    engine = Engine(Parrot([1]))
    other = engine.submit(Request([1], GREEDY, max_tokens=2))
    engine.generate([[1]], GREEDY, 5)
    events = engine.step()
    assert [e.stream for e in events] == [other, other] and other.finish_reason == "length"
    assert not engine.busy


# ------------------------------------------------------------------ odd input


@pytest.mark.parametrize(
    "prompts, options, message",
    [
        ([[]], {}, "prompt 0 is empty"),
        ([[1], [2, 256]], {}, "prompt 1: no token has the id 256"),
        ([[-1]], {}, "id -1"),
        ([[1] * 65], {}, "65 tokens, but the context holds 64"),
        (["text"], {}, "prompt 0 is text"),
        ([1, 2], {}, "list of ids"),
        ([[1]], {"max_tokens": -1}, "max_tokens"),
        ([[1]], {"alternatives": -1}, "alternatives"),
        ([[1]], {"alternatives": 257}, "alternatives"),
        ([[1]], {"stop_strings": [""]}, "empty"),
        ([[1]], {"stop_strings": ["a"]}, "need text"),
        ([[1]], {"sampling": [GREEDY, GREEDY]}, "2 samplings for 1 prompts"),
    ],
)  # fmt: skip
def test_refusals(prompts, options, message):
    engine = Engine(Parrot([1]))
    with pytest.raises(CourseError, match=message) as error:
        engine.generate(prompts, **options)
    assert error.value.hint and not engine.busy


def test_an_empty_text_is_an_empty_prompt():
    with pytest.raises(CourseError, match="prompt 0 is empty"):
        Engine(Parrot([1]), Bytes()).generate("")
    assert Engine(Parrot([1])).generate([]) == []


def test_settings_of_the_engine(llama):
    with pytest.raises(CourseError, match="chunk"):
        Engine(llama, chunk=0)
    with pytest.raises(CourseError, match="0 rows"):
        Engine(llama, max_streams=0)
    with pytest.raises(CourseError, match="int8 any more"):
        Engine(FastModel(llama), weights="int8")
    assert Engine(llama, weights="int8").model.weights == "int8"
    assert Engine(llama.to(torch.float32), rearrange=False).model is llama


def test_half_precision_transformer_as_it_is():
    model = made("llama").to(torch.bfloat16)
    assert len(Engine(model, rearrange=False).generate([[1, 2], [3]], GREEDY, 4)[0].ids) == 4


def test_nan_is_the_affair_of_one_stream():
    """Streams 0 and 2 are two tokens ahead, so they meet the NaN; stream 1 does not."""
    script = [0, 1, 2, 3, 4, -1, 6, 7]
    engine = Engine(Parrot(script), max_streams=3)
    good = engine.submit(Request([9], GREEDY, max_tokens=3, number=1))
    bad = [engine.submit(Request([9, 9, 9], GREEDY, max_tokens=9, number=n)) for n in (0, 2)]
    while engine.busy:
        engine.step()
    assert good.generation().ids == [1, 2, 3]
    for stream in bad:
        assert stream.finish_reason == "error" and stream.ids == [3, 4]
        with pytest.raises(CourseError, match=f"stream {stream.request.number}, position 5: NaN"):
            stream.generation()
    with pytest.raises(CourseError, match="stream 1, position 5: NaN"):
        Engine(Parrot(script)).generate([[9], [9, 9]], GREEDY, 9)
    assert not engine.cache.keys.isnan().any()


def test_infinite_logits_are_certainty():
    model = Parrot([5])
    plain = Parrot.__call__

    class Certain(Parrot):
        def __call__(self, ids, cache=None):
            logits = plain(self, ids, cache)
            logits[..., [7, 9]] = torch.inf
            return logits

    generation = Engine(Certain(model.script)).generate([[1]], GREEDY, 2, alternatives=2)[0]
    assert generation.ids == [7, 7] and generation.logprobs == pytest.approx(
        [-0.6931] * 2, abs=1e-3
    )
    drawn = Engine(Certain(model.script)).generate([[1]], Sampling(seed=0), 20)[0]
    assert set(drawn.ids) == {7, 9} and set(drawn.probabilities) == {0.5}
