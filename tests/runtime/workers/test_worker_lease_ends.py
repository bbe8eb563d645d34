"""How what a worker was lent goes back: to others who need it, unused, with its cap or its window, and when the worker ends."""

import asyncio

import pytest

from proxy.core.errors import Refusal
from proxy.core.spending.leases import LEASE_SHARE
from proxy.runtime.spending.holding import Spent
from proxy.runtime.workers.messages import LeasesEnded
from proxy.runtime.workers.remote_ledger import OwnTicket
from tests.harness import PATIENCE_SECONDS
from tests.runtime.spending.given import SECOND, cap
from tests.runtime.workers.fleet import fleet, turns


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
        async with asyncio.timeout(PATIENCE_SECONDS):
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
        tally = these.tally(wide)
        assert (tally.spent, tally.held) == (2 + lent, 0)
        # Of what was lent the call the owner was told of had taken 10, which it is charged for itself. The rest no call is known for.
        assert these.disk.settled_by["told"] == "held"
        (told,) = [spent for (attempt, _), (_, spent) in these.disk.rows.items() if attempt == "told"]
        left = [
            spent for (attempt, _), (_, spent) in these.disk.rows.items() if these.disk.settled_by[attempt] == "lease"
        ]
        assert told == 10
        assert tally.charged == sum(left) == lent - told
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
