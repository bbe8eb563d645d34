"""Which caps are lent to workers, and which calls their workers hold by themselves under them; every other one asks."""

from proxy.core.errors import Refusal
from proxy.runtime.spending.holding import HoldBound, Spent
from proxy.runtime.workers.remote_ledger import OwnTicket
from tests.runtime.spending.given import cap
from tests.runtime.workers.fleet import facts, fleet


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


async def test_each_user_has_a_lease_of_their_own_and_no_other_users() -> None:
    each = cap(user="*")
    async with fleet(each) as these:
        worker = these.workers[0]
        await these.warm(worker, user="ann")
        assert isinstance(worker.hold("1", user="ann"), OwnTicket)
        assert not isinstance(worker.hold("2", user="bob"), OwnTicket)


async def test_a_call_needs_a_lease_in_every_cap_it_touches() -> None:
    async with fleet(cap(), cap(unit="tokens", cap_id="t"), cap(unit="calls", cap_id="n")) as these:
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
        these.change_caps(*these.live.current.caps, cap(unit="calls", cap_id="new"))
        await these.deliver()
        assert not isinstance(worker.hold("asks"), OwnTicket)


async def test_calls_in_flight_are_always_asked_for_and_nothing_is_lent_for_them() -> None:
    async with fleet(cap(), cap(unit="in_flight", cap_id="f")) as these:
        worker = these.workers[0]
        await these.warm(worker)
        assert not worker.given
        assert not isinstance(worker.hold("asks"), OwnTicket)


async def test_a_call_that_must_ask_for_a_small_cap_is_lent_nothing_of_a_large_one() -> None:
    async with fleet(cap(), cap(500, cap_id="small")) as these:
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
        these.ledger.on_warning = lambda one, _: warned.append(one.id)
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
