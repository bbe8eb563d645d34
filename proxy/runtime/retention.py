"""Keeping the store from growing for ever, beside traffic: old runs go, holds that ended long ago become sums, in small steps.

Decision: a step is some milliseconds of the store's writing thread, and four times as long passes until the next, so that at least
four fifths of the thread are traffic's; while runs wait to be recorded nothing is done. 3 million runs are so pruned in a few
minutes, a day's in seconds.

What is old is old by both clocks: where the wall clock leaps while this runs, no more time has passed than the monotonic one says.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypedDict, TypeVar

from proxy.core.errors import Refusal
from proxy.core.shapes import Count
from proxy.runtime.process.beside_traffic import RunQueue, is_busy, step_beside_traffic
from proxy.runtime.process.clock import Clock
from proxy.store.ports.upkeep import CarryPosition, Upkeep

Answer = TypeVar("Answer")

_DAY_MICROSECONDS: Final = 86_400_000_000
#: After the start, which has enough to do; then again and again.
_FIRST_SECONDS: Final = 30.0
_ROUND_SECONDS: Final = 600.0
_BUSY_SECONDS: Final = 0.25


class WritesLedger(Protocol):
    """Sees to it that what was spent so far is in the store; False where it is not."""

    async def write(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """For how many days what is kept."""

    runs_days: int
    holds_days: int


class RetentionDocument(TypedDict):
    """What one round did. `bytes_free` are free in the store's files, and used again; `unproven_rows` of the ledger stay whole,
    because their sum is not what they say."""

    runs_pruned: Count
    latency_counts_pruned: Count
    holds_carried: Count
    bytes_given_back: Count
    bytes_free: Count
    unproven_rows: Count


@dataclass(slots=True, kw_only=True)
class RetentionRound:
    """What one round did."""

    runs_pruned: int = 0
    latency_counts_pruned: int = 0
    holds_carried: int = 0
    bytes_given_back: int = 0
    #: Free in the store's files, and used again.
    bytes_free: int = 0
    #: Rows of the ledger that stay whole, because their sum is not what they say.
    unproven_rows: int = 0

    def document(self) -> RetentionDocument:
        """As the admin API answers it."""
        return {
            "runs_pruned": self.runs_pruned,
            "latency_counts_pruned": self.latency_counts_pruned,
            "holds_carried": self.holds_carried,
            "bytes_given_back": self.bytes_given_back,
            "bytes_free": self.bytes_free,
            "unproven_rows": self.unproven_rows,
        }


class Retention:
    """Does what the rules say, a round every ten minutes or when it is asked to."""

    def __init__(
        self,
        store: Upkeep,
        ledger: WritesLedger,
        recorder: RunQueue,
        rules: RetentionRules,
        clock: Clock,
        tell: Callable[..., Any],
    ) -> None:
        """`tell(event, **members)` hears what does not prove."""
        self._store = store
        self._ledger = ledger
        self._recorder = recorder
        self._rules = rules
        self._clock = clock
        self._tell = tell
        self._turn = asyncio.Lock()
        self._began = clock.now_microseconds(), clock.monotonic_microseconds()

    async def run(self) -> None:
        """Round after round until cancelled. One that the store breaks off is gone on with by the next."""
        await asyncio.sleep(_FIRST_SECONDS)
        while True:
            try:
                await self.round()
            except Refusal as refusal:
                self._tell("retention_put_off", reason=refusal.message)
            await asyncio.sleep(_ROUND_SECONDS)

    async def round(self) -> RetentionRound:
        """One round to its end. Raises Unavailable; what was done until then stays done."""
        async with self._turn:
            return await self._round(gives_back=False)

    async def compact(self) -> RetentionRound:
        """A round, and what is free goes back to the disk. Raises as `round` does."""
        async with self._turn:
            return await self._round(gives_back=True)

    async def _round(self, *, gives_back: bool) -> RetentionRound:
        done = RetentionRound()
        now = self._now()
        while await self._step(self._store.sort_lanes):
            pass
        before = now - self._rules.runs_days * _DAY_MICROSECONDS
        while runs := await self._step(partial(self._store.prune_runs, before)):
            done.runs_pruned += runs
        while counts := await self._step(partial(self._store.prune_latencies, before)):
            done.latency_counts_pruned += counts
        await self._carry(done, now - self._rules.holds_days * _DAY_MICROSECONDS)
        while gives_back and (given := await self._step(self._store.give_back)):
            done.bytes_given_back += given
        done.bytes_free = await self._store.free_bytes()
        if done.unproven_rows:
            self._tell("ledger_rows_unproven", rows=done.unproven_rows)
        return done

    async def compacted(self) -> RetentionDocument:
        """`compact`, as a document."""
        return (await self.compact()).document()

    async def _carry(self, done: RetentionRound, settled_before: int) -> None:
        # What was written and reported as failed is written again: before that nothing of it may have become a sum.
        if not await self._ledger.write():
            return
        position: CarryPosition | None = None
        while True:
            carried = await self._step(partial(self._store.carry_sums, settled_before, position))
            done.holds_carried += carried.holds
            done.unproven_rows += carried.unproven
            position = carried.after
            if position is None:
                return

    async def _step(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        # Looked at now and then: an event would be the recorder's to set, on the path of calls.
        while is_busy(self._recorder):  # noqa: ASYNC110 (see above)
            await asyncio.sleep(_BUSY_SECONDS)
        return await step_beside_traffic(work)

    def _now(self) -> int:
        wall, monotonic = self._began
        return min(self._clock.now_microseconds(), wall + self._clock.monotonic_microseconds() - monotonic)
