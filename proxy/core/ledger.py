"""Rows of the spend ledger, and the lease that stands for rows not written yet. Counters are sums of the rows.

Every attempt ends as one settled row per cap it touches. A hold that its counter's lease covers gets its row only then; one
that nothing covers, or that stays open for long, is written open first and settled later. After a crash open rows and leases
are charged in full, so rows plus leases are at every moment at least what was spent and held. How large a lease may be is
leases.py's to say.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from proxy.core.caps import CapUnit, CounterKey

#: How a hold ended: `reported` usage, `held` in full (usage unknown, or a crash), `released` (nothing was sent or billed);
#: `lease`: what a process that crashed may have spent beyond its rows; `merged`: several calls of a cap that only warns,
#: whose rows could not be kept apart while the store was away.
SettledBy = Literal["reported", "held", "released", "lease", "merged"]


class Hold(msgspec.Struct, frozen=True):
    """`amount` of a cap's unit reserved for one attempt, in one counter."""

    attempt: str
    key: CounterKey
    unit: CapUnit
    amount: int
    placed_at_microseconds: int


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """A hold that ended, whole: whether or not it was written open before, this is its row. Settling the same hold twice
    changes nothing. Flat, because there is one for every call and cap."""

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


class Lease(msgspec.Struct, frozen=True):
    """What this process may hold in one counter beyond what the rows say; 0 ends the lease."""

    key: CounterKey
    unit: CapUnit
    amount: int


class LedgerWrites(msgspec.Struct, frozen=True):
    """What is written in one transaction: open holds, settled ones, and the leases as they are from then on."""

    holds: Sequence[Hold] = ()
    settlements: Sequence[Settlement] = ()
    leases: Sequence[Lease] = ()

    def __bool__(self) -> bool:
        return bool(self.holds or self.settlements or self.leases)
