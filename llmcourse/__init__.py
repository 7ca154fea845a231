"""llmcourse: the code of an executable book on how large language models are made.

The package reads from left to right, as the data flow: ``data`` → ``tokenizer`` → …
Importing it is cheap on purpose; every heavy library is imported where it is used.
"""

from __future__ import annotations

__version__ = "0.1.0"
