"""Recorded runs into the sums that reports read, beside traffic, some seconds after they were recorded; older ones from before there
were sums too.

Decision: each run is counted in memory when it is written (store/sqlite/runs/counted_runs.py), and what thousands come to is added here,
in one step with a pause after it of four times as long, on the store's writing thread: 4 us of CPU a run in all, interpreted, where
reading the runs back in steps of 1,024 took 11 (2026-11-29). Not taken: adding with each batch of the recorder, where nearly every run
would read, change and write a row of its own.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from proxy.core.errors import Unavailable
from proxy.runtime.process.beside_traffic import RunQueue, is_busy, step_beside_traffic

_ROUND_SECONDS: Final = 2.0


class SumsWriter(Protocol):
    """What it needs of the store."""

    async def sum_up_runs(self) -> int: ...


class Summing:
    """Adds recorded runs to the sums, step by step."""

    def __init__(
        self,
        store: SumsWriter,
        recorder: RunQueue,
        on_error: Callable[[BaseException], None],
        round_seconds: float = _ROUND_SECONDS,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._on_error = on_error
        self._round_seconds = round_seconds

    async def run(self) -> None:
        """Round after round until cancelled; what the store breaks off is gone on with by the next."""
        told: str | None = None
        while True:
            await asyncio.sleep(self._round_seconds)
            try:
                while not is_busy(self._recorder) and await step_beside_traffic(self._store.sum_up_runs):
                    pass
            except Unavailable:
                continue
            except Exception as error:
                # Reports go on without it, and count what waits themselves; what stays as it is is told once.
                if told != (told := repr(error)):
                    self._on_error(error)
