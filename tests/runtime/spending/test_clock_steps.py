"""A wall clock that is set back or ahead: no window of a cap opens twice, and none stays shut for ever."""

import asyncio
from collections.abc import Mapping

import pytest

from proxy.core.errors import CapReached, Unavailable
from proxy.core.spending.caps import Cap, CounterKey
from proxy.runtime.spending.holding import HoldBound
from proxy.runtime.spending.ledger import HoldTicket, SpendLedger
from tests.runtime.spending.given import FACTS, SECOND, Clock, Rows, cap

HOUR = 3600 * SECOND
DAY = 24 * HOUR
ONE = HoldBound(nanodollars=1, tokens=1)
CALLS = cap(2, unit="calls")


async def spend(ledger: SpendLedger, one: Cap = CALLS) -> None:
    ticket = ledger.hold("x", (one,), FACTS, ONE)
    ticket.sent = True
    ticket.close()
    assert await ledger.write()


async def placed(ledger: SpendLedger, ticket: HoldTicket) -> None:
    placing = asyncio.ensure_future(ticket.place())
    await asyncio.sleep(0)
    assert await ledger.write()
    await placing


def load(ledger: SpendLedger, one: Cap, spent: Mapping[CounterKey, int], start: int) -> None:
    for key, amount in spent.items():
        ledger.load(one, key, amount)
    ledger.known_from(one, start)


@pytest.mark.parametrize("step", [HOUR, DAY, 2 * DAY - HOUR])
async def test_a_clock_set_back_stays_in_the_newest_window(step: int) -> None:
    clock = Clock()
    ledger = SpendLedger(Rows(), clock)
    await spend(ledger)
    await spend(ledger)
    newest = ledger.window_of(CALLS)
    clock.now -= step
    for _ in range(3):
        with pytest.raises(CapReached):
            ledger.hold("y", (CALLS,), FACTS, ONE)
        ledger.prune((CALLS,), clock.now)
    assert ledger.window_of(CALLS) == newest
    clock.now += step + DAY
    assert ledger.window_of(CALLS) == newest + DAY
    await spend(ledger)


async def test_after_a_restart_the_ledgers_newest_window_counts_on() -> None:
    clock = Clock()
    ledger = SpendLedger(Rows(), clock)
    today = ledger.window_of(CALLS)
    load(ledger, CALLS, {CounterKey("c", today): 1, CounterKey("c", today + DAY): 2}, today)
    assert ledger.window_of(CALLS) == today + DAY
    with pytest.raises(CapReached):
        ledger.hold("y", (CALLS,), FACTS, ONE)


async def test_a_clock_that_jumped_years_ahead_shuts_no_cap_when_it_is_put_right() -> None:
    clock = Clock()
    ledger = SpendLedger(Rows(), clock)
    await spend(ledger)
    await spend(ledger)
    today = ledger.window_of(CALLS)
    clock.now += 2000 * DAY
    ledger.prune((CALLS,), clock.now)
    await spend(ledger)
    await spend(ledger)
    ledger.prune((CALLS,), clock.now)
    clock.now -= 2000 * DAY - HOUR
    assert ledger.window_of(CALLS) == today
    # What was spent today is in the store alone by now: until it is read no call passes, and nothing is said of it.
    assert not ledger.knows(CALLS)
    with pytest.raises(Unavailable):
        ledger.hold("y", (CALLS,), FACTS, ONE)
    load(ledger, CALLS, {CounterKey("c", today): 2}, today)
    assert ledger.knows(CALLS)
    with pytest.raises(CapReached):
        ledger.hold("y", (CALLS,), FACTS, ONE)
    clock.now += DAY
    await spend(ledger)


@pytest.mark.parametrize(("charged", "most"), [(0, 1000), (400, 600), (1000, 0), (5000, 0)])
async def test_what_crashes_charged_is_taken_off_the_next_lease(charged: int, most: int) -> None:
    wide = cap(64_000)
    disk = Rows()
    ledger = SpendLedger(disk, Clock())
    key = CounterKey("c", ledger.window_of(wide))
    ledger.load(wide, key, charged, charged)
    assert ledger.counter(key).charged == charged
    ticket = ledger.hold("x", (wide,), FACTS, HoldBound(nanodollars=300, tokens=1))
    await placed(ledger, ticket)
    assert disk.leases.get(key, 0) == most
    ticket.close()


async def test_a_lease_lasts_a_minute_at_the_rate_seen() -> None:
    wide = cap(10**9)
    clock, disk = Clock(), Rows()
    ledger = SpendLedger(disk, clock)
    key = CounterKey("c", ledger.window_of(wide))
    for second in range(25):
        for number in range(10):
            ticket = ledger.hold(f"a{second}-{number}", (wide,), FACTS, HoldBound(nanodollars=100, tokens=1))
            if not ticket.is_durable:
                await placed(ledger, ticket)
            ticket.sent = True
            ticket.close()
        clock.now += SECOND
        ledger.prune((wide,), clock.now)
        assert await ledger.write()
    assert 60 * 1000 <= disk.leases[key] <= wide.limit_amount // 64
