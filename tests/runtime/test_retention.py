"""Retention beside calls: what is old goes in steps, sums stay, and nothing is done while the store has no time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.core.calls.run_filter import RunFilter
from proxy.core.spending.caps import CounterKey
from proxy.runtime.retention import Retention, RetentionRules
from proxy.runtime.spending.holding import HoldBound, Spent
from proxy.runtime.spending.ledger import SpendLedger
from proxy.store.sqlite import SqliteStore
from tests.runtime.spending.given import FACTS, Clock
from tests.store.given import NOON, audited, cap, run

DAY = 86_400_000_000
CAPS = [cap("all", limit_amount=10**9), cap("each", window="minute", limit_amount=10**9)]
BOUND = HoldBound(nanodollars=1_000, tokens=100)


class NoRunsWaiting:
    queue_length = 0


class ToldEvents(list[tuple[str, dict[str, object]]]):
    def __call__(self, event: str, **members: object) -> None:
        self.append((event, members))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "switchback.db")
    await opened.open()
    async with audited(opened) as change:
        for one in CAPS:
            await change.insert_cap(one)
    yield opened
    await opened.close()


async def call(ledger: SpendLedger, number: int) -> None:
    ticket = ledger.hold(f"a{number:06}", CAPS, FACTS, BOUND)
    await ticket.place()
    ticket.sent = True
    ticket.settle(Spent(nanodollars=number % 900, settled_by="reported"))


async def spent(store: SqliteStore) -> dict[CounterKey, int]:
    return {key: amount for one in CAPS for key, amount in (await store.spent(one, 0)).items()}


def given(
    store: SqliteStore, clock: Clock, ledger: SpendLedger, told: ToldEvents, **rules: int
) -> tuple[Retention, NoRunsWaiting]:
    recorder = NoRunsWaiting()
    kept = RetentionRules(**{"runs_days": 400, "holds_days": 7, **rules})
    return Retention(store, ledger, recorder, kept, clock, told), recorder


async def test_counters_come_to_the_same_while_calls_go_on_and_old_holds_become_sums(store):
    clock, told = Clock(NOON), ToldEvents()
    ledger = SpendLedger(store, clock)
    retention, _ = given(store, clock, ledger, told)
    writing = asyncio.ensure_future(ledger.run())
    expected = 0
    for number in range(200):
        await call(ledger, number)
        expected += number % 900
        clock.now += 1_000_000
        if number % 20 == 19:
            await ledger.write()
    clock.now += 8 * DAY
    going_on = asyncio.ensure_future(_calls(ledger, range(200, 400)))
    done = await retention.round()
    await going_on
    await ledger.write()
    writing.cancel()
    assert done.holds_carried == 2 * 200
    assert (done.unproven_rows, told) == (0, [])
    in_all = await spent(store)
    expected += sum(number % 900 for number in range(200, 400))
    assert in_all[CounterKey("all", 0)] == expected
    assert sum(amount for key, amount in in_all.items() if key.cap == "each") == expected
    # A restart counts on from there.
    assert await store.recover_holds(clock.now) >= 0
    later = SpendLedger(store, clock)
    for key, amount in (await store.spent(CAPS[0], 0)).items():
        later.load(CAPS[0], key, amount)
    assert (await spent(store))[CounterKey("all", 0)] >= expected


async def _calls(ledger: SpendLedger, numbers: range) -> None:
    for number in numbers:
        await call(ledger, number)
        await asyncio.sleep(0)


async def test_runs_older_than_the_rule_go_and_younger_ones_stay(store):
    clock = Clock(NOON + 10 * DAY)
    retention, _ = given(store, clock, SpendLedger(store, clock), ToldEvents(), runs_days=5)
    await store.record_runs(
        [run(f"r{number:03}", started_at_microseconds=NOON + number * DAY // 100) for number in range(1_000)], []
    )
    done = await retention.round()
    assert (done.runs_pruned, await store.count_runs(RunFilter())) == (500, 500)
    assert (await retention.round()).runs_pruned == 0


async def test_a_wall_clock_that_leaps_ahead_prunes_nothing(store):
    class Leaping(Clock):
        def monotonic_microseconds(self) -> int:
            return NOON

    clock = Leaping(NOON)
    retention, _ = given(store, clock, SpendLedger(store, clock), ToldEvents())
    await store.record_runs([run("r1"), run("r2")], [])
    clock.now += 10_000 * DAY
    assert (await retention.round()).runs_pruned == 0
    assert await store.count_runs(RunFilter()) == 2


async def test_nothing_is_done_while_runs_wait_to_be_recorded(store):
    clock = Clock(NOON + 500 * DAY)
    retention, recorder = given(store, clock, SpendLedger(store, clock), ToldEvents())
    await store.record_runs([run("r1"), run("r2")], [])
    recorder.queue_length = 5_000
    waiting = asyncio.ensure_future(retention.round())
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert (not done, await store.count_runs(RunFilter())) == (True, 2)
    recorder.queue_length = 0
    assert (await waiting).runs_pruned == 1


async def test_while_the_ledger_cannot_be_written_no_sum_is_carried(store):
    class Away:
        async def write(self) -> bool:
            return False

    clock = Clock(NOON)
    ledger = SpendLedger(store, clock)
    writing = asyncio.ensure_future(ledger.run())
    await call(ledger, 7)
    await ledger.write()
    writing.cancel()
    clock.now += 30 * DAY
    retention = Retention(
        store, Away(), NoRunsWaiting(), RetentionRules(runs_days=400, holds_days=7), clock, ToldEvents()
    )
    assert (await retention.round()).holds_carried == 0
