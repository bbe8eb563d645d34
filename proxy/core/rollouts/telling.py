"""The sentences people read: what was decided about a rollout, on which counts, and what it waits for."""

import math

from proxy.core.rollouts.assessing import Assessment
from proxy.core.rollouts.deciding import Action, Decision, Standing, Wait

_DONE: dict[Action, str] = {
    "roll_back": "rolled back",
    "hold": "held at this share",
    "advance": "moved to the next share",
    "promote": "promoted",
    "wait_for_approval": "waits for approval",
    "stay": "stays at this share",
}
_WHY = {
    "sample_ratio": "users do not fall to the arms as the share says; the candidate may fail before it is counted",
    "silent_metric": "no run has told it, so nobody knows; is it reported at all?",
    "signal": "worse, by a metric that only holds",
    "inconclusive": "too little traffic for too long",
    "paused": "paused",
    "waiting": "waits for approval",
    "not_proven_equal": "not yet proven to be within the margin",
    "over": "over",
}


def sentence(decision: Decision, standing: Standing) -> str:
    """One sentence: counts, verdict, evidence, action."""
    done, arm = _DONE[decision.action], standing.arm
    if standing.has_others and decision.action == "roll_back":
        done = "taken out, stable has its users again"
    is_trigger = decision.code == "hard_trigger"
    about = (
        a for a in decision.assessments if a.metric == decision.metric and (a.role == "hard_trigger") == is_trigger
    )
    told = next(about, None)
    if decision.code == "worse" and told is not None:
        return f"{arm} {counts(told)}: worse, evidence {odds(decision.log_e)}; {done}"
    if decision.code == "hard_trigger" and told is not None:
        trigger = next(t for t in standing.plan.hard_triggers if t.metric == told.metric)
        return f"{arm} {counts(told)}: above the limit of {trigger.rate:.0%}; {done}"
    if decision.code == "schedule" and decision.not_now is not None:
        return f"{decision.not_now.sentence}; {done if standing.has_begun else 'waits to begin'}"
    if decision.code == "begun":
        return "the schedule lets it begin; moved to the first share"
    if decision.code == "short" and math.isinf(standing.plan.steps[standing.step].least_seconds):
        return f"{_so_far(decision, arm)}; {done} until somebody moves it"
    if decision.code == "short":
        return f"{done}: {waiting(decision.waits)}"
    if decision.code == "passed":
        return f"no sign that the candidate is worse (evidence {odds(decision.log_e)}); {done}"
    prefix = f"{decision.metric}: " if decision.metric else ""
    return f"{prefix}{_WHY[decision.code]}; {done}"


def _so_far(decision: Decision, arm: str) -> str:
    if not any(told.candidate_runs for told in decision.assessments):
        return f"no run of {arm} is counted yet"
    return f"no sign that {arm} is worse (evidence {odds(decision.log_e)})"


def counts(told: Assessment) -> str:
    """`errors 31 of 412 against 44 of 7,961`, or the ratio with its interval."""
    if told.candidate_bad is not None:
        against = "" if told.stable_runs is None else f" against {told.stable_bad:,} of {told.stable_runs:,}"
        return f"{told.metric} {told.candidate_bad:,} of {told.candidate_runs:,}{against}"
    if told.effect is None or told.interval is None:
        return f"{told.metric} of {told.candidate_runs:,} runs"
    low, high = told.interval
    return f"{told.metric} {told.effect:.2f} times stable's ({low:.2f} to {high:.2f}) in {told.candidate_runs:,} runs"


def odds(log_e: float) -> str:
    """`2,310 to 1`; below 1 it says that there is none."""
    if log_e <= 0:
        return "none"
    return f"{math.exp(log_e):,.0f} to 1" if log_e < math.log(1e9) else "over 1,000,000,000 to 1"


def waiting(waits: tuple[Wait, ...]) -> str:
    """`40 of 200 runs, 3 of 20 users; perhaps in 12 minutes`."""
    short = [wait for wait in waits if wait.have < wait.need]
    missing = ", ".join(_amount(wait) for wait in short)
    remaining = [wait.remaining_seconds for wait in short]
    known = [seconds for seconds in remaining if seconds is not None]
    if len(known) < len(remaining):
        return f"{missing}; no traffic yet to tell how long"
    return f"{missing}; at the rate so far in {duration(max(known))}" if known else missing


def _amount(wait: Wait) -> str:
    if wait.what == "seconds":
        return f"{duration(wait.have)} of {duration(wait.need)}"
    return f"{wait.have:,.0f} of {wait.need:,.0f} {wait.what}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`, `2.0 days`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86_400 else f"{seconds / 86_400:.1f} days"
