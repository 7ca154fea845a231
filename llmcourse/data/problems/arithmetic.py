"""Sums, differences and products, with the steps that a schoolchild would write.

Each step is one that a small network can take at a glance: two numbers of one or two digits.

Taught in chapter 12.
"""

from __future__ import annotations

import random

from .problem import Problem


def _number(digits: int, rng: random.Random) -> int:
    """A number of so many digits, without 0."""
    return rng.randint(10 ** (digits - 1) if digits > 1 else 1, 10**digits - 1)


def _parts(n: int) -> list[int]:
    """348 → [300, 40, 8]."""
    text = str(n)
    parts = [int(digit) * 10 ** (len(text) - 1 - i) for i, digit in enumerate(text)]
    return [part for part in parts if part]


def total(rng: random.Random, digits: int) -> Problem:
    """A sum of two numbers, place by place."""
    a, b = _number(digits, rng), _number(rng.randint(1, digits), rng)
    steps, so_far = [], a
    for part in _parts(b):
        steps.append(f"{so_far} + {part} = {so_far + part}.")
        so_far += part
    return Problem("sum", f"What is {a} + {b}?", tuple(steps), str(a + b), digits)


def difference(rng: random.Random, digits: int) -> Problem:
    """A difference that is not below 0, place by place."""
    a, b = sorted((_number(digits, rng), _number(rng.randint(1, digits), rng)), reverse=True)
    steps, so_far = [], a
    for part in _parts(b):
        steps.append(f"{so_far} - {part} = {so_far - part}.")
        so_far -= part
    return Problem("difference", f"What is {a} - {b}?", tuple(steps), str(a - b), digits)


def product(rng: random.Random, digits: int) -> Problem:
    """A product with a number of one digit, place by place."""
    a, b = _number(digits, rng), rng.randint(2, 9)
    parts = _parts(a)
    steps = [f"{part} x {b} = {part * b}." for part in parts]
    so_far = parts[0] * b
    for part in parts[1:]:
        steps.append(f"{so_far} + {part * b} = {so_far + part * b}.")
        so_far += part * b
    return Problem("product", f"What is {a} x {b}?", tuple(steps), str(a * b), digits)


def chain(rng: random.Random, length: int) -> Problem:
    """A chain of additions and subtractions, from left to right, never below 0."""
    so_far = rng.randint(10, 99)
    text, steps = str(so_far), []
    for _ in range(length):
        step = rng.randint(1, 50)
        sign = "+" if so_far < step or rng.random() < 0.5 else "-"
        after = so_far + step if sign == "+" else so_far - step
        text += f" {sign} {step}"
        steps.append(f"{so_far} {sign} {step} = {after}.")
        so_far = after
    return Problem("chain", f"What is {text}?", tuple(steps), str(so_far), length)


def comparison(rng: random.Random, digits: int) -> Problem:
    """Which of two numbers is larger."""
    a, b = rng.sample(range(10 ** (digits - 1), 10**digits), 2)
    return Problem("comparison", f"Which is larger, {a} or {b}?", (), str(max(a, b)), digits)
