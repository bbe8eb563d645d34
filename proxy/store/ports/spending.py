"""The spend ledger: what counters hold and have spent, durable when `write_ledger` returns."""

from collections.abc import Mapping
from typing import Protocol

from proxy.core.spending.caps import Cap, CounterKey
from proxy.core.spending.ledger import LedgerWrites


class LedgerRecords(Protocol):
    """Where holds, settlements and leases go, in batches."""

    async def write_ledger(self, writes: LedgerWrites) -> None:
        """Write holds, settlements, batches and leases in one transaction. The same attempt and counter held again is one hold of
        the larger amount; a settlement settles the hold that is there, if it is not settled yet, or is written whole; a batch that
        is there already is left as it is; a lease takes the place of the one its counter had."""
        ...


class SpendStore(Protocol):
    """What the ledger begins with at a start."""

    async def recover_holds(self, at_microseconds: int) -> int:
        """Charge in full what a dead process left held and leased (calls in flight: nothing), and end its leases; how many
        holds and leases there were."""
        ...

    async def spent(self, cap: Cap, from_window_start_microseconds: int) -> Mapping[CounterKey, int]:
        """Sums of the ledger per counter of a cap, for windows that began at or after the given start: settled amounts,
        plus holds not yet settled in full."""
        ...

    async def charged_by_crashes(self, cap: Cap, from_window_start_microseconds: int) -> Mapping[CounterKey, int]:
        """What of `spent` was charged for open holds and leases of processes that died, without a call that is known to have
        spent it."""
        ...

    async def unmetered(self, cap: Cap, from_window_start_microseconds: int) -> Mapping[CounterKey, int] | None:
        """How many calls each counter let pass of which nobody knows what they spent; None where some of them may not have been
        written, so that it cannot be known."""
        ...
