"""What torch's threads do while they wait for each other. Imports no torch: it must come before it.

Each operation is split among the threads, and a thread that is done waits for the others, by default
in a loop that keeps its core busy. If another program wants that core, the system stops one thread or
the other in turn, and the one that still had work is as likely to be stopped as the one that only
looks at the clock: on two cores, with one other busy process, a training step takes ten times as long.
A thread that sleeps leaves its core to those with work: the same step takes twice as long, which is fair.

Taught in chapter 06.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping


def wait_asleep(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Let torch's threads sleep while they wait. What the user has set stays.

    On an idle machine we could measure no cost. The setting (OpenMP's) is read once, when torch is
    loaded.

    Returns:
        Whether it came in time: torch had not been imported.
    """
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    return "torch" not in sys.modules
