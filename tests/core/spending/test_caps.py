"""Caps: which window a moment belongs to, which counter a call adds to, and whether it fits."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.scopes import CallFacts, Scope
from proxy.core.spending.caps import (
    Cap,
    CapUnit,
    CapWindow,
    CounterKey,
    counter_key,
    limit_amount,
    shown_amount,
    window_start,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(*moment: int) -> int:
    return (datetime(*moment, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def cap(**members) -> Cap:
    values = {
        "id": "c1",
        "scope": Scope(),
        "window": "day",
        "unit": "usd",
        "limit_amount": 100,
        "at_limit": "block",
        "why": "",
        "created_by": "ada",
        "created_at_microseconds": 0,
    }
    return Cap(**{**values, **members})


def facts(**members) -> CallFacts:
    return CallFacts(**{"agent": "support", "provider": "openai", "model": "m", "tags": {}, **members})


@pytest.mark.parametrize(
    ("window", "moment", "start"),
    [
        ("minute", at(2026, 9, 20, 14, 3, 59, 999_999), at(2026, 9, 20, 14, 3)),
        ("minute", at(2026, 9, 20, 14, 4), at(2026, 9, 20, 14, 4)),
        ("hour", at(2026, 9, 20, 14, 59, 59, 999_999), at(2026, 9, 20, 14)),
        ("hour", at(2026, 9, 20, 15), at(2026, 9, 20, 15)),
        ("day", at(2026, 9, 20, 23, 59, 59, 999_999), at(2026, 9, 20)),
        ("day", at(2026, 9, 21), at(2026, 9, 21)),
        ("month", at(2026, 1, 31, 23, 59, 59, 999_999), at(2026, 1, 1)),
        ("month", at(2026, 2, 1), at(2026, 2, 1)),
        ("month", at(2028, 2, 29, 12), at(2028, 2, 1)),
        ("month", at(2026, 12, 31, 23, 59, 59, 999_999), at(2026, 12, 1)),
        ("month", at(2027, 1, 1), at(2027, 1, 1)),
        ("day", 0, 0),
        ("total", at(2026, 9, 20), 0),
        ("rollout", at(2026, 9, 20), 0),
    ],
)
def test_windows_begin_on_the_utc_calendar(window, moment, start):
    assert window_start(window, moment) == start


@given(st.sampled_from(get_args(CapWindow)), st.integers(0, at(2200, 1, 1)))
def test_a_window_holds_its_moment_and_begins_with_itself(window, moment):
    start = window_start(window, moment)
    assert 0 <= start <= moment
    assert window_start(window, start) == start


@pytest.mark.parametrize(
    ("members", "call", "part"),
    [
        ({}, facts(user="u1"), ""),
        ({"scope": Scope(user="*")}, facts(user="u1"), "u1"),
        ({"scope": Scope(user="u1")}, facts(user="u1"), ""),
    ],
)
def test_each_user_has_a_counter_only_where_the_cap_says_so(members, call, part):
    moment = at(2026, 9, 20, 14)
    assert counter_key(cap(**members), call, moment) == CounterKey("c1", at(2026, 9, 20), part)


def test_each_rollout_has_a_counter_of_its_own():
    limit = cap(window="rollout", scope=Scope(user="*"))
    keys = {
        counter_key(limit, facts(rollout=rollout, user=user), at(2026, 9, 20))
        for rollout in (None, "r1", "r2")
        for user in ("u1", "u2")
    }
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("unit", "limit", "amount"),
    [
        ("usd", 50, 50_000_000_000),
        ("usd", 0, 0),
        ("usd", 0.1, 100_000_000),
        ("usd", "0.000000001", 1),
        ("tokens", 1_000_000, 1_000_000),
        ("calls", "20", 20),
        ("in_flight", 3.0, 3),
    ],
)
def test_limits_are_taken_exactly(unit, limit, amount):
    assert limit_amount(unit, limit) == amount
    assert limit_amount(unit, shown_amount(unit, amount)) == amount


@pytest.mark.parametrize(
    ("unit", "limit"),
    [
        ("usd", -1),
        ("usd", "0.0000000001"),
        ("usd", 10**11),
        ("usd", float("nan")),
        ("usd", float("inf")),
        ("usd", "fifty"),
        ("usd", None),
        ("usd", True),
        ("usd", [1]),
        ("calls", 1.5),
        ("tokens", 2**63),
    ],
)
def test_limits_that_cannot_be_kept_exactly_are_refused(unit, limit):
    with pytest.raises(BadInput) as refused:
        limit_amount(unit, limit)
    assert refused.value.code == "bad_limit"


@pytest.mark.parametrize("unit", get_args(CapUnit))
@pytest.mark.parametrize("window", get_args(CapWindow))
def test_waiting_helps_only_for_calls_in_flight_and_limits_per_minute(unit, window):
    expected = unit == "in_flight" or (window == "minute" and unit in ("calls", "tokens"))
    assert cap(unit=unit, window=window).passes_soon is expected


def test_only_warnings_let_calls_pass_and_only_money_needs_a_price():
    assert (cap(at_limit="block").is_hard, cap(at_limit="warn").is_hard) == (True, False)
    assert [cap(unit=unit).needs_price for unit in get_args(CapUnit)] == [unit == "usd" for unit in get_args(CapUnit)]
