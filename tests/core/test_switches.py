"""Which kill switch is in force: the strongest that is active and about this call."""

import pytest

from proxy.core.scopes import CallFacts, Scope
from proxy.core.switches import SWITCH_MODES, Switch, switch_in_force

NOW = 1_000
FACTS = CallFacts(
    agent="support", provider="openai", model="gpt-4o-mini", version=3, tags={}, tools=frozenset({"refund"})
)


def switch(switch_id: str, mode="block", *, expires: int | None = None, **scope) -> Switch:
    return Switch(
        id=switch_id,
        scope=Scope(**scope),
        mode=mode,
        why="stop",
        created_by="ada",
        created_at_microseconds=0,
        expires_at_microseconds=expires,
    )


def in_force(*switches: Switch) -> str | None:
    found = switch_in_force(switches, FACTS, NOW)
    return None if found is None else found.id


def test_without_switches_nothing_is_in_force():
    assert in_force() is None


@pytest.mark.parametrize("weaker", range(1, len(SWITCH_MODES)))
@pytest.mark.parametrize("turned", [False, True])
def test_the_stronger_mode_wins_whichever_is_older(weaker, turned):
    pair = [switch("strong", SWITCH_MODES[weaker - 1]), switch("weak", SWITCH_MODES[weaker])]
    assert in_force(*(reversed(pair) if turned else pair)) == "strong"


def test_block_is_the_strongest_and_observe_the_weakest():
    assert SWITCH_MODES == ("block", "reply", "fallback", "observe")


def test_the_oldest_of_equals_wins():
    assert in_force(switch("first", agent="support"), switch("second")) == "first"


@pytest.mark.parametrize(("expires", "expected"), [(None, "k"), (NOW + 1, "k"), (NOW, None), (NOW - 1, None)])
def test_an_expired_switch_no_longer_counts(expires, expected):
    assert in_force(switch("k", expires=expires)) == expected


@pytest.mark.parametrize(
    ("scope", "is_about"),
    [
        ({}, True),
        ({"agent": "support"}, True),
        ({"agent": "support", "version": 3}, True),
        ({"tool": "refund"}, True),
        ({"agent": "support", "version": 4}, False),
        ({"agent": "other"}, False),
        ({"tool": "search"}, False),
    ],
)
def test_only_a_switch_about_this_call_counts(scope, is_about):
    assert in_force(switch("k", **scope)) == ("k" if is_about else None)
