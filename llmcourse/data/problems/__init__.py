"""Problems whose answers can be checked, and the pages of a schoolbook made of them.

- ``problem``: what a problem is: a question, the steps to its answer, the answer;
- ``arithmetic``: sums, differences, products, written out digit by digit;
- ``stories``: *Emily buys 3 apples …*, in words;
- ``letters``: spelling and counting letters and things;
- ``schoolbook``: pages of all these, for pretraining.

Taught in chapters 06 and 12.
"""

from __future__ import annotations

from .problem import Problem

__all__ = ["Problem"]
