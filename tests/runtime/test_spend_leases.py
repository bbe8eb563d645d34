"""Leases: calls wait for no commit, and whatever happens, rows and leases together are never less than what was spent and held."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.caps import Cap, CounterKey, window_start
from proxy.core.errors import CapReached, Unavailable
from proxy.core.leases import LEASE_SHARE
from proxy.core.ledger import LedgerWrites
from proxy.core.scopes import CallFacts, Scope
from proxy.runtime import ledger_writer
from proxy.runtime.holding import HoldBound, Spent
from proxy.runtime.spend_ledger import HoldTicket, SpendLedger
from tests.runtime.spending import SECOND, Call, Clock, Rows, held, settled_in

FACTS = CallFacts(agent="a", provider="p", model="m", user="u", tags={})


@dataclass
class Disk(Rows):
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


def cap(limit: int, *, unit: str = "usd", at_limit: str = "block", cap_id: str = "c") -> Cap:
    return Cap(
        id=cap_id,
        scope=Scope(),
        window="day",
        unit=unit,  # type: ignore[arg-type]
        limit_amount=limit,
        at_limit=at_limit,  # type: ignore[arg-type]
        why="",
        created_by="me",
        created_at_microseconds=0,
    )


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


async def test_the_first_call_waits_for_its_row_and_the_next_ones_wait_for_nothing() -> None:
    disk, wide = Disk(), cap(10_000)
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
    disk, wide = Disk(), cap(10_000)
    ledger = SpendLedger(disk, Clock())
    await placed(ledger, [wide], "1")
    ticket = await placed(ledger, [wide], "2")
    ticket.settle(Spent(nanodollars=4))
    await ledger.write()
    written = [row.attempt for writes in disk.writes for row in (*writes.holds, *settled_in(writes))]
    assert written == ["1", "2"]
    assert ledger.counters_of(wide).popitem()[1].spent == 4


async def test_a_cap_of_which_one_call_holds_more_than_the_share_has_no_lease() -> None:
    disk, narrow = Disk(), cap(10 * LEASE_SHARE - 1)
    ledger = SpendLedger(disk, Clock())
    for number in range(5):
        await placed(ledger, [narrow], str(number))
    assert set(disk.leases.values()) <= {0}
    assert len(disk.rows) == 5


async def test_calls_in_flight_need_no_row_before_they_end() -> None:
    disk, few = Disk(away=True), cap(2, unit="in_flight")
    ledger = SpendLedger(disk, Clock())
    ticket = ledger.hold("1", [few], FACTS, bound())
    assert ticket.is_durable
    ticket.close()
    disk.away = False
    await ledger.flush()
    assert list(disk.rows.values()) == [(1, 0)]


async def test_a_write_that_may_have_happened_is_repeated_as_it_was_whatever_ended_since() -> None:
    disk, wide = Disk(), cap(10_000)
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
    disk, wide = Disk(), cap(10_000)
    ledger = SpendLedger(disk, Clock())
    for number in range(3):
        (await placed(ledger, [wide], str(number))).settle(Spent(nanodollars=1))
    assert set(disk.leases.values()) != {0}
    assert await ledger.flush()
    assert set(disk.leases.values()) == {0}
    assert disk.charged(next(iter(ledger.counters_of(wide)))) == 3


async def test_a_stop_begins_no_lease_for_what_came_last() -> None:
    disk, wide = Disk(), cap(10_000)
    ledger = SpendLedger(disk, Clock())
    waiting = asyncio.ensure_future(ledger.hold("1", [wide], FACTS, bound()).place())
    await asyncio.sleep(0)
    assert await ledger.flush()
    await waiting
    assert set(disk.leases.values()) <= {0}


async def test_a_lease_nobody_needs_any_more_is_given_back() -> None:
    disk, clock, wide = Disk(), Clock(), cap(10_000)
    ledger = SpendLedger(disk, clock)
    for number in range(3):
        (await placed(ledger, [wide], str(number))).settle(Spent(nanodollars=1))
    for _ in range(3):
        clock.now += 11 * SECOND
        ledger.prune([wide], clock.now)
        await ledger.write()
    assert set(disk.leases.values()) == {0}


async def test_a_window_that_is_over_and_a_cap_that_is_gone_give_their_leases_back_and_are_forgotten() -> None:
    disk, clock, wide, gone = Disk(), Clock(), cap(10_000), cap(10_000, cap_id="gone")
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
    disk, clock, wide = Disk(), Clock(), cap(10_000)
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
    disk, wide = Disk(), cap(10_000)
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
    disk, wide = Disk(away=True), cap(10_000)
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
    monkeypatch.setattr(ledger_writer, "_MAX_WAITING", 5)
    disk, soft = Disk(away=True), cap(10_000, at_limit="warn")
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
    ledger = SpendLedger(Disk(away=True), Clock())
    caps = [cap(10_000, at_limit="warn"), cap(10_000, cap_id="hard")]
    for number in range(2):
        with pytest.raises(Unavailable):
            await placed(ledger, caps, str(number))
    assert {tally.held for one in caps for tally in ledger.counters_of(one).values()} == {0}


class History:
    """A ledger in use, and beside it what is true."""

    def __init__(self, limit: int, left: int) -> None:
        """Of the limit, `left` is not spent yet."""
        self.disk, self.clock, self.cap = Disk(), Clock(), cap(limit)
        self.ledger = SpendLedger(self.disk, self.clock)
        key = CounterKey("c", window_start("day", self.clock.now))
        self.before = limit - left
        self.disk.rows["before", key] = (self.before, self.before)
        self.ledger.load(self.cap, key, self.before)
        self.sent: list[Call] = []
        self.attempts = 0
        self.tasks: list[asyncio.Future[object]] = []

    async def step(self, verb: str, size: int) -> None:
        match verb:
            case "hold":
                self._hold(size)
            case "settle":
                self._settle(size)
            case "flush":
                self.disk.commits_late = size % 2 == 0
                self.disk.goes_on.clear()
                self.tasks.append(asyncio.ensure_future(self.ledger.write()))
            case "finish":
                self.disk.loses_answer = size % 3 == 0
                self.disk.goes_on.set()
            case "away":
                self.disk.away = not self.disk.away
            case _:
                self.clock.now += (1 + 10 * (size % 2)) * SECOND
                self.ledger.prune([self.cap], self.clock.now)
        for _ in range(3):
            await asyncio.sleep(0)
        self.check()

    def _hold(self, amount: int) -> None:
        self.attempts += 1
        try:
            ticket = self.ledger.hold(str(self.attempts), [self.cap], FACTS, bound(amount))
        except CapReached:
            return
        call = Call(ticket, next(iter(self.ledger.counters_of(self.cap))), amount)
        if ticket.is_durable:
            self._send(call)
        else:
            self.tasks.append(asyncio.ensure_future(self._place(call)))

    async def _place(self, call: Call) -> None:
        try:
            await call.ticket.place()
        except Unavailable:
            return
        self._send(call)

    def _send(self, call: Call) -> None:
        call.ticket.sent = True
        self.sent.append(call)

    def _settle(self, size: int) -> None:
        running = [call for call in self.sent if call.spent is None]
        if running:
            running[size % len(running)].settle(size)

    def check(self) -> None:
        """As if the process died now."""
        for key, tally in self.ledger.counters_of(self.cap).items():
            calls = [call for call in self.sent if call.key == key]
            true = self.before + sum(call.cost for call in calls)
            assert true <= tally.spent + tally.held <= self.cap.limit_amount
            assert true <= self.disk.charged(key) <= self.cap.limit_amount
            assert self.disk.leases.get(key, 0) <= self.cap.limit_amount // LEASE_SHARE

    async def end(self) -> None:
        """A clean stop: no lease is left, and counters equal the rows."""
        self.disk.away = self.disk.loses_answer = False
        self.disk.goes_on.set()
        for call in self.sent:
            if call.spent is None:
                call.spent = 1
                call.ticket.settle(Spent(nanodollars=1))
        while not all(task.done() for task in self.tasks):
            assert await self.ledger.flush()
            await asyncio.sleep(0)
        for call in self.sent:
            call.ticket.close()
        assert await self.ledger.flush()
        for key, tally in self.ledger.counters_of(self.cap).items():
            assert self.disk.leases.get(key, 0) == 0
            assert tally.held == 0
            assert self.disk.charged(key) == tally.spent


VERBS = ["hold"] * 5 + ["settle"] * 3 + ["flush", "finish"] * 2 + ["wait"] * 2


@given(st.randoms(use_true_random=False), st.sampled_from([640, 1_000, 5_000, 10**9]), st.integers(0, 400))
@settings(max_examples=80, deadline=None)
def test_at_no_moment_would_a_crash_lose_spend_or_charge_past_the_limit(
    chance: random.Random, limit: int, left: int
) -> None:
    async def play() -> None:
        played = History(limit, min(left, limit))
        for _ in range(120):
            verb = "away" if chance.random() < 0.02 else chance.choice(VERBS)
            await played.step(verb, chance.randint(1, 9))
        await played.end()

    asyncio.run(play())


async def test_near_the_limit_what_becomes_a_row_leaves_the_lease() -> None:
    disk, clock, narrow = Disk(), Clock(), cap(640)
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
