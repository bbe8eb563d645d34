"""SIGTERM, SIGINT and SIGHUP: the first of them begins the stop of this process, later ones change nothing, up to its end.

SIGHUP is a closed terminal, or somebody's reload: settings are read at the start only, so it drains as SIGTERM does. One that
was ignored when the process began (`nohup`) stays ignored.

Decision: these are handlers of Python, not of the event loop. The loop puts the default behaviour in place of its own when it
takes them away, Python does so when it ends, and a signal that comes then makes a clean end one of failure. So Python's stay
until the last thing that runs before that, which has all of them ignored.
"""

import asyncio
import atexit
import signal
import sys
from collections.abc import Callable
from types import FrameType

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Have the first signal call `stop` in the running loop, once. For the main thread of a process that ends after its loop.

    The loop must be uvloop's, which wakes up for every signal; asyncio's does so only for those it handles itself.
    """
    loop = asyncio.get_running_loop()
    is_told = False

    def hear(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_told
        # Set before anything is called: a second signal may interrupt this very function.
        if is_told:
            return
        is_told = True
        # A process that ended by itself has nothing left to stop.
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop)

    for number in _STOP_SIGNALS:
        if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue
        signal.signal(number, hear)
        # As for handlers of a loop: system calls that a signal meets go on.
        signal.siginterrupt(number, False)
    atexit.register(_ignore)


def _ignore() -> None:
    # One that comes between what Python and what the kernel thinks of it would be told on stderr as lost.
    telling, sys.unraisablehook = sys.unraisablehook, _say_nothing
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.unraisablehook = telling


def _say_nothing(_lost: object) -> None:
    """Nobody waits for a signal any more."""
