"""The step in the shadow: how a plan says it, which calls are copied, and what of the world a copy sees."""

from typing import Any

import pytest

from proxy.core.calls.caller import Caller
from proxy.core.calls.resolving import resolve
from proxy.core.errors import BadInput
from proxy.core.rollouts.reading import plan_document, read_plan
from proxy.core.rollouts.shadow import (
    SHADOW_ARM,
    cap_of_shadow,
    caps_left_behind,
    caps_of_copies,
    is_own_cap,
    judged_by_copies,
    shadow_snapshot,
    shadow_step,
)
from proxy.core.scopes import CallFacts, Scope
from proxy.core.snapshot import Agent, AgentState, Label, Rollout, Snapshot
from proxy.core.spending.caps import Cap
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version
from tests.two_arms import split

SHADOW = {"percentage": 20, "cap_usd": 1.5, "min_runs": 50}


def _rollout(
    *, step: int = 0, state: Any = "running", shadow: dict[str, Any] | None = SHADOW, **changes: Any
) -> Rollout:
    plan = plan_document(read_plan({} if shadow is None else {"shadow": shadow}))
    members = {"id": "r1", "agent": "a", "label": "prod", "salt": "a/r1", "arms": split(1, 2, 0), "plan": plan}
    return Rollout(**{**members, "step": step, "state": state, **changes})


def _version(number: int) -> Version:
    bundle = parse_bundle({"prompt": {"text": f"version {number}"}})
    return Version(
        agent="a", number=number, bundle=bundle, parent=None, author="ann", message="", created_at_microseconds=1
    )


def _snapshot(rollout: Rollout, *caps: Cap) -> Snapshot:
    state = AgentState(
        Agent(name="a", newest=2),
        {"prod": Label("prod", 1, 1), "beta": Label("beta", 1, 2)},
        {"prod": rollout},
        {1: _version(1), 2: _version(2)},
    )
    return Snapshot(revision=7, agents={"a": state, "b": AgentState(Agent(name="b"))}, caps=caps)


def _cap(cap_id: str, unit: Any, **scope: Any) -> Cap:
    return Cap(
        id=cap_id, scope=Scope(**scope), window="day", unit=unit, limit_amount=5, at_limit="block", why="", created_by="ann",
        created_at_microseconds=1,
    )  # fmt: skip


def test_a_plan_with_a_shadow_has_a_step_without_a_share_before_its_ramp_and_is_read_again_as_it_was() -> None:
    plan = read_plan({"shadow": SHADOW, "steps": [{"percentage": 5}, {"percentage": 100}]})
    assert [step.percentage for step in plan.steps] == [0, 5, 100]
    assert (plan.steps[0].least_runs, plan.shadow and plan.shadow.cap_nanodollars) == (50, 1_500_000_000)
    assert [step["percentage"] for step in plan_document(plan)["steps"]] == [5, 100]
    assert read_plan(plan_document(plan)) == plan
    assert [step.percentage for step in plan.without_shadow().steps] == [5, 100]


@pytest.mark.parametrize(
    ("shadow", "names"),
    [
        ({}, "shadow.cap_usd is missing"),
        ({"cap_usd": 0}, "shadow.cap_usd must be a number from"),
        ({"cap_usd": "5"}, "shadow.cap_usd must be a number from"),
        ({"cap_usd": 1, "percentage": 0}, "shadow.percentage must be"),
        ({"cap_usd": 1, "share": 10}, "did you mean"),
        ({"cap_usd": 1, "tools_are_safe": "yes"}, "shadow.tools_are_safe must be true or false"),
        (7, "shadow must be an object"),
    ],
)
def test_a_shadow_that_is_not_as_it_should_be_is_refused_by_name(shadow: Any, names: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_plan({"shadow": shadow})
    assert refused.value.code == "bad_plan"
    assert names in refused.value.message or "shadow" in refused.value.message


def test_a_ramp_behind_a_shadow_begins_above_nothing() -> None:
    with pytest.raises(BadInput) as refused:
        read_plan({"shadow": SHADOW, "steps": [{"percentage": 0}, {"percentage": 5}]})
    assert refused.value.param == "steps[0].percentage"


def test_calls_are_copied_in_the_first_step_alone_and_not_while_it_is_paused() -> None:
    assert shadow_step(_rollout()) is not None
    assert shadow_step(_rollout(step=1)) is None
    assert shadow_step(_rollout(state="paused")) is None
    assert shadow_step(_rollout(shadow=None)) is None


def test_so_large_a_share_of_calls_is_copied_as_the_plan_says() -> None:
    step = shadow_step(_rollout())
    assert step is not None
    taken = sum(step.takes(f"run_{number:05}") for number in range(5000))
    assert 850 < taken < 1150


@pytest.mark.parametrize("user", ["u1", "u2", None])
def test_a_copy_gets_the_candidate_on_an_arm_of_its_own_whoever_asked(user: str | None) -> None:
    seen = shadow_snapshot(_snapshot(_rollout()))
    assert list(seen.agents) == ["a"]
    found = resolve(seen.agents["a"], Caller(agent="a", user=user))
    assert (found.version.number, found.arm, found.rollout, found.step) == (2, SHADOW_ARM, "r1", 0)
    assert found.in_analysis is (user is not None)


def test_beside_a_shadow_nothing_is_seen_of_agents_and_caps() -> None:
    seen = shadow_snapshot(_snapshot(_rollout(step=1), _cap("c1", "usd")))
    assert (seen.agents, seen.caps) == ({}, ())


def test_copies_count_in_their_own_cap_and_in_money_but_in_no_users_cap_and_no_cap_of_calls() -> None:
    own = cap_of_shadow(_rollout(), "ann", 5)
    assert own is not None
    assert (own.is_hard, own.unit, own.limit_amount, is_own_cap(own)) == (True, "usd", 1_500_000_000, True)
    caps = [
        own, _cap("all", "usd"), _cap("tokens", "tokens", agent="a"), _cap("calls", "calls"), _cap("flight", "in_flight"),
        _cap("each", "usd", user="*"), _cap("one", "tokens", user="u1"),
    ]  # fmt: skip
    assert [cap.id for cap in caps_of_copies(caps)] == [own.id, "all", "tokens"]
    assert not is_own_cap(_cap("all", "usd"))
    stable = CallFacts(agent="a", provider="p", model="m", rollout="r1", arm="stable", tags={})
    assert not own.touches(stable)
    assert cap_of_shadow(_rollout(shadow=None), "ann", 5) is None


def test_the_cap_of_copies_is_left_behind_when_its_rollout_goes_on() -> None:
    own = cap_of_shadow(_rollout(), "ann", 5)
    assert own is not None
    assert caps_left_behind(_snapshot(_rollout(), own)) == []
    assert caps_left_behind(_snapshot(_rollout(state="paused"), own)) == []
    assert caps_left_behind(_snapshot(_rollout(step=1), own, _cap("all", "usd"))) == [own]
    assert caps_left_behind(_snapshot(_rollout(id="r2"), own)) == [own]


def test_outcomes_that_people_report_do_not_judge_copies_which_nobody_got() -> None:
    guards = {"errors": {}, "outcome.escalated": {}, "outcome.validation": {}}
    plan = judged_by_copies(read_plan({"shadow": SHADOW, "guards": guards, "signals": {"outcome.score": {}}}))
    assert [guard.metric for guard in plan.guards] == ["errors", "outcome.validation"]
    assert plan.signals == ()
    alone = read_plan({"shadow": SHADOW, "guards": {"outcome.escalated": {}}})
    assert judged_by_copies(alone) == alone
