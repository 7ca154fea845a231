"""Problems whose answers can be checked, and the pages of a schoolbook made of them.

- ``problem``: what a problem is: a question, the steps to its answer, the answer;
- ``arithmetic``: sums, differences, products, written out digit by digit;
- ``stories``: *Emily buys 3 apples …*, in words;
- ``letters``: spelling and counting letters and things;
- ``schoolbook``: pages of all these, for pretraining;
- ``reading``, ``desk``: pages on which what is asked for stands, to be looked up;
- ``verifiable``: problems for reinforcement learning, with dials, disjoint parts and a check: its kinds are
  ``word_problems`` (with ``shapes``), ``chains``, ``counting``, ``spelling``, ``decimals``, ``countdown``; it rests on
  ``dials``, ``wording``, ``expression``, ``checking``;
- ``gsm8k``: the same from, and in, the format of GSM8K.

Taught in chapters 06, 07 and 12 to 16.
"""

from __future__ import annotations

from .problem import Problem

__all__ = ["Problem"]
