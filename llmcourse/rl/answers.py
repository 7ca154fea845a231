r"""Which answer does a text give in the end, and which number is it?

A model is free in how it says something, and it is paid for being right: whatever is taken for an answer
here, it will learn to write. So these functions are generous about form (``$1,234``, ``− 5``, ``\frac{3}{4}``,
"7 apples") and strict about commitment: the last statement counts, "5 or 7" states nothing, and a number that
was copied from the question is nobody's answer.

Numbers are exact: 0.5 is 1/2, and 0.333 is not 1/3. Taught in chapter 15.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

SAME_WORDS = 4
"""So many words in the question's order are a copy of it, if there is a number among them."""

LONGEST = 200
"""Digits: a longer number is no answer, and takes long to read."""

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)

# ---- where an answer is stated
_MARKER = re.compile(
    r"(?P<boxed>\\boxed\s*\{)|<answer>|\#{4}"
    r"|\banswer(?:\s+to\s+[^.?!:\n]{1,60}?)?\s*(?:\bis\b|\bwould\s+be\b|[:=])\s*:?",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\W*(?:not|never|neither|no\s+longer)\b", re.IGNORECASE)
_END = re.compile(r"[.!?](?=[\s\"')\]<]|$)|[;\n]|</answer>")
_REASON = re.compile(r"[\s,]+(?:because|since|as|which)\b.*", re.IGNORECASE | re.DOTALL)
_DOUBT = r"(?:or|maybe|perhaps|possibly|alternatively|either|not|no|wait|actually|rather|instead)"
_IN_DOUBT = re.compile(rf"\b{_DOUBT}\b|^\s*(?:[,/]|,?\s*and)\s*$", re.IGNORECASE)
_ON_SECOND_THOUGHT = re.compile(rf"\W*(?:{_DOUBT}|but|hmm+)\b", re.IGNORECASE)

# ---- numbers
# 1,234 and 1 234, but not 12,34: groups of three, all separated alike.
_WHOLE = (
    r"(?:[0-9]{1,3}(?P<SEP>[,_'’ \u00a0\u2009\u202f])[0-9]{3}(?:(?P=SEP)[0-9]{3})*(?![0-9])|[0-9]+)"
)
_DECIMAL = rf"(?:{_WHOLE}(?:\.[0-9]+)?|\.[0-9]+)"
_NUMBER = re.compile(
    r"(?<![\w.^\\])"  # not inside a word (m2), nor an exponent (x^2)
    r"(?:(?P<ones>[0-9]{1,9})[ ]+(?P<up>[0-9]{1,9})/(?P<down>[0-9]{1,9})"  # 1 1/2
    rf"|(?P<top>{_DECIMAL.replace('SEP', 'a')})"
    rf"(?:\s*/\s*(?P<bottom>-?{_DECIMAL.replace('SEP', 'b')})"  # 3/4
    r"|[eE](?P<e>[-+]?[0-9]{1,3})"  # 1.2e3
    r"|\s*[×x*]\s*10\s*\^\s*\{?(?P<ten>[-+]?[0-9]{1,3})\}?)?)"  # 1.2 × 10^3
    r"(?![0-9]|\.[0-9]|\s*(?:\^|\*\*))"  # not the beginning of 1.2.3, nor of 5^2
    r"(?:\s+(?P<times>hundred|thousand|million|billion)\b)?"
)
_TIMES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_BEFORE = re.compile(r"(?:[-+*/×÷^]|(?<=\s)x)\s*$")  # an operator that is no sign
_AFTER = re.compile(
    r"\s*(?:[-+*/×÷^]|x(?=\s))\s*(?=[\s\d(])"
)  # and no part of a unit: 5-litre, km/h
_UNREADABLE = re.compile(r"\\[a-zA-Z]+|[√π∞]")

# ---- what is only looks
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}
_LOOKS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\\(?:d|t|c)?frac\s*\{\s*([^{}]*?)\s*\}\s*\{\s*([^{}]*?)\s*\}"), r" \1/\2 "),
    (re.compile(r"\\(?:d|t|c)?frac\s*([0-9])\s*([0-9])"), r" \1/\2 "),
    (re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"(?<=[0-9])(?:\{,\}|\\,|\\!)(?=[0-9])"), ","),
    (re.compile(r"\\(?:left|right)\b|\\[\[\]()]|\*\*|__|`"), ""),
    (re.compile(r"\\[,;:! ]|~"), " "),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
    (re.compile(r"\\?[$€£]|\\(?=%)"), ""),
    (re.compile("[\u2212\u2013\ufe63\uff0d]"), "-"),
    (re.compile(r"\b(?:minus|negative)\s+(?=[0-9.])", re.IGNORECASE), "-"),
    *((re.compile(sign), f" {fraction}") for sign, fraction in _VULGAR.items()),
]


def said_aloud(text: str) -> str:
    """A text without its thoughts, ``<think>…</think>``. What is thought and not said is no answer."""
    return _THOUGHT.sub(" ", text)


def without_echo(text: str, question: str) -> str:
    """A text without what it repeats of the question: whole sentences that ask, and copied words.

    "Which is larger, 9.11 or 9.9?" ends with the right answer; an attempt that says it back has said nothing.
    """
    asked = [word.strip(".,:;?!\"'").lower() for word in question.split()]
    length = min(SAME_WORDS, len(asked))
    words = list(re.finditer(r"\S+", text))
    keys = [word[0].strip(".,:;?!\"'").lower() for word in words]
    copied = [False] * len(words)
    if length >= 3:
        runs = {tuple(asked[i : i + length]) for i in range(len(asked) - length + 1)}
        for i in range(len(words) - length + 1):
            if tuple(keys[i : i + length]) in runs:
                copied[i : i + length] = [True] * length
    kept, at, i = [], 0, 0
    while i < len(words):
        if not copied[i]:
            i += 1
            continue
        j = i
        while j < len(words) and copied[j]:
            j += 1
        if any(c.isdigit() for key in keys[i:j] for c in key):
            kept.append(text[at : words[i].start()])
            at = words[j - 1].end()
        i = j
    text = "".join([*kept, text[at:]])
    return "".join(s for s in re.split(r"(?<=[.!?])(?=\s)|(?<=\n)", text) if s.rstrip()[-1:] != "?")


def final_answer(text: str, question: str = "") -> str | None:
    r"""What a text states as its answer: after "the answer is", in ``\boxed{}``, ``<answer>``, after ``####``.

    Args:
        text: All that was written.
        question: What was asked; what is repeated of it is left out.

    Returns:
        The words of the last statement, up to the end of its sentence; or None if nothing is stated, or one
        sentence states different things, or what follows takes it back ("The answer is 5. Or 7.").

    Taught in chapter 15.
    """
    text = _clean(text, question)
    stated = list(_statements(text))
    if not stated:
        return None
    _, end, last = stated[-1]
    # Everything that is stated in the same sentence has to be the same.
    for (_, before, clause), (start, _, _) in zip(stated[-2::-1], stated[:0:-1], strict=False):
        if before < start and _END.search(text, before, start):
            break
        if _value(clause) != _value(last):
            return None
    for sentence in _END.split(text[end:]):
        number = as_number(last)
        others = {value for _, _, value in _numbers(sentence)} - {number}
        if _ON_SECOND_THOUGHT.match(sentence) and (number is None or others):
            return None
    return last or None


def states_anything(text: str, question: str = "") -> bool:
    """Whether a text states an answer at all, be it one or several."""
    return bool(_MARKER.search(_clean(text, question)))


def last_number(text: str, question: str = "") -> str | None:
    """The last number that a text says, where it states no answer; None if there is none, or a choice of two.

    Taught in chapter 15.
    """
    text = _clean(text, question)
    found = list(_numbers(text))
    if not found or re.search(r"(?:\bnot|n't)\s*-?\s*$", text[: found[-1][0]]):
        return None
    if len(found) > 1:
        (_, end, one), (start, _, other) = found[-2:]
        if one != other and _IN_DOUBT.search(text[end:start]) and not _END.search(text[end:start]):
            return None
    return str(found[-1][2])


@lru_cache(maxsize=4096)
def as_number(text: str) -> Fraction | None:
    """The one number that a text is, whatever its unit; None if it is none, several, or has to be worked out.

    Of an equation every side that is a number counts, and they must agree: "3 + 4 = 7" is 7.

    Taught in chapter 15.
    """
    text = re.sub(r"\\boxed\s*\{([^{}]*)\}", r" \1 ", _tidy(text))
    text = re.sub(r"</?answer>", " ", text)
    values = {value for side in re.split("[=≈]", text) if (value := _side(side)) is not None}
    return values.pop() if len(values) == 1 else None


def plain(text: str) -> str:
    """A text for comparison: small letters, single spaces, no punctuation around it."""
    text = re.sub(r"\\boxed\s*\{([^{}]*)\}|</?answer>", r" \1 ", _tidy(text))
    return " ".join(text.split()).strip(" .,:;!?\"'“”‘’()").casefold()


@lru_cache(maxsize=4096)
def _clean(text: str, question: str) -> str:
    return _tidy(without_echo(said_aloud(text), question))


def _tidy(text: str) -> str:
    for pattern, replacement in _LOOKS:
        text = pattern.sub(replacement, text)
    return text


def _statements(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and words of each statement; of one within another both, if the inner one is a box."""
    markers = list(_MARKER.finditer(text))
    for number, marker in enumerate(markers):
        start = marker.end()
        if marker["boxed"]:
            end = _closing(text, start)
        else:
            start += len(text[start:]) - len(text[start:].lstrip())
            found = _END.search(text, start)
            end = found.start() if found else len(text)
            inner = markers[number + 1 : number + 2]
            if inner and inner[0].start() < end and not inner[0]["boxed"]:
                continue  # "Final answer: the answer is 5."
        clause = text[start:end]
        if not _DENIED.match(clause):
            short = _REASON.sub("", clause)
            bare = re.sub(r"\([^()]*\)", " ", short)
            yield marker.start(), end, (bare if bare.strip() else short).strip()


def _closing(text: str, start: int) -> int:
    """Where the brace closes that was opened just before `start`."""
    depth = 1
    for i in range(start, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return i
    return len(text)


def _value(clause: str) -> Fraction | str:
    number = as_number(clause)
    return plain(clause) if number is None else number


def _numbers(text: str) -> Iterator[tuple[int, int, Fraction]]:
    """Start, end and value of each number, its sign included."""
    for match in _NUMBER.finditer(text):
        value = _fraction(match)
        if value is None:
            continue
        start, before = match.start(), text[: match.start()].rstrip()
        if before.endswith(("-", "+")) and _is_sign(before[:-1], touches=len(before) == start):
            value, start = (-value if before[-1] == "-" else value), len(before) - 1
        yield start, match.end(), value


def _is_sign(left: str, touches: bool) -> bool:
    """Whether a dash after `left` belongs to the number after it: it does in "is -5", not in 8 - 5 or x - 5."""
    words = left.rstrip()
    if not words or not (words[-1].isalnum() or words[-1] == ")"):
        return True
    return words != left and words[-1].isalpha() and (touches or words[-2:-1].isalpha())


def _fraction(match: re.Match[str]) -> Fraction | None:
    if len(match[0]) > LONGEST:
        return None
    try:
        if match["ones"]:
            value = Fraction(int(match["ones"])) + Fraction(int(match["up"]), int(match["down"]))
        else:
            value = _decimal(match["top"])
            if match["bottom"]:
                value /= _decimal(match["bottom"])
            value *= Fraction(10) ** int(match["e"] or match["ten"] or 0)
    except ZeroDivisionError:
        return None
    return value * _TIMES.get(match["times"] or "", 1)


def _decimal(text: str) -> Fraction:
    return Fraction(re.sub(r"[^0-9.\-]", "", text))


def _side(text: str) -> Fraction | None:
    """The number that one side of an equation is."""
    if _UNREADABLE.search(text):
        return None
    found = list(_numbers(text))
    if len({value for _, _, value in found}) != 1:
        return None
    for start, end, _ in found:
        if _BEFORE.search(text[:start]) or _AFTER.match(text, end):
            return None
    return found[0][2]
