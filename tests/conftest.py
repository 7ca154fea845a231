"""What all tests need."""

from __future__ import annotations

import signal

# A shell that starts tests in the background lets them ignore Ctrl-C, and their children too; then nothing that
# is said here about being interrupted could be tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
