"""What tests of spending share: a clock, a call, caps, what a store keeps durably, and a hold as the conductor uses it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import astuple

from proxy.core.errors import Unavailable
from proxy.core.scopes import CallFacts, Scope
from proxy.core.spending.caps import Cap, CounterKey
from proxy.core.spending.ledger import LedgerWrites, SettledBatch, Settlement
from proxy.runtime.spending.holding import Spent, Ticket

SECOND = 1_000_000
WIDE = 10**9
FACTS = CallFacts(agent="a", provider="p", model="m", user="u", tags={})
Held = TypeVar("Held", bound=Ticket)


@dataclass
class Clock:
    now: int = 1_700_000_000_000_000

    def now_microseconds(self) -> int:
        return self.now

    def monotonic_microseconds(self) -> int:
        return self.now


def cap(limit: int = WIDE, *, unit: str = "usd", at_limit: str = "block", cap_id: str = "c", **scope: object) -> Cap:
    return Cap(
        id=cap_id,
        scope=Scope(**scope),  # type: ignore[arg-type]
        window="day",
        unit=unit,  # type: ignore[arg-type]
        limit_amount=limit,
        at_limit=at_limit,  # type: ignore[arg-type]
        why="",
        created_by="me",
        created_at_microseconds=0,
    )


def settlements_of(batch: SettledBatch) -> list[Settlement]:
    """The holds of a batch, each as if it had a row."""
    key = astuple(batch.key)
    return [Settlement(*key, attempt, batch.unit, *entry) for attempt, *entry in batch.entries]


def settled_in(writes: LedgerWrites) -> list[Settlement]:
    """Every hold that is settled here, in whichever way."""
    return [*writes.settlements, *(row for batch in writes.batches for row in settlements_of(batch))]


@dataclass
class Rows:
    """The ledger's rows and leases as a store has them after its commits: amount and, once settled, spent."""

    rows: dict[tuple[str, CounterKey], tuple[int, int | None]] = field(default_factory=dict)
    batches: dict[tuple[CounterKey, str], SettledBatch] = field(default_factory=dict)
    leases: dict[CounterKey, int] = field(default_factory=dict)
    away: bool = False

    async def write_ledger(self, writes: LedgerWrites) -> None:
        if self.away:
            raise Unavailable("store_unavailable", "away")
        self.commit(writes)

    def commit(self, writes: LedgerWrites) -> None:
        for hold in writes.holds:
            amount, spent = self.rows.get((hold.attempt, hold.key), (0, None))
            if spent is None:
                self.rows[hold.attempt, hold.key] = (max(amount, hold.amount), None)
        for row in writes.settlements:
            amount, spent = self.rows.get((row.attempt, row.key), (row.amount, None))
            if spent is None:
                self.rows[row.attempt, row.key] = (amount, row.spent)
        for batch in writes.batches:
            self._commit_batch(batch)
        self.leases |= {lease.key: lease.amount for lease in writes.leases}

    def _commit_batch(self, batch: SettledBatch) -> None:
        known = self.batches.setdefault((batch.key, batch.first_attempt), batch)
        if known is not batch:
            assert known == batch, "a batch that was tried is tried again as it was"
            return
        for row in settlements_of(batch):
            assert (row.attempt, row.key) not in self.rows, "what is in a batch never had a row"
            self.rows[row.attempt, row.key] = (row.amount, row.spent)

    def charged(self, key: CounterKey) -> int:
        """What a counter says after a crash now: settled rows, open ones in full, and the lease."""
        found = [amount if spent is None else spent for (_, of), (amount, spent) in self.rows.items() if of == key]
        return sum(found) + self.leases.get(key, 0)


@asynccontextmanager
async def held(ticket: Held) -> AsyncIterator[Held]:
    """The hold is placed where it has to be, and closed at the end."""
    try:
        if not ticket.is_durable:
            await ticket.place()
        yield ticket
    finally:
        ticket.close()


@dataclass
class Call:
    """What really happened to one call: `spent` once it is over."""

    ticket: Ticket
    key: CounterKey
    amount: int
    spent: int | None = None

    @property
    def cost(self) -> int:
        """All that it held, as long as it is not over."""
        return self.amount if self.spent is None else self.spent

    def settle(self, spent: int) -> None:
        self.spent = min(spent, self.amount)
        self.ticket.settle(Spent(nanodollars=self.spent))
