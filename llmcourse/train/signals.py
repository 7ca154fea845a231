"""Being asked to stop, and stopping where it does no harm.

A machine that is needed elsewhere sends SIGTERM and waits some seconds; Ctrl-C sends SIGINT. Neither may
cut a step in two, so the signal is only noted, and the loop looks after every step. A second
signal is not noted but obeyed. Taught in chapter 06.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class StopSignals:
    """Notes SIGTERM and SIGINT while it is open (a context manager).

    Only a program's main thread can be asked; in another this does nothing.

    Attributes:
        received: The signal's number, or 0.
    """

    WATCHED = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in self.WATCHED:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()  # the next one does what it always did

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() gave us
        self._before.clear()
