"""A timer that epoll can wait for, to the microsecond: Linux's timerfd, which Python offers only from 3.13 on.

`epoll.poll` itself rounds its timeout to a millisecond, too coarse for a schedule of 1,000 calls/s.
"""

import ctypes
import os
from contextlib import suppress

_libc = ctypes.CDLL(None, use_errno=True)
_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_SECOND_NS = 1_000_000_000


class _TimerSpec(ctypes.Structure):
    _fields_ = [
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    ]


class Timer:
    """Readable on `fd` when it is due. Times are CLOCK_MONOTONIC nanoseconds, as of `time.monotonic_ns`."""

    def __init__(self) -> None:
        self.fd: int = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def set(self, due_ns: int, every_ns: int = 0) -> None:
        """Be due at a moment (0: never), then again at each interval."""
        spec = _TimerSpec(*divmod(every_ns, _SECOND_NS), *divmod(due_ns, _SECOND_NS))
        if _libc.timerfd_settime(self.fd, _ABSOLUTE, ctypes.byref(spec), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def expirations(self) -> int:
        """How often it was due since the last look."""
        with suppress(BlockingIOError):
            return int.from_bytes(os.read(self.fd, 8), "little")
        return 0
