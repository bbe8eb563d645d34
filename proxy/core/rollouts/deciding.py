"""decide(): what happens to a rollout now. One pure function over (rollout, evidence, time), first match wins:

1. evidence of harm, or a hard trigger: **roll back**, in every state that is not over, and latched;
2. users not split as promised, or a metric that was asked for and is silent: **hold**;
3. time, runs and users of the step are there and no signal fails: **advance**, at the last step **promote** or wait for approval;
4. too long short of them: as the plan's `on_inconclusive` says;
else **stay**, and say what is missing. A paused or waiting rollout only ever rolls back. Outside its schedule nothing begins, grows or is
promoted; it is rolled back all the same.
"""

import math
from dataclasses import dataclass
from typing import Literal

from proxy.core.evidence.sample_ratio import HOLD_LOG_E
from proxy.core.evidence.sample_ratio import log_e as sample_ratio_log_e
from proxy.core.evidence.weighing import cause, combined_log_e
from proxy.core.releasing.releases import CANDIDATE
from proxy.core.rollouts.assessing import Assessment, Verdict, assess
from proxy.core.rollouts.evidence import Evidence
from proxy.core.rollouts.plan import Plan, Step
from proxy.core.rollouts.schedule import Closed

State = Literal["running", "holding", "paused", "waiting", "promoted", "rolled_back", "aborted"]
OVER: frozenset[State] = frozenset({"promoted", "rolled_back", "aborted"})
Awaited = Literal["seconds", "runs", "users"]
Action = Literal["roll_back", "hold", "advance", "promote", "wait_for_approval", "stay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A rollout as it stands. `seconds_in_step` is measured by a monotonic clock and carried over restarts."""

    plan: Plan
    state: State
    step: int
    seconds_in_step: float
    #: The candidate's share as it is, which people may have set, of what it and stable have; None: the step's own.
    candidate_share: float | None = None
    #: Why the schedule lets nothing grow now (a freeze, outside business hours); None: it may.
    not_now: Closed | None = None
    #: Whether the candidate ever had the first step's share; one that begins outside its schedule has none yet.
    has_begun: bool = True
    #: The arm that is held against stable, for the sentences.
    arm: str = CANDIDATE
    #: Whether other arms go on where this one is taken out.
    has_others: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing the step waits for: `have` of `need`, and when it may be there at the rate so far (None: cannot be told)."""

    what: Awaited
    have: float
    need: float
    remaining_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do, why, and every number it rests on. `log_e` is the guards' combined evidence that the candidate is worse."""

    action: Action
    verdict: Verdict
    #: A stable code for programs: `worse`, `hard_trigger`, `sample_ratio`, `silent_metric`, `signal`, `schedule`, `short`, …
    code: str
    metric: str | None
    log_e: float
    assessments: tuple[Assessment, ...]
    waits: tuple[Wait, ...] = ()
    #: Why the schedule lets nothing grow now, whatever else is waited for.
    not_now: Closed | None = None


def decide(standing: Standing, evidence: Evidence) -> Decision:
    """The next action of a rollout. Never raises on any evidence; a rollout that is over stays over."""
    plan = standing.plan
    step = plan.steps[min(standing.step, len(plan.steps) - 1)]
    found = assess(plan, step, evidence)
    guards = {a.metric: a.log_e for a in found if a.role == "guard"}
    combined = combined_log_e(guards, plan.weights)
    waits = _waits(step, standing.seconds_in_step, evidence)

    def decided(action: Action, verdict: Verdict, code: str, metric: str | None = None) -> Decision:
        return Decision(
            action=action,
            verdict=verdict,
            code=code,
            metric=metric,
            log_e=combined,
            assessments=found,
            waits=waits,
            not_now=standing.not_now,
        )

    if standing.state in OVER:
        return decided("stay", "pass", "over")
    trigger = next((a for a in found if a.role == "hard_trigger" and a.verdict == "fail"), None)
    if trigger is not None:
        return decided("roll_back", "fail", "hard_trigger", trigger.metric)
    if combined >= math.log(1 / plan.alpha):
        return decided("roll_back", "fail", "worse", cause(guards, plan.weights))
    if standing.state in ("paused", "waiting"):
        return decided("stay", "insufficient", standing.state)
    if not standing.has_begun:
        return decided("advance", "pass", "begun") if standing.not_now is None else decided("stay", "pass", "schedule")
    share = step.percentage / 100 if standing.candidate_share is None else standing.candidate_share
    if _users_are_split_wrongly(share, evidence):
        return decided("hold", "error", "sample_ratio")
    silent = next((a for a in found if a.verdict == "error"), None)
    if silent is not None:
        return decided("hold", "error", "silent_metric", silent.metric)
    signal = next((a for a in found if a.role == "signal" and a.verdict == "fail"), None)
    if signal is not None:
        return decided("hold", "fail", "signal", signal.metric)
    if any(wait.have < wait.need for wait in waits):
        return decided(*_short(standing))
    if standing.not_now is not None:
        return decided("stay", "pass", "schedule")
    return decided(*_next(standing, evidence))


def _short(standing: Standing) -> tuple[Action, Verdict, str]:
    """What a step does that lacks time, runs or users."""
    plan = standing.plan
    if standing.seconds_in_step < plan.most_step_seconds:
        return "stay", "insufficient", "short"
    if plan.on_inconclusive == "rollback":
        return "roll_back", "insufficient", "inconclusive"
    if plan.on_inconclusive == "advance" and standing.not_now is None:
        return (*_grown(standing), "inconclusive")
    return "hold", "insufficient", "inconclusive"


def _next(standing: Standing, evidence: Evidence) -> tuple[Action, Verdict, str]:
    """What a step does that has everything it asks for."""
    plan = standing.plan
    is_last = standing.step == len(plan.steps) - 1
    if is_last and plan.promotion_odds_ratio is not None and not _is_within_margin(plan, evidence):
        if standing.seconds_in_step >= plan.most_step_seconds:
            return _short(standing)
        return "stay", "insufficient", "not_proven_equal"
    return (*_grown(standing), "passed")


def _grown(standing: Standing) -> tuple[Action, Verdict]:
    plan = standing.plan
    if standing.step < len(plan.steps) - 1:
        return "advance", "pass"
    return ("promote", "pass") if plan.at_end == "promote" else ("wait_for_approval", "pass")


def _is_within_margin(plan: Plan, evidence: Evidence) -> bool:
    rates = [evidence.metric(guard) for guard in plan.guards if guard.kind == "rate"]
    return all(rate.log_e_within_margin() >= math.log(1 / plan.alpha) for rate in rates)


def _users_are_split_wrongly(share: float, evidence: Evidence) -> bool:
    if not 0 < share < 1 or evidence.step.users_are_uncounted:
        return False
    return sample_ratio_log_e(evidence.step.candidate_users, evidence.step.stable_users, share) >= HOLD_LOG_E


def _waits(step: Step, elapsed: float, evidence: Evidence) -> tuple[Wait, ...]:
    users = step.least_users if evidence.step.users_are_uncounted else evidence.step.candidate_users
    return (
        Wait("seconds", elapsed, step.least_seconds, max(0.0, step.least_seconds - elapsed)),
        _counted("runs", evidence.step.candidate_runs, step.least_runs, elapsed),
        _counted("users", users, step.least_users, elapsed),
    )


def _counted(what: Literal["runs", "users"], have: int, need: int, elapsed_seconds: float) -> Wait:
    if have >= need:
        return Wait(what, have, need, 0.0)
    if have == 0 or elapsed_seconds <= 0:
        return Wait(what, have, need, None)
    return Wait(what, have, need, (need - have) * elapsed_seconds / have)
