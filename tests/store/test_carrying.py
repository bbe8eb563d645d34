"""What caps counted stays the same when holds that ended long ago become sums: for windows, users, and how holds ended."""

import random
import sqlite3
from contextlib import closing

import pytest

from proxy.core.spending.caps import CounterKey
from proxy.core.spending.ledger import Hold, Lease, LedgerWrites, SettledBatch
from proxy.store.sqlite import SqliteStore
from tests.store.given import NOON, audited, cap, settled

MINUTE = 60_000_000
DAY = 86_400_000_000
CAPS = {"all": cap("all"), "each": cap("each", window="minute", unit="calls"), "month": cap("month", window="month")}


@pytest.fixture
async def capped(store: SqliteStore) -> SqliteStore:
    async with audited(store) as change:
        for limit in CAPS.values():
            await change.insert_cap(limit)
    return store


def a_batch(key: CounterKey, number: int, at: int, *spent: int) -> SettledBatch:
    entries = [
        (f"a{number:06}.{index}", 900, at, amount, "reported", at + MINUTE) for index, amount in enumerate(spent)
    ]
    return SettledBatch(key, CAPS[key.cap].unit, entries)


async def spend(store: SqliteStore, minutes: int) -> None:
    """A call a minute for each of three users, under a cap each minute, one each month and one for ever."""
    rng = random.Random(minutes)
    for number in range(minutes):
        at = NOON + number * MINUTE
        keys = [CounterKey("all", 0), CounterKey("month", NOON - 5 * DAY)]
        keys += [CounterKey("each", at - at % MINUTE, user) for user in ("u1", "u2", "ü'3")]
        batches = [a_batch(key, number, at, *(rng.randrange(900) for _ in range(rng.randrange(1, 4)))) for key in keys]
        await store.write_ledger(LedgerWrites(batches=batches))
    crashed = settled("z1", CounterKey("all", 0), 500, 500, settled_by="crash")
    open_hold = Hold("z0", CounterKey("all", 0), "usd", 250, NOON)
    await store.write_ledger(LedgerWrites([open_hold], [crashed]))


async def all_sums(store: SqliteStore) -> dict[str, dict[CounterKey, int]]:
    spent = {name: dict(await store.spent(limit, 0)) for name, limit in CAPS.items()}
    charged = {f"{name} by crashes": dict(await store.charged_by_crashes(limit, 0)) for name, limit in CAPS.items()}
    return spent | charged


async def carry(store: SqliteStore, before: int) -> tuple[int, int]:
    """How many holds were carried, and how many rows did not prove; sums are the same after each step."""
    holds, unproven, after = 0, 0, None
    sums = await all_sums(store)
    while True:
        step = await store.carry_sums(before, after)
        assert await all_sums(store) == sums
        holds, unproven, after = holds + step.holds, unproven + step.unproven, step.after
        if after is None:
            return holds, unproven


async def test_holds_that_ended_long_ago_become_one_sum_a_counter_and_those_after_stay(capped, rows):
    await spend(capped, minutes=400)
    in_all = rows("SELECT COUNT(*) FROM holds")[0][0]
    assert await carry(capped, NOON) == (0, 0)
    carried, unproven = await carry(capped, NOON + 300 * MINUTE)
    assert (unproven, rows("SELECT SUM(holds) FROM carried_sums")) == (0, [(carried,)])
    assert rows("SELECT COUNT(*) FROM holds") == [(in_all - carried,)]
    assert rows("SELECT COUNT(*) FROM settled_batches WHERE first_attempt < 'a000299'") == [(0,)]
    assert rows("SELECT COUNT(*) FROM settled_batches WHERE first_attempt > 'a000299'") == [(505,)]
    assert rows("SELECT settled_by, holds, spent FROM carried_sums WHERE cap = 'all' AND settled_by = 'crash'") == [
        ("crash", 1, 500)
    ]
    assert rows("SELECT attempt FROM hold_rows") == [("z0",)], "an open hold is not carried"
    # Again, with all of it: added to what was carried before.
    again, _ = await carry(capped, NOON + DAY)
    assert carried + again == in_all - 1
    assert rows("SELECT COUNT(*) FROM settled_batches") == [(0,)]
    assert rows("SELECT COUNT(*) FROM carried_sums WHERE cap = 'each'") == [(1_200,)]
    assert await carry(capped, NOON + DAY) == (0, 0)


async def test_a_batch_that_does_not_come_to_what_it_says_is_left_and_counted(capped, database, rows):
    await spend(capped, minutes=5)
    with closing(sqlite3.connect(database)) as plain:
        plain.execute("UPDATE settled_batches SET spent = spent + 1 WHERE cap = 'all' AND first_attempt = 'a000002.0'")
        plain.execute("UPDATE settled_batches SET entries = 'torn' WHERE cap = 'month' AND first_attempt = 'a000003.0'")
        plain.commit()
    _, unproven = await carry(capped, NOON + DAY)
    assert unproven == 2
    assert rows("SELECT cap, first_attempt FROM settled_batches") == [("all", "a000002.0"), ("month", "a000003.0")]


async def test_calls_that_were_unmetered_are_still_counted_once_they_are_sums(capped: SqliteStore) -> None:
    key = CounterKey("month", NOON - 5 * DAY)
    entries = [
        ("b1", 0, NOON, 0, "unmetered", NOON + MINUTE),
        ("b2", 0, NOON, 0, "held", NOON + MINUTE),  # as earlier releases wrote it
        ("b3", 0, NOON, 0, "released", NOON + MINUTE),
        ("b4", 900, NOON, 900, "held", NOON + MINUTE),
        ("b5", 0, NOON, 0, "reported", NOON + MINUTE),
    ]
    settlement = settled("c1", key, 0, 0, settled_by="unmetered")
    await capped.write_ledger(LedgerWrites((), [settlement], [SettledBatch(key, "usd", entries)]))
    assert await capped.unmetered(CAPS["month"], 0) == {key: 3}
    await carry(capped, NOON + DAY)
    assert await capped.unmetered(CAPS["month"], 0) == {key: 2}, "of what earlier releases held, the sums do not tell"


async def test_where_a_crash_may_have_taken_calls_with_it_nobody_says_how_many_were_unmetered(
    capped: SqliteStore,
) -> None:
    key = CounterKey("all", 0)
    await capped.write_ledger(LedgerWrites([Hold("d1", key, "usd", 0, NOON)]))
    assert await capped.recover_holds(NOON + MINUTE) == 1
    assert await capped.unmetered(CAPS["all"], 0) == {key: 1}, "an open hold of nothing is a call that was sent"
    await capped.write_ledger(LedgerWrites(leases=[Lease(key, "usd", 700)]))
    await capped.recover_holds(NOON + 2 * MINUTE)
    assert await capped.unmetered(CAPS["all"], 0) is None
    assert await capped.unmetered(CAPS["month"], 0) == {}
    await carry(capped, NOON + DAY)
    assert await capped.unmetered(CAPS["all"], 0) is None
