"""How a cap with very many counters stands: exact sums, the fullest counters, and work that does not grow with the others."""

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from proxy.core.compiled import IS_COMPILED
from proxy.core.scopes import CallFacts
from proxy.core.spending.caps import Cap, CounterKey, window_start
from proxy.runtime.spending import counters
from proxy.runtime.spending.counters import CapStanding
from proxy.runtime.spending.holding import HoldBound, Spent
from proxy.runtime.spending.ledger import HoldTicket, SpendLedger
from tests.runtime.spending.given import Clock, cap

MANY = 100_000


class UnwrittenLedger:
    """For a ledger that is never written."""

    async def write_ledger(self, writes: Any) -> None:
        raise AssertionError


def ledger_of(clock: Clock) -> SpendLedger:
    return SpendLedger(UnwrittenLedger(), clock)


def amounts(standing: CapStanding) -> list[int]:
    return [counter.spent + counter.held for counter in standing.fullest()]


def truly(ledger: SpendLedger, one: Cap, count: int) -> list[int]:
    return sorted((tally.spent + tally.held for tally in ledger.counters_of(one).values()), reverse=True)[:count]


def each_user(**members: Any) -> Cap:
    return cap(user="*", **members)


def start_of(one: Cap, clock: Clock) -> int:
    return window_start(one.window, clock.now)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three fullest counters, sixteen at the front, seven looked at a time."""
    for name, value in (("FULLEST", 3), ("_FRONT", 8), ("_LOOK", 7)):
        monkeypatch.setattr(counters, name, value)


@pytest.mark.parametrize("seed", range(20))
def test_sums_are_exact_and_the_fullest_are_after_a_look_at_all(small: None, seed: int) -> None:
    chance, clock = random.Random(seed), Clock()
    ledger, one = ledger_of(clock), each_user()
    start = start_of(one, clock)
    tickets: list[HoldTicket] = []
    for step in range(400):
        if chance.random() < 0.6 or not tickets:
            facts = CallFacts(agent="a", provider="p", model="m", user=f"u{chance.randrange(60)}", tags={})
            tickets.append(
                ledger.hold(f"a{step}", [one], facts, HoldBound(nanodollars=chance.randrange(500), tokens=1))
            )
        else:
            spent = Spent(settled_by="reported", nanodollars=chance.choice((0, 5, 600)))
            tickets.pop(chance.randrange(len(tickets))).settle(spent)
        if chance.random() < 0.05:
            ledger.load(one, CounterKey(one.id, start, f"u{chance.randrange(90)}"), chance.randrange(300))
        standing, tallies = ledger.standing(one, start), ledger.counters_of(one).values()
        assert standing.spent == sum(tally.spent for tally in tallies)
        assert standing.held == sum(tally.held for tally in tallies)
        assert len(standing.counters) == len(tallies)
        if step % 20 == 0:
            standing.fullest()
            for _ in range(2 * (len(tallies) // 7 + 2)):
                ledger.prune([one], clock.now)
            assert amounts(standing) == truly(ledger, one, 3)


def test_a_counter_that_rises_is_among_the_fullest_at_once(small: None) -> None:
    clock = Clock()
    ledger, one = ledger_of(clock), each_user()
    start = start_of(one, clock)
    for number in range(200):
        ledger.load(one, CounterKey(one.id, start, f"u{number}"), 10)
    facts = CallFacts(agent="a", provider="p", model="m", user="u77", tags={})
    ledger.hold("a", [one], facts, HoldBound(nanodollars=5, tokens=1))
    assert amounts(ledger.standing(one, start)) == [15, 10, 10]


def test_where_the_fullest_fall_the_others_are_found_by_a_look_at_all(small: None) -> None:
    clock = Clock()
    ledger, one = ledger_of(clock), each_user()
    start = start_of(one, clock)
    for number in range(20):
        ledger.load(one, CounterKey(one.id, start, f"u{number}"), 10)
    tickets = [
        ledger.hold(
            f"a{number}",
            [one],
            CallFacts(agent="a", provider="p", model="m", user=f"v{number}", tags={}),
            HoldBound(nanodollars=1000, tokens=1),
        )
        for number in range(20)
    ]
    assert amounts(ledger.standing(one, start)) == [1000] * 3
    for ticket in tickets:
        ticket.settle(Spent(settled_by="released"))
    ledger.standing(one, start).fullest()
    for _ in range(6):
        ledger.prune([one], clock.now)
    assert amounts(ledger.standing(one, start)) == [10] * 3


def test_windows_that_are_over_are_forgotten_look_by_look(small: None) -> None:
    clock = Clock()
    ledger, one = ledger_of(clock), each_user()
    start = start_of(one, clock)
    for number in range(50):
        ledger.load(one, CounterKey(one.id, start, f"u{number}"), 10)
    clock.now += 86_400_000_000
    left = [50]
    while left[-1]:
        ledger.prune([one], clock.now)
        left.append(len(ledger.counters_of(one)))
    assert [before - after for before, after in pairwise(left)] == [7] * 7 + [1]
    assert (ledger.standing(one, start).spent, ledger.standing(one, start).fullest()) == (0, [])


def counting(function: Callable[..., Any], counted: list[int]) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        counted[0] += 1
        return function(*arguments)

    return called


@pytest.mark.skipif(IS_COMPILED, reason="a method of a compiled class cannot be watched")
def test_of_a_hundred_thousand_counters_a_thousand_are_sorted_and_a_bounded_number_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    ledger, one = ledger_of(clock), each_user()
    start = start_of(one, clock)
    for number in range(MANY):
        ledger.load(one, CounterKey(one.id, start, f"u{number}"), number % 1000)
    sorted_by, offered = [0], [0]
    monkeypatch.setattr(counters, "_fullest_first", counting(counters._fullest_first, sorted_by))
    monkeypatch.setattr(CapStanding, "offer", counting(CapStanding.offer, offered))
    assert amounts(ledger.standing(one, start)) == [999] * 100
    assert 0 < sorted_by[0] <= 1000
    ledger.prune([one], clock.now)
    assert 0 < offered[0] <= 4000
