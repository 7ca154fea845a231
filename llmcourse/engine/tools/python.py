"""Python that a model wrote, in a sandbox: the one way in which this package runs such code.

pydantic-monty is an interpreter of its own, in a process of its own. It has no files, no network, no processes and
no environment to give away: it was never connected to any. What is left to limit is time, memory, output and sleep.

Taught in chapter 10.
"""

from __future__ import annotations

import ast
import warnings
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from ...errors import CourseError
from .calling import ERROR_CHARACTERS, clip
from .protocol import ToolError, ToolName

if TYPE_CHECKING:
    import pydantic_monty

NO_OUTPUT = "(no output)"
VALUE = "_value_of_the_last_expression"


class PythonTool:
    """A program's result: what it printed, and the value of its last line if that is an expression.

    Every call begins afresh: nothing is kept of an earlier one, and chance begins with the same seed, so that the
    same program has the same result. The process starts with the first call and ends with `close`.

    Args:
        seconds: Of work.
        sleep_seconds: Of waiting.
        max_memory: Bytes of its objects.
        max_output: Bytes it may print.
        max_code: Characters of a program.

    Raises:
        CourseError: if pydantic-monty is missing, or a limit is not positive.
    """

    name: ToolName = "python"
    start: str = "<|python_start|>"
    end: str = "<|python_end|>"

    def __init__(
        self,
        seconds: float = 1.0,
        sleep_seconds: float = 0.2,
        max_memory: int = 32_000_000,
        max_output: int = 10_000,
        max_code: int = 4_000,
    ) -> None:
        if min(seconds, sleep_seconds, max_memory, max_output, max_code) <= 0:
            raise CourseError(
                "a limit of the sandbox is not positive", hint="give a number above 0"
            )
        try:
            import pydantic_monty
        except ImportError as error:
            raise CourseError(
                "the Python tool needs pydantic-monty, which is not installed",
                hint="pip install pydantic-monty==1.4.0",
            ) from error
        self._monty = pydantic_monty
        self.max_output, self.max_code = max_output, max_code
        self.limits: pydantic_monty.ResourceLimits = {
            "max_feed_duration_secs": seconds,
            "max_turn_duration_secs": seconds,
            "max_total_sleep_secs": sleep_seconds,
            "max_memory": max_memory,
            "max_recursion_depth": 200,
            "max_suspensions": 100,
        }
        # The process is killed if it does not keep its own limits.
        self._patience = seconds + sleep_seconds + 1
        self._open = ExitStack()
        self._pool: pydantic_monty.Monty | None = None

    def call(self, text: str) -> str:
        """Run a program.

        Raises:
            ToolError: with the program's output so far and the reason, if it fails or exceeds a limit.
        """
        if len(text) > self.max_code:
            raise ToolError(f"error: the program is longer than {self.max_code:,} characters")
        printed = self._monty.CollectString(max_bytes=self.max_output)
        try:
            with self._started().checkout(
                limits=self.limits, os_policy={"random_start": {"seed": 0}}
            ) as session:
                value = session.feed_run(show_value(text, self.max_output), print_callback=printed)
        except self._monty.MontyError as error:
            raise ToolError(self._failure(error, printed.output)) from None
        output = printed.output.rstrip("\n")
        # Only text comes out: a program can build objects that take for ever to print (see `show_value`).
        shown = value if isinstance(value, str) else ""
        return "\n".join(piece for piece in (output, shown) if piece) or NO_OUTPUT

    def close(self) -> None:
        """End the process. The next call starts another."""
        self._open.close()
        self._pool = None

    def __enter__(self) -> PythonTool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _started(self) -> pydantic_monty.Monty:
        if self._pool is None:
            pool = self._monty.Monty(max_processes=1, request_timeout=self._patience)
            self._pool = self._open.enter_context(pool)
        return self._pool

    def _failure(self, error: pydantic_monty.MontyError, output: str) -> str:
        monty = self._monty
        line = 0
        if isinstance(error, monty.MontyRuntimeError | monty.MontySyntaxError):
            message = error.display("type-msg")
            frames = error.traceback()
            line = frames[-1].line if frames else 0
        elif isinstance(error, monty.MontyCrashedError):
            message = "the sandbox had to be stopped"
        else:
            message = str(error)
        message = clip(" ".join(message.split()), ERROR_CHARACTERS // 2)
        where = f" (line {line})" if line else ""
        before = clip(output.rstrip("\n"), ERROR_CHARACTERS // 3)
        return f"{before}\n{message}{where}".lstrip("\n")


def show_value(code: str, characters: int) -> str:
    """The program, changed to end with the text of its last expression's value, or None if that is None.

    The text is made inside the sandbox, under its limits. Outside, ``repr`` of a value would be a trap:
    ``for _ in range(40): x = [x, x]`` is small, and its text has 2⁴⁰ brackets.

    The program is only parsed here, never run. One that cannot be parsed stays as it is, for the sandbox to say why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its escapes, say: nobody's here
            body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code + "\nNone"
    if not body or not isinstance(body[-1], ast.Expr):
        return code + "\nNone"
    last, data = body[-1], code.encode()
    starts = [0]  # of each line, in bytes, as the parser counts
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    start = starts[last.lineno - 1] + last.col_offset
    end = starts[(last.end_lineno or last.lineno) - 1] + (last.end_col_offset or 0)
    before, expression = data[:start].decode(), data[start:end].decode()
    return (
        f"{before}{VALUE} = ({expression})\n"
        f"{VALUE} = None if {VALUE} is None else repr({VALUE})[:{characters}]\n{VALUE}"
    )
