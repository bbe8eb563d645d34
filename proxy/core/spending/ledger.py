"""Rows of the spend ledger, and the lease that stands for rows not written yet. Counters are sums of the rows.

Every attempt ends settled once per cap it touches. A hold that nothing covers, or that stays open for long, is a row, written
open first and settled later. One that its counter's lease covers is written only when it has ended, in a batch with others of
its counter. After a crash open rows and leases are charged in full, so what is written is at every moment at least what was
spent and held. How large a lease may be is leases.py's to say.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from proxy.core.spending.caps import CapUnit, CounterKey

#: How a hold ended: `reported` usage, `held` in full (usage unknown), `released` (nothing was sent or billed); `unmetered`: sent
#: under a cap that only warns, with no bound to hold and no usage or price to charge;
#: `crash`: a hold that was open when its process crashed; `lease`: what such a process may have spent beyond its rows; `merged`: several calls of a cap that only warns,
#: whose rows could not be kept apart while the store was away; `restated`: what a database that was opened anew lacked of what its
#: process knew to be spent.
SettledBy = Literal["reported", "held", "released", "unmetered", "crash", "lease", "merged", "restated"]


class Hold(msgspec.Struct, frozen=True):
    """`amount` of a cap's unit reserved for one attempt, in one counter."""

    attempt: str
    key: CounterKey
    unit: CapUnit
    amount: int
    placed_at_microseconds: int


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """A hold that ended, whole: whether or not it was written open before, this is its row. Settling the same hold twice
    changes nothing."""

    cap: str
    window_start_microseconds: int
    part: str
    attempt: str
    unit: CapUnit
    amount: int
    placed_at_microseconds: int
    spent: int
    settled_by: SettledBy
    settled_at_microseconds: int

    @property
    def key(self) -> CounterKey:
        return CounterKey(self.cap, self.window_start_microseconds, self.part)


#: A hold of a batch: attempt, amount, placed at, spent, settled by, settled at; times in microseconds.
BatchEntry = tuple[str, int, int, int, SettledBy, int]


class SettledBatch(msgspec.Struct, frozen=True, gc=False):
    """Holds of one counter that ended and never were rows, at least one. A batch that begins with the same attempt is the same
    batch, so that writing it twice changes nothing.

    Decision: a row for each of them cost 2 us of CPU a call and cap, its part of a batch 0.5; and a counter's sum is read in a
    fifth of the time.
    """

    key: CounterKey
    unit: CapUnit
    entries: Sequence[BatchEntry]

    @property
    def first_attempt(self) -> str:
        return self.entries[0][0]

    @property
    def spent(self) -> int:
        return sum(entry[3] for entry in self.entries)


class Lease(msgspec.Struct, frozen=True):
    """What this process may hold in one counter beyond what the rows say; 0 ends the lease."""

    key: CounterKey
    unit: CapUnit
    amount: int


class LedgerWrites(msgspec.Struct, frozen=True):
    """What is written in one transaction: open holds, settled ones, batches, and the leases as they are from then on."""

    holds: Sequence[Hold] = ()
    settlements: Sequence[Settlement] = ()
    batches: Sequence[SettledBatch] = ()
    leases: Sequence[Lease] = ()

    def __bool__(self) -> bool:
        return bool(self.holds or self.settlements or self.batches or self.leases)
