"""Leases: calls wait for no commit, and whatever happens, rows and leases together are never less than what was spent and held."""

import asyncio
import contextlib
import gc
from typing import Any

import pytest

from proxy.core.errors import Unavailable
from proxy.core.spending.caps import CounterKey, window_start
from proxy.core.spending.leases import LEASE_SHARE
from proxy.runtime.spending import writer
from proxy.runtime.spending.holding import Spent
from proxy.runtime.spending.ledger import SpendLedger
from tests.runtime.spending.given import FACTS, SECOND, Clock, cap, held, settled_in
from tests.runtime.spending.leasing import SlowDisk, bound, placed


async def test_the_first_call_waits_for_its_row_and_the_next_ones_wait_for_nothing() -> None:
    disk, wide = SlowDisk(), cap(10_000)
    ledger = SpendLedger(disk, Clock())
    first = ledger.hold("1", [wide], FACTS, bound())
    assert not first.is_durable
    waiting = asyncio.ensure_future(first.place())
    await asyncio.sleep(0)
    assert await ledger.write()
    await waiting
    assert [ledger.hold(str(number), [wide], FACTS, bound()).is_durable for number in range(2, 6)] == [True] * 4
    assert len(disk.writes) == 1


async def test_a_call_on_a_lease_is_written_once_and_settled() -> None:
    disk, wide = SlowDisk(), cap(10_000)
    ledger = SpendLedger(disk, Clock())
    await placed(ledger, [wide], "1")
    ticket = await placed(ledger, [wide], "2")
    ticket.settle(Spent(nanodollars=4))
    await ledger.write()
    written = [row.attempt for writes in disk.writes for row in (*writes.holds, *settled_in(writes))]
    assert written == ["1", "2"]
    assert ledger.counters_of(wide).popitem()[1].spent == 4


async def test_a_cap_of_which_one_call_holds_more_than_the_share_has_no_lease() -> None:
    disk, narrow = SlowDisk(), cap(10 * LEASE_SHARE - 1)
    ledger = SpendLedger(disk, Clock())
    for number in range(5):
        await placed(ledger, [narrow], str(number))
    assert set(disk.leases.values()) <= {0}
    assert len(disk.rows) == 5


async def test_calls_in_flight_need_no_row_before_they_end() -> None:
    disk, few = SlowDisk(away=True), cap(2, unit="in_flight")
    ledger = SpendLedger(disk, Clock())
    ticket = ledger.hold("1", [few], FACTS, bound())
    assert ticket.is_durable
    ticket.close()
    disk.away = False
    await ledger.flush()
    assert list(disk.rows.values()) == [(1, 0)]


async def test_a_write_that_may_have_happened_is_repeated_as_it_was_whatever_ended_since() -> None:
    disk, wide = SlowDisk(), cap(10_000)
    ledger = SpendLedger(disk, Clock())
    await placed(ledger, [wide], "0")
    tickets = [await placed(ledger, [wide], str(number)) for number in range(1, 5)]
    for ticket in tickets[:2]:
        ticket.settle(Spent(nanodollars=4))
    disk.loses_answer = True
    assert not await ledger.write()
    for ticket in tickets[2:]:
        ticket.settle(Spent(nanodollars=5))
    assert not await ledger.write()
    disk.loses_answer = False
    assert await ledger.write()
    assert [len(batch.entries) for batch in disk.batches.values()] == [2, 2]
    [(key, tally)] = ledger.counters_of(wide).items()
    assert (tally.spent, tally.held) == (18, 10)
    assert sum(spent for _, spent in disk.rows.values() if spent is not None) == 18
    assert disk.charged(key) >= 28


async def test_a_stop_gives_every_lease_back() -> None:
    disk, wide = SlowDisk(), cap(10_000)
    ledger = SpendLedger(disk, Clock())
    for number in range(3):
        (await placed(ledger, [wide], str(number))).settle(Spent(nanodollars=1))
    assert set(disk.leases.values()) != {0}
    assert await ledger.flush()
    assert set(disk.leases.values()) == {0}
    assert disk.charged(next(iter(ledger.counters_of(wide)))) == 3


async def test_a_stop_begins_no_lease_for_what_came_last() -> None:
    disk, wide = SlowDisk(), cap(10_000)
    ledger = SpendLedger(disk, Clock())
    waiting = asyncio.ensure_future(ledger.hold("1", [wide], FACTS, bound()).place())
    await asyncio.sleep(0)
    assert await ledger.flush()
    await waiting
    assert set(disk.leases.values()) <= {0}


async def test_a_lease_nobody_needs_any_more_is_given_back() -> None:
    disk, clock, wide = SlowDisk(), Clock(), cap(10_000)
    ledger = SpendLedger(disk, clock)
    for number in range(3):
        (await placed(ledger, [wide], str(number))).settle(Spent(nanodollars=1))
    for _ in range(3):
        clock.now += 11 * SECOND
        ledger.prune([wide], clock.now)
        await ledger.write()
    assert set(disk.leases.values()) == {0}


async def test_a_window_that_is_over_and_a_cap_that_is_gone_give_their_leases_back_and_are_forgotten() -> None:
    disk, clock, wide, gone = SlowDisk(), Clock(), cap(10_000), cap(10_000, cap_id="gone")
    ledger = SpendLedger(disk, clock)
    for number in range(2):
        (await placed(ledger, [wide, gone], str(number))).settle(Spent(nanodollars=1))
    ledger.prune([wide], clock.now)
    await ledger.write()
    assert [amount > 0 for key, amount in disk.leases.items() if key.cap == "c"] == [True]
    assert [amount for key, amount in disk.leases.items() if key.cap == "gone"] == [0]
    ledger.prune([wide], clock.now)
    assert ledger.counters_of(gone) == {}

    clock.now += 24 * 3600 * SECOND
    for _ in range(2):
        ledger.prune([wide], clock.now)
        await ledger.write()
    assert ledger.counters_of(wide) == {}
    assert set(disk.leases.values()) == {0}


async def test_a_call_that_is_long_open_gets_a_row_of_its_own() -> None:
    disk, clock, wide = SlowDisk(), Clock(), cap(10_000)
    ledger = SpendLedger(disk, clock)
    await placed(ledger, [wide], "1")
    long_call = await placed(ledger, [wide], "2")
    clock.now += 2 * SECOND
    short_call = await placed(ledger, [wide], "3")
    short_call.settle(Spent(nanodollars=1))
    await ledger.write()
    key = next(iter(ledger.counters_of(wide)))
    assert disk.rows["2", key] == (10, None)
    long_call.settle(Spent(nanodollars=7))
    await ledger.write()
    assert disk.rows["2", key] == (10, 7)


async def test_while_the_store_is_away_a_lease_is_used_up_and_its_rows_follow_later() -> None:
    disk, wide = SlowDisk(), cap(10_000)
    ledger = SpendLedger(disk, Clock())
    await placed(ledger, [wide], "first")
    disk.away = True
    answered = 0
    while (ticket := ledger.hold(str(answered), [wide], FACTS, bound())).is_durable:
        ticket.settle(Spent(nanodollars=10))
        answered += 1
        assert not await ledger.write()
    with pytest.raises(Unavailable) as caught:
        await ticket.place()
    assert caught.value.code == "spend_ledger_unavailable"
    key = next(iter(ledger.counters_of(wide)))
    assert answered * 10 <= disk.leases[key] <= 10_000 // LEASE_SHARE
    disk.away = False
    assert await ledger.write()
    assert sum(spent or 0 for _, spent in disk.rows.values()) == answered * 10
    assert len(disk.rows) == answered + 1


async def test_a_call_is_taken_again_as_soon_as_the_store_is_back() -> None:
    disk, wide = SlowDisk(away=True), cap(10_000)
    ledger = SpendLedger(disk, Clock())
    flusher = asyncio.ensure_future(ledger.run())
    with pytest.raises(Unavailable):
        await ledger.hold("1", [wide], FACTS, bound()).place()
    disk.away = False
    await ledger.hold("2", [wide], FACTS, bound()).place()
    flusher.cancel()


async def test_a_cap_that_only_warns_lets_calls_pass_while_the_store_is_away_and_keeps_their_sum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "_MAX_WAITING", 5)
    disk, soft = SlowDisk(away=True), cap(10_000, at_limit="warn")
    ledger = SpendLedger(disk, Clock())
    flusher = asyncio.ensure_future(ledger.run())
    for number in range(12):
        async with held(ledger.hold(str(number), [soft], FACTS, bound())) as hold:
            hold.sent = True
            hold.settle(Spent(nanodollars=number))
    flusher.cancel()
    disk.away = False
    assert await ledger.flush()
    key = next(iter(ledger.counters_of(soft)))
    assert disk.charged(key) == ledger.counter(key).spent == sum(range(12))
    assert len(disk.rows) == 6


async def test_of_a_hard_and_a_soft_cap_the_hard_one_decides_while_the_store_is_away() -> None:
    ledger = SpendLedger(SlowDisk(away=True), Clock())
    caps = [cap(10_000, at_limit="warn"), cap(10_000, cap_id="hard")]
    for number in range(2):
        with pytest.raises(Unavailable):
            await placed(ledger, caps, str(number))
    assert {tally.held for one in caps for tally in ledger.counters_of(one).values()} == {0}


async def test_near_the_limit_what_becomes_a_row_leaves_the_lease() -> None:
    disk, clock, narrow = SlowDisk(), Clock(), cap(640)
    ledger = SpendLedger(disk, clock)
    key = CounterKey("c", window_start("day", clock.now))
    disk.rows["before", key] = (637, 637)
    ledger.load(narrow, key, 637)
    await placed(ledger, [narrow], "by a row", 1)
    long_call = ledger.hold("long", [narrow], FACTS, bound(1))
    assert long_call.is_durable
    for _ in range(2):
        await ledger.write()
        assert disk.charged(key) <= 640
        clock.now += 11 * SECOND
    assert disk.rows["long", key] == (1, None)
    long_call.settle(Spent(nanodollars=1))
    await ledger.write()
    assert disk.charged(key) <= 640


async def test_a_call_that_left_while_it_waited_for_its_row_leaves_nothing_to_complain_about() -> None:
    """Such as a copy that the stop of the server breaks off while the store is away."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    disk = SlowDisk(away=True)
    ledger = SpendLedger(disk, Clock())
    waiting = asyncio.ensure_future(ledger.hold("1", [cap(10_000)], FACTS, bound()).place())
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert not await ledger.write()
    # In the same turn in which the write failed a call may leave too.
    disk.away = False
    await ledger.flush()
    disk.goes_on.clear()
    disk.loses_answer = True
    second = asyncio.ensure_future(ledger.hold("2", [cap(20_000)], FACTS, bound()).place())
    await asyncio.sleep(0)
    writing = asyncio.ensure_future(ledger.write())
    await asyncio.sleep(0)
    disk.goes_on.set()
    await writing
    second.cancel()
    with contextlib.suppress(asyncio.CancelledError, Unavailable):
        await second
    del waiting, second, writing
    gc.collect()
    assert told == []
