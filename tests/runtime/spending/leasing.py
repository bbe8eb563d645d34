"""What tests of leases share: a store that may be in trouble, bounds, and a durable hold."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.core.errors import Unavailable
from proxy.core.spending.caps import Cap
from proxy.core.spending.ledger import LedgerWrites
from proxy.runtime.spending.holding import HoldBound
from proxy.runtime.spending.ledger import HoldTicket, SpendLedger
from tests.runtime.spending.given import FACTS, Rows


@dataclass
class SlowDisk(Rows):
    """A store. It may refuse, take its time (before or after the commit), or commit and not say so."""

    loses_answer: bool = False
    commits_late: bool = False
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    writes: list[LedgerWrites] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.goes_on.set()

    async def write_ledger(self, writes: LedgerWrites) -> None:
        if self.away:
            raise Unavailable("store_unavailable", "away")
        commits_late = self.commits_late
        if not commits_late:
            self._commit(writes)
        await self.goes_on.wait()
        if commits_late:
            self._commit(writes)
        if self.loses_answer:
            raise Unavailable("store_unavailable", "committed, perhaps")

    def _commit(self, writes: LedgerWrites) -> None:
        self.writes.append(writes)
        self.commit(writes)


def bound(amount: int = 10) -> HoldBound:
    return HoldBound(nanodollars=amount, tokens=amount)


async def placed(ledger: SpendLedger, caps: Sequence[Cap], attempt: str, amount: int = 10) -> HoldTicket:
    """A durable hold, by the lease or by a row."""
    ticket = ledger.hold(attempt, caps, FACTS, bound(amount))
    if not ticket.is_durable:
        waiting = asyncio.ensure_future(ticket.place())
        await asyncio.sleep(0)
        await ledger.write()
        await waiting
    ticket.sent = True
    return ticket
