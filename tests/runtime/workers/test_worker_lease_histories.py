"""Owner and workers in long random use: whatever is late, whoever dies and however caps change, rows and leases are never less
than what calls did, nor more than the limit.
"""

import asyncio
import random
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import Refusal
from proxy.core.spending.caps import CounterKey, window_start
from proxy.core.spending.leases import largest_lease
from proxy.runtime.workers.remote_ledger import OwnTicket
from tests.harness import PATIENCE_SECONDS
from tests.runtime.spending.given import WIDE, Call, cap
from tests.runtime.workers.fleet import Fleet, Worker, turns


@dataclass
class WorkersCall(Call):
    worker: Worker = field(kw_only=True)


class WorkerLeaseHistory:
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
        self.sent: list[WorkersCall] = []
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
        call = WorkersCall(ticket, self.key, amount, worker=worker)
        if ticket.is_durable:
            self.own += 1
            self._send(call)
        else:
            self.tasks.append(asyncio.ensure_future(self._place(call)))

    async def _place(self, call: WorkersCall) -> None:
        try:
            await call.ticket.place()
        except Refusal:
            return
        self._send(call)

    def _send(self, call: WorkersCall) -> None:
        call.ticket.sent = True
        self.sent.append(call)

    def _settle(self, size: int) -> None:
        running = [call for call in self.sent if call.spent is None and not call.worker.is_dead]
        if running:
            running[size % len(running)].settle(size)

    @property
    def true(self) -> int:
        """Calls of dead workers may have cost all they held."""
        return self.before + sum(call.cost for call in self.sent)

    def check(self) -> None:
        """As if the owner died now, too."""
        tally = self.fleet.ledger.counter(self.key)
        assert self.true <= tally.spent + tally.held <= self.highest
        assert self.true <= self.fleet.disk.charged(self.key) <= self.highest
        assert self.fleet.disk.charged_without_a_call(self.key) <= largest_lease(self.highest)

    async def end(self) -> None:
        """Everything arrives, calls end, workers leave: nothing is held, and counters equal the rows."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not all(task.done() for task in self.tasks):
                await self.fleet.deliver()
                await self.fleet.ledger.write()
        was_killed = any(worker.is_dead for worker in self.fleet.workers)
        for call in self.sent:
            if call.spent is None and not call.worker.is_dead:
                call.settle(1)
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
        played = WorkerLeaseHistory(limit, min(left if left % 3 else limit, limit))
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
