"""A process that crashes again and again: what that charges stays within one lease, and nothing spent is missing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.core.spending.leases import LEASE_SHARE
from proxy.runtime.spending.holding import Spent
from proxy.runtime.spending.ledger import SpendLedger
from proxy.runtime.state.ledger_start import take_over_ledger
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.store.sqlite import SqliteStore
from tests.runtime.spending.given import SECOND, Clock, cap
from tests.runtime.spending.leasing import placed
from tests.store.given import audited

LIVES, CALLS, HOLD, COST = 20, 30, 100, 60
CAP = cap(64_000_000)
ONE_LEASE = CAP.limit_amount // LEASE_SHARE


@asynccontextmanager
async def one_life(database: Path, clock: Clock) -> AsyncIterator[SpendLedger]:
    """A ledger on what the lives before left. It ends as by a crash: nothing more is written, and no lease is given back."""
    store = SqliteStore(database)
    await store.open()
    try:
        if not (await store.load_snapshot()).caps:
            async with audited(store) as change:
                await change.insert_cap(CAP)
        live, ledger = LiveSnapshot(store), SpendLedger(store, clock)
        live.start_from(await store.load_snapshot())
        await take_over_ledger(store, live, ledger, clock)
        yield ledger
    finally:
        await store.close()


@pytest.mark.parametrize("in_flight", [0, 3])
async def test_twenty_crashes_in_a_row_charge_no_more_than_one_lease_and_what_was_in_flight(
    tmp_path: Path, in_flight: int
) -> None:
    clock, database = Clock(), tmp_path / "switchback.db"
    settled, broken_off = 0, 0
    for number in range(LIVES + 1):
        async with one_life(database, clock) as ledger:
            standing = ledger.standing(CAP, ledger.window_of(CAP))
            assert standing.spent == settled * COST + standing.charged
            # Those that were broken off may have cost all they held.
            assert broken_off * HOLD <= standing.charged <= ONE_LEASE + broken_off * HOLD
            assert (standing.charged > 0) == (number > 0)
            for call in range(CALLS):
                ticket = await placed(ledger, [CAP], f"{number}-{call}", HOLD)
                clock.now += SECOND // 10
                if call < CALLS - in_flight:
                    ticket.settle(Spent(nanodollars=COST))
            settled, broken_off = settled + CALLS - in_flight, broken_off + in_flight
            ledger.prune([CAP], clock.now)
            assert await ledger.write()
