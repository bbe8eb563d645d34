"""What happens to a rollout: every rule of the ladder, in its order."""

import math
import random
from dataclasses import replace

import pytest

from proxy.core.evidence.bernoulli import MarginEvidence
from proxy.core.evidence.tallies import SIDES, RateTally, RatioTally, Tick
from proxy.core.rollouts.deciding import Decision, Standing, State, decide
from proxy.core.rollouts.evidence import Evidence, MetricEvidence, StepEvidence
from proxy.core.rollouts.plan import Guard, HardTrigger, Plan, Step
from proxy.core.rollouts.schedule import Closed
from proxy.core.rollouts.telling import sentence

PLAN = Plan(
    steps=(Step(10, 600, 100, 20), Step(50, 600, 100, 20)),
    guards=(Guard("errors", "rate"),),
    hard_triggers=(HardTrigger("errors", 0.5, 20, 10),),
)
STEP = StepEvidence(candidate_runs=300, stable_runs=2700, candidate_users=100, stable_users=900)


def _rate(
    candidate: float, stable: float = 0.05, *, margin: MarginEvidence | None = None, runs: int = 300
) -> MetricEvidence:
    draw, tick = random.Random(5), Tick()
    for index in range(runs):
        tick.count(0, "candidate", index % 64, is_bad=draw.random() < candidate)
        tick.count(0, "stable", index % 64, is_bad=draw.random() < stable)
    return MetricEvidence(rates=(RateTally(margin=margin).close(tick),))


FROZEN = Closed("freeze", 1_798_848_000_000_000, "holidays")
EQUAL, WORSE = _rate(0.05), _rate(0.3)


def _decided(
    errors: MetricEvidence = EQUAL,
    plan: Plan = PLAN,
    step: StepEvidence = STEP,
    *,
    state: State = "running",
    at: int = 0,
    seconds: float = 700,
    not_now: Closed | None = None,
    **others: MetricEvidence,
) -> tuple[Decision, str]:
    standing = Standing(plan=plan, state=state, step=at, seconds_in_step=seconds, not_now=not_now)
    decision = decide(standing, Evidence(step, {"errors": errors, **others}))
    return decision, sentence(decision, standing)


def test_a_worse_candidate_is_taken_back_with_its_counts_told() -> None:
    decision, told = _decided(WORSE)
    assert (decision.action, decision.verdict, decision.code, decision.metric) == (
        "roll_back",
        "fail",
        "worse",
        "errors",
    )
    assert told.startswith("candidate errors ")
    assert "of 300 against" in told
    assert "to 1; rolled back" in told


@pytest.mark.parametrize("state", ["running", "holding", "paused", "waiting"])
def test_a_worse_candidate_is_taken_back_from_every_state(state: State) -> None:
    assert _decided(WORSE, state=state)[0].action == "roll_back"


@pytest.mark.parametrize("state", ["promoted", "rolled_back", "aborted"])
def test_a_rollout_that_is_over_stays_over(state: State) -> None:
    assert _decided(WORSE, state=state)[0].action == "stay"


def test_a_hard_trigger_acts_before_there_is_evidence_enough() -> None:
    tick = Tick()
    for index in range(20):
        tick.count(0, "candidate", 1, is_bad=index < 12)
    decision, told = _decided(MetricEvidence(rates=(RateTally().close(tick),)), seconds=1)
    assert (decision.action, decision.code) == ("roll_back", "hard_trigger")
    assert told == "candidate errors 12 of 20: above the limit of 50%; rolled back"


def test_an_equal_candidate_moves_on_and_is_promoted_at_the_last_step() -> None:
    assert _decided()[0].action == "advance"
    assert _decided(at=1, step=replace(STEP, candidate_users=500, stable_users=500))[0].action == "promote"


def test_a_plan_may_wait_for_approval_at_its_end() -> None:
    plan = replace(PLAN, at_end="wait")
    decision, _ = _decided(plan=plan, at=1, step=replace(STEP, candidate_users=500, stable_users=500))
    assert decision.action == "wait_for_approval"


@pytest.mark.parametrize(
    ("step", "seconds", "missing"),
    [
        (replace(STEP, candidate_runs=40), 700, "40 of 100 runs"),
        (replace(STEP, candidate_users=3, stable_users=27), 700, "3 of 20 users"),
        (STEP, 60, "1 min of 10 min"),
    ],
)
def test_a_step_that_is_short_says_of_what(step: StepEvidence, seconds: float, missing: str) -> None:
    decision, told = _decided(step=step, seconds=seconds)
    assert (decision.action, decision.code) == ("stay", "short")
    assert missing in told


def test_what_it_waits_for_comes_with_a_time_from_the_rates_so_far() -> None:
    decision, told = _decided(step=replace(STEP, candidate_runs=50), seconds=600)
    assert {wait.what: wait.remaining_seconds for wait in decision.waits}["runs"] == pytest.approx(600)
    assert told.endswith("at the rate so far in 10 min")
    assert "no traffic yet" in _decided(step=StepEvidence(), errors=MetricEvidence())[1]


def test_no_traffic_is_no_verdict_for_or_against() -> None:
    decision, _ = _decided(MetricEvidence(), step=StepEvidence(), seconds=5 * 86_400)
    assert (decision.action, decision.verdict) == ("stay", "insufficient")


@pytest.mark.parametrize(("chosen", "action"), [("hold", "hold"), ("advance", "advance"), ("rollback", "roll_back")])
def test_a_step_that_is_short_for_too_long_does_what_the_plan_says(chosen: str, action: str) -> None:
    plan = replace(PLAN, on_inconclusive=chosen)
    decision, _ = _decided(plan=plan, step=replace(STEP, candidate_runs=40), seconds=8 * 86_400)
    assert (decision.action, decision.code) == (action, "inconclusive")


def test_users_split_otherwise_than_promised_hold() -> None:
    decision, told = _decided(step=replace(STEP, candidate_users=20, stable_users=2980))
    assert (decision.action, decision.code) == ("hold", "sample_ratio")
    assert "users do not fall to the arms" in told


def test_a_metric_that_nobody_tells_holds_and_never_passes() -> None:
    plan = replace(PLAN, guards=(*PLAN.guards, Guard("outcome.validation", "rate")))
    decision, _ = _decided(plan=plan)
    assert (decision.action, decision.code, decision.metric) == ("hold", "silent_metric", "outcome.validation")


def test_a_metric_that_is_not_due_yet_does_not_hold() -> None:
    plan = replace(PLAN, guards=(*PLAN.guards, Guard("outcome.validation", "rate")))
    assert _decided(plan=plan, step=replace(STEP, candidate_runs=50))[0].code == "short"


def test_a_signal_holds_and_never_takes_back() -> None:
    plan = replace(PLAN, signals=(Guard("refusals", "rate"),))
    decision, told = _decided(plan=plan, refusals=WORSE)
    assert (decision.action, decision.code, decision.metric) == ("hold", "signal", "refusals")
    assert told == "refusals: worse, by a metric that only holds; held at this share"


@pytest.mark.parametrize("state", ["paused", "waiting"])
def test_a_paused_or_waiting_rollout_does_not_grow(state: State) -> None:
    assert _decided(state=state)[0].action == "stay"


def test_a_freeze_keeps_the_share_but_not_the_way_back() -> None:
    assert _decided(not_now=FROZEN)[0].code == "schedule"
    assert _decided(not_now=FROZEN)[1] == "frozen (holidays), until 2027-01-02T00:00:00Z; stays at this share"
    assert _decided(WORSE, not_now=FROZEN)[0].action == "roll_back"


def test_promotion_may_ask_for_proof_of_being_no_worse() -> None:
    plan = replace(PLAN, promotion_odds_ratio=2.0)
    half = replace(STEP, candidate_users=500, stable_users=500)
    few = _rate(0.05, margin=MarginEvidence(2.0), runs=80)
    many = _rate(0.05, margin=MarginEvidence(2.0), runs=5000)
    assert _decided(few, plan, half, at=1)[0].code == "not_proven_equal"
    assert _decided(many, plan, half, at=1)[0].action == "promote"


def test_a_dearer_candidate_is_taken_back_beyond_its_tolerance_only() -> None:
    tick, draw = Tick(), random.Random(3)
    for index in range(3000):
        tick.add(0, "candidate", index % 64, 1.3 * draw.lognormvariate(0, 0.5), 1.0)
        tick.add(0, "stable", index % 64, draw.lognormvariate(0, 0.5), 1.0)
    cost = MetricEvidence(ratio=RatioTally().close(tick, 3000))

    def plan(tolerance: float) -> Plan:
        return replace(PLAN, guards=(Guard("errors", "rate"), Guard("cost_per_success", "ratio", 1.0, tolerance)))

    decision, told = _decided(plan=plan(0.1), cost_per_success=cost)
    assert (decision.action, decision.metric) == ("roll_back", "cost_per_success")
    assert "cost_per_success 1.29 times" in told
    assert _decided(plan=plan(0.5), cost_per_success=cost)[0].action == "advance"


def test_each_number_of_a_verdict_is_there() -> None:
    told = next(a for a in _decided(WORSE)[0].assessments if a.role == "guard")
    assert told.candidate_runs == told.stable_runs == 300
    assert told.effect is not None
    assert told.interval is not None
    assert told.interval[0] < told.effect < told.interval[1]
    assert told.interval[0] > 1
    assert told.log_e > math.log(20)


@pytest.mark.parametrize(
    ("candidate", "stable", "acts"),
    [(0.7, 0.7, False), (1.0, 0.9, False), (0.6, 0.1, True), (1.0, 0.5, True), (1.0, 0.0, True)],
)
def test_a_hard_trigger_acts_where_the_candidate_fails_and_stable_does_not_as_well(
    candidate: float, stable: float, acts: bool
) -> None:
    # Nothing but the trigger looks at errors.
    plan = replace(PLAN, guards=(Guard("refusals", "rate"),))
    decision, _ = _decided(_rate(candidate, stable), plan, refusals=EQUAL)
    assert (decision.code == "hard_trigger", decision.action == "roll_back") == (acts, acts)


def test_an_outage_of_an_earlier_step_is_held_against_no_candidate() -> None:
    outage, since = Tick(), Tick()
    for index in range(100):
        for side in SIDES:
            outage.count(0, side, index % 64, is_bad=True)
            since.count(1, side, index % 64, is_bad=index % 10 == 0)
    errors = MetricEvidence(rates=(RateTally().close(outage).close(since),))
    assert _decided(errors, at=1)[0].action != "roll_back"


def test_a_few_bad_runs_of_stable_excuse_nobody() -> None:
    tick = Tick()
    for index in range(30):
        tick.count(0, "candidate", index, is_bad=True)
    for index in range(3):
        tick.count(0, "stable", index, is_bad=True)
    assert _decided(MetricEvidence(rates=(RateTally().close(tick),)))[0].code == "hard_trigger"


def test_outcomes_that_are_told_of_bad_runs_alone_are_compared_with_nobody() -> None:
    plan = replace(PLAN, hard_triggers=(HardTrigger("outcome.incident.high", 0.01, 1, 1),))
    incidents = _rate(1.0, 1.0, runs=5)
    assert _decided(plan=plan, **{"outcome.incident.high": incidents})[0].code == "hard_trigger"
