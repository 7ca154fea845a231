"""How small the ordinary compressors make a text: what a language model has to beat.

A model that predicts well compresses well, and the other way round (Shannon 1948; Delétang et al. 2024,
"Language modeling is compression", arXiv:2309.10668). In both cases the size is measured in bits per byte of
the text. The compressors start from nothing; a model comes with its parameters, which are not counted here.

Taught in chapter 07.
"""

from __future__ import annotations

import bz2
import gzip
import lzma


def compressed_bits_per_byte(text: str) -> dict[str, float]:
    """Bits per byte of gzip -9, bzip2 -9 and xz -9e.

    Raises:
        ValueError: if the text is empty.
    """
    data = text.encode()
    if not data:
        raise ValueError("there is nothing to compress")
    packed = {
        "gzip -9": gzip.compress(data, 9, mtime=0),
        "bzip2 -9": bz2.compress(data, 9),
        "xz -9e": lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    }
    return {name: 8 * len(result) / len(data) for name, result in packed.items()}
