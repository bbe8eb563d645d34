"""Time and identifiers, passed in so that tests own them. Wall clock for people, monotonic for durations."""

import time
from typing import Protocol


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
        return time.time_ns() // 1000

    def monotonic_microseconds(self) -> int:
        return time.monotonic_ns() // 1000


class Identifiers:
    """Sortable text ids: 11 characters of time, 11 of randomness and a counter; unique in and across processes.

    The alphabet is in ASCII order, so that ids sort by the time they were made.
    """

    _ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

    def __init__(self, clock: Clock, random_bits: int) -> None:
        self._clock = clock
        self._origin = random_bits & ((1 << 40) - 1)
        self._counter = 0

    def new(self, prefix: str) -> str:
        """A new id such as `run_06AWX3...`."""
        self._counter = (self._counter + 1) & 0x3FFFF
        value = (self._clock.now_microseconds() << 58) | (self._counter << 40) | self._origin
        characters: list[str] = []
        for _ in range(23):
            characters.append(self._ALPHABET[value & 31])
            value >>= 5
        return prefix + "_" + "".join(reversed(characters))
