"""Which language is a text in? fastText's model of 176 languages, as FineWeb uses it.

Taught in chapter 01.
"""

from __future__ import annotations

import functools
from typing import Any

UNKNOWN = "und"  # ISO 639's code for "undetermined"


def identify_language(text: str) -> tuple[str, float]:
    """The language of a text and how sure the model is.

    The model (lid.176.ftz; Joulin et al. 2016) looks at character n-grams, so a few words are
    enough for a guess, and mixed or very short texts get a low score. FineWeb keeps English with
    0.65 or more.

    Returns:
        An ISO 639 code such as ``"en"`` or ``"zh"``, and a score in [0, 1]; ``("und", 0.0)`` for a
        text without a letter.

    Raises:
        CourseError: if the model's file is not installed and cannot be downloaded.
    """
    line = " ".join(text.split())  # the model reads one line
    if not any(char.isalpha() for char in line):
        return UNKNOWN, 0.0
    # Lone surrogates cannot be handed to the library, which takes UTF-8.
    labels, scores = _model().predict(line.encode("utf-8", "replace").decode(), k=1)
    if not labels:
        return UNKNOWN, 0.0
    return labels[0].removeprefix("__label__"), min(1.0, float(scores[0]))


@functools.lru_cache(maxsize=1)
def _model() -> Any:
    import fasttext

    from ..assets import fetch

    path = str(fetch("lid.176.ftz"))
    # Two distributions provide `fasttext`; one of them prints a warning from its load_model.
    module = getattr(fasttext, "FastText", fasttext)
    module.eprint = lambda *args, **kwargs: None
    return fasttext.load_model(path)
