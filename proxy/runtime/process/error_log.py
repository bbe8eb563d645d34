"""Unexpected exceptions as one JSON line each: type and code positions, never the message, which could hold a secret."""

import traceback
from collections.abc import Callable

from proxy.runtime.process.clock import Clock
from proxy.runtime.process.event_line import event_line

_MAX_FRAMES = 12


class ErrorLog:
    """Call it with an exception nobody expected."""

    def __init__(self, write: Callable[[bytes], object], clock: Clock) -> None:
        self._write = write
        self._clock = clock

    def __call__(self, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
        at = [f"{frame.filename.rpartition('proxy/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
        now = self._clock.now_microseconds()
        self._write(event_line(now, "error", "internal_error", error=type(error).__name__, at=at))
