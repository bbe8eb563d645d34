"""Whose turn it is to write: one at a time, changes of operators before batches of the data plane and upkeep.

Where a write takes seconds, the batches of calls would otherwise always be ahead of a change that somebody waits for.
"""

import asyncio
from collections import deque


class WriterTurn:
    """A lock with two queues, each in the order they came."""

    def __init__(self) -> None:
        self._is_taken = False
        self._changes: deque[asyncio.Future[None]] = deque()
        self._batches: deque[asyncio.Future[None]] = deque()

    async def acquire(self, *, is_change: bool) -> None:
        """Returns when it is the caller's turn. Raises what it is cancelled with, and has no turn then."""
        if not self._is_taken:
            self._is_taken = True
            return
        queue = self._changes if is_change else self._batches
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(mine)
        try:
            await mine
        except BaseException:
            if mine.done() and not mine.cancelled():
                # It was this one's turn in the same moment.
                self.release()
            elif mine in queue:
                queue.remove(mine)
            raise

    def release(self) -> None:
        """Give it to the next that still waits."""
        for queue in (self._changes, self._batches):
            while queue:
                waiting = queue.popleft()
                if not waiting.done():
                    waiting.set_result(None)
                    return
        self._is_taken = False
