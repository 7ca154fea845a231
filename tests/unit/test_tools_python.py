"""The sandbox: what a program gives back, its limits, and fifty attempts to get out or to break it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pydantic_monty")

from llmcourse.engine.tools import PythonTool, ToolError
from llmcourse.engine.tools.python import NO_OUTPUT, show_value
from llmcourse.errors import CourseError

SECONDS = 0.3


@pytest.fixture(scope="module")
def python():
    with PythonTool(seconds=SECONDS, sleep_seconds=0.1) as tool:
        yield tool


# ---------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("123 * 456", "56088"),
        ("print('a')\nprint('b')", "a\nb"),
        ("print('a')\n1 + 1", "a\n2"),
        ("x = 5", NO_OUTPUT),
        ("", NO_OUTPUT),
        ("None", NO_OUTPUT),
        ("'text'", "'text'"),
        ("(1 +\n 2)  # a sum", "3"),
        ("a = 1; a + 1", "2"),
        ("é = 'ö'\né * 2", "'öö'"),
        ("sum(range(10));", "45"),
        ("def f(n):\n    return n * 2\nf(21)", "42"),
        ("'strawberry'.count('r')", "3"),
        ("import math\nmath.factorial(20)", "2432902008176640000"),
        ("print(", "SyntaxError"),
        ("1\n1 / 0", "ZeroDivisionError: division by zero (line 2)"),
    ],
)
def test_result(python, code, result):
    try:
        shown = python.call(code)
    except ToolError as error:
        shown = str(error)
    assert shown == result or (result == "SyntaxError" and shown.startswith(result))


def test_output_before_an_error_is_shown(python):
    with pytest.raises(ToolError, match="got here\nZeroDivisionError"):
        python.call("print('got here')\n1 / 0")


def test_long_error_is_cut(python):
    with pytest.raises(ToolError) as caught:
        python.call("raise ValueError('a' * 100000)")
    assert len(str(caught.value)) < 200


def test_long_program_is_not_run(python):
    with pytest.raises(ToolError, match="longer than 4,000 characters"):
        python.call("#" * 5000)


def test_calls_do_not_see_each_other(python):
    python.call("secret = 1")
    with pytest.raises(ToolError, match="NameError"):
        python.call("secret")


def test_chance_is_the_same_each_time(python):
    code = "import random\nrandom.random()"
    assert python.call(code) == python.call(code)


def test_value_is_written_inside_the_sandbox():
    assert "repr(" in show_value("1 + 1", 100)


def test_program_that_cannot_be_parsed_stays_as_it_is():
    assert show_value("1 +", 100).startswith("1 +\n")


def test_called_after_close_it_starts_again(python):
    python.close()
    assert python.call("1 + 1") == "2"


def test_limit_must_be_positive():
    with pytest.raises(CourseError, match="not positive"):
        PythonTool(seconds=0)


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    with pytest.raises(CourseError, match="pip install pydantic-monty"):
        PythonTool()


# ---------------------------------------------------------------- attempts

# CANARY stands for a file outside, FOLDER for where this process works, HERE for this process's number.
FAIL = {
    "read a file": "open('CANARY').read()",
    "write a file": "open('CANARY', 'w').write('owned')",
    "append to a file": "open('CANARY', 'a').write('owned')",
    "make a file here": "open('made-by-the-sandbox', 'w').write('x')",
    "read through pathlib": "from pathlib import Path\nPath('CANARY').read_text()",
    "write through pathlib": "from pathlib import Path\nPath('CANARY').write_text('owned')",
    "delete through pathlib": "from pathlib import Path\nPath('CANARY').unlink()",
    "delete through os": "import os\nos.remove('CANARY')",
    "rename": "import os\nos.rename('CANARY', 'CANARY.gone')",
    "make a folder": "import os\nos.mkdir('FOLDER/made-by-the-sandbox')",
    "list a folder": "import os\nos.listdir('FOLDER')",
    "climb out": "open('../../../../../../../../etc/passwd').read()",
    "read its own process": "open('/proc/self/environ').read()",
    "read a device": "open('/dev/zero').read(10)",
    "os.system": "import os\nos.system('touch FOLDER/made-by-the-sandbox')",
    "os.popen": "import os\nos.popen('id').read()",
    "os.execv": "import os\nos.execv('/bin/sh', ['sh'])",
    "os.fork": "import os\nos.fork()",
    "os.kill": "import os\nos.kill(HERE, 9)",
    "os.environ": "import os\nos.environ['CANARY_VARIABLE']",
    "os.getenv": "import os\nos.getenv('CANARY_VARIABLE')",
    "subprocess": "import subprocess\nsubprocess.run(['id'])",
    "multiprocessing": "import multiprocessing\nmultiprocessing.Process(target=print).start()",
    "threads": "import threading\nthreading.Thread(target=print).start()",
    "socket": "import socket\nsocket.create_connection(('127.0.0.1', 80))",
    "urllib": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1')",
    "ctypes": "import ctypes\nctypes.string_at(0)",
    "signals": "import signal\nsignal.raise_signal(9)",
    "pickle": "import pickle\npickle.loads(b'cos\\nsystem\\n(S\"id\"\\ntR.')",
    "shutil": "import shutil\nshutil.rmtree('FOLDER')",
    "importlib": "import importlib\nimportlib.import_module('os').system('id')",
    "__import__": "__import__('os').system('id')",
    "builtins": "import builtins\nbuiltins.open('CANARY').read()",
    "__builtins__": "__builtins__['open']('CANARY').read()",
    "__subclasses__": "().__class__.__bases__[0].__subclasses__()",
    "__globals__": "def f(): pass\nf.__globals__['__builtins__']",
    "code object": "def f(): pass\nf.__code__.co_code",
    "frames": "import sys\nsys._getframe().f_back.f_globals",
    "traceback's frame": "try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__.tb_frame.f_globals",
    "eval a file": "eval(\"open('CANARY').read()\")",
    "exec an import": "exec(\"import subprocess\\nsubprocess.run(['id'])\")",
    "format string": "'{0.__class__.__mro__}'.format(())",
    "sys.exit": "import sys\nsys.exit(3)",
    "SystemExit": "raise SystemExit(3)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "ask the user": "input('password? ')",
    "loop for ever": "while True: pass",
    "loop and catch everything": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "print for ever": "while True: print('x' * 1000)",
    "print 100 MB": "print('x' * 100_000_000)",
    "print 100 MB in pieces": "for _ in range(100_000): print('x' * 1000)",
    "memory bomb": "x = [0]\nwhile True: x = x + x",
    "huge string": "'a' * 10**10",
    "huge power": "10 ** 10 ** 10",
    "huge int as text": "10 ** 5000",
    "huge shift": "1 << 10**10",
    "dict bomb": "d = {}\nn = 0\nwhile True:\n    d[n] = 'x' * 1000\n    n += 1",
    "billion laughs": "x = [0]\nfor _ in range(40): x = [x, x]\nx",
    "endless recursion": "def f(): return f()\nf()",
    "mutual recursion": "def f(): return g()\ndef g(): return f()\nf()",
    "endless iterator": "list(iter(int, 1))",
    "endless count": "import itertools\nsum(itertools.count())",
    "endless generator": "sum(1 for _ in iter(int, 1))",
    "sleep": "import time\ntime.sleep(1000)",
    "sleep in small pieces": "import time\nwhile True: time.sleep(0.01)",
    "deep signs": "-" * 3900 + "1",
    "null bytes": "print(1)\0print(2)",
    "lone surrogate": "print('\ud800')",
}
HARMLESS = {
    "deep brackets": "(" * 1500 + ")" * 1500,
    "deep list": "x = []\nfor _ in range(20_000): x = [x]\nx",
    "list that holds itself": "x = []\nx.append(x)\nx",
    "regex bomb": "import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')",
    "monkeypatch print": "print = None\nlen = 3\nlen",
    "monkeypatch repr": "repr = lambda x: [x] * 1000\n3",
    "monkeypatch a module": "import math\nmath.sqrt = None",
    "long chain": "+".join(["1"] * 1900),
    "class with a hostile repr": "class A:\n    def __repr__(self): return self.__repr__()\nA()",
    "globals": "globals()",
}
ATTEMPTS = {**FAIL, **HARMLESS}


@pytest.fixture
def outside(tmp_path, monkeypatch) -> Path:
    """A file, a working folder and a variable that no program may touch or see."""
    (tmp_path / "canary").write_text("untouched-7391")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CANARY_VARIABLE", "untouched-7391")
    return tmp_path


@pytest.mark.parametrize("name", ATTEMPTS)
def test_attempt(python, outside, name):
    code = ATTEMPTS[name]
    for word, value in (
        ("CANARY_VARIABLE", "CANARY_VARIABLE"),
        ("'CANARY", f"'{outside / 'canary'}"),
        ("FOLDER", str(outside / "work")),
        ("HERE", str(os.getpid())),
    ):
        code = code.replace(word, value)
    start = time.perf_counter()
    failed = True
    try:
        shown = python.call(code)
        failed = False
    except ToolError as error:
        shown = str(error)
    took = time.perf_counter() - start

    assert failed or name in HARMLESS, f"it got away with {shown[:100]!r}"
    assert took < SECONDS + 5  # the limit, and patience for a busy machine
    assert len(shown) <= 10_000
    assert "untouched-7391" not in shown
    assert (outside / "canary").read_text() == "untouched-7391"
    assert sorted(path.name for path in outside.rglob("*")) == ["canary", "work"]
    assert python.call("1 + 1") == "2"  # and it goes on


def test_there_are_enough_attempts():
    assert len(ATTEMPTS) >= 40


def test_a_crowd_in_memory_costs_this_process_nothing(python):
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ToolError, match="Memory"):
        python.call("print('x' * 100_000_000)")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 50_000  # KB on Linux; bytes, and so stricter, on macOS
