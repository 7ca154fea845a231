"""Documents on disk: one JSON object a line, compressed; the form in which FineWeb itself is stored
raw.

Taught in chapter 01.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The records of one ``.jsonl.gz`` file; none if it does not exist."""
    with contextlib.suppress(FileNotFoundError), gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
