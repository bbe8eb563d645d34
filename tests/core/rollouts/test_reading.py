"""Plans as people write them."""

import pytest

from proxy.core.errors import BadInput
from proxy.core.rollouts.plan import DEFAULT_PLAN, Guard, HardTrigger, Step
from proxy.core.rollouts.reading import fixed_share, plan_document, read_plan


def test_nothing_written_is_the_default_plan() -> None:
    assert read_plan({}) == DEFAULT_PLAN


def test_a_plan_is_read_as_it_is_written() -> None:
    plan = read_plan(
        {
            "steps": [
                {"percentage": 1, "min_duration": "1h", "min_runs": 50, "min_users": 5},
                {"percentage": 50, "min_duration": 90, "min_runs": 500, "min_users": 50},
            ],
            "guards": {"errors": {"weight": 3, "tolerance": 1.25}, "outcome.validation": None, "outcome.score": {}},
            "signals": {"output_tokens": {"tolerance": 0.2}},
            "hard_triggers": [{"metric": "errors", "rate": 0.3}],
            "at_end": "wait",
            "max_step_duration": "2d",
        }
    )
    assert plan.steps == (Step(1, 3600, 50, 5), Step(50, 90, 500, 50))
    assert plan.guards == (
        Guard("errors", "rate", 3.0, 1.25),
        Guard("outcome.validation", "rate"),
        Guard("outcome.score", "score", 1.0, 0.0),
    )
    assert plan.signals == (Guard("output_tokens", "ratio", 1.0, 0.2),)
    assert (plan.at_end, plan.most_step_seconds) == ("wait", 172_800)


@pytest.mark.parametrize(
    "plan",
    [
        DEFAULT_PLAN,
        fixed_share(10, {"tier": "trial"}, {"ann": "candidate"}),
        read_plan(
            {"watch": "never", "max_step_duration": "never", "steps": [{"percentage": 7, "min_duration": "never"}]}
        ),
        read_plan({"watch": 1_234_567, "max_step_duration": 0.25}),
    ],
)
def test_what_is_stored_is_read_again(plan: object) -> None:
    assert read_plan(plan_document(plan)) == plan


@pytest.mark.parametrize(
    ("document", "at", "says"),
    [
        ([], "plan", "must be an object"),
        ({"step": []}, "plan", "did you mean steps"),
        ({"steps": []}, "steps", "at least one"),
        ({"steps": [{"percentage": 10}, {"percentage": 10}]}, "steps[1].percentage", "above the step before"),
        ({"steps": [{"percentage": 101}]}, "steps[0].percentage", "from 0 to 100"),
        ({"steps": [{}]}, "steps[0].percentage", "is missing"),
        ({"steps": [{"percentage": 5, "min_duration": "soon"}]}, "steps[0].min_duration", "15m"),
        ({"steps": [{"percentage": 5, "min_runs": 1.5}]}, "steps[0].min_runs", "whole number"),
        ({"guards": {}}, "guards", "at least one metric"),
        ({"guards": {"error": {}}}, "guards.error", "did you mean errors?"),
        ({"guards": {"errors": {"weight": 0}}}, "guards.errors.weight", "from 0.001"),
        ({"guards": {"errors": {"weight": float("nan")}}}, "guards.errors.weight", "must be a number"),
        ({"guards": {"errors": {"kind": "ratio"}}}, "guards.errors.kind", "is rate"),
        ({"guards": {"errors": {"tolerance": 0.5}}}, "guards.errors.tolerance", "from 1 "),
        ({"signals": {"errors": {}}}, "signals", "is a guard already"),
        ({"hard_triggers": [{"metric": "cost", "rate": 0.5}]}, "hard_triggers[0].metric", "must be a rate"),
        ({"hard_triggers": [{"metric": "errors"}]}, "hard_triggers[0].rate", "is missing"),
        ({"alpha": 0.9}, "alpha", "from 1e-06 to 0.5"),
        ({"at_end": "ship"}, "at_end", "promote, wait"),
        ({"eligible": {"tier": 1}}, "eligible", "texts"),
    ],
)
def test_a_mistake_is_named_with_its_place(document: object, at: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_plan(document)
    assert refused.value.code in ("bad_plan", "bad_percentage")
    assert refused.value.param == at
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("pinned", "param"),
    [
        (["ann"], "pinned"),
        ({"ann": "canary"}, "pinned.ann"),
        ({"": "stable"}, "pinned"),
        ({7: "stable"}, "pinned"),
        ({"x" * 513: "stable"}, "pinned"),
        ({f"u{number}": "stable" for number in range(1_001)}, "pinned"),
    ],
)
def test_users_are_pinned_by_name_to_an_arm_there_is(pinned: object, param: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_plan({"pinned": pinned})
    assert (refused.value.code, refused.value.param) == ("bad_plan", param)


def test_a_pinned_user_is_kept_as_everybody_is_bucketed() -> None:
    assert read_plan({"pinned": {"Zoe\u0308": "stable"}}).pinned == {"Zo\u00eb": "stable"}


def test_incidents_are_hard_triggers_by_their_number_and_no_guards() -> None:
    triggers = read_plan(
        {"hard_triggers": [{"metric": "outcome.incident.high"}, {"metric": "outcome.incident", "min_bad": 3}]}
    )
    assert triggers.hard_triggers == (
        HardTrigger("outcome.incident.high", 1.0, 1, 1),
        HardTrigger("outcome.incident", 1.0, 1, 3),
    )
    for role in ("guards", "signals"):
        with pytest.raises(BadInput, match="make it one of hard_triggers"):
            read_plan({role: {"outcome.incident.low": {}}})
