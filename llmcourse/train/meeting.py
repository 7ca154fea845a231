"""How the processes of a team agree that they are the same team.

They meet at a store, a table of keys and values that `torchrun` keeps, and leave their addresses there.
When a process has died and all are started again, the store is still the same, and so are the addresses
in it: of processes that are gone. Who finds those first waits for the dead. (How often torchrun has
started a process does not help: on several machines each counts for itself.) So before anything else
every process makes sure whom it is talking to, and then all use a part of the table that is theirs alone.

Taught in chapter 06.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from ..errors import CourseError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

_WAIT = 0.02  # seconds between two looks


def name_of_meeting(store: Store, rank: int, world_size: int, timeout_s: float) -> str:
    """A name that just these `world_size` processes know. All must call it.

    Each says hello with a word that nobody has used before. Process 0 welcomes every word it finds with
    the name of the meeting, and goes on looking until everybody has come: a word of a dead process is
    welcomed, too, but nobody comes.

    Raises:
        CourseError: if somebody does not come in time; the message says who.
    """
    deadline = time.monotonic() + timeout_s
    word = uuid.uuid4().hex
    if rank > 0:
        store.set(f"hello/{rank}", word)
        while not store.check([f"welcome/{word}"]):
            _wait(deadline, timeout_s, [0])
        name = store.get(f"welcome/{word}").decode()
        store.set(f"{name}/here/{rank}", "")
        return name
    missing = list(range(1, world_size))
    while missing := [r for r in missing if not store.check([f"{word}/here/{r}"])]:
        for r in missing:
            if store.check([f"hello/{r}"]):
                store.set(f"welcome/{store.get(f'hello/{r}').decode()}", word)
        _wait(deadline, timeout_s, missing)
    return word


def _wait(deadline: float, timeout_s: float, missing: list[int]) -> None:
    if time.monotonic() > deadline:
        who = ", ".join(map(str, missing[:8])) + (" …" if len(missing) > 8 else "")
        raise CourseError(
            f"process {who} has not come within {timeout_s:g} s",
            hint="have all nodes been started, with the same --rdzv-endpoint and --rdzv-id?",
        )
    time.sleep(_WAIT)
