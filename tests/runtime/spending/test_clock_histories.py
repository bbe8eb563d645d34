"""A wall clock that jumps back and forth at random, calls, looks and slow readings in between: no window of a hard cap gets a call too many."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import Refusal
from proxy.core.snapshot import Snapshot
from proxy.core.spending.caps import Cap, CounterKey
from proxy.runtime.spending.holding import HoldBound, Spent
from proxy.runtime.spending.ledger import HoldTicket, SpendLedger
from proxy.runtime.state.ledger_start import read_what_came_again
from proxy.runtime.state.live_snapshot import LiveSnapshot
from tests.runtime.spending.given import FACTS, SECOND, Clock, Rows, cap

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
JUMPS = (SECOND, MINUTE, 40 * MINUTE, HOUR, 2 * HOUR + 1, DAY, 3 * DAY, 11 * DAY, 40 * DAY)
#: How often each.
VERBS = {"call": 8, "settle": 4, "jump": 1, "look": 2, "read": 2, "write": 4, "second": 2}
ONE = HoldBound(nanodollars=1, tokens=1)


class Readable(Rows):
    """A store whose sums can be read, while other things happen."""

    async def spent(self, one: Cap, start: int) -> Mapping[CounterKey, int]:
        sums: dict[CounterKey, int] = {}
        for (_, key), (amount, spent) in self.rows.items():
            if key.cap == one.id and key.window_start_microseconds >= start:
                sums[key] = sums.get(key, 0) + (amount if spent is None else spent)
        await asyncio.sleep(0)
        return sums

    async def charged_by_crashes(self, one: Cap, start: int) -> Mapping[CounterKey, int]:
        await asyncio.sleep(0)
        return {}

    async def unmetered(self, one: Cap, start: int) -> Mapping[CounterKey, int] | None:
        await asyncio.sleep(0)
        return {}

    async def version(self, agent: str, number: int) -> None:
        return None


class History:
    """One hard cap on calls in use. `sent`: how many calls each of its windows let pass."""

    def __init__(self, chance: random.Random, window: str, limit: int) -> None:
        self.chance = chance
        self.limit = limit
        self.cap = replace(cap(limit, unit="calls"), window=window)
        self.clock, self.rows = Clock(), Readable()
        self.ledger = SpendLedger(self.rows, self.clock)
        self.ledger.known_from(self.cap, self.ledger.window_of(self.cap))
        self.live = LiveSnapshot(self.rows)
        self.live.replace(Snapshot(revision=1, caps=(self.cap,)))
        self.open: list[HoldTicket] = []
        self.sent: Counter[CounterKey] = Counter()
        self.tasks: list[asyncio.Task[object]] = []
        self.attempts = 0

    def step(self) -> None:
        (verb,) = self.chance.choices(tuple(VERBS), tuple(VERBS.values()))
        match verb:
            case "call":
                self.attempts += 1
                self._spawn(self._call(f"c{self.attempts}"))
            case "settle":
                if self.open:
                    ticket = self.open.pop(self.chance.randrange(len(self.open)))
                    ticket.settle(Spent())
            case "jump":
                self.clock.now += self.chance.choice((-1, 1)) * self.chance.choice(JUMPS)
            case "look":
                self.ledger.prune((self.cap,), self.clock.now)
            case "read":
                self._spawn(read_what_came_again(self.rows, self.live, self.ledger))
            case "write":
                self._spawn(self.ledger.write())
            case _:
                self.clock.now += SECOND

    def _spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        self.tasks.append(asyncio.ensure_future(coroutine))

    async def _call(self, attempt: str) -> None:
        try:
            ticket = self.ledger.hold(attempt, (self.cap,), FACTS, ONE)
            keys = [key for key, _ in ticket.amounts]
            if not ticket.is_durable:
                await ticket.place()
        except Refusal:
            return
        ticket.sent = True
        self.open.append(ticket)
        self.sent.update(keys)

    async def end(self) -> None:
        """Everything that was begun is over. Raises what any of it raised."""
        while not all(task.done() for task in self.tasks):
            await self.ledger.write()
            await asyncio.sleep(0)
        await asyncio.gather(*self.tasks)


@given(st.integers(0, 2**32), st.sampled_from(["minute", "hour", "day", "month"]), st.sampled_from([2, 3, 640]))
@settings(max_examples=40)
def test_no_window_gets_a_call_more_than_its_limit_however_the_clock_jumps(seed: int, window: str, limit: int) -> None:
    async def play() -> History:
        history = History(random.Random(seed), window, limit)
        for _ in range(250):
            history.step()
            for _ in range(history.chance.randrange(4)):
                await asyncio.sleep(0)
        await history.end()
        return history

    assert max(asyncio.run(play()).sent.values(), default=0) <= limit
