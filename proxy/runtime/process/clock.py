"""Time and identifiers, passed in so that tests own them. Wall clock for people, monotonic for durations."""

from time import monotonic_ns, time_ns
from typing import Protocol

#: The last that 13 hex digits hold.
_LAST_MOMENT = 16**13 - 1


class Clock(Protocol):
    """Where time comes from."""

    def now_microseconds(self) -> int:
        """UTC microseconds since 1970."""
        ...

    def monotonic_microseconds(self) -> int:
        """Microseconds of a clock that never goes back; only differences mean something."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_microseconds(self) -> int:
        return time_ns() // 1000

    def monotonic_microseconds(self) -> int:
        return monotonic_ns() // 1000


def first_id(prefix: str, microseconds: int) -> str:
    """Not greater than any id that Identifiers make from this moment on, and greater than those made before."""
    return "%s_%013x" % (prefix, max(0, min(microseconds, _LAST_MOMENT)))  # noqa: UP031 (as they are made)


class Identifiers:
    """Sortable text ids: 13 hex digits of time in microseconds, 5 of a counter, 10 of randomness drawn at start.

    They sort by the time they were made and are unique in and across processes.
    """

    def __init__(self, clock: Clock, random_bits: int) -> None:
        self._clock = clock
        self._origin = f"{random_bits & ((1 << 40) - 1):010x}"
        self._counter = 0

    def new(self, prefix: str) -> str:
        """A new id such as `run_0645e3a1b2c3d...`."""
        self._counter = (self._counter + 1) & 0xFFFFF
        # A third of what an f-string takes once compiled, which formats each number by a method call.
        return "%s_%013x%05x%s" % (prefix, self._clock.now_microseconds(), self._counter, self._origin)  # noqa: UP031
