"""Workers that hold by themselves: what they are lent counts as held, what they use counts once, and a call is refused only where
it would not have fitted with one process either.
"""

import pytest

from proxy.core.errors import Refusal
from proxy.core.spending.leases import LEASE_SHARE
from proxy.runtime.spending.holding import Spent, Ticket
from proxy.runtime.spending.ledger import Tally
from proxy.runtime.workers.messages import LeaseGiven
from proxy.runtime.workers.remote_ledger import OwnTicket
from tests.runtime.spending.given import cap, held
from tests.runtime.workers.fleet import fleet


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
