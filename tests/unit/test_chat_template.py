"""Chat templates: the text transformers would render, and nothing that a stranger's template wants."""

from __future__ import annotations

import json
import pickle
import threading
import time
import tracemalloc
from datetime import datetime

import pytest

from llmcourse.errors import CourseError
from llmcourse.tokenizer.chat_template import LARGEST, ChatTemplate, load_chat_template

pytest.importorskip("jinja2")

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' "
    "+ message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_LIKE = """{{- bos_token }}
{%- set ns = namespace(system='', found=false) %}
{%- if messages[0].role == 'system' %}
    {%- set ns.system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set ns.system = "Today is " ~ strftime_now("%Y") ~ "." %}
{%- endif %}
{%- macro header(role) %}{{ '<|h|>' + role + '<|/h|>\n\n' }}{% endmacro %}
{{- header('system') + ns.system + '<|eot|>' }}
{%- if tools is defined and tools %}
    {%- for tool in tools %}{{ tool | tojson(indent=2) }},{{ tool | tojson }}{% endfor %}
{%- endif %}
{%- for message in messages if message.role not in ['tool', 'ipython'] %}
    {%- if message.role not in ('user', 'assistant') %}
        {{- raise_exception('Unknown role: ' + message.role) }}
    {%- endif %}
    {% generation %}{{- header(message['role']) -}}{% endgeneration %}
    {%- if message.content is string %}
        {{- message.content.strip().replace('é', 'e').split('|') | join(', ') | upper }}
    {%- elif message.content is iterable %}
        {%- for part in message.content | selectattr('type', 'equalto', 'text') -%}
            {{- part.text }}{{ ', ' if not loop.last else '.' }}{{ loop.index0 * 2 + 7 % 4 // 1 - 1 }}
        {%- endfor %}
    {%- endif %}
    {%- if loop.last %}{% continue %}{% endif %}
    {{- message.get('name', 'nobody') | capitalize }}{{ dict(a=1).items() | list | length }}{{ none }}
{%- endfor %}
{%- if add_generation_prompt %}{{ header('assistant') }}{% endif %}
{%- set text %}{{ messages | length }} of {{ range(3) | list | sum }}{% endset %}
{{ text }}{{ [1, 2.5, 'x'] }}{{ messages[-1].content | length > 2 and 'x' in 'xy' }}{{ eos_token }}
"""
CONVERSATIONS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "é|a {{ 7 * 7 }}"},
     {"role": "assistant", "content": "<b>&amp;</b>\n"}, {"role": "user", "content": "", "name": "ann"}],
]  # fmt: skip
MEDIA = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "a"},
            {"type": "image"},
            {"type": "text", "text": "b"},
        ],
    }
]
TOOLS = [{"type": "function", "function": {"name": "naïve", "parameters": {"x": [1, None, True]}}}]


def in_transformers(template, messages, **variables):
    utils = pytest.importorskip("transformers.utils.chat_template_utils")
    return utils._compile_jinja_template(template).render(messages=messages, **variables)


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("template", [SMOLLM2, LLAMA_LIKE])
def test_as_transformers_renders_it(template, messages, prompt):
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    expected = in_transformers(
        template, messages, add_generation_prompt=prompt, tools=TOOLS, **names
    )
    assert ChatTemplate(template, **names).render(messages, prompt, tools=TOOLS) == expected


def test_parts_of_a_message():
    names = {"bos_token": "", "eos_token": ""}
    expected = in_transformers(LLAMA_LIKE, MEDIA, add_generation_prompt=True, **names)
    assert ChatTemplate(LLAMA_LIKE).render(MEDIA, add_generation_prompt=True) == expected


def test_the_real_templates_words():
    got = ChatTemplate(SMOLLM2).render(CONVERSATIONS[0], add_generation_prompt=True)
    assert got == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert ChatTemplate("{{ strftime_now('%Y') }}").render([]) == str(datetime.now().year)


def test_it_is_the_same_template_in_another_process_and_thread():
    template = pickle.loads(pickle.dumps(ChatTemplate(LLAMA_LIKE, bos_token="<s>")))  # noqa: S301 (our own)
    expected = template.render(CONVERSATIONS[1])
    assert (
        expected.startswith("<s>")
        and repr(template) == f"ChatTemplate({len(LLAMA_LIKE):,} characters)"
    )
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(template.render(CONVERSATIONS[1])))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [expected] * 4


def test_long_conversations_are_no_hostile_ones():
    turns = [{"role": ("user", "assistant")[i % 2], "content": "word " * 2000} for i in range(400)]
    start = time.perf_counter()
    assert len(ChatTemplate(SMOLLM2).render(turns)) > 4_000_000
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (["hello"], "message 0 is 'hello'"),
        ([{"content": "x"}], "message 0 is .*'content'"),
        ([{"role": 3, "content": "x"}], "message 0 is"),
        ([{"role": "user"}], "the chat template failed: .*content"),
        ([{"role": "user", "content": None}], "the chat template failed: can only concatenate"),
    ],
)
def test_messages_that_are_none(messages, message):
    with pytest.raises(CourseError, match=message):
        ChatTemplate(SMOLLM2).render(messages)


def test_objects_with_methods_do_not_reach_the_template():
    class Danger(dict):
        def explode(self):
            raise AssertionError

    template = "{{ messages[0].x }} {{ messages[0].y.z }} {{ messages[0].explode is defined }}"
    message = Danger(role="user", x=object(), y=Danger(z=("a", b"b")))
    assert ChatTemplate(template).render([message]) == "<object> ['a', '<bytes>'] False"
    deep = []
    for _ in range(200):
        deep = [deep]
    assert "<list>" in ChatTemplate("{{ messages[0].x }}").render([{"role": "user", "x": deep}])


# ------------------------------------------------------------------ hostile templates

GROW = "{% set ns = namespace(x=START) %}{% for i in range(60) %}{% set ns.x = STEP %}{% endfor %}{{ ns.x }}"


def grow(start, step):
    return GROW.replace("START", start).replace("STEP", step)


BIG = "{% set a = 'a' * 900000 %}{% set b = 'a' * 900000 %}{% for i in range(99999) %}STEP{% endfor %}"
LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}STEP{% endfor %}{% endfor %}"
TOO_MUCH = {
    "loops": LOOPS.replace("STEP", ""),
    "loops that write": LOOPS.replace("STEP", "x"),
    "a block that is filtered": "{% filter upper %}" + LOOPS.replace("STEP", "x") + "{% endfilter %}",
    "macros that call themselves twice":
        "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "blocks that call twice":
        "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
        + "{% call m() %}" * 25 + "x" + "{% endcall %}" * 25,
    "text times a number": "{{ 'a' * 10000000000 }}",
    "a number times text": "{{ 10000000000 * 'a' }}",
    "a list times a number": "{{ [1, 2] * 10000000000 }}",
    "text doubled by ~": grow("'a'", "ns.x ~ ns.x"),
    "text doubled by +": grow("'a'", "ns.x + ns.x"),
    "text doubled in a block":
        "{% set x %}aaaaaaaaaaaaaaaaaaaa{% endset %}" + "{% set x %}{{x}}{{x}}{{x}}{{x}}{% endset %}" * 20,
    "lists in lists": grow("[1]", "[ns.x, ns.x]"),
    "tuples in tuples": grow("[1]", "(ns.x, ns.x)"),
    "dictionaries in dictionaries": grow("[1]", "{'a': ns.x, 'b': ns.x}"),
    "dict() in dict()": grow("[1]", "dict(a=ns.x, b=ns.x)"),
    "views in dictionaries": grow("[1]", "dict(a=ns.x, b=ns.x).items()"),
    "numbers": grow("10", "ns.x * ns.x"),
    "replace": "{% set b = 'a' * 1000000 %}{{ b.replace('a', b) }}",
    "replace by name": "{% set b = 'a' * 900000 %}{% for i in range(9) %}{{ b.replace('a', new=b) }}{% endfor %}",
    "the filter replace": "{% set b = 'a' * 1000000 %}{{ b | replace('a', b) }}",
    "join": "{% set b = 'a' * 100000 %}{{ b.join(b) }}",
    "the filter join": "{% set b = 'a' * 100000 %}{{ b | join(b) }}",
    "comparing": BIG.replace("STEP", "{% if a == b %}{% endif %}"),
    "searching": BIG.replace("STEP", "{% if 'b' in a %}{% endif %}"),
    "searching by a test": BIG.replace("STEP", "{% if 'b' is in a %}{% endif %}"),
    "counting": BIG.replace("STEP", "{{ a.count('b') }}"),
    "comparing by the loop": BIG.replace("STEP", "{{ loop.changed(a if i is odd else b) }}"),
    "slicing": "{% set r = range(99999) | list %}{% for i in range(99999) %}{% set x = r[1:] %}{% endfor %}",
    "a filter over and over": "{% set r = range(99999) %}{% for i in range(99999) %}{{ r | max }}{% endfor %}",
    "a long loop through what is filtered": "{% for i in range(99999) %}{{ messages | string }}{% endfor %}",
    "a filter that finds nothing":
        "{% set r = range(9999) %}{% for i in range(99999) %}{{ r | reject('number') | list }}{% endfor %}",
    "a long answer": "{% for i in range(99999) %}" + "x" * 900 + "{% endfor %}",
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_work_ends(name):
    template = ChatTemplate(TOO_MUCH[name])
    start = time.perf_counter()
    with pytest.raises(
        CourseError, match=r"more work than any chat template needs|a number is too large"
    ):
        template.render([{"role": "user", "content": "hi"}])
    assert time.perf_counter() - start < 10  # half a second where this was written


@pytest.mark.parametrize(
    "name", ["text times a number", "text doubled by ~", "replace", "the filter join"]
)
def test_too_much_memory_is_not_asked_for(name):
    template = ChatTemplate(TOO_MUCH[name])
    tracemalloc.start()
    try:
        with pytest.raises(CourseError, match="more work"):
            template.render([])
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


NOT_ALLOWED = {
    "{{ 9 ** 9 ** 9 }}": r"operator \*\*",
    "{{ '%1000000000d' % 1 }}": "operator %",
    "{{ '{:>1000000000}'.format(1) }}": "unsafe",
    "{{ 'a'.center(10000000000) }}": "unsafe",
    "{{ [1] | tojson(indent=1000000000) }}": "indent is too large",
    "{{ ''.__class__.__mro__ }}": "unsafe",
    "{{ self.__init__.__globals__ }}": "unsafe",
    "{{ namespace(__class__=1) }}": "cannot hold '__class__'",
    "{% set ns = namespace() %}{% set ns._x = 1 %}": "cannot hold '_x'",
    "{{ messages.append(1) }}": "unsafe",
    "{{ lipsum(n=1000000000) }}": "'lipsum' is undefined",
    "{% include '/etc/passwd' %}": "no loader",
    "{% import '/etc/passwd' as x %}": "no loader",
    "{{ a.b.c }}": "'a' is undefined",
    "{% for x in a.b %}{% endfor %}": "'a' is undefined",
    "{{ 1 / 0 }}": "division by zero",
    "{{ range(1000000) }}": "Range too big",
    "{{ raise_exception('roles must\n alternate') }}": "roles must alternate",
    "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}": "recursion",
    "{% for a in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}": "recursion",
    grow("[1]", "[ns.x]").replace("60", "1000"): "recursion",
}


@pytest.mark.parametrize("text", NOT_ALLOWED)
def test_what_a_template_may_not_do(text):
    with pytest.raises(
        CourseError, match=f"the chat template failed: .*{NOT_ALLOWED[text]}"
    ) as caught:
        ChatTemplate(text).render([{"role": "user", "content": "hi"}])
    assert "\n" not in str(caught.value) and caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "{% if %}", "{% for a in b %}", "{{", "{{ 'a' | center(10000000000) }}", "{{ '' | attr('__class__') }}",
        "{{ [1] | batch(1000000000) }}", "{{ " + "(" * 20000 + "1" + ")" * 20000 + " }}",
        "{{ " + "not " * 5000 + "1 }}",
        "{% for i in [1] %}" * 50 + "{% endfor %}" * 50, "x" * (LARGEST + 1), None, 3,
    ],
)  # fmt: skip
def test_what_is_no_template(text):
    with pytest.raises(CourseError, match="chat template") as caught:
        ChatTemplate(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_harmless_things_that_look_odd():
    """A namespace does not show what is inside; an undefined name is empty; Python's names are hidden."""
    assert ChatTemplate(grow("[1]", "namespace(a=ns.x, b=ns.x)")).render([]) == "<Namespace>"
    assert (
        ChatTemplate(
            "{{ nothing }}{% for x in nothing %}{% endfor %}{{ messages.__class__ }}"
        ).render([])
        == ""
    )
    assert (
        ChatTemplate(
            "{{ ['a', 'b'] | join('-') }}{{ messages | join('+', attribute='role') }}"
        ).render([{"role": "user"}, {"role": "tool"}])
        == "a-buser+tool"
    )
    assert (
        ChatTemplate(
            "{{ 'aXbXc' | replace('X', '', 1) }}{{ 'aXbXc'.replace('X', '-', 1) }}"
        ).render([])
        == "abXca-bXc"
    )
    assert (
        ChatTemplate(
            "{{ ('a', 'b') is sequence }}{{ 3 is divisibleby(2) }}{{ 6 // 4 - 2 }}"
        ).render([])
        == "TrueFalse-1"
    )


def test_without_jinja2(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "llmcourse.tokenizer.bounded_jinja", None)
    with pytest.raises(CourseError, match=r"need jinja2 .*pip install 'llmcourse\[weights\]'"):
        ChatTemplate("x")


# ------------------------------------------------------------------ in a folder


def test_from_a_folder(tmp_path):
    assert load_chat_template(tmp_path) is None
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"bos_token": {"content": "<s>"}, "eos_token": "</s>"}))
    assert load_chat_template(tmp_path) is None
    content = {
        "bos_token": {"content": "<s>"},
        "eos_token": None,
        "chat_template": "{{ bos_token }}1{{ eos_token }}",
    }
    config.write_text(json.dumps(content))
    template = load_chat_template(tmp_path)
    assert template is not None and template.render([]) == "<s>1"
    content["chat_template"] = [
        {"name": "tool_use", "template": "2"},
        3,
        {"name": "default", "template": "3"},
    ]
    config.write_text(json.dumps(content))
    template = load_chat_template(tmp_path)
    assert template is not None and template.render([]) == "3"
    (tmp_path / "chat_template.jinja").write_bytes("é\r\n{{ bos_token }}\n".encode())
    template = load_chat_template(tmp_path)
    assert template is not None and template.render([]) == "é\n<s>"
    for data, message in [
        (b"\xff", "cannot read"),
        (b"x" * (LARGEST + 9), "has at most"),
        (b"{%", "no chat template"),
    ]:
        (tmp_path / "chat_template.jinja").write_bytes(data)
        with pytest.raises(CourseError, match=message):
            load_chat_template(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    config.write_text('{"chat_template": 3}')
    with pytest.raises(CourseError, match="has at most"):
        load_chat_template(tmp_path)
