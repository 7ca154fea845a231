"""Jinja for templates that strangers wrote: sandboxed, and with a budget.

A chat template is a small program that comes along with a model's weights. Jinja's sandbox keeps it
from files and from Python's insides, but not from `{% for i in range(99999) %}` inside itself, nor
from a string that doubles forty times. So every step of a loop, every call, every value built,
compared or written is charged here to one budget; when it is spent, the rendering ends with an
error. The budget counts work, not seconds: what renders on one machine renders on all.

How: before a template is compiled, its syntax tree is rewritten so that loops, outputs and values
pass through filters that charge them. Taught in chapter 08.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, MappingView
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.defaults import DEFAULT_FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError, safe_range
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

BUDGET = 2_000_000
"""Units of work for one rendering: a step, a call, or a character each cost one …"""
PER_INPUT = 64
"""… and this many more for each unit of what is rendered: long conversations cost more."""

PER_CALL = 8
"""A call takes longer than a step; so does each item that a filter compares."""

LARGEST_NUMBER = 1 << 63

# Filters that chat templates use, none of which makes much out of little
# (those that compare, and so look at all that is inside what they are given, come first).
_COMPARING = {
    "dictsort", "map", "max", "min", "reject", "rejectattr", "select", "selectattr", "sort", "sum", "unique",
}  # fmt: skip
_FILTERS = _COMPARING | {
    "abs", "capitalize", "count", "d", "default", "e", "escape", "first", "float", "int", "items", "last",
    "length", "list", "lower", "reverse", "round", "safe", "string", "title", "trim", "upper",
}  # fmt: skip
# Methods of str that make much out of little, or look inside objects.
_METHODS = {
    "center", "encode", "expandtabs", "format", "format_map", "ljust", "rjust", "translate", "zfill",
}  # fmt: skip

_left: ContextVar[list[int]] = ContextVar("_left")


class OverBudget(jinja2.TemplateError):  # type: ignore[misc]  # jinja2 is not followed by mypy here
    """The template does more than any chat template needs to."""


def charge(units: int) -> None:
    """Take from the budget of the rendering that is going on.

    Where there is none, while a template is compiled, this is a LookupError: jinja2 then leaves
    for later what it would have worked out at once.
    """
    left = _left.get()
    left[0] -= units
    if left[0] < 0:
        raise OverBudget("it does more work than any chat template needs")


def weigh(value: Any) -> Any:
    """Charge a value for its size, with all that is inside, and return it."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, (str, range)):
            charge(1 + len(item))
        elif isinstance(item, Mapping):
            charge(1 + len(item))
            waiting.extend(itertools.chain(item.keys(), item.values()))
        elif isinstance(item, (list, tuple, MappingView)):
            charge(1 + len(item))
            waiting.extend(iter(item))  # type: ignore[arg-type]  # every view there is can be
        elif isinstance(item, int) and abs(item) >= LARGEST_NUMBER:
            raise OverBudget("a number is too large")
        else:
            charge(1)
    return value


def render(template: jinja2.Template, variables: Mapping[str, Any], budget: int = BUDGET) -> str:
    """Render a template of a `BoundedEnvironment` within a budget.

    Raises:
        OverBudget: if it is spent. Whatever else a template may raise is raised as it is.
    """
    measure = [1 << 62]
    token = _left.set(measure)
    try:
        weigh(variables)
        _left.set([budget + PER_INPUT * ((1 << 62) - measure[0])])
        return str(template.render(variables))
    finally:
        _left.reset(token)


class BoundedEnvironment(ImmutableSandboxedEnvironment):  # type: ignore[misc]  # as above
    """The sandbox in which chat templates run; the options are those of transformers."""

    intercepted_binops = frozenset(["+", "-", "*", "//", "%", "**"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
        )
        self.filters: dict[str, Any] = {n: _paid(DEFAULT_FILTERS[n], n) for n in _FILTERS} | {
            "tojson": _tojson, "join": _join, "replace": _replace,
            "_step": _step, "_out": _out, "_weigh": weigh, "_joined": _joined, "_length": _length,
        }  # fmt: skip
        self.globals: dict[str, Any] = {
            "range": safe_range,  # the sandbox's: at most 100,000
            "dict": lambda *args, **named: dict(*args, **named),
            "namespace": _Namespace,
            "raise_exception": _raise_exception,
            "strftime_now": lambda form: datetime.now().strftime(str(form)[:100]),
        }

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Charging().visit(super()._parse(source, name, filename)).set_environment(self)

    def wrap_str_format(self, value: Any) -> None:
        """No `str.format`, not even the sandbox's own: it can be told to fill a gigabyte."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may look at an attribute: not at the methods of `_METHODS`."""
        if isinstance(obj, (str, bytes)) and attr in _METHODS:
            return False
        return bool(super().is_safe_attribute(obj, attr, value))

    def call(__self, __context: Any, __obj: Any, *args: Any, **named: Any) -> Any:
        """A call costs what it is given, whose method it is, and what it returns."""
        charge(PER_CALL)
        weigh((args, named))
        method, of = getattr(__obj, "__name__", ""), getattr(__obj, "__self__", None)
        if isinstance(of, (str, list, tuple)):
            weigh(of)
            if method == "join" and args:
                return _join(args[0], str(of))
            if method == "replace" and len(args) > 1:
                return _replace(of, *args)
        return _pay_for(super().call(__context, __obj, *args, **named))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic; two operators that only serve to make much out of little are refused."""
        if operator == "**" or (operator == "%" and isinstance(left, (str, bytes))):
            raise OverBudget(f"the operator {operator} is not for chat templates")
        sizes = [len(side) for side in (left, right) if isinstance(side, (str, list, tuple))]
        times = [side for side in (left, right) if isinstance(side, int)]
        charge(sum(sizes) * max(1, *times, 1) if operator == "*" else sum(sizes))
        return weigh(super().call_binop(context, operator, left, right))


class _Charging(NodeTransformer):  # type: ignore[misc]  # as above
    """Rewrites a tree so that whatever costs something passes through a filter that charges it."""

    def visit_For(self, node: Any) -> Any:
        self.generic_visit(node)
        node.iter = _through("_step", node.iter)
        return node

    def visit_Output(self, node: Any) -> Any:
        self.generic_visit(node)
        node.nodes = [
            _through("_out", nodes.Const(n.data) if isinstance(n, nodes.TemplateData) else n)
            for n in node.nodes
        ]
        return node

    def visit_Concat(self, node: Any) -> Any:
        self.generic_visit(node)
        return _through("_joined", nodes.Tuple(node.nodes, "load"))

    def visit_Compare(self, node: Any) -> Any:
        self.generic_visit(node)
        node.expr = _through("_weigh", node.expr)
        for operand in node.ops:
            operand.expr = _through("_weigh", operand.expr)
        return node

    def visit_Getitem(self, node: Any) -> Any:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _through("_length", node.node)
        return node

    def visit_Test(self, node: Any) -> Any:
        self.generic_visit(node)
        if node.args:  # such as "is in"; "is defined" must see the name itself
            node.node = _through("_weigh", node.node)
            node.args = [_through("_weigh", argument) for argument in node.args]
        return node

    def visit_List(self, node: Any) -> Any:
        self.generic_visit(node)
        return _through("_weigh", node)

    visit_Dict = visit_List

    def visit_Tuple(self, node: Any) -> Any:
        self.generic_visit(node)
        return _through("_weigh", node) if node.ctx == "load" else node


class _Generation(jinja2.ext.Extension):  # type: ignore[misc]  # as above
    """``{% generation %}…{% endgeneration %}`` marks what the assistant said: for training only."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's own way)

    def parse(self, parser: Any) -> Any:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class _Namespace(Namespace):  # type: ignore[misc]  # as above
    """Jinja's namespace without names that begin with an underscore, which reach Python's insides."""

    def __init__(*args: Any, **named: Any) -> None:  # so that `self` may be one of the names
        Namespace.__init__(*args, **named)
        for name in dict(*args[1:], **named):
            _check_name(name)

    def __repr__(self) -> str:
        return "<Namespace>"  # not what is inside, which nobody has weighed

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or name.startswith("_"):
        raise SecurityError(f"a namespace cannot hold {name!r}")


def _through(name: str, node: Any) -> Any:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _step(iterable: Any) -> Any:
    """What a loop goes through, as a list; each item costs a step."""
    if isinstance(iterable, jinja2.Undefined):
        return iterable  # it has its own ways to be empty, or an error
    items = list(itertools.islice(iterable, _left.get()[0] + 1))
    charge(1 + len(items))
    return items


def _out(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    charge(1 + len(text))
    return text


def _length(value: Any) -> Any:
    charge(1 + len(value) if isinstance(value, (str, list, tuple)) else 1)
    return value


def _joined(values: tuple[Any, ...]) -> str:
    return _join(values)


def _join(values: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
    parts: list[str] = []
    for value in values:
        if attribute is not None:
            value = value.get(attribute, "") if isinstance(value, Mapping) else ""
        text = value if isinstance(value, str) else str(value)
        charge(1 + len(text) + len(d))
        parts.append(text)
    return str(d).join(parts)


def _replace(value: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = str(value), str(old), str(new)
    charge(len(text) + text.count(old) * len(new))
    return text.replace(old, new, -1 if count is None else int(count))


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    if isinstance(indent, int) and not 0 <= indent <= 16:
        raise OverBudget("tojson's indent is too large")
    weigh(value)
    text = json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
    charge(len(text))
    return text


def _paid(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """One of jinja2's own filters that costs what it is given and what it returns."""

    @functools.wraps(function)  # also takes over jinja2's mark that it wants the context
    def paid(*args: Any, **named: Any) -> Any:
        for arg in args:
            if isinstance(arg, (str, list, tuple, dict, range)):
                charge(1 + len(arg) * (PER_CALL if name in _COMPARING else 1))
                if name in _COMPARING:
                    weigh(arg)
        return _pay_for(function(*args, **named))

    return paid


def _pay_for(result: Any) -> Any:
    """Charge what a call or a filter made; what a generator makes is charged where it is used."""
    if isinstance(result, (str, int)):
        return weigh(result)
    charge(1 + len(result) if isinstance(result, (list, tuple, dict, range)) else 1)
    return result


def _raise_exception(message: Any) -> None:
    raise jinja2.TemplateError(str(message))
