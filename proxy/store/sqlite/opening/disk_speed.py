"""How fast the disk takes writes: as the look that comes every second finds it, and asked anew before the commit of a change.

Decision: a commit that has begun cannot be broken off, so one that nobody could wait for is not begun. What it would take is told from
a write of a few bytes to the lock file, which nobody needs: some 10 us where the disk is well. A change writes three pages or so,
two calls to write() each, and its revision into the identity file, and waits for the disk twice: 3 s at 300 ms a write.
"""

import time
from typing import Final

from proxy.store.sqlite.opening.ownership import OwnershipLock

#: From here on the disk is slow: what can wait is not written beside a change.
SLOW_SECONDS: Final = 0.25
#: A change is taken for so many writes.
_WRITES_OF_A_CHANGE: Final = 10
#: A trial that took no longer may have met a busy machine, and is made twice.
_DOUBTFUL_SECONDS: Final = 1.0


class DiskSpeed:
    """Of the disk that a database lies on."""

    def __init__(self, lock: OwnershipLock) -> None:
        self._lock = lock
        self._look_seconds = 0.0

    def looked(self, seconds: float) -> None:
        """A look, which writes one page, took so long on the writer's thread."""
        self._look_seconds = seconds

    @property
    def is_slow(self) -> bool:
        return self._look_seconds > SLOW_SECONDS

    def is_too_slow(self, longest_commit_seconds: float) -> bool:
        """Whether the commit of a change would take longer. Blocks for a write, or two."""
        longest = longest_commit_seconds / _WRITES_OF_A_CHANGE
        took = self._trial()
        if longest < took <= _DOUBTFUL_SECONDS:
            took = min(took, self._trial())
        return took > longest

    def _trial(self) -> float:
        began = time.monotonic()
        self._lock.write_owner()
        return time.monotonic() - began
