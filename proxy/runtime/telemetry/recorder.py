"""Runs on their way to the store and the log: a bounded queue that counts what it drops, written in batches.

The data path only appends. A batch goes to the store in one transaction, its log lines to one stream. When the store is away
the queue fills, then drops the newest and counts them; nothing ever waits for it.

Decision: 20 ms are gathered. With 40 or 10 ms a call costs no less CPU; at 1,000 calls a second larger batches, which share the
interpreter with the calls, make some of them wait.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import Unavailable
from proxy.runtime.process.flushing import write_when_woken
from proxy.runtime.process.pace import Pace
from proxy.store.ports.runs import RunRecords

_BATCH: Final = 1024
_GATHER_SECONDS: Final = 0.02
_RETRY_SECONDS: Final = 1.0
#: Of the time of a slow store; runs may be dropped, so it is the smallest.
_SHARE: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 45.0


class Flushes(Protocol):
    """Sees to it that the runs finished so far are in the store."""

    async def flush(self) -> bool: ...


class TakesRuns(Protocol):
    """Where the data path leaves finished runs."""

    def record(self, run: Run, attempts: Sequence[Attempt]) -> None: ...


class Recorder:
    """Takes finished runs and sees to it that they are written once."""

    def __init__(
        self,
        store: RunRecords,
        *listeners: Callable[[Sequence[Run]], None],
        limit: int = 10_000,
    ) -> None:
        """Each of `listeners` (the log, the judging of rollouts) gets each run once, whether or not the store takes it."""
        self._store = store
        self._listeners = listeners
        self._limit = limit
        self._queue: deque[tuple[Run, Sequence[Attempt]]] = deque()
        self._untold: list[Run] = []
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._pace = Pace(_BATCH, _SHARE, _LONGEST_PAUSE_SECONDS)
        self.dropped = 0

    @property
    def queue_length(self) -> int:
        return len(self._queue)

    def record(self, run: Run, attempts: Sequence[Attempt]) -> None:
        """Queue one finished run and those of its attempts that it does not tell itself; never waits, never raises."""
        if len(self._queue) >= self._limit:
            self.dropped += 1
            return
        self._queue.append((run, attempts))
        self._untold.append(run)
        if not self._wake.is_set():
            self._wake.set()

    async def run(self) -> None:
        """Write batches until cancelled."""
        await write_when_woken(self._wake, partial(asyncio.sleep, _GATHER_SECONDS), self._write_some, _RETRY_SECONDS)

    async def _write_some(self) -> bool:
        began, rows = time.monotonic(), len(self._queue)
        async with self._turn:
            self._tell()
            is_written = await self._write_batch()
        if is_written:
            pause = self._pace.took(time.monotonic() - began, rows)
            if pause:
                await asyncio.sleep(pause)
            if self._queue:
                self._wake.set()
        return is_written

    async def flush(self) -> bool:
        """Write everything queued; False when the store is away (the rest stays queued)."""
        async with self._turn:
            return await self._flush()

    async def _flush(self) -> bool:
        self._tell()
        while self._queue:
            if not await self._write_batch():
                return False
        return True

    def _tell(self) -> None:
        untold, self._untold = self._untold, []
        if untold:
            for listener in self._listeners:
                listener(untold)

    async def _write_batch(self) -> bool:
        """Write the oldest of the queue, as many as the pace allows; False when the store is away."""
        batch = [self._queue.popleft() for _ in range(min(self._pace.at_once, len(self._queue)))]
        if not batch:
            return True
        try:
            await self._store.record_runs(
                [run for run, _ in batch], [attempt for _, attempts in batch for attempt in attempts]
            )
        except BaseException as error:
            # Writing a run twice is harmless, losing one is not.
            self._queue.extendleft(reversed(batch))
            if isinstance(error, Unavailable):
                return False
            raise
        return True
