"""Words and numbers as figures print them: tokens with their invisible parts, numbers in few digits.

What all figures of the inside of a model share; nothing is drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import CourseError
from .tokens import MARKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

Labels = Sequence[str] | Sequence[bytes] | Callable[[int], "str | bytes"]
"""What the symbols are called: a sequence with one name for each id, or a function id → name."""


def shown(token: str | bytes) -> str:
    """A token's text with its invisible parts shown: ␣ for a space at either end, ↵ for a new line.

    Bytes that are no text by themselves (a part of a character) come as ⟨f0 9f⟩.
    """
    if isinstance(token, bytes):
        try:
            token = token.decode("utf-8")
        except UnicodeDecodeError as error:
            return "⟨" + error.object.hex(" ") + "⟩"
    text = "".join(MARKS.get(character, character).rstrip("\n") for character in token)
    inner = text.strip(" ")
    if not inner:
        return "␣" * len(text) or "∅"
    before = len(text) - len(text.lstrip(" "))
    after = len(text) - len(text.rstrip(" "))
    return "␣" * before + inner + "␣" * after


def label_of(labels: Labels, index: int) -> str:
    """The visible name of symbol `index`.

    Raises:
        CourseError: if there are not so many names.
    """
    if callable(labels):
        return shown(labels(index))
    if not 0 <= index < len(labels):
        raise CourseError(
            f"symbol {index} has no label: there are {len(labels)}",
            hint="give one label for each symbol, or a function from id to text",
        )
    return shown(labels[index])


def array(values: Any, what: str, dimensions: Iterable[int]) -> NDArray[Any]:
    """Numbers from a tensor, an array or nested lists, as float64.

    Raises:
        CourseError: if it has another number of dimensions, or no numbers at all.
    """
    import numpy as np

    if hasattr(values, "detach"):  # a torch tensor, on any device, of any floating type
        values = values.detach().to("cpu").double().numpy()
    out = np.asarray(values, dtype=np.float64)
    wanted = tuple(dimensions)
    if out.ndim not in wanted or out.size == 0:
        raise CourseError(
            f"{what}: shape {list(out.shape)}, but {' or '.join(map(str, wanted))} dimensions are needed",
            hint="take one row of the batch first, for example x[0]",
        )
    return out


def distribution(values: Any, what: str = "the probabilities") -> NDArray[Any]:
    """Probabilities of all symbols [V], checked.

    Raises:
        CourseError: if they are no distribution: negative, not finite, or not adding up to 1.
    """
    out = array(values, what, [1])
    total = float(out.sum())
    if not math.isfinite(total) or out.min() < 0 or abs(total - 1) > 0.01:
        raise CourseError(
            f"{what} add up to {total:.4g}, the least is {out.min():.4g}",
            hint="give probabilities of all symbols: torch.softmax(logits, dim=-1)",
        )
    return out


def percent(p: float) -> str:
    """A probability for people: 37.2 %, 0.041 %, < 0.001 %; 0 % and 100 % only if it is so."""
    if p in (0, 1):
        return f"{100 * p:.0f} %"
    if p < 0.00001:
        return "< 0.001 %"
    if p < 0.001:
        return f"{100 * p:.3f} %"
    if p < 0.01:
        return f"{100 * p:.2f} %"
    if 0.9995 <= p < 1:
        return "> 99.9 %"
    return f"{100 * p:.1f} %"


def decimals(values: NDArray[Any], digits: int = 3, most: int = 3) -> int:
    """Decimal places that give the greatest number `digits` significant digits, `most` at most."""
    import numpy as np

    finite = np.abs(values[np.isfinite(values)])
    top = float(finite.max()) if finite.size else 0.0
    if top == 0:
        return 1
    return max(0, min(most, digits - 1 - math.floor(math.log10(top))))


def number(x: float, places: int = 2) -> str:
    """A number with a true minus sign; −0.00 is 0.00; infinities as −∞ and ∞."""
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    text = f"{x:.{places}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")
