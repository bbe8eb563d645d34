"""Runs on their way into a rollout's evidence."""

import json
import random
from typing import Any

import pytest
from msgspec import structs

from proxy.core.calls.runs import Run
from proxy.core.evidence.bernoulli import MarginEvidence
from proxy.core.rollouts.counting import RolloutCounter, Tallies
from proxy.core.rollouts.keeping import read_tallies, tallies_document
from proxy.core.rollouts.measuring import Thresholds
from proxy.core.rollouts.plan import DEFAULT_PLAN, Guard, Plan
from proxy.core.rollouts.reading import read_plan

LIMITS = Thresholds(latency_microseconds=(500_000.0, 1_000_000.0), cost_nanodollars=9_000)


def _run(user: str | None, arm: str = "candidate", **changes: Any) -> Run:
    run = Run(
        id="run_1",
        agent="triage",
        started_at_microseconds=0,
        duration_microseconds=600_000,
        status=200,
        result="ok",
        cost_nanodollars=5_000,
        in_analysis=True,
        arm=arm,
        step=0,
        user=user,
    )
    return structs.replace(run, **changes)


def _counter(plan: Plan = DEFAULT_PLAN) -> RolloutCounter:
    return RolloutCounter("triage/r1", plan, Tallies(thresholds=LIMITS))


def test_runs_of_both_arms_become_evidence_of_every_metric_of_the_plan() -> None:
    counter = _counter()
    for number in range(30):
        counter.count(_run(f"u{number}", "candidate" if number < 10 else "stable"))
    evidence = counter.close()
    assert (evidence.step.candidate_runs, evidence.step.stable_runs) == (10, 20)
    assert (evidence.step.candidate_users, evidence.step.stable_users) == (10, 20)
    assert set(evidence.metrics) == {guard.metric for guard in DEFAULT_PLAN.guards}
    latency = evidence.metrics["latency"].rates
    assert [rate.bad("candidate") for rate in latency] == [10, 0]


def test_two_runs_of_a_user_count_in_a_tick_however_they_went() -> None:
    counter = _counter()
    for result in ("ok", "ok", "error", "error"):
        counter.count(_run("u1", result=result, status=200 if result == "ok" else 500))
    errors = counter.close().metrics["errors"].rates[0]
    assert (errors.runs("candidate"), errors.bad("candidate")) == (2, 0)
    counter.count(_run("u1", result="error", status=500))
    errors = counter.close().metrics["errors"].rates[0]
    assert (errors.runs("candidate"), errors.bad("candidate")) == (3, 1)


def test_the_step_counts_every_run_of_it_though_only_witnesses_are_judged() -> None:
    counter = _counter()
    for _ in range(5):
        counter.count(_run("u1"))
    assert counter.close().step.candidate_runs == 5


def test_runs_of_another_step_are_judged_in_theirs_and_do_not_fill_this_one() -> None:
    counter = _counter()
    counter.begin_step(1)
    counter.count(_run("u1", step=0))
    counter.count(_run("u2", step=1))
    evidence = counter.close()
    assert evidence.step.candidate_runs == 1
    assert {key[0] for key in evidence.metrics["errors"].rates[0].steps} == {0, 1}


def test_callers_without_a_subject_and_runs_outside_the_analysis_do_not_count() -> None:
    counter = _counter()
    counter.count(_run(None))
    counter.count(_run("u1", in_analysis=False))
    counter.count(_run("u1", arm="other"))
    assert counter.close().step.candidate_runs == 0


def test_outcomes_count_in_the_step_of_their_run_and_twice_a_user_and_tick() -> None:
    plan = read_plan({"guards": {"errors": {}, "outcome.validation": {}, "outcome.score": {}}})
    counter = _counter(plan)
    for number in range(3):
        counter.count_outcome(_run("u1"), "outcome.validation", number == 0)
        counter.count_outcome(_run(f"v{number}"), "outcome.score", 0.5)
    counter.count_outcome(_run("u9"), "outcome.unknown", True)
    evidence = counter.close()
    validation = evidence.metrics["outcome.validation"].rates[0]
    assert (validation.runs("candidate"), validation.bad("candidate")) == (2, 1)
    score = evidence.metrics["outcome.score"].ratio
    assert score is not None
    assert score.candidate_runs == 3


def test_a_counter_goes_on_after_a_restart_as_if_there_had_been_none() -> None:
    plan = Plan(
        steps=DEFAULT_PLAN.steps,
        guards=(Guard("errors", "rate"), Guard("latency", "rate", 1.0, 1.25), Guard("cost", "ratio", 1.0, 0.1)),
        promotion_odds_ratio=2.0,
    )
    draw = random.Random(11)
    whole, interrupted = _counter(plan), _counter(plan)
    for tick in range(6):
        for _ in range(50):
            is_error = draw.random() < 0.2
            run = _run(
                f"u{draw.randrange(200)}",
                draw.choice(["candidate", "stable"]),
                result="error" if is_error else "ok",
                status=500 if is_error else 200,
                duration_microseconds=draw.randrange(1_500_000),
                cost_nanodollars=draw.randrange(12_000),
            )
            whole.count(run)
            interrupted.count(run)
        assert whole.close() == interrupted.close()
        if tick == 2:
            kept = json.loads(json.dumps(tallies_document(interrupted.tallies)))
            interrupted = RolloutCounter("triage/r1", plan, read_tallies(kept))
    assert whole.evidence() == interrupted.evidence()


def test_what_an_earlier_release_kept_by_cells_is_read_and_kept_on_in_rows() -> None:
    rate = {
        "tolerance": 1.25,
        "log_sums": [0.1, 0.2, -0.3, -4.0],
        "margin": [2.0, 0.5],
        "cells": {"0/candidate/3": [4, 1], "0/stable/63": [7, 0], "2/stable/0": [5, 5]},
    }
    cost = {"deviation": None, "candidate_runs": 4, "cells": {"0/candidate/3": [0.1, 4.0], "2/stable/0": [2.5, 0.0]}}
    kept = tallies_document(Tallies(step=2)) | {"format": 1, "rates": {"errors": [rate]}, "ratios": {"cost": cost}}
    told = read_tallies(kept)
    errors, costs = told.rates["errors"][0], told.ratios["cost"]
    assert (errors.odds.log_sums, errors.margin) == ((0.1, 0.2, -0.3, -4.0), MarginEvidence(2.0, 0.5))
    assert {place: (step.runs, step.bad, step.runs_of[3]) for place, step in errors.steps.items()} == {
        (0, "candidate"): (4, 1, 4),
        (0, "stable"): (7, 0, 0),
        (2, "stable"): (5, 5, 0),
    }
    assert costs.steps[0, "candidate"].numerator_of[3] == 0.1
    assert costs.steps[2, "stable"].total == (2.5, 0.0)
    again = json.loads(json.dumps(tallies_document(told)))
    assert again["format"] == 3
    assert (read_tallies(again).rates, read_tallies(again).ratios) == (told.rates, told.ratios)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1, "rates": {"errors": [{"cells": {"0/candidate/64": [1, 0]}}]}},
        {"format": 1, "rates": {"errors": [{"cells": {"0/candidate/-1": [1, 0]}}]}},
        {"rates": {"errors": [{"steps": {"0/other": [[0] * 64, [0] * 64]}}]}},
        {"rates": {"errors": [{"steps": {"0/candidate": [[1], [0]]}}]}},
        {"rates": {"errors": [{"steps": {"0/candidate": [[-1] * 64, [0] * 64]}}]}},
        {"rates": {"errors": [{"steps": {"0/candidate": [[1 << 64] * 64, [0] * 64]}}]}},
        {"rates": {"errors": [{"steps": {"0/candidate": [[1] * 64]}}]}},
        {"ratios": {"cost": {"steps": {"0/candidate": [[1.0] * 64, [1.0] * 63]}}}},
        {"format": 9},
    ],
)
def test_what_was_never_kept_is_not_read(change: dict[str, Any]) -> None:
    whole = {"tolerance": 1.0, "log_sums": [0.0] * 4, "margin": None, "deviation": None, "candidate_runs": 0}
    for kind, tallies in change.items():
        if isinstance(tallies, dict):
            change = {**change, kind: {name: _with(whole, of) for name, of in tallies.items()}}
    with pytest.raises((ValueError, LookupError, TypeError)):
        read_tallies(tallies_document(Tallies()) | change)


def _with(whole: dict[str, Any], of: Any) -> Any:
    return [whole | one for one in of] if isinstance(of, list) else whole | of
