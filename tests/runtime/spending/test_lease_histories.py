"""The ledger in long random use: whatever the store does, rows and leases are never less than what was spent and held, nor more
than the limit.
"""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import CapReached, Unavailable
from proxy.core.spending.caps import CounterKey, window_start
from proxy.core.spending.leases import LEASE_SHARE
from proxy.runtime.spending.holding import Spent
from proxy.runtime.spending.ledger import SpendLedger
from tests.runtime.spending.given import FACTS, SECOND, Call, Clock, cap
from tests.runtime.spending.leasing import SlowDisk, bound


class LeaseHistory:
    """A ledger in use, and beside it what is true."""

    def __init__(self, limit: int, left: int) -> None:
        """Of the limit, `left` is not spent yet."""
        self.disk, self.clock, self.cap = SlowDisk(), Clock(), cap(limit)
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
        played = LeaseHistory(limit, min(left, limit))
        for _ in range(120):
            verb = "away" if chance.random() < 0.02 else chance.choice(VERBS)
            await played.step(verb, chance.randint(1, 9))
        await played.end()

    asyncio.run(play())
