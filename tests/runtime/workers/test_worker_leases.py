"""Workers that hold by themselves: owner and workers over real sockets whose bytes arrive only when the test says so.

Whatever is late, whoever dies and however caps change, rows and leases are never less than what calls did, nor more than the
limit; and a call is refused only where it would not have fitted with one process either.
"""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.caps import Cap, CounterKey, window_start
from proxy.core.errors import Refusal, Unavailable
from proxy.core.leases import LEASE_SHARE
from proxy.core.ledger import LedgerWrites
from proxy.core.runs import Attempt, Run
from proxy.core.scopes import CallFacts, Scope
from proxy.core.snapshot import Snapshot
from proxy.core.versions import Version
from proxy.runtime.conversations import Conversations
from proxy.runtime.live_snapshot import LiveSnapshot
from proxy.runtime.recorder import Recorder
from proxy.runtime.spend_ledger import HoldBound, SpendLedger, Spent, Tally, Ticket
from proxy.runtime.tasks import TaskSet
from proxy.runtime.workers.messages import FromOwner, LeaseGiven, LeasesEnded, Ping, Pong, Ready, SnapshotIs, Welcome
from proxy.runtime.workers.owner_client import OwnerClient
from proxy.runtime.workers.owner_end import OwnerEnd, OwnerParts
from proxy.runtime.workers.remote_ledger import OwnTicket, RemoteLedger

SECOND = 1_000_000
WIDE = 10**9


@dataclass
class Clock:
    now: int = 1_700_000_000_000_000

    def now_microseconds(self) -> int:
        return self.now

    def monotonic_microseconds(self) -> int:
        return self.now


@dataclass
class Disk:
    """What a store keeps durably."""

    rows: dict[tuple[str, CounterKey], tuple[int, int | None]] = field(default_factory=dict)
    leases: dict[CounterKey, int] = field(default_factory=dict)
    settled_by: dict[str, str] = field(default_factory=dict)
    away: bool = False

    async def write_ledger(self, writes: LedgerWrites) -> None:
        if self.away:
            raise Unavailable("store_unavailable", "away")
        for hold in writes.holds:
            amount, spent = self.rows.get((hold.attempt, hold.key), (0, None))
            if spent is None:
                self.rows[hold.attempt, hold.key] = (max(amount, hold.amount), None)
        for row in writes.settlements:
            amount, spent = self.rows.get((row.attempt, row.key), (row.amount, None))
            assert spent is None, "settled twice"
            self.rows[row.attempt, row.key] = (amount, row.spent)
            self.settled_by[row.attempt] = row.settled_by
        self.leases |= {lease.key: lease.amount for lease in writes.leases}

    async def record_runs(self, runs: Iterable[Run], attempts: Iterable[Attempt]) -> None:
        """Nobody asks for them."""

    async def version(self, agent: str, number: int) -> Version | None:
        return None

    def charged(self, key: CounterKey) -> int:
        """What a counter says after a crash of the owner now."""
        found = [amount if spent is None else spent for (_, of), (amount, spent) in self.rows.items() if of == key]
        return sum(found) + self.leases.get(key, 0)


def cap(
    limit: int = WIDE, *, unit: str = "usd", at_limit: str = "block", user: str | None = None, id: str = "c"
) -> Cap:
    return Cap(
        id=id, scope=Scope(user=user), window="day", unit=unit, limit_amount=limit, at_limit=at_limit, why="",  # type: ignore[arg-type]
        created_by="", created_at_microseconds=0,
    )  # fmt: skip


def facts(user: str = "u") -> CallFacts:
    return CallFacts(agent="a", provider="p", model="m", user=user, tags={})


class Wire:
    """Between an owner and a worker: carries on what is there when told to."""

    def __init__(self) -> None:
        self.owners, self._ours = socket.socketpair()
        self.workers, self._theirs = socket.socketpair()
        for sock in (self._ours, self._theirs):
            sock.setblocking(False)

    def to_owner(self) -> None:
        self._carry(self._theirs, self._ours)

    def to_worker(self) -> None:
        self._carry(self._ours, self._theirs)

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                return
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return


class Worker:
    """What a worker's process does with its link."""

    def __init__(self, fleet: "Fleet", number: int) -> None:
        self.wire = Wire()
        self.is_dead = False
        self.given: list[LeaseGiven | LeasesEnded] = []
        self._caps: tuple[Cap, ...] = ()
        self.client = OwnerClient(self._receive, fleet.errors.append)
        self.ledger = RemoteLedger(self.client, fleet.clock, lambda: self._caps)
        self.owner = OwnerEnd(number, fleet.parts, lambda teller, news: None)

    def _receive(self, message: FromOwner) -> None:
        match message:
            case Welcome():
                self.client.send(Ready())
            case SnapshotIs():
                self._caps = message.rest.caps
            case Ping():
                self.client.send(Pong(message.request, 1, 0))
            case LeaseGiven() | LeasesEnded():
                self.given.append(message)
                self.ledger.told(message)
            case _:
                pass

    def hold(self, attempt: str, amount: int = 10, user: str = "u") -> Ticket:
        """By the caps this worker knows of."""
        bound = HoldBound(nanodollars=amount, tokens=amount)
        return self.ledger.hold(attempt, self._caps, facts(user), bound)

    def kill(self) -> None:
        """What was not written to the socket is lost."""
        self.is_dead = True
        transport = self.client._link._transport
        assert transport is not None
        transport.abort()


class Fleet:
    """An owner and its workers."""

    def __init__(self, *caps: Cap) -> None:
        self.disk, self.clock = Disk(), Clock()
        self.errors: list[BaseException] = []
        self.tasks = TaskSet(self.errors.append)
        self.live = LiveSnapshot(self.disk)
        self.live.replace(Snapshot(revision=1, caps=caps))
        self.ledger = SpendLedger(self.disk, self.clock)
        self.parts = OwnerParts(
            live=self.live, versions=self.disk, ledger=self.ledger, recorder=Recorder(self.disk, lambda runs: None),
            conversations=Conversations(), log=lambda lines: None, on_error=self.errors.append, tasks=self.tasks,
        )  # fmt: skip
        self.workers: list[Worker] = []
        self.live.on_change(self._push)

    def _push(self, snapshot: Snapshot) -> None:
        for worker in self.workers:
            worker.owner.push(snapshot)

    async def start_worker(self) -> Worker:
        worker = Worker(self, len(self.workers) + 1)
        self.workers.append(worker)
        await worker.client.connect(worker.wire.workers)
        await worker.owner.connect(worker.wire.owners, b"{}")
        return worker

    def change_caps(self, *caps: Cap) -> None:
        self.live.replace(replace(self.live.current, revision=self.live.current.revision + 1, caps=caps))

    async def deliver(self) -> None:
        """Everything that was sent has arrived, and what was sent for it."""
        for _ in range(8):
            await turns()
            for worker in self.workers:
                worker.wire.to_owner()
                worker.wire.to_worker()

    async def placed(self, worker: Worker, attempt: str, amount: int = 10, user: str = "u") -> Ticket:
        """A hold that is durable, whoever placed it. Raises Refusal."""
        ticket = worker.hold(attempt, amount, user)
        if not ticket.is_durable:
            placing = asyncio.ensure_future(ticket.place())
            async with asyncio.timeout(20):
                while not placing.done():
                    await self.deliver()
                    await self.ledger.write()
            await placing
        ticket.sent = True
        return ticket

    async def warm(self, worker: Worker, name: str = "warm", amount: int = 10, user: str = "u") -> None:
        """Two calls that ask; from then on the worker has a lease."""
        for number in (1, 2):
            ticket = await self.placed(worker, f"{name}-{number}", amount, user)
            ticket.settle(Spent(nanodollars=1, tokens=1))
            await self.deliver()
            await self.ledger.write()
        await self.deliver()

    def tick(self, seconds: int = 3) -> None:
        """As the owner does once a second."""
        for _ in range(seconds):
            self.clock.now += SECOND
            self.ledger.prune(self.live.current.caps, self.clock.now)
            for worker in self.workers:
                worker.owner.tick()

    def tally(self, one: Cap) -> Tally:
        (found,) = self.ledger.counters_of(one).values()
        return found

    async def end(self) -> None:
        for worker in self.workers:
            worker.client.close()
            worker.owner.close()
        await self.deliver()
        for worker in self.workers:
            worker.wire.close()
            await worker.client.wait_gone()
            await worker.owner.wait_closed()
        await self.tasks.close()


async def turns(count: int = 4) -> None:
    """Let both ends act on what is there."""
    for _ in range(count):
        await asyncio.sleep(0)


@asynccontextmanager
async def fleet(*caps: Cap, workers: int = 2) -> AsyncIterator[Fleet]:
    started = Fleet(*caps)
    try:
        for _ in range(workers):
            await started.start_worker()
            await started.deliver()
        yield started
        assert started.errors == []
    finally:
        await started.end()


async def test_calls_under_a_large_cap_soon_wait_for_nobody_and_are_counted_when_they_are_told() -> None:
    wide = cap()
    async with fleet(wide) as these:
        worker = these.workers[0]
        await these.warm(worker)
        before = these.tally(wide)
        ticket = worker.hold("own", 10)
        assert isinstance(ticket, OwnTicket)
        assert (ticket.is_durable, ticket.nanodollars) == (True, 10)
        ticket.sent = True
        ticket.settle(Spent(nanodollars=4))
        ticket.settle(Spent(nanodollars=9))
        ticket.close()
        # Nothing was told yet, and what was lent is held already.
        assert these.tally(wide) == before
        worker.client.tell_own()
        await these.deliver()
        await these.ledger.write()
        assert these.tally(wide).spent == 2 + 4
        assert these.disk.rows["own", next(iter(these.ledger.counters_of(wide)))] == (10, 4)
        assert these.disk.settled_by["own"] == "reported"


async def test_what_is_lent_counts_as_held_and_is_covered_by_the_owners_lease() -> None:
    wide = cap()
    async with fleet(wide) as these:
        await these.warm(these.workers[0])
        ((key, tally),) = these.ledger.counters_of(wide).items()
        lent = sum(given.amount for given in these.workers[0].given if isinstance(given, LeaseGiven))
        assert tally == Tally(spent=2, held=lent)
        assert 10 <= lent <= these.disk.leases[key] // 2
        assert these.disk.charged(key) >= tally.spent + tally.held


async def test_a_worker_that_uses_its_lease_gets_more_before_it_is_used_up() -> None:
    async with fleet(cap()) as these:
        worker = these.workers[0]
        await these.warm(worker)
        asked = 0
        for number in range(200):
            ticket = await these.placed(worker, str(number))
            asked += not isinstance(ticket, OwnTicket)
            ticket.settle(Spent(nanodollars=3))
            if number % 2:
                await these.deliver()
                await these.ledger.write()
        assert asked == 0


async def test_a_call_that_was_sent_and_never_settled_is_charged_and_one_never_sent_is_released() -> None:
    wide = cap()
    async with fleet(wide) as these:
        worker = these.workers[0]
        await these.warm(worker)
        async with worker.hold("sent") as ticket:
            ticket.sent = True
        async with worker.hold("not sent"):
            pass
        worker.client.tell_own()
        await these.deliver()
        await these.ledger.write()
        assert [these.disk.settled_by[name] for name in ("sent", "not sent")] == ["held", "released"]
        assert these.tally(wide).spent == 2 + 10


async def test_a_cap_too_small_for_sharing_is_asked_for_call_by_call_and_filled_exactly() -> None:
    small = cap(10 * 20 + 5)
    async with fleet(small, workers=3) as these:
        admitted = refused = 0
        for number in range(60):
            try:
                ticket = await these.placed(these.workers[number % 3], str(number))
            except Refusal:
                refused += 1
            else:
                admitted += 1
                assert not isinstance(ticket, OwnTicket)
        assert (admitted, refused) == (20, 40)
        assert not any(worker.given for worker in these.workers)


async def test_a_cap_that_workers_share_is_filled_to_the_last_call_and_no_further() -> None:
    limit = 10 * LEASE_SHARE * 10 + 5
    shared = cap(limit)
    async with fleet(shared, workers=2) as these:
        admitted: list[Ticket] = []
        with_own = 0
        with pytest.raises(Refusal) as caught:
            for number in range(limit):
                admitted.append(await these.placed(these.workers[number % 2], str(number)))
                with_own += isinstance(admitted[-1], OwnTicket)
        assert caught.value.code == "spend_cap_exceeded"
        assert len(admitted) == limit // 10
        assert with_own > 0


async def test_a_call_that_does_not_fit_for_what_others_were_lent_gets_it_back_from_them() -> None:
    shared = cap(100_000)
    async with fleet(shared) as these:
        first, second = these.workers
        await these.warm(first, "first")
        await these.warm(second, "second")
        lent = these.tally(shared).held
        assert lent > 0
        rest = 100_000 - these.tally(shared).spent
        assert rest - lent < rest - 5
        ticket = await these.placed(second, "large", rest - 5)
        assert not isinstance(ticket, OwnTicket)
        assert these.tally(shared).held == rest - 5
        assert all(isinstance(worker.given[-1], LeasesEnded) for worker in these.workers)
        with pytest.raises(Refusal):
            await these.placed(first, "one more")


async def test_a_worker_that_does_not_give_back_in_time_costs_others_a_refusal_and_never_the_limit() -> None:
    shared = cap(100_000)
    async with fleet(shared) as these:
        stuck, asking = these.workers
        await these.warm(stuck, "stuck")
        rest = 100_000 - these.tally(shared).spent
        placing = asyncio.ensure_future(asking.hold("large", rest - 5).place())
        async with asyncio.timeout(20):
            while not placing.done():
                await turns()
                asking.wire.to_owner()
                asking.wire.to_worker()
        with pytest.raises(Refusal):
            await placing
        # It still may, and what it does fits.
        assert isinstance(stuck.hold("own"), OwnTicket)
        await these.deliver()
        assert these.tally(shared).held == 10


async def test_a_hold_given_up_while_others_are_asked_is_not_placed() -> None:
    shared = cap(100_000)
    async with fleet(shared) as these:
        lender, asking = these.workers
        await these.warm(lender)
        rest = 100_000 - these.tally(shared).spent
        placing = asyncio.ensure_future(asking.hold("large", rest - 5).place())
        await turns()
        asking.wire.to_owner()
        await turns()
        placing.cancel()
        await asyncio.gather(placing, return_exceptions=True)
        await turns()
        asking.wire.to_owner()
        await these.deliver()
        assert these.tally(shared).held == 0


async def test_leases_nobody_uses_go_back_within_seconds() -> None:
    wide = cap()
    async with fleet(wide) as these:
        await these.warm(these.workers[0])
        assert these.tally(wide).held > 0
        these.tick()
        await these.deliver()
        assert these.tally(wide).held == 0
        assert not isinstance(these.workers[0].hold("asks"), OwnTicket)


async def test_nothing_is_lent_while_a_lease_is_on_its_way_back() -> None:
    wide = cap()
    async with fleet(wide) as these:
        worker = these.workers[0]
        await these.warm(worker)
        worker.hold("own").sent = True
        these.tick()
        worker.client.tell_own()
        await turns()
        # The owner hears of the hold before the worker hears that its lease ends.
        worker.wire.to_owner()
        await turns()
        await these.deliver()
        assert isinstance(worker.given[-1], LeasesEnded)
        assert these.tally(wide).held == 10
        assert not isinstance(worker.hold("asks"), OwnTicket)


async def test_no_more_is_lent_to_all_workers_together_than_half_of_the_owners_lease() -> None:
    shared = cap(1_000_000)
    async with fleet(shared, workers=3) as these:
        for worker in these.workers:
            await these.warm(worker, f"warm-{worker.owner.number}")
        for amount in (10, 100, 1_000):
            for number in range(30):
                for worker in these.workers:
                    name = f"{amount}-{number}-{worker.owner.number}"
                    (await these.placed(worker, name, amount)).settle(Spent(nanodollars=0))
                await these.deliver()
                await these.ledger.write()
                (key,) = these.ledger.counters_of(shared)
                assert these.tally(shared).held * 2 <= these.disk.leases[key] <= 1_000_000 // LEASE_SHARE
        assert these.tally(shared).held > 3_000


async def test_a_worker_that_needs_less_than_before_gives_back_the_difference() -> None:
    wide = cap()
    async with fleet(wide) as these:
        worker = these.workers[0]
        await these.warm(worker, "large", amount=10_000)
        for second in range(4):
            (await these.placed(worker, str(second))).settle(Spent(nanodollars=1))
            worker.client.tell_own()
            await these.deliver()
            these.tick(1)
            await these.deliver()
            await these.ledger.write()
        assert these.tally(wide).held < 1_000


@pytest.mark.parametrize("change", ["lowered", "gone", "window over"])
async def test_with_its_cap_changed_or_its_window_over_a_lease_ends(change: str) -> None:
    wide = cap()
    async with fleet(wide) as these:
        worker = these.workers[0]
        await these.warm(worker)
        (key,) = these.ledger.counters_of(wide)
        if change == "window over":
            these.clock.now += 24 * 3600 * SECOND
            these.tick(1)
        else:
            these.change_caps(*([cap(3)] if change == "lowered" else []))
        await these.deliver()
        assert these.ledger.counter(key).held == 0
        if change == "gone":
            assert not isinstance(worker.hold("free"), OwnTicket)
            return
        ticket = worker.hold("asks")
        assert not isinstance(ticket, OwnTicket)
        if change == "lowered":
            with pytest.raises(Refusal):
                await these.placed(worker, "too much")


async def test_a_worker_that_dies_is_charged_for_what_was_open_and_for_all_it_had_left() -> None:
    wide = cap()
    async with fleet(wide) as these:
        worker = these.workers[0]
        await these.warm(worker)
        lent = these.tally(wide).held
        worker.hold("told").sent = True
        worker.client.tell_own()
        await turns()
        worker.hold("never told").sent = True
        worker.kill()
        await these.deliver()
        await these.ledger.flush()
        assert these.tally(wide) == Tally(spent=2 + lent, held=0)
        assert these.disk.settled_by["told"] == "held"
        assert sorted(set(these.disk.settled_by.values())) == ["held", "lease", "reported"]
        key = next(iter(these.ledger.counters_of(wide)))
        assert these.disk.charged(key) == 2 + lent


async def test_what_is_charged_for_a_dead_worker_is_a_small_part_of_the_limit() -> None:
    limit = 100_000
    shared = cap(limit)
    async with fleet(shared) as these:
        worker = these.workers[0]
        for number in range(200):
            (await these.placed(worker, str(number), 50)).settle(Spent(nanodollars=0))
        await these.deliver()
        worker.kill()
        await these.deliver()
        assert 0 < these.tally(shared).spent <= limit // (LEASE_SHARE * 2)


async def test_a_worker_that_leaves_gives_everything_back_and_uses_nothing_that_comes_later() -> None:
    wide = cap()
    async with fleet(wide) as these:
        worker = these.workers[0]
        await these.warm(worker)
        for number in range(20):
            # More is on its way to it when it leaves.
            worker.hold(str(number)).settle(Spent(nanodollars=1))
        worker.client.tell_own()
        await turns()
        worker.wire.to_owner()
        await turns()
        worker.ledger.leave()
        await these.deliver()
        assert not isinstance(worker.hold("late"), OwnTicket)
        worker.client.close()
        await these.deliver()
        tally = these.tally(wide)
        assert tally.held == 0
        assert "lease" not in these.disk.settled_by.values()
        await these.ledger.flush()
        assert set(these.disk.leases.values()) == {0}
        assert these.disk.charged(next(iter(these.ledger.counters_of(wide)))) == tally.spent


async def test_each_user_has_a_lease_of_their_own_and_no_other_users() -> None:
    each = cap(user="*")
    async with fleet(each) as these:
        worker = these.workers[0]
        await these.warm(worker, user="ann")
        assert isinstance(worker.hold("1", user="ann"), OwnTicket)
        assert not isinstance(worker.hold("2", user="bob"), OwnTicket)


async def test_a_call_needs_a_lease_in_every_cap_it_touches() -> None:
    async with fleet(cap(), cap(unit="tokens", id="t"), cap(unit="calls", id="n")) as these:
        worker = these.workers[0]
        await these.warm(worker)
        worker.hold("own").settle(Spent(nanodollars=4, tokens=5))
        worker.client.tell_own()
        await these.deliver()
        spent = {
            key.cap: tally.spent
            for one in these.live.current.caps
            for key, tally in these.ledger.counters_of(one).items()
        }
        assert spent == {"c": 2 + 4, "t": 2 + 5, "n": 3}
        these.change_caps(*these.live.current.caps, cap(unit="calls", id="new"))
        await these.deliver()
        assert not isinstance(worker.hold("asks"), OwnTicket)


async def test_calls_in_flight_are_always_asked_for_and_nothing_is_lent_for_them() -> None:
    async with fleet(cap(), cap(unit="in_flight", id="f")) as these:
        worker = these.workers[0]
        await these.warm(worker)
        assert not worker.given
        assert not isinstance(worker.hold("asks"), OwnTicket)


async def test_a_call_that_must_ask_for_a_small_cap_is_lent_nothing_of_a_large_one() -> None:
    async with fleet(cap(), cap(500, id="small")) as these:
        await these.warm(these.workers[0])
        assert not these.workers[0].given


async def test_a_call_that_holds_nothing_needs_a_lease_with_something_left() -> None:
    wide = cap()
    async with fleet(wide) as these:
        worker = these.workers[0]
        assert not isinstance(worker.hold("first", 0), OwnTicket)
        await these.warm(worker)
        lent = these.tally(wide).held
        for number in range(lent // 10):
            worker.hold(str(number)).settle(Spent(nanodollars=0))
        assert not isinstance(worker.hold("asks", 0), OwnTicket)
        await these.deliver()


async def test_a_call_that_cannot_be_bounded_is_left_to_the_owner() -> None:
    async with fleet(cap()) as these:
        worker = these.workers[0]
        await these.warm(worker)
        ticket = worker.ledger.hold("1", these.live.current.caps, facts(), HoldBound(nanodollars=None, tokens=None))
        assert not isinstance(ticket, OwnTicket)


async def test_a_cap_that_only_warns_is_lent_below_its_limit_and_warns_only_beyond_it() -> None:
    soft = cap(10_000, at_limit="warn")
    warned: list[str] = []
    async with fleet(soft) as these:
        these.ledger.on_warning = lambda one: warned.append(one.id)
        worker = these.workers[0]
        own = 0
        for number in range(1_000):
            ticket = await these.placed(worker, str(number))
            own += isinstance(ticket, OwnTicket)
            ticket.settle(Spent(nanodollars=10))
        await these.deliver()
        assert own > 0
        assert warned == []
        (await these.placed(worker, "beyond")).settle(Spent(nanodollars=10))
        assert warned == ["c"]


async def test_while_the_store_is_away_leases_are_used_up_and_then_calls_are_refused() -> None:
    wide = cap()
    async with fleet(wide) as these:
        worker = these.workers[0]
        await these.warm(worker)
        these.disk.away = True
        (key,) = these.ledger.counters_of(wide)
        used = 0
        with pytest.raises(Refusal) as caught:
            while True:
                (await these.placed(worker, str(used))).settle(Spent(nanodollars=10))
                used += 1
        assert caught.value.code == "spend_ledger_unavailable"
        assert 0 < used * 10 <= these.disk.leases[key]
        these.disk.away = False
        await these.deliver()
        assert await these.ledger.write()
        assert these.tally(wide).spent == 2 + used * 10


@dataclass
class Call:
    """What really happened to one call of a worker: `spent` once it is over."""

    ticket: Ticket
    worker: Worker
    key: CounterKey
    amount: int
    spent: int | None = None


class History:
    """A fleet in use, and beside it what is true."""

    def __init__(self, limit: int, left: int) -> None:
        """Of the limit, `left` is not spent yet."""
        self.highest = limit
        self.cap = cap(limit)
        self.fleet = Fleet(self.cap)
        self.key = CounterKey("c", window_start("day", self.fleet.clock.now))
        self.before = limit - left
        self.fleet.disk.rows["before", self.key] = (self.before, self.before)
        self.fleet.ledger.load(self.cap, self.key, self.before)
        self.sent: list[Call] = []
        self.attempts = 0
        self.own = 0
        self.tasks: list[asyncio.Future[None]] = []

    @property
    def alive(self) -> list[Worker]:
        return [worker for worker in self.fleet.workers if not worker.is_dead]

    async def step(self, verb: str, size: int, chance: random.Random) -> None:
        worker = chance.choice(self.alive)
        match verb:
            case "hold":
                self._hold(worker, size)
            case "settle":
                self._settle(size)
            case "tell":
                worker.client.tell_own()
            case "to owner":
                worker.wire.to_owner()
            case "to worker":
                worker.wire.to_worker()
            case "write":
                await self.fleet.ledger.write()
            case "tick":
                self.fleet.tick(1)
            case "change":
                limit = max(1, self.highest + chance.choice([-300, -20, 0, 20]))
                self.highest = max(self.highest, limit)
                self.fleet.change_caps(replace(self.cap, limit_amount=limit))
            case "kill":
                worker.kill()
                await turns()
                worker.wire.to_owner()
                await self.fleet.start_worker()
            case _:
                raise AssertionError(verb)
        await turns()
        self.check()

    def _hold(self, worker: Worker, amount: int) -> None:
        self.attempts += 1
        ticket = worker.hold(str(self.attempts), amount)
        if not isinstance(ticket, OwnTicket) and not worker._caps:
            return
        call = Call(ticket, worker, self.key, amount)
        if ticket.is_durable:
            self.own += 1
            self._send(call)
        else:
            self.tasks.append(asyncio.ensure_future(self._place(call)))

    async def _place(self, call: Call) -> None:
        try:
            await call.ticket.place()
        except Refusal:
            return
        self._send(call)

    def _send(self, call: Call) -> None:
        call.ticket.sent = True
        self.sent.append(call)

    def _settle(self, size: int) -> None:
        running = [call for call in self.sent if call.spent is None and not call.worker.is_dead]
        if running:
            call = running[size % len(running)]
            call.spent = min(size, call.amount)
            call.ticket.settle(Spent(nanodollars=call.spent))

    @property
    def true(self) -> int:
        """Calls of dead workers may have cost all they held."""
        return self.before + sum(call.amount if call.spent is None else call.spent for call in self.sent)

    def check(self) -> None:
        """As if the owner died now, too."""
        tally = self.fleet.ledger.counter(self.key)
        assert self.true <= tally.spent + tally.held <= self.highest
        assert self.true <= self.fleet.disk.charged(self.key) <= self.highest

    async def end(self) -> None:
        """Everything arrives, calls end, workers leave: nothing is held, and counters equal the rows."""
        async with asyncio.timeout(30):
            while not all(task.done() for task in self.tasks):
                await self.fleet.deliver()
                await self.fleet.ledger.write()
        was_killed = any(worker.is_dead for worker in self.fleet.workers)
        for call in self.sent:
            if call.spent is None and not call.worker.is_dead:
                call.spent = min(1, call.amount)
                call.ticket.settle(Spent(nanodollars=call.spent))
        for worker in self.alive:
            worker.ledger.leave()
            worker.client.close()
        await self.fleet.deliver()
        self.check()
        assert await self.fleet.ledger.flush()
        tally = self.fleet.ledger.counter(self.key)
        assert (tally.held, self.fleet.ledger.holds_outstanding) == (0, 0)
        assert self.fleet.disk.leases.get(self.key, 0) == 0
        assert self.fleet.disk.charged(self.key) == tally.spent
        assert tally.spent >= self.true if was_killed else tally.spent == self.true
        assert self.fleet.errors == []

    async def clear_away(self) -> None:
        await self.fleet.end()
        await asyncio.gather(*self.tasks)


VERBS = ["hold"] * 8 + ["settle"] * 5 + ["tell"] * 2 + ["to owner", "to worker"] * 5 + ["write"] * 3
SELDOM = ["tick", "tick", "change", "kill"]


@given(st.integers(0, 2**32), st.sampled_from([640, 5_000, 50_000, WIDE]), st.integers(0, 2_000), st.integers(1, 3))
@settings(max_examples=120, deadline=None)
def test_at_no_moment_is_less_counted_than_workers_did_nor_more_than_the_limit(
    seed: int, limit: int, left: int, workers: int
) -> None:
    chance = random.Random(seed)

    async def play() -> None:
        played = History(limit, min(left if left % 3 else limit, limit))
        try:
            for _ in range(workers):
                await played.fleet.start_worker()
            await played.fleet.deliver()
            for _ in range(200):
                verb = chance.choice(SELDOM if chance.random() < 0.03 else VERBS)
                await played.step(verb, chance.randint(0, 9), chance)
            await played.end()
        finally:
            await played.clear_away()

    asyncio.run(play())
