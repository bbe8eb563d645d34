"""How a writer goes easy on a slow store: less at once, and a pause behind each write, so that others have their turn.

Decision: a disk with 300 ms a write takes 3 of them a second, a batch of runs is 12 and more. What the data plane has to write can wait,
or is dropped and counted in the end; a change of an operator cannot. So each writer takes a share of the time, not all there is.
"""

from typing import Final

#: A write that takes longer meets a slow store.
_SLOW_SECONDS: Final = 0.5
#: What is written at once is made less until it takes no longer.
_LONG_SECONDS: Final = 1.0
_LEAST: Final = 10
#: A write is at most twice as large as the one before, beyond this: the first one on a disk that became slow is not a large one.
_ALWAYS: Final = 32


class Pace:
    """Of one writer. `most`: what it writes at once where the store is fast; `share`: of the time, where it is slow."""

    def __init__(self, most: int, share: float, longest_pause_seconds: float) -> None:
        self._most = most
        self._least = min(_LEAST, most)
        self._pause_of_write = (1 - share) / share
        self._longest_pause_seconds = longest_pause_seconds
        #: So many rows now.
        self.at_once = min(_ALWAYS, most)

    def took(self, seconds: float, rows: int) -> float:
        """Note how long a write of so many rows took; how long to leave the store to others, in seconds."""
        if seconds <= _SLOW_SECONDS:
            self.at_once = min(self._most, max(_ALWAYS, min(rows, self.at_once) * 2))
            return 0.0
        if seconds > _LONG_SECONDS:
            self.at_once = max(self._least, int(min(rows, self.at_once) * _LONG_SECONDS / seconds))
        return min(seconds * self._pause_of_write, self._longest_pause_seconds)
