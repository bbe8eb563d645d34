"""What a drill takes back, what it must not come between, and what its figures say."""

from typing import Any

import pytest

from proxy.core.errors import Conflict, NotFound
from proxy.core.rollouts.drills import (
    WEEK_MICROSECONDS,
    DrillCalls,
    check_drillable,
    drilled_versions,
    has_passed,
    is_due,
    process_document,
    time_of,
)
from proxy.core.scopes import Scope
from proxy.core.snapshot import Agent, AgentState, Label, Rollout
from proxy.core.switches import Switch
from tests.two_arms import split


def _state(newest: int, serving: int | None, **labels_in_rollout: str) -> AgentState:
    labels = {} if serving is None else {"prod": Label("prod", serving, 1)}
    rollouts = {
        label.replace("_", "-"): Rollout(
            id="r1", agent="a", label=label, salt="a/r1", arms=split(1, 2, 100), state="running"
        )
        for label in labels_in_rollout
    }
    return AgentState(Agent(name="a", newest=newest), labels, rollouts)


def _switch(scope: dict[str, Any], **changes: Any) -> Switch:
    members = {"id": "s1", "scope": Scope(**scope), "mode": "block", "why": "", "created_by": "ann"}
    return Switch(**{**members, "created_at_microseconds": 1, **changes})


@pytest.mark.parametrize(("newest", "serving", "taken_back"), [(2, 1, 2), (2, 2, 1), (9, 4, 9), (9, 9, 8)])
def test_what_the_label_serves_stays_and_the_newest_other_version_is_taken_back(
    newest: int, serving: int, taken_back: int
) -> None:
    assert drilled_versions(_state(newest, serving), "prod") == (serving, taken_back)


def test_an_agent_of_one_version_and_a_label_that_is_not_set_cannot_be_drilled() -> None:
    with pytest.raises(Conflict) as refused:
        drilled_versions(_state(1, 1), "prod")
    assert refused.value.code == "nothing_to_rehearse"
    with pytest.raises(NotFound) as missing:
        drilled_versions(_state(2, None), "prod")
    assert missing.value.code == "label_not_set"


def test_no_drill_is_held_beside_a_rollout_of_the_agent_but_for_one_that_a_drill_left() -> None:
    with pytest.raises(Conflict) as refused:
        check_drillable(_state(2, 1, staging="running"), (), 5)
    assert refused.value.code == "rollout_running"
    check_drillable(_state(2, 1, switchback_drill="running"), (), 5)


@pytest.mark.parametrize(
    ("switch", "is_in_the_way"),
    [
        (_switch({}), True),
        (_switch({"agent": "a"}), True),
        (_switch({"model": "gpt-4o"}), True),
        (_switch({"agent": "a"}, mode="reply", reply_text="later"), True),
        (_switch({"agent": "b"}), False),
        (_switch({"agent": "a"}, mode="observe"), False),
        (_switch({"agent": "a"}, expires_at_microseconds=5), False),
    ],
)
def test_no_drill_is_held_while_a_switch_holds_calls_of_the_agent(switch: Switch, is_in_the_way: bool) -> None:
    if not is_in_the_way:
        check_drillable(_state(2, 1), (switch,), 5)
        return
    with pytest.raises(Conflict) as refused:
        check_drillable(_state(2, 1), (switch,), 5)
    assert refused.value.code == "switch_holds"


def test_an_agent_is_due_a_week_after_its_last_drill() -> None:
    assert is_due(None, 5)
    assert not is_due(7, 6 + WEEK_MICROSECONDS)
    assert is_due(7, 7 + WEEK_MICROSECONDS)


def _calls(last: int | None, *, is_taken_back: bool = True) -> DrillCalls:
    return DrillCalls(
        calls=9, candidate_calls=4, failed_calls=0, failure=None, last_candidate_at=last, is_taken_back=is_taken_back
    )


def test_the_time_of_a_drill_is_that_of_its_slowest_process() -> None:
    told = [
        process_document(name, _calls(last), 10_000) for name, last in (("w1", 12_500), ("w2", 40_000), ("w3", 9_000))
    ]
    assert [(process.get("passed"), process["time_ms"]) for process in told] == [
        (True, 2.5),
        (True, 30.0),
        (True, None),
    ]
    assert (has_passed(told), time_of(told)) == (True, 30.0)


@pytest.mark.parametrize("last", [9_000, 10_000])
def test_a_candidate_that_answered_nothing_after_the_order_leaves_a_drill_that_passed_without_a_time(last: int) -> None:
    told = [process_document("w1", _calls(last), 10_000)]
    assert (has_passed(told), time_of(told)) == (True, None)


@pytest.mark.parametrize("calls", [None, _calls(12_500, is_taken_back=False), _calls(None, is_taken_back=False)])
def test_a_process_that_still_had_the_candidate_or_ended_leaves_the_drill_without_a_time(
    calls: DrillCalls | None,
) -> None:
    told = [process_document("w1", _calls(12_500), 10_000), process_document("w2", calls, 10_000)]
    assert (has_passed(told), time_of(told)) == (False, None)
    assert (has_passed([]), time_of([])) == (False, None)
