"""How varied a text is: distinct n-grams, and how often the same sentence comes back with other names.

A small model becomes general only if what it reads is varied; text made by a program is in danger of being the
same twenty sentences with the blanks filled in. Two measures tell:

- *distinct n-grams*: the share of n-grams that are different from all others (Li et al. 2016,
  arXiv:1510.03055, section 5.2), on a fixed number of words, because it falls with the length of a text;
- *moulds*: sentences with their names and numbers taken out. If a few moulds make most of the text, it is a form
  that was filled in.

Taught in chapter 06.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass

_WORD = re.compile(r"\w+(?:['-]\w+)*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_NAME = re.compile(r"\b[A-Z][\w']*(?:[ -](?:of|the|[A-Z][\w']*))*|\b\d[\d,.]*\d\b|\b\d\b")


@dataclass(frozen=True)
class Variety:
    """What was found in a text.

    Attributes:
        words: Looked at.
        distinct: n → share of n-grams that are different, for n from 1 to 4.
        sentences: Looked at.
        moulds: How many different moulds they have.
        top: Share of the sentences that the most frequent mould makes …
        top_100: … and the hundred most frequent together.
        most_frequent: The most frequent moulds.
    """

    words: int
    distinct: dict[int, float]
    sentences: int
    moulds: int
    top: float
    top_100: float
    most_frequent: tuple[str, ...]


def mould(sentence: str, words: Container[str]) -> str:
    """*Adry Pellimer was born in 1832.* → ``# was born in #.``

    Args:
        sentence: One sentence.
        words: Words that are written small elsewhere: such a word keeps its place where it begins the sentence, and
            any other there is a name.
    """
    first, space, rest = sentence.partition(" ")
    if first.strip(",.\"'").lower() in words:
        return first.lower() + space + _NAME.sub("#", rest)
    return _NAME.sub("#", sentence)


def variety(texts: Iterable[str], *, words: int = 200_000) -> Variety:
    """Measure the first so many words of some texts.

    Raises:
        ValueError: if there are none.
    """
    tokens: list[str] = []
    said: list[str] = []
    for text in texts:
        if len(tokens) >= words:
            break
        tokens += _WORD.findall(text)
        said += [s for s in _SENTENCE.split(text) if len(s.split()) > 3]
    small = {word for word in tokens if word.islower()}
    moulds = Counter(mould(sentence, small) for sentence in said)
    tokens = [word.lower() for word in tokens[:words]]
    if not tokens or not moulds:
        raise ValueError("there is no sentence to look at")
    distinct = {}
    for n in range(1, 5):
        grams = list(zip(*(tokens[i:] for i in range(n)), strict=False))
        distinct[n] = len(set(grams)) / max(1, len(grams))
    sentences, ranked = sum(moulds.values()), moulds.most_common(100)
    return Variety(
        len(tokens), distinct, sentences, len(moulds), ranked[0][1] / sentences,
        sum(n for _, n in ranked) / sentences, tuple(form for form, _ in ranked[:5]),
    )  # fmt: skip
