"""Workers that die again and again, and their owner after them: what that charges without a call stays within one lease."""

import pytest

from proxy.core.spending.leases import largest_lease
from proxy.runtime.spending import writer
from proxy.runtime.spending.holding import Spent
from tests.runtime.spending.given import cap
from tests.runtime.workers.fleet import Fleet, Worker, fleet, turns

WIDE = cap(64_000_000)
ONE_LEASE = largest_lease(WIDE.limit_amount)
HOLD = 100_000


async def dies(these: Fleet, worker: Worker) -> None:
    worker.kill()
    await turns()
    worker.wire.to_owner()
    await turns()


async def test_no_worker_that_dies_costs_more_than_what_is_left_of_one_lease() -> None:
    async with fleet(WIDE) as these:
        for number in range(12):
            worker = these.workers[-1]
            await these.warm(worker, f"{number}", HOLD)
            await dies(these, worker)
            await these.start_worker()
            await these.deliver()
            for _ in range(2):
                await these.ledger.write()
                (key,) = these.ledger.counters_of(WIDE)
                assert these.disk.charged_without_a_call(key) <= ONE_LEASE
        charged = these.tally(WIDE).charged
        assert ONE_LEASE // 2 < charged <= ONE_LEASE
        # The next life reads it from rows: in batches nobody looks for it.
        assert "lease" not in {entry[4] for batch in these.disk.batches.values() for entry in batch.entries}
        # What is left of it serves on: calls wait for rows, and nothing more is charged.
        (await these.placed(these.workers[-1], "after", HOLD)).settle(Spent(nanodollars=1))
        await dies(these, these.workers[-1])
        assert these.tally(WIDE).charged == charged


async def test_a_loan_charged_while_the_store_is_away_and_much_waits_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Merged with calls, it would be no crash's to the next life, which would take a whole lease again."""
    async with fleet(WIDE) as these:
        monkeypatch.setattr(writer, "_MAX_WAITING", 1)
        first, second = these.workers
        for worker, name in ((first, "first"), (second, "second")):
            await these.warm(worker, name, HOLD)
        these.disk.away = True
        await dies(these, first)
        await dies(these, second)
        assert not await these.ledger.write()
        these.disk.away = False
        while not await these.ledger.write():
            pass
        (key,) = these.ledger.counters_of(WIDE)
        loans = [name for name, by in these.disk.settled_by.items() if by == "lease"]
        assert len(loans) == 2
        assert these.disk.charged_without_a_call(key) <= ONE_LEASE
