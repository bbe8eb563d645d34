"""Workers that hold by themselves: owner and workers over real sockets whose bytes arrive only when the test says so.

Whatever is late, whoever dies and however caps change, rows and leases are never less than what calls did, nor more than the
limit; and a call is refused only where it would not have fitted with one process either.
"""

import asyncio

import pytest

from proxy.core.errors import Refusal
from proxy.core.leases import LEASE_SHARE
from proxy.runtime.holding import HoldBound, Spent, Ticket
from proxy.runtime.spend_ledger import Tally
from proxy.runtime.workers.messages import LeaseGiven, LeasesEnded
from proxy.runtime.workers.remote_ledger import OwnTicket
from tests.runtime.spending import SECOND, held
from tests.runtime.workers.fleet import cap, facts, fleet, turns


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
        async with held(worker.hold("sent")) as ticket:
            ticket.sent = True
        async with held(worker.hold("not sent")):
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
