"""What one finished run says about each metric."""

from typing import Any

import pytest
from msgspec import structs

from proxy.core.calls.runs import Run
from proxy.core.rollouts.measuring import Thresholds, counts, told_rate, told_ratio
from proxy.core.rollouts.plan import MEASURED

OK = Run(
    id="run_1",
    agent="triage",
    started_at_microseconds=0,
    duration_microseconds=900_000,
    time_to_first_byte_microseconds=200_000,
    status=200,
    result="ok",
    finish="stop",
    input_tokens=100,
    cached_tokens=60,
    output_tokens=40,
    cost_nanodollars=5_000,
    in_analysis=True,
)
LIMITS = Thresholds(
    latency_microseconds=(500_000.0, 1_000_000.0), first_byte_microseconds=(300_000.0,), cost_nanodollars=4_000
)

RATES, RATIOS = ({metric for metric, kind in MEASURED.items() if kind == which} for which in ("rate", "ratio"))


def _run(**changes: Any) -> Run:
    return structs.replace(OK, **changes)


def _bad(run: Run) -> set[str]:
    return {metric for metric in RATES if any(told_rate(metric, run, LIMITS) or ())}


def test_a_good_run_is_bad_only_where_it_was_slow() -> None:
    assert told_rate("latency", OK, LIMITS) == (True, False)
    assert _bad(OK) == {"latency"}
    assert {metric: told_ratio(metric, OK, LIMITS) for metric in RATIOS} == {
        "cost": (4_000.0, 1.0),
        "cost_per_success": (4_000.0, 1.0),
        "output_tokens": (40.0, 1.0),
        "uncached_input": (40.0, 100.0),
    }


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({"result": "error", "status": 503, "error_class": "provider_error"}, {"errors", "errors.provider"}),
        ({"result": "error", "status": 429, "error_class": "provider_error"}, {"errors", "errors.rate_limited"}),
        ({"result": "error", "status": 400, "error_class": "provider_error"}, {"errors", "errors.rejected"}),
        ({"result": "refused", "status": 400, "error_class": "variable_missing"}, {"errors", "errors.rejected"}),
        ({"result": "error", "status": 200, "error_class": "stream_broken"}, {"errors", "errors.broken"}),
        ({"result": "error", "status": 504, "error_class": "upstream_timeout"}, {"errors", "errors.timeout"}),
        ({"result": "client_left", "status": 200, "error_class": "client_left"}, set()),
        ({"refusal": True, "duration_microseconds": 1}, {"refusals"}),
        ({"finish": "filtered", "duration_microseconds": 1}, {"refusals"}),
        ({"finish": "length", "duration_microseconds": 1}, {"truncated_answers"}),
        ({"output_tokens": 0, "duration_microseconds": 1}, {"empty_answers"}),
        ({"tool_call_count": 2, "output_tokens": 0, "duration_microseconds": 1}, {"tool_call_rate"}),
    ],
)
def test_each_end_counts_where_it_belongs(changes: dict[str, Any], bad: set[str]) -> None:
    assert _bad(_run(**changes)) == bad


@pytest.mark.parametrize("code", ["agent_disabled", "spend_cap_exceeded", "unpriceable", "rate_limit_exceeded"])
def test_our_own_refusals_by_switch_and_cap_take_no_part(code: str) -> None:
    assert not counts(_run(result="refused", status=403, error_class=code))
    assert counts(_run(result="refused", status=400, error_class="variable_missing"))


@pytest.mark.parametrize(
    "changes", [{"in_analysis": False}, {"quarantined": True}, {"kind": "drill"}, {"kind": "shadow"}]
)
def test_what_is_outside_the_analysis_takes_no_part(changes: dict[str, Any]) -> None:
    assert not counts(_run(**changes))


def test_without_thresholds_latency_says_nothing_rather_than_good() -> None:
    assert told_rate("latency", OK, Thresholds()) is None
    assert told_rate("time_to_first_byte", OK, Thresholds()) is None


def test_a_run_that_did_not_end_well_tells_nothing_of_latency_and_tokens() -> None:
    broken = _run(result="error", status=500)
    told = {metric for metric in RATES if told_rate(metric, broken, LIMITS) is not None}
    assert told == RATES - {"latency", "time_to_first_byte"}
    assert {metric: told_ratio(metric, broken, LIMITS) for metric in RATIOS} == {
        "cost": (4_000.0, 1.0),
        "cost_per_success": (4_000.0, 0.0),
        "output_tokens": None,
        "uncached_input": None,
    }


def test_an_unknown_cost_is_no_cost_of_nothing() -> None:
    unpriced = _run(cost_nanodollars=None)
    assert told_ratio("cost", unpriced, LIMITS) is told_ratio("cost_per_success", unpriced, LIMITS) is None


def test_every_metric_that_a_plan_may_name_is_measured() -> None:
    assert all(told_rate(metric, OK, LIMITS) is not None for metric in RATES)
    assert all(told_ratio(metric, OK, LIMITS) is not None for metric in RATIOS)
