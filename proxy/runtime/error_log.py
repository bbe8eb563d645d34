"""Unexpected exceptions as one JSON line each: type and code positions, never the message, which could hold a secret."""

import traceback
from collections.abc import Callable

import orjson

from proxy.core.times import rfc3339
from proxy.runtime.clock import Clock

_MAX_FRAMES = 12


class ErrorLog:
    """Call it with an exception nobody expected."""

    def __init__(self, write: Callable[[bytes], object], clock: Clock) -> None:
        self._write = write
        self._clock = clock

    def __call__(self, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
        line = {
            "ts": rfc3339(self._clock.now_microseconds()),
            "level": "error",
            "event": "internal_error",
            "error": type(error).__name__,
            "at": [f"{frame.filename.rpartition('proxy/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
        }
        self._write(orjson.dumps(line) + b"\n")
