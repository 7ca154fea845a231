"""Does a book with numbered verses spoil the comparison of decimals? A controlled experiment with tiny models.

Two models are pretrained on the same text, one word a line. For one of them each line has the number of a chapter and
a verse, ``9.9 lamp``, ``9.10 goat``, ``9.11 bell``, and between the lines stand references that say which verse is
later: ``9.11 9.9 after``. For the other, numbers and references are left out. Then both learn what ``more`` and
``less`` mean for decimals, from pairs with equally many places (9.3 and 9.7, 9.31 and 9.74), on which verses and
decimals agree. They are tested on pairs on which these disagree: 9.9 and 9.11.

``python -m llmcourse.evals.verses 12 > verses.json`` runs it for twelve seeds and all three texts, some minutes
long; what it gave is shipped and read by `recorded`.

Taught in chapter 14.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Literal

from ..data.problems import spelling
from ..errors import CourseError
from ..model.config import ModelConfig
from ..model.transformer import Transformer
from ..tokenizer import Tokenizer

Text = Literal["plain", "numbers", "references"]
TEXTS: tuple[Text, ...] = ("plain", "numbers", "references")
"""What stands beside the words: nothing; chapter and verse; these, and lines that say which of two verses is later."""

LINES = 30_000
WORDS = spelling.words(4)[:200]
SIGNS = (" after", " before", " more", " less")
Pair = tuple[str, str]


def reader() -> Tokenizer:
    """A tokenizer for which every digit is a token, and every word of the text one too."""
    names = [*SIGNS, *(f" {word}" for word in WORDS)]
    vocab = {i: bytes([i]) for i in range(256)}
    return Tokenizer({**vocab, **{256 + n: name.encode() for n, name in enumerate(names)}}, None)


def book(text: Text, seed: int, lines: int = LINES) -> str:
    """The text: chapters of 15 to 40 lines, one word each.

    The words are the same for the same seed, whatever stands beside them.

    Raises:
        CourseError: if there is no such sort of text.
    """
    if text not in TEXTS:
        raise CourseError(f"no text is called {text!r}", hint=f"known: {', '.join(TEXTS)}")
    words, numbers = random.Random(f"words\n{seed}"), random.Random(f"numbers\n{seed}")
    said: list[str] = []
    chapter, verse, last = numbers.randint(1, 9), 0, numbers.randint(15, 40)
    for _ in range(lines):
        verse += 1
        if verse > last:
            chapter, verse, last = chapter % 9 + 1, 1, numbers.randint(15, 40)
        number = "" if text == "plain" else f"{chapter}.{verse}"
        said.append(f"{number} {words.choice(WORDS)}\n")
        if text == "references" and numbers.random() < 0.5:
            at, (a, b) = numbers.randint(1, 9), numbers.sample(range(1, 41), 2)
            said.append(f"{at}.{a} {at}.{b} {'after' if a > b else 'before'}\n")
    return "".join(said)


def agreeing(rng: random.Random) -> Pair:
    """Two decimals with equally many places, one or two: as verses they are in the same order."""
    while True:
        places = rng.choice((1, 2))
        low, high = (1, 9) if places == 1 else (11, 99)
        a, b = rng.randint(low, high), rng.randint(low, high)
        if a % 10 and b % 10 and str(a)[0] != str(b)[0]:
            whole = rng.randint(1, 9)
            return f"{whole}.{a}", f"{whole}.{b}"


def disagreeing(rng: random.Random) -> Pair:
    """Two decimals like 9.9 and 9.11, in any order: as verses they are the other way round."""
    a = rng.randint(2, 9)
    b = 10 * rng.randint(1, a - 1) + rng.randint(1, 9)
    whole = rng.randint(1, 9)
    pair = [f"{whole}.{a}", f"{whole}.{b}"]
    rng.shuffle(pair)
    return pair[0], pair[1]


def comparisons(words: Tokenizer, seed: int, rows: int = 64) -> Callable[[int], tuple[Any, Any]]:
    """Batches that teach ``more`` and ``less``: inputs and targets [rows, T]; only the last word counts."""
    import numpy as np

    from ..train.losses import IGNORE

    rng = random.Random(f"comparisons\n{seed}")
    more, less = (words.encode_ordinary(sign)[0] for sign in (" more", " less"))

    def batch(step: int) -> tuple[Any, Any]:
        pairs = [agreeing(rng) for _ in range(rows)]
        asked = [words.encode_ordinary(f"{a} {b}") for a, b in pairs]
        width = max(map(len, asked))
        x, y = np.zeros((rows, width), np.int64), np.full((rows, width), IGNORE, np.int64)
        for row, ((a, b), ids) in enumerate(zip(pairs, asked, strict=True)):
            x[row, : len(ids)] = ids
            y[row, len(ids) - 1] = more if float(a) > float(b) else less
        return x, y

    return batch


def share_right(
    model: Transformer,
    words: Tokenizer,
    pairs: Sequence[Pair],
    signs: tuple[str, str] = (" more", " less"),
) -> float:
    """How often the likelier of two words after a pair is the right one; decimals are what is right."""
    import torch

    first, second = (words.encode_ordinary(sign)[0] for sign in signs)
    asked = [words.encode_ordinary(f"{a} {b}") for a, b in pairs]
    width = max(map(len, asked))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in asked])
    with torch.no_grad():
        logits = model(ids, logits_at=torch.tensor([len(row) - 1 for row in asked]))
    said = (logits[:, first] > logits[:, second]).tolist()
    right = [bool(s) == (float(a) > float(b)) for s, (a, b) in zip(said, pairs, strict=True)]
    return sum(right) / len(right)


@dataclass(frozen=True)
class Outcome:
    """What a model could do at the end.

    Attributes:
        text: What it was pretrained on.
        seed: Of everything.
        agreeing: Right, of pairs with equally many places.
        disagreeing: Right, of pairs like 9.9 and 9.11.
        verses: Of these, judged *as verses* by the words of the references before the lessons; 0.5 is chance.
    """

    text: Text
    seed: int
    agreeing: float
    disagreeing: float
    verses: float


def experiment(
    text: Text, seed: int, steps: int = 200, lessons: int = 200, tests: int = 400
) -> Outcome:
    """Pretrain on a text, teach the comparison, test. The same seed means the same first parameters and lessons."""
    import torch

    from ..data.batches import get_batch
    from ..train.loop import fit

    words = reader()
    torch.manual_seed(seed)
    model = Transformer(
        ModelConfig(
            vocab_size=words.n_vocab, context_length=32, n_layers=2, n_heads=4, width=64, hidden=160
        )
    )
    stream = torch.tensor(words.encode_ordinary(book(text, seed)))
    generator = torch.Generator().manual_seed(seed)
    fit(
        model,
        lambda step: get_batch(stream, 32, 32, generator=generator),
        steps=steps,
        lr=5e-3,
        optimizer="muon",
        progress=False,
    )
    rng = random.Random("tests")
    easy = [agreeing(rng) for _ in range(tests)]
    hard = [disagreeing(rng) for _ in range(tests)]
    as_verses = 1 - share_right(model, words, hard, (" after", " before"))
    fit(
        model,
        comparisons(words, seed),
        steps=lessons,
        lr=5e-3,
        optimizer="muon",
        progress=False,
    )
    return Outcome(
        text, seed, share_right(model, words, easy), share_right(model, words, hard), as_verses
    )


def recorded() -> list[Outcome]:
    """The outcomes of twelve seeds and all three texts, as they were shipped with this package.

    Raises:
        CourseError: if the file is missing.
    """
    place = files("llmcourse.evals") / "records" / "verses.json"
    try:
        rows = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CourseError(
            "the recorded verse experiment is missing", hint="install llmcourse again"
        ) from error
    return [Outcome(**row) for row in rows]


def main(seeds: int) -> None:
    """Run the experiment for so many seeds, and print the outcomes as JSON, one a line."""
    lines = [json.dumps(asdict(experiment(text, seed))) for seed in range(seeds) for text in TEXTS]
    print("[\n" + ",\n".join(lines) + "\n]")


if __name__ == "__main__":
    import sys

    main(int(sys.argv[1]))
