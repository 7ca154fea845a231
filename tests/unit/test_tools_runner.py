"""Tools in the engine: pauses, results, masks, budgets, and a model that does everything wrong.

The model is a script: it is asked for the next token, given what it wrote so far.
"""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch

from llmcourse.data.conversations import Message, Part
from llmcourse.engine import Engine, Sampling
from llmcourse.engine.tools import Budget, PythonTool, ToolError, generate_with_tools
from llmcourse.engine.tools.runner import NO_CALLS, ROOM, TOO_LONG
from llmcourse.errors import CourseError

NAMES = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|search_start|>", "<|search_end|>", "<|python_start|>",
    "<|python_end|>", "<|result_start|>", "<|result_end|>", "<|think_start|>", "<|think_end|>",
]  # fmt: skip
SPECIAL = {name: 256 + n for n, name in enumerate(NAMES)}
S, S_, P, P_ = "<|search_start|>", "<|search_end|>", "<|python_start|>", "<|python_end|>"
R, R_, T, T_, END = "<|result_start|>", "<|result_end|>", "<|think_start|>", "<|think_end|>", "<|im_end|>"  # fmt: skip
GREEDY = Sampling(temperature=0)


class Bytes:
    """A token is a byte, or special."""

    special_tokens = SPECIAL

    def encode_ordinary(self, text):
        return list(text.encode())

    def encode(self, text):
        ids = []
        while text:
            name = next((name for name in NAMES if text.startswith(name)), None)
            ids += [SPECIAL[name]] if name else list(text[0].encode())
            text = text[len(name or text[0]) :]
        return ids

    def token_bytes(self, token):
        return bytes([token]) if token < 256 else NAMES[token - 256].encode()


class Scripted:
    """Says what its scripts say: the first byte of a prompt is the number of a script.

    A script is a text, or a function of how many tokens were written so far. What is forced does not count. All
    earlier tokens are read from the cache, where they are kept as keys.
    """

    def __init__(self, scripts, context=2048):
        self.config = SimpleNamespace(
            vocab_size=256 + len(NAMES), context_length=context, n_layers=1, n_heads=1, n_kv_heads=1, head_dim=1
        )  # fmt: skip
        self.scripts = [Bytes().encode(s) if isinstance(s, str) else s for s in scripts]

    def __call__(self, ids, cache=None):
        B, T = ids.shape
        positions, _ = cache.begin(B, T)
        k = ids.float()[:, None, :, None]
        keys, _ = cache.append(0, k, k)
        logits = torch.zeros(B, T, self.config.vocab_size)
        for row in range(B):
            position = int(positions.expand(B, T)[row, -1])
            history = keys[row, 0, : position + 1, 0].int().tolist()
            logits[row, -1, self.next(history)] = 20.0
        return logits

    def next(self, history):
        script, n, inside = self.scripts[history[0]], 0, False
        for token in history[1:]:
            inside = inside or token == SPECIAL[R]
            n += not inside
            inside = inside and token != SPECIAL[R_]
        if callable(script):
            return script(n)
        return script[n] if n < len(script) else SPECIAL[END]


class Echo:
    """A tool that gives back what it is given, and remembers it."""

    def __init__(self, name="search", answer=None):
        self.name, self.start, self.end = name, f"<|{name}_start|>", f"<|{name}_end|>"
        self.asked, self.answer = [], answer or (lambda text: f"<{text}>")

    def call(self, text):
        self.asked.append(text)
        return self.answer(text)


def run(*scripts, tools=None, budget=None, context=2048, **options):
    """The turns that these scripts come to."""
    engine = Engine(Scripted(scripts, context), Bytes())
    tools = [Echo(), Echo("python")] if tools is None else tools
    turns = generate_with_tools(
        engine, [[n] for n in range(len(scripts))], tools, GREEDY, budget, **options
    )
    assert not engine.busy
    return turns


def one(script, tool=None, **options):
    return run(script, tools=None if tool is None else [tool], **options)[0]


def said(turn):
    return b"".join(map(Bytes().token_bytes, turn.ids)).decode("utf-8", "replace")


# ---------------------------------------------------------------- one call


def test_result_is_pasted_and_generation_goes_on():
    turn = one(f"Let me see. {S}herring{S_} A fish.{END}")
    assert said(turn) == f"Let me see. {S}herring{S_}{R}<herring>{R_} A fish.{END}"
    assert turn.stopped == "stop_token"


def test_parts_are_those_of_a_message():
    turn = one(f"Hm. {S}herring{S_} A fish.{END}")
    assert turn.parts == (
        Part("text", "Hm. "), Part("search", "herring"), Part("result", "<herring>"), Part("text", " A fish."),
    )  # fmt: skip
    assert turn.text == Message("assistant", turn.parts).text == "Hm.  A fish."


def test_model_wrote_all_but_the_result():
    turn = one(f"a{S}b{S_}c{END}")
    written = [token for token, mine in zip(turn.ids, turn.written, strict=True) if mine]
    assert written == Bytes().encode(f"a{S}b{S_}c{END}")
    assert [p is None for p in turn.generation.logprobs] == [not mine for mine in turn.written]


def test_no_call_no_change():
    turn = one(f"Good day.{END}")
    assert (turn.parts, turn.calls) == ((Part("text", "Good day."),), ())


def test_special_tokens_in_a_result_stay_text():
    turn = one(f"{S}x{S_}ok{END}", Echo(answer=lambda _: f"{END}{P}1{P_}"))
    assert turn.ids.count(SPECIAL[END]) == 1
    assert turn.parts[1] == Part("result", f"{END}{P}1{P_}")
    assert len(turn.calls) == 1


def test_several_calls_of_several_tools():
    turn = one(f"{S}a{S_}{P}b{P_}{S}c{S_}d{END}")
    assert [call.tool for call in turn.calls] == ["search", "python", "search"]
    assert [call.text for call in turn.calls] == ["a", "b", "c"]


def test_call_within_thoughts():
    turn = one(f"{T}so{S}a{S_}hm{T_}A.{END}")
    assert [part.kind for part in turn.parts] == ["think", "search", "result", "think", "text"]


def test_text_of_several_bytes():
    assert one(f"{S}Ågot{S_}é{END}").calls[0].text == "Ågot"


def test_results_do_not_count_as_tokens_written():
    turn = one(f"{S}a{S_}12345{END}", Echo(answer=lambda _: "x" * 200), max_tokens=6)
    assert turn.text == "123"
    assert turn.stopped == "length"


def test_events_tell_everything():
    events = []
    turn = one(f"a{S}b{S_}c{END}", on_token=events.append)
    assert [event.id for event in events if event.id is not None] == turn.ids


def test_turn_is_what_the_chat_protocol_renders():
    """The ids, and which of them carry loss, as in fine-tuning."""
    from llmcourse.data.conversations import Conversation
    from llmcourse.model import shipped
    from llmcourse.tokenizer import chat
    from llmcourse.tokenizer.tokenizer import Tokenizer

    course = Tokenizer.load(shipped.folder("course-base"))
    model = Scripted([course.encode(f"So: {S}Ågot{S_} A fish.{P}1 + 1{P_} Two.{END}")])
    model.config.vocab_size = course.n_vocab
    number = {course.special_tokens[name]: SPECIAL[name] for name in (R, R_)}
    script = model.next
    model.next = lambda history: script([0, *(number.get(token, 0) for token in history[1:])])
    tools = [Echo(answer=lambda _: f"a fish {END}"), Echo("python")]
    turn = generate_with_tools(Engine(model, course), [[0]], tools, GREEDY)[0]

    rendered = chat.render(
        Conversation((Message.of("user", "Hello."), Message("assistant", turn.parts))), course
    )
    end = len(rendered.ids) - 1  # the line break after a turn is nobody's
    assert rendered.ids[end - len(turn.ids) : end] == turn.ids
    assert [bool(m) for m in rendered.loss_mask[end - len(turn.ids) : end]] == turn.written


# ---------------------------------------------------------------- errors and delays


def raiser(error):
    def answer(_):
        raise error

    return answer


def test_error_of_a_tool_is_a_result():
    turn = one(f"{S}a{S_}on{END}", Echo(answer=raiser(ToolError("no such page"))))
    assert turn.parts[1:] == (Part("result", "no such page"), Part("text", "on"))
    assert turn.calls[0].status == "error"


def test_fault_in_a_tool_is_a_result():
    turn = one(f"{S}a{S_}on{END}", Echo(answer=raiser(KeyError("x" * 10_000))))
    assert turn.calls[0].result.startswith("the tool failed: KeyError")
    assert len(turn.calls[0].result) < 300
    assert turn.text == "on"


def test_tool_that_hangs_is_not_waited_for():
    start = time.perf_counter()
    turn = one(
        f"{S}a{S_}on{END}", Echo(answer=lambda _: time.sleep(60)), budget=Budget(seconds_per_call=0.05)
    )  # fmt: skip
    assert time.perf_counter() - start < 30
    assert (turn.calls[0].status, turn.text) == ("timeout", "on")


def test_time_of_all_calls_is_limited():
    budget = Budget(seconds_per_call=0.05, seconds_total=0.08, max_calls=100)
    turn = one(f"{S}a{S_}" * 4 + f"on{END}", Echo(answer=lambda _: time.sleep(60)), budget=budget)
    assert [call.status for call in turn.calls] == ["timeout", "timeout", "refused", "refused"]


def test_long_result_is_cut_to_characters():
    turn = one(f"{S}a{S_}on{END}", Echo(answer=lambda _: "x" * 100_000_000))
    assert len(turn.calls[0].result) <= Budget().max_characters
    assert turn.text == "on"


def test_long_result_is_cut_to_tokens():
    turn = one(
        f"{S}a{S_}on{END}", Echo(answer=lambda _: "é" * 900), budget=Budget(max_result_tokens=11)
    )
    assert sum(turn.generation.forced) <= 11 + 2


# ---------------------------------------------------------------- a model that does everything wrong


def test_thousand_calls():
    tool = Echo()
    turn = one(
        f"{S}a{S_}" * 1000, tool, budget=Budget(max_calls=3, max_refusals=2), max_tokens=None
    )
    assert len(tool.asked) == 3
    assert [call.result for call in turn.calls] == ["<a>"] * 3 + [NO_CALLS] * 2
    assert (turn.stopped, turn.open_call) == ("no_calls", True)


def test_after_a_refusal_it_may_write():
    turn = one(f"{S}a{S_}{S}b{S_}so be it{END}", budget=Budget(max_calls=1))
    assert (turn.text, turn.stopped) == ("so be it", "stop_token")
    assert turn.calls[1].status == "refused"


def test_no_calls_allowed():
    tool = Echo()
    assert one(f"{S}a{S_}on{END}", tool, budget=Budget(max_calls=0)).text == "on"
    assert tool.asked == []


def test_call_that_is_never_closed_is_closed_and_not_made():
    tool = Echo()
    script = Bytes().encode(f"{S}aaaaaaaaaaa")  # 10 are allowed; its end is written for it …
    turn = one(
        lambda n: [*script, SPECIAL[S_], *b"on", SPECIAL[END]][n], tool, budget=Budget(max_call_tokens=10)
    )  # fmt: skip
    assert tool.asked == []
    assert (turn.calls[0].status, turn.calls[0].result) == ("unclosed", TOO_LONG)
    assert turn.text == "on"
    end = turn.ids.index(SPECIAL[S_])
    assert not turn.written[end]  # … so it is not the model's


def test_model_that_only_opens_calls_comes_to_an_end():
    turn = one(lambda _: SPECIAL[P], budget=Budget(max_call_tokens=5), max_tokens=None)
    assert turn.stopped == "no_calls"
    assert len(turn.calls) == Budget().max_calls + Budget().max_refusals


def test_turn_that_ends_inside_a_call_says_so():
    tool = Echo()
    turn = one(f"Hm. {S}a{END}", tool)
    assert (turn.open_call, turn.stopped, tool.asked) == (True, "stop_token", [])
    assert turn.parts == (Part("text", "Hm. "), Part("search", "a"))


def test_call_closed_with_the_last_token_is_not_made():
    tool = Echo()
    turn = one(f"{S}a{S_}on{END}", tool, max_tokens=3)
    assert (turn.stopped, turn.open_call, tool.asked) == ("length", True, [])


def test_empty_call():
    turn = one(f"{S}{S_}on{END}")
    assert (turn.calls[0].text, turn.text) == ("", "on")


@pytest.mark.parametrize(
    "script", [f"a{S_}b", f"a{R_}b", f"a{T_}b", f"a{P_}{S_}b", "a<|im_start|>b"]
)
def test_token_out_of_place_is_text(script):
    turn = one(script + END)
    assert turn.parts == (Part("text", script),)


def test_wrong_end_does_not_close_a_call():
    assert one(f"{S}a{P_}b{S_}{END}").calls[0].text == f"a{P_}b"


def test_start_within_a_call_is_text():
    assert one(f"{S}a{P}b{S_}{END}").calls[0].text == f"a{P}b"


def test_bytes_that_are_no_text():
    script = [SPECIAL[S], 0xFF, 0xFE, SPECIAL[S_], 0xC3, SPECIAL[END]]
    turn = one(lambda n: script[n])
    assert (turn.calls[0].text, turn.text) == ("\ufffd\ufffd", "\ufffd")


@pytest.mark.parametrize("context", [20, 24, 30, 40, 60])
def test_small_context_is_no_error(context):
    turn = one(f"{S}a{S_}on{END}", Echo(answer=lambda _: "x" * 500), context=context)
    assert len(turn.ids) + 1 <= context
    if turn.stopped == "context":
        assert turn.open_call
    else:
        assert turn.text == "on"
        assert sum(turn.generation.forced) <= context - ROOM


def test_endless_calls_fill_the_context_and_stop():
    budget = Budget(max_calls=1000)
    turn = one(f"{S}a{S_}" * 1000, context=200, budget=budget, max_tokens=None)
    assert (turn.stopped, turn.open_call) == ("context", True)


# ---------------------------------------------------------------- side by side


def test_streams_have_their_own_state():
    scripts = [f"{S}a{S_}A{END}", f"hello{END}", f"xx{P}b{P_}B{S}c{S_}C{END}", f"{S}d{END}"]
    together = run(*scripts)
    alone = [one_of(scripts, n) for n in range(len(scripts))]
    assert [turn.ids for turn in together] == [turn.ids for turn in alone]
    assert [turn.parts for turn in together] == [turn.parts for turn in alone]


def one_of(scripts, n):
    engine = Engine(Scripted(scripts), Bytes())
    return generate_with_tools(engine, [[n]], [Echo(), Echo("python")], GREEDY)[0]


def test_streams_have_their_own_budgets():
    turns = run(f"{S}a{S_}" * 3 + END, f"{S}a{S_}{END}", budget=Budget(max_calls=1))
    assert [call.status for call in turns[0].calls] == ["ok", "refused", "refused"]
    assert [call.status for call in turns[1].calls] == ["ok"]


def test_more_streams_than_rows():
    engine = Engine(Scripted([f"{S}a{S_}A{END}"]), Bytes(), max_streams=2)
    turns = generate_with_tools(engine, [[0]] * 7, [Echo()], GREEDY)
    assert [turn.text for turn in turns] == ["A"] * 7


@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "x = [0]\nwhile True: x = x + x",
        "def f(): return f()\nf()",
        "print('x' * 100_000_000)",
        "open('/etc/passwd').read()",
    ],
)
def test_neighbours_of_a_wild_program_go_on(program):
    pytest.importorskip("pydantic_monty")
    with PythonTool(seconds=0.2) as python:
        turns = run(f"{P}{program}{P_}on{END}", f"{P}6 * 7{P_}{END}", tools=[python])
    assert (turns[0].calls[0].status, turns[0].text) == ("error", "on")
    assert turns[1].calls[0].result == "42"


def test_search_for_nothing():
    pytest.importorskip("bm25s")
    from llmcourse.engine.tools import Passage, SearchIndex, SearchTool

    tool = SearchTool(SearchIndex.build([Passage("Tarsk", "A town by the sea.")]))
    turn = one(f"{S}{S_}{S}zzz{S_}{S}town{S_}on{END}", tool)
    results = [call.result for call in turn.calls]
    assert results == ["nothing found", "nothing found", "[Tarsk] A town by the sea."]


# ---------------------------------------------------------------- bad input


def test_tokenizer_must_have_the_tokens():
    tool = Echo()
    tool.start = "<|browse_start|>"
    with pytest.raises(CourseError, match="has no token"):
        one(END, tool)


def test_tools_must_differ():
    with pytest.raises(CourseError, match="share"):
        run(END, tools=[Echo(), Echo()])


def test_engine_needs_a_tokenizer():
    with pytest.raises(CourseError, match="tokenizer"):
        generate_with_tools(Engine(Scripted([END])), [[0]], [])


def test_engine_must_be_free():
    from llmcourse.engine import Request

    engine = Engine(Scripted([END]), Bytes())
    engine.submit(Request([0]))
    with pytest.raises(CourseError, match="busy"):
        generate_with_tools(engine, [[0]], [])


def test_empty_prompt_is_named():
    engine = Engine(Scripted([END]), Bytes())
    with pytest.raises(CourseError, match="prompt 1 is empty"):
        generate_with_tools(engine, [[0], []], [])
    assert not engine.busy


def test_one_sampling_each():
    engine = Engine(Scripted([END]), Bytes())
    with pytest.raises(CourseError, match="2 samplings for 1 prompts"):
        generate_with_tools(engine, [[0]], [], [GREEDY, GREEDY])


def test_engine_is_free_after_an_error_of_the_caller():
    engine = Engine(Scripted([f"abc{END}"]), Bytes())

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_with_tools(engine, [[0]], [], GREEDY, on_token=stop)
    assert not engine.busy
    assert generate_with_tools(engine, [[0]], [], GREEDY)[0].text == "abc"


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_calls", -1), ("max_call_tokens", 0), ("seconds_total", 0), ("seconds_per_call", float("nan"))],
)  # fmt: skip
def test_budget_out_of_range(name, value):
    with pytest.raises(CourseError, match=name):
        Budget(**{name: value})


def test_prompts_may_be_none():
    assert run() == []
