"""Scopes: every named dimension must equal the call's; what is not named does not narrow."""

import pytest

from proxy.core.errors import BadInput
from proxy.core.scopes import DIMENSIONS, CallFacts, Scope, parse_scope
from proxy.core.spending.caps import CAP_DIMENSIONS
from proxy.core.switches import SWITCH_DIMENSIONS

FACTS = CallFacts(
    agent="support",
    provider="openai",
    model="gpt-4o-mini",
    version=3,
    label="prod",
    rollout="r1",
    arm="candidate",
    user="u1",
    tags={"tenant": "acme", "channel": "mail"},
    tools=frozenset({"refund", "search"}),
)
SAME = {
    "agent": "support",
    "version": 3,
    "arm": "candidate",
    "rollout": "r1",
    "label": "prod",
    "user": "u1",
    "tag": ("tenant", "acme"),
    "model": "gpt-4o-mini",
    "provider": "openai",
    "tool": "refund",
}
OTHER = {**dict.fromkeys(DIMENSIONS, "x"), "version": 4, "tag": ("tenant", "x")}


def test_the_empty_scope_is_everything():
    bare = CallFacts(agent="unassigned", provider="p", model="m", tags={})
    assert Scope().matches(FACTS)
    assert Scope().matches(bare)
    assert (Scope().content(), Scope().kind()) == ({}, "everything")


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_each_dimension_matches_its_own_value_only(dimension):
    assert Scope(**{dimension: SAME[dimension]}).matches(FACTS)
    assert not Scope(**{dimension: OTHER[dimension]}).matches(FACTS)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_one_dimension_that_differs_is_enough_not_to_match(dimension):
    assert Scope(**SAME).matches(FACTS)
    assert not Scope(**{**SAME, dimension: OTHER[dimension]}).matches(FACTS)


@pytest.mark.parametrize("dimension", [name for name in DIMENSIONS if name not in ("agent", "model", "provider")])
def test_a_dimension_the_call_does_not_have_does_not_match(dimension):
    bare = CallFacts(agent="support", provider="openai", model="gpt-4o-mini", tags={})
    assert not Scope(**{dimension: SAME[dimension]}).matches(bare)


def test_each_user_is_any_call_with_a_user():
    assert Scope(user="*").matches(FACTS)
    assert not Scope(user="*").matches(CallFacts(agent="support", provider="p", model="m", tags={}))


def test_a_tag_needs_key_and_value():
    assert not Scope(tag=("tenant", "mail")).matches(FACTS)
    assert not Scope(tag=("region", "")).matches(FACTS)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"agent": "support"},
        {"agent": "support", "version": 3},
        {"agent": "support", "label": "prod", "user": "*"},
        {"tag": "tenant=acme"},
        {"tag": "note=a=b"},
        {"model": "gpt-4o-mini", "provider": "openai"},
    ],
)
def test_what_is_parsed_is_shown_as_it_was_written(content):
    assert parse_scope(content, DIMENSIONS).content() == content


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "must be an object"),
        ([], "must be an object"),
        ({"agnet": "x"}, "scope.agnet"),
        ({"agent": 7}, "scope.agent"),
        ({"agent": ""}, "scope.agent"),
        ({"version": 3}, "needs scope.agent"),
        ({"label": "prod"}, "needs scope.agent"),
        ({"agent": "a", "version": 0}, "version number"),
        ({"agent": "a", "version": True}, "version number"),
        ({"agent": "a", "version": "3"}, "version number"),
        ({"tag": "tenant"}, "key=value"),
        ({"tag": "=acme"}, "key=value"),
        ({"tag": ["tenant", "acme"]}, "scope.tag"),
    ],
)
def test_what_is_not_a_scope_is_refused_with_its_place(content, problem):
    with pytest.raises(BadInput, match=problem) as refused:
        parse_scope(content, DIMENSIONS)
    assert refused.value.code == "bad_scope"


@pytest.mark.parametrize(
    ("content", "allowed"),
    [({"tool": "refund"}, CAP_DIMENSIONS), ({"user": "u1"}, SWITCH_DIMENSIONS), ({"arm": "stable"}, SWITCH_DIMENSIONS)],
)
def test_a_dimension_of_another_kind_of_thing_is_refused(content, allowed):
    with pytest.raises(BadInput, match="unknown here"):
        parse_scope(content, allowed)


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        (Scope(agent="a"), "agent"),
        (Scope(agent="a", version=1), "version"),
        (Scope(agent="a", label="prod"), "label"),
        (Scope(provider="p"), "provider"),
        (Scope(agent="a", tool="t"), "tool"),
    ],
)
def test_is_named_by_its_narrowest_dimension(scope, kind):
    assert scope.kind() == kind
