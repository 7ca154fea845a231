"""Word problems of the kind that the video works through: *Emily buys 3 apples and 2 oranges …*

Taught in chapter 12.
"""

from __future__ import annotations

import random

from ..world.names import MEN, WOMEN
from .problem import Problem

_THINGS = (
    ("apple", "apples"), ("pear", "pears"), ("bun", "buns"), ("candle", "candles"), ("egg", "eggs"),
    ("pencil", "pencils"), ("button", "buttons"), ("cake", "cakes"), ("onion", "onions"),
    ("ribbon", "ribbons"), ("plum", "plums"), ("spoon", "spoons"), ("book", "books"), ("hat", "hats"),
)  # fmt: skip


def _name(rng: random.Random) -> str:
    return rng.choice(WOMEN + MEN)


def purchase(rng: random.Random) -> Problem:
    """Things at two prices; what do they cost, or what does one of them cost?"""
    (one, many), (other, others) = rng.sample(_THINGS, 2)
    name, n, m = _name(rng), rng.randint(2, 9), rng.randint(2, 9)
    price, price2 = rng.randint(2, 9), rng.randint(2, 9)
    whole = n * price + m * price2
    if rng.random() < 0.5:
        question = rng.choice((
            f"{name} buys {n} {many} and {m} {others}. Each {one} costs {price} pennies and each {other} costs "
            f"{price2} pennies. How much does {name} pay?",
            f"At the market {many} cost {price} pennies each and {others} cost {price2} pennies each. {name} takes "
            f"{n} {many} and {m} {others}. What does that come to in pennies?",
        ))  # fmt: skip
        steps = (
            f"The {many} cost {n} x {price} = {n * price}.",
            f"The {others} cost {m} x {price2} = {m * price2}.",
            f"Together that is {n * price} + {m * price2} = {whole}.",
        )
        return Problem("purchase", question, steps, str(whole), 2)
    question = (
        f"{name} buys {n} {many} and {m} {others}. Each {other} costs {price2} pennies. The total is "
        f"{whole} pennies. What is the price of each {one}?"
    )
    steps = (
        f"The {others} cost {m} x {price2} = {m * price2}.",
        f"That leaves {whole} - {m * price2} = {n * price} for the {many}.",
        f"Each {one} costs {n * price} / {n} = {price}.",
    )
    return Problem("purchase", question, steps, str(price), 3)


def change(rng: random.Random) -> Problem:
    """Somebody has some things, gets some and gives some away."""
    _, many = rng.choice(_THINGS)
    name, friend = rng.sample(WOMEN + MEN, 2)
    so_far = rng.randint(5, 60)
    lines, steps = [f"{name} has {so_far} {many}."], []
    for _ in range(rng.randint(1, 4)):
        n = rng.randint(2, 40)
        if n <= so_far and rng.random() < 0.5:
            lines.append(rng.choice((
                f"{name} gives {n} of them to {friend}.", f"{n} of them are lost.", f"{name} sells {n}.",
            )))  # fmt: skip
            steps.append(f"{so_far} - {n} = {so_far - n}.")
            so_far -= n
        else:
            lines.append(rng.choice((
                f"{friend} brings {n} more.", f"Then {name} finds {n}.", f"{name} buys another {n}.",
            )))  # fmt: skip
            steps.append(f"{so_far} + {n} = {so_far + n}.")
            so_far += n
    lines.append(f"How many {many} does {name} have now?")
    return Problem("change", " ".join(lines), tuple(steps), str(so_far), len(steps))


def baskets(rng: random.Random) -> Problem:
    """Equal groups, and some over."""
    _, many = rng.choice(_THINGS)
    name, n, each, over = _name(rng), rng.randint(2, 9), rng.randint(2, 12), rng.randint(1, 9)
    box = rng.choice(("basket", "box", "bag", "drawer"))
    boxes = box + ("es" if box.endswith("x") else "s")
    question = (
        f"{name} has {n} {boxes} with {each} {many} in each {box}, and {over} {many} on the table. "
        f"How many {many} are there?"
    )
    steps = (
        f"In the {boxes} there are {n} x {each} = {n * each}.",
        f"With those on the table it is {n * each} + {over} = {n * each + over}.",
    )
    return Problem("baskets", question, steps, str(n * each + over), 2)
