"""Hold and settle: counters never pass a hard cap, equal the sum of the rows, and no hold is ever forgotten."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import CapReached, Limited, Unavailable
from proxy.core.scopes import CallFacts
from proxy.core.spending.caps import Cap, CounterKey
from proxy.core.spending.ledger import Hold, LedgerWrites, Settlement
from proxy.runtime.spending.holding import HoldBound, Spent
from proxy.runtime.spending.ledger import SpendLedger
from tests.runtime.spending.given import FACTS, Clock, cap, held, settled_in

BOUND = HoldBound(nanodollars=10, tokens=100)


@dataclass
class WrittenLedger:
    """The ledger's rows as a store would keep them; `away` makes it refuse."""

    holds: dict[tuple[object, ...], Hold] = field(default_factory=dict)
    settled: dict[tuple[object, ...], Settlement] = field(default_factory=dict)
    leases: dict[CounterKey, int] = field(default_factory=dict)
    away: bool = False
    writes: int = 0

    async def write_ledger(self, writes: LedgerWrites) -> None:
        if self.away:
            raise Unavailable("store_unavailable", "away")
        self.writes += 1
        self.holds |= {(hold.attempt, hold.key): hold for hold in writes.holds}
        for settlement in settled_in(writes):
            self.settled.setdefault((settlement.attempt, settlement.key), settlement)
        self.leases |= {lease.key: lease.amount for lease in writes.leases}

    def total(self) -> int:
        """Settled rows as settled, open ones in full."""
        open_holds = [hold.amount for key, hold in self.holds.items() if key not in self.settled]
        return sum(open_holds) + sum(row.spent for row in self.settled.values())


async def run(ledger: SpendLedger, caps: Sequence[Cap], attempt: str = "1", spent: Spent | None = None) -> None:
    """One whole call, the flusher running beside it."""
    flusher = asyncio.ensure_future(ledger.run())
    try:
        async with held(ledger.hold(attempt, caps, FACTS, BOUND)) as hold:
            hold.sent = True
            if spent is not None:
                hold.settle(spent)
        await ledger.flush()
    finally:
        flusher.cancel()


async def test_a_call_without_caps_writes_nothing() -> None:
    rows = WrittenLedger()
    await run(SpendLedger(rows, Clock()), [])
    assert rows.writes == 0


async def test_a_hold_is_durable_before_the_call_goes_on_and_settled_after() -> None:
    rows = WrittenLedger()
    ledger = SpendLedger(rows, Clock())
    flusher = asyncio.ensure_future(ledger.run())
    async with held(ledger.hold("1", [cap(100)], FACTS, BOUND)) as hold:
        assert [row.amount for row in rows.holds.values()] == [10]
        hold.sent = True
        hold.settle(Spent(nanodollars=4))
    await ledger.flush()
    assert [row.spent for row in rows.settled.values()] == [4]
    assert ledger.holds_outstanding == 0
    flusher.cancel()


@pytest.mark.parametrize(("sent", "charged"), [(True, 10), (False, 0)])
async def test_a_call_that_ends_without_settling_is_charged_in_full_only_if_it_was_sent(
    sent: bool, charged: int
) -> None:
    rows = WrittenLedger()
    ledger = SpendLedger(rows, Clock())
    flusher = asyncio.ensure_future(ledger.run())
    with pytest.raises(ValueError, match="boom"):
        async with held(ledger.hold("1", [cap(100)], FACTS, BOUND)) as hold:
            hold.sent = sent
            raise ValueError("boom")
    await ledger.flush()
    assert [row.spent for row in rows.settled.values()] == [charged]
    flusher.cancel()


async def test_of_two_caps_a_refusal_by_the_second_leaves_the_first_untouched() -> None:
    ledger = SpendLedger(WrittenLedger(), Clock())
    wide, narrow = cap(limit=1000, cap_id="wide"), cap(limit=5, cap_id="narrow")
    with pytest.raises(CapReached):
        ledger.hold("1", [wide, narrow], FACTS, BOUND)
    assert ledger.counters_of(wide) == {}


@pytest.mark.parametrize("unit", ["usd", "tokens"])
async def test_what_cannot_be_bounded_is_refused_under_a_hard_cap_and_passes_a_soft_one(unit: str) -> None:
    rows = WrittenLedger()
    ledger = SpendLedger(rows, Clock())
    unbounded = HoldBound(nanodollars=None, tokens=None, unbounded_because="nobody knows")
    with pytest.raises(CapReached) as caught:
        ledger.hold("1", [cap(100, unit=unit)], FACTS, unbounded)
    assert caught.value.code == "unpriceable"
    assert ledger.hold("1", [cap(100, unit=unit, at_limit="warn")], FACTS, unbounded)


async def test_a_soft_cap_warns_and_lets_pass() -> None:
    ledger = SpendLedger(WrittenLedger(), Clock())
    warned: list[tuple[Cap, CounterKey]] = []
    ledger.on_warning = lambda *told: warned.append(told)
    soft = cap(limit=5, at_limit="warn")
    await run(ledger, [soft], spent=Spent(nanodollars=7))
    assert [cap for cap, _ in warned] == [soft]


async def test_calls_in_flight_are_freed_at_the_end_and_refused_with_a_short_wait() -> None:
    ledger = SpendLedger(WrittenLedger(), Clock())
    one = cap(1, unit="in_flight")
    flusher = asyncio.ensure_future(ledger.run())
    async with held(ledger.hold("1", [one], FACTS, BOUND)):
        with pytest.raises(Limited) as caught:
            ledger.hold("2", [one], FACTS, BOUND)
        assert caught.value.retry_after_seconds == 1
    assert ledger.hold("3", [one], FACTS, BOUND)
    flusher.cancel()


async def test_each_user_has_a_counter_of_its_own_under_a_cap_for_each() -> None:
    ledger = SpendLedger(WrittenLedger(), Clock())
    each = cap(limit=10, user="*")
    await run(ledger, [each], spent=Spent(nanodollars=10))
    with pytest.raises(CapReached):
        ledger.hold("2", [each], FACTS, BOUND)
    other = CallFacts(agent="a", provider="p", model="m", user="somebody else", tags={})
    assert ledger.hold("3", [each], other, BOUND)


async def test_a_new_window_begins_at_nothing_and_old_counters_are_forgotten() -> None:
    clock = Clock()
    ledger = SpendLedger(WrittenLedger(), clock)
    daily = cap(limit=10)
    await run(ledger, [daily], spent=Spent(nanodollars=10))
    clock.now += 24 * 3_600_000_000
    assert ledger.hold("2", [daily], FACTS, BOUND)
    ledger.prune([daily], clock.now)
    assert [counter.spent for counter in ledger.counters_of(daily).values()] == [0]


async def test_when_the_ledger_cannot_be_written_a_capped_call_is_refused_and_holds_nothing() -> None:
    rows = WrittenLedger(away=True)
    ledger = SpendLedger(rows, Clock())
    with pytest.raises(Unavailable) as caught:
        await run(ledger, [cap(100)])
    assert caught.value.code == "spend_ledger_unavailable"
    assert [counter.held for counter in ledger.counters_of(cap(100)).values()] == [0]


async def test_settlements_that_could_not_be_written_are_written_later() -> None:
    rows = WrittenLedger()
    ledger = SpendLedger(rows, Clock())
    flusher = asyncio.ensure_future(ledger.run())
    async with held(ledger.hold("1", [cap(100)], FACTS, BOUND)) as hold:
        rows.away = True
        hold.settle(Spent(nanodollars=3))
    flusher.cancel()
    await ledger.flush()
    assert not rows.settled
    rows.away = False
    await ledger.flush()
    assert [row.spent for row in rows.settled.values()] == [3]


async def test_a_waiting_call_that_is_cancelled_holds_nothing_afterwards() -> None:
    rows = WrittenLedger()
    ledger = SpendLedger(rows, Clock())

    async def call() -> None:
        async with held(ledger.hold("1", [cap(100)], FACTS, BOUND)):
            pass

    waiting = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [counter.held for counter in ledger.counters_of(cap(100)).values()] == [0]
    await ledger.flush()
    assert [row.spent for row in rows.settled.values()] == [0]


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from(["reported", "held", "released"]), st.integers(0, 12)),
        max_size=30,
    ),
    st.integers(0, 60),
)
def test_no_history_of_parallel_calls_passes_the_cap_and_counters_equal_the_rows(
    calls: list[tuple[int, str, int]], limit: int
) -> None:
    async def history() -> None:
        rows = WrittenLedger()
        ledger = SpendLedger(rows, Clock())
        one = cap(limit=limit)
        flusher = asyncio.ensure_future(ledger.run())
        open_holds = []
        for number, (amount, how, actual) in enumerate(calls):
            bound = HoldBound(nanodollars=amount, tokens=amount)
            try:
                ticket = ledger.hold(str(number), [one], FACTS, bound)
            except CapReached:
                continue
            await ticket.place()
            open_holds.append((ticket, Spent(nanodollars=min(actual, amount), settled_by=how)))  # type: ignore[arg-type]
            if number % 3 == 0:
                ticket, spent = open_holds.pop(0)
                ticket.settle(spent)
                ticket.settle(Spent(nanodollars=999))
            for counter in ledger.counters_of(one).values():
                assert counter.spent + counter.held <= limit
        await ledger.flush()
        flusher.cancel()
        assert rows.total() == sum(counter.spent + counter.held for counter in ledger.counters_of(one).values())

    asyncio.run(history())
