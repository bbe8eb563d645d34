"""The one writer of the spend ledger: what waits goes to the store in one transaction, again and again.

Two paces. Settled holds and changed leases are gathered for a moment, because nobody waits for them; a hold that its lease
does not cover is written at once, with everything else that is there. Counters (counters.py) follow a write only when it
is certain: until then, and for good where it failed, the more careful of both views holds.

While the store is away nothing new waits for it: holds that need a row are refused, settled ones are kept and tried again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from proxy.core.errors import Refusal, Unavailable
from proxy.core.spending.caps import CounterKey
from proxy.core.spending.ledger import BatchEntry, Lease, LedgerWrites, SettledBatch
from proxy.runtime.process.clock import Clock
from proxy.runtime.process.flushing import write_when_woken
from proxy.runtime.process.pace import Pace
from proxy.runtime.spending.counters import Counter
from proxy.runtime.spending.held_amount import HeldAmount
from proxy.store.ports.spending import LedgerRecords

_GATHER_SECONDS: Final = 0.02
_RETRY_SECONDS: Final = 0.5
#: So long a call waits for its row on a slow disk.
_PLACING_SECONDS: Final = 5.0
#: A call that is open for longer gets a row, so that it no longer takes up its counter's lease.
_LONG_MICROSECONDS: Final = 1_000_000
#: Settled holds of one transaction: what piled up while the store was away keeps nobody waiting for long.
_MAX_ROWS: Final = 4_000
#: Of the time of a slow store; a call that waits for its row cuts the pause short.
_SHARE: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 10.0
#: Settled holds that may wait for a store that is away, before leases are no longer used and holds are merged. Not
#: Final, which compiled code would take for granted: a test makes it small.
_MAX_WAITING = 50_000


@dataclass(slots=True)
class _Waiting:
    holds: Sequence[HeldAmount]
    #: With why they are not. No exception: whoever waited may have gone, and nobody would retrieve it.
    durable: asyncio.Future[Refusal | None]


@dataclass(slots=True)
class _Batch:
    """What one transaction writes."""

    waiting: list[_Waiting]
    long_calls: list[HeldAmount]
    #: Settled ones that have rows, and those that do not.
    rows: list[HeldAmount]
    ended: list[HeldAmount]
    leases: dict[Counter, int]

    def writes(self) -> LedgerWrites:
        holds = [hold.open_row() for waiting in self.waiting for hold in waiting.holds]
        holds += [hold.open_row() for hold in self.long_calls]
        leases = [Lease(counter.key, counter.cap.unit, amount) for counter, amount in self.leases.items()]
        settlements = [hold.settled_row() for hold in self.rows]
        entries: dict[Counter, list[BatchEntry]] = {}
        for hold in self.ended:
            of_counter = entries.get(hold.counter)
            if of_counter is None:
                of_counter = entries[hold.counter] = []
            of_counter.append(hold.entry())
        batches = [SettledBatch(counter.key, counter.cap.unit, found) for counter, found in entries.items()]
        return LedgerWrites(holds, settlements, batches, leases)


class LedgerWriter:
    """Writes what the ledger gives it. Everything but `run` and `flush` returns at once."""

    def __init__(self, store: LedgerRecords, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[_Waiting] = []
        #: Settled holds that have rows, which are always part of the next write: until then what is written of them is too much.
        self._rows: list[HeldAmount] = []
        #: Settled holds that never had one.
        self._ended: list[HeldAmount] = []
        #: What a write that failed had of those: tried again as it was, because a batch is known by how it begins.
        self._tried: list[HeldAmount] = []
        #: One hold a counter for what came when too many waited already; never tried before all others are.
        self._merged: dict[Counter, HeldAmount] = {}
        #: Open holds that are in no row, oldest first.
        self._drawn: dict[HeldAmount, None] = {}
        self._leases_to_see: set[Counter] = set()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._turn = asyncio.Lock()
        self._pace = Pace(_MAX_ROWS, _SHARE, _LONGEST_PAUSE_SECONDS)
        self.is_away = False

    @property
    def is_full(self) -> bool:
        """Whether so many settled holds wait that no more may do without a row."""
        return len(self._ended) + len(self._rows) >= _MAX_WAITING

    def draw(self, hold: HeldAmount) -> None:
        """The hold is on its counter's lease from now on."""
        hold.is_drawn = True
        hold.leaves_no_row = False
        counter = hold.counter
        counter.drawn = drawn = counter.drawn + hold.amount
        if drawn > counter.peak:
            counter.peak = drawn
        self._drawn[hold] = None
        if drawn * 2 > counter.lease:
            self.see_lease(counter)
            self._hurry.set()

    def see_lease(self, counter: Counter) -> None:
        """Its lease may have to change."""
        self._leases_to_see.add(counter)
        self._wake.set()

    def hurry(self) -> None:
        """Write what waits now, not in a moment."""
        self._wake.set()
        self._hurry.set()

    async def place(self, holds: Sequence[HeldAmount]) -> None:
        """Returns when the holds are in rows. Raises Unavailable(`spend_ledger_unavailable`) when they cannot be."""
        if self.is_away and not await self._is_back():
            for hold in holds:
                hold.leaves_no_row = True
            raise _unavailable()
        durable: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(holds, durable))
        for hold in holds:
            hold.has_row = True
            hold.counter.peak += hold.amount
            self._leases_to_see.add(hold.counter)
        self._wake.set()
        self._hurry.set()
        await asyncio.wait({durable}, timeout=_PLACING_SECONDS)
        if not durable.done():
            # The row may still come: whoever gave up settles it as released.
            durable.cancel()
            raise _unavailable()
        refusal = durable.result()
        if refusal is not None:
            raise refusal

    def end(self, holds: Sequence[HeldAmount]) -> None:
        """The holds are settled; they are written with the next write."""
        is_full = self.is_full
        for hold in holds:
            if hold.leaves_no_row:
                continue
            if hold.is_drawn:
                del self._drawn[hold]
                hold.counter.drawn += hold.spent - hold.amount
                hold.freed = hold.spent
            # What became of a dead worker's loan is told apart, so that the next life knows what crashes charged; they are few.
            if is_full and hold.settled_by != "lease":
                self._merge(hold)
            elif hold.has_row:
                self._rows.append(hold)
            else:
                self._ended.append(hold)
        if not self._wake.is_set():
            self._wake.set()

    async def run(self) -> None:
        """Write what waits, again and again, until cancelled."""
        await write_when_woken(self._wake, partial(self._hurried, _GATHER_SECONDS), self._write_some, _RETRY_SECONDS)

    async def _write_some(self) -> bool:
        self._hurry.clear()
        began, rows = time.monotonic(), len(self._ended) + len(self._rows)
        async with self._turn:
            is_written = await self._write(self._batch(()))
        if is_written:
            pause = self._pace.took(time.monotonic() - began, rows)
            if pause:
                await self._hurried(pause)
            if self._ended or self._rows:
                self._wake.set()
        return is_written

    async def flush(self, *, ends_leases: Iterable[Counter] = ()) -> bool:
        """Write everything that waits now; False where the store is away. `ends_leases`: of these counters no more of the lease
        is kept than is in use."""
        async with self._turn:
            batches = 1 + (len(self._ended) + len(self._rows)) // self._pace.at_once
            for _ in range(batches + 1 if self._tried else batches):
                if not await self._write(self._batch(ends_leases)):
                    return False
            return True

    async def restate(
        self, counters: Sequence[Counter], read: Callable[[], Awaitable[Mapping[CounterKey, int]]]
    ) -> bool:
        """Write what the rows lack of what is known here, and the leases, after the database was opened anew: it may be a copy, or
        have lost the end of its log. `read`: the rows' sums. False while the store is away; raises what `read` raises."""
        async with self._turn:
            for counter in counters:
                counter.lease_row = None
                self._leases_to_see.add(counter)
            if not await self._write(self._batch(())):
                return False
            should_be = self._in_rows(counters)
            there, now = await read(), self._clock.now_microseconds()
            lacking = [(one, amount - there.get(one.key, 0)) for one, amount in should_be.items()]
            batches = [
                SettledBatch(one.key, one.cap.unit, [(f"restated_{now}", lacks, now, lacks, "restated", now)])
                for one, lacks in lacking
                if lacks > 0
            ]
            if batches:
                await self._store.write_ledger(LedgerWrites(batches=batches))
            return True

    def _in_rows(self, counters: Sequence[Counter]) -> dict[Counter, int]:
        """What the rows of each counter come to, as far as they are written."""
        amounts = {one: one.spent + one.held - one.drawn for one in counters if one.cap.unit != "in_flight"}
        for waiting in self._waiting:
            for hold in waiting.holds:
                if hold.counter in amounts and hold.settled_by is None:
                    amounts[hold.counter] -= hold.amount
        for hold in self._rows:
            if hold.counter in amounts:
                amounts[hold.counter] += hold.amount - hold.spent
        return amounts

    async def _write(self, batch: _Batch) -> bool:
        writes = batch.writes()
        if not writes and not self.is_away:
            return True
        try:
            await self._store.write_ledger(writes)
        except BaseException as error:
            self._failed(batch, error)
            if isinstance(error, Refusal):
                return False
            raise
        self._written(batch)
        return True

    async def _is_back(self) -> bool:
        """Whether the store takes writes again. Asked with nothing to write: what is refused then was never tried."""
        try:
            await self._store.write_ledger(LedgerWrites())
        except Refusal:
            return False
        self.is_away = False
        return True

    async def _hurried(self, seconds: float) -> None:
        """Returns when somebody is in a hurry, or after so long."""
        if self._hurry.is_set():
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._hurry.set)
        try:
            await self._hurry.wait()
        finally:
            timer.cancel()

    def _batch(self, ends_leases: Iterable[Counter]) -> _Batch:
        waiting, self._waiting = self._waiting, []
        rows, ended = self._next_settled()
        batch = _Batch(waiting, self._long_calls(), rows, ended, {})
        settled = rows + ended
        seen, self._leases_to_see = self._leases_to_see, set()
        # What leaves the lease for a row must shrink it where both together could pass the limit, or crashes charge more than one lease.
        seen |= {one.counter for one in (*settled, *batch.long_calls) if one.counter.is_lease_too_large}
        ending = set(ends_leases)
        if not seen and not ending:
            return batch
        written: dict[Counter, int] = {}
        for one in settled:
            written[one.counter] = written.get(one.counter, 0) + one.freed
        for hold in batch.long_calls:
            written[hold.counter] = written.get(hold.counter, 0) + hold.amount
        for counter in seen | ending:
            freed = written.get(counter, 0)
            amount = max(counter.drawn - freed, 0) if counter in ending else counter.next_lease(freed)
            if amount != counter.lease_row:
                batch.leases[counter] = amount
                # What may not be there any more after the write is not used from before it.
                counter.lease = min(counter.lease, amount)
                counter.lease_row = None
        return batch

    def _next_settled(self) -> tuple[list[HeldAmount], list[HeldAmount]]:
        """Holds with rows, and without."""
        most = self._pace.at_once
        rows, self._rows = self._rows[:most], self._rows[most:]
        if self._tried:
            tried, self._tried = self._tried, []
            return rows, tried
        ended, self._ended = self._ended[:most], self._ended[most:]
        if not self._rows and not self._ended:
            for hold in self._merged.values():
                (rows if hold.has_row else ended).append(hold)
            self._merged = {}
        return rows, ended

    def _long_calls(self) -> list[HeldAmount]:
        since = self._clock.now_microseconds() - _LONG_MICROSECONDS
        found: list[HeldAmount] = []
        for hold in self._drawn:
            if hold.placed_at_microseconds > since:
                break
            hold.has_row = True
            found.append(hold)
        return found

    def _written(self, batch: _Batch) -> None:
        self.is_away = False
        for waiting in batch.waiting:
            if not waiting.durable.done():
                waiting.durable.set_result(None)
        for hold in batch.long_calls:
            # One that ended meanwhile stays drawn until that is written.
            if hold.settled_by is None:
                hold.is_drawn = False
                hold.counter.drawn -= hold.amount
                del self._drawn[hold]
        for one in (*batch.rows, *batch.ended):
            one.counter.drawn -= one.freed
        for counter, amount in batch.leases.items():
            counter.lease = counter.lease_row = amount

    def _failed(self, batch: _Batch, error: BaseException) -> None:
        self.is_away = True
        refusal = _unavailable()
        refusal.__cause__ = error
        for waiting in batch.waiting:
            if not waiting.durable.done():
                waiting.durable.set_result(refusal)
        # It may be written or not: it is written again, and settling twice is harmless.
        self._rows = batch.rows + self._rows
        self._tried = batch.ended
        self._leases_to_see.update(batch.leases)

    def _merge(self, hold: HeldAmount) -> None:
        """Add up the holds of a counter, so that their number stays bounded and their sum right."""
        other = self._merged.get(hold.counter)
        if other is not None:
            hold.settled_by = "merged"
            hold.amount += other.amount
            hold.spent += other.spent
            hold.freed += other.freed
        self._merged[hold.counter] = hold


def _unavailable() -> Unavailable:
    return Unavailable(
        "spend_ledger_unavailable",
        "a hard spend cap applies and its ledger cannot be written now; try again",
        retry_after_seconds=5,
    )
