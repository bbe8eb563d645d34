"""Each metric of a rollout looked at alone: counts, effect, interval, evidence, and what they amount to.

Decision: a hard trigger is a limit of the candidate's own rate, and an outage that hits both arms passes it. One of a metric that every
run tells acts only where the candidate is beyond stable, in the same steps, by half the limit: in an outage at which both
fail six calls of ten, they differ by that much in 2 of 100 outages, looked at after each run (simulated, 2026-11-29), and a broken candidate
beside a sound stable always does. Not taken:
the whole limit, which would let a candidate at 55 % go on beside a stable at 10 %; nor the comparison of reported outcomes, which are
often told of bad runs alone.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

from proxy.core.evidence.clustering import ComputedOnce
from proxy.core.evidence.ratio import TAU_RATIO, interval
from proxy.core.evidence.tallies import RateTally, RatioTally
from proxy.core.rollouts.evidence import Evidence
from proxy.core.rollouts.plan import MEASURED, Guard, HardTrigger, Plan, Step

#: pass: no sign of harm; fail: worse, proven; insufficient: too little to say; error: the metric is asked for and silent.
Verdict = Literal["pass", "fail", "insufficient", "error"]
Role = Literal["guard", "signal", "hard_trigger"]
#: By so much of its limit the candidate must be beyond stable, for a hard trigger to act.
_EXCESS: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """One metric's numbers. What people read of them beside the verdict is worked out when somebody looks."""

    metric: str
    role: Role
    verdict: Verdict
    candidate_runs: int
    log_e: float = 0.0
    #: What the other numbers are read from: of a rate seen from several sides the one that says most; None: nothing was counted.
    tally: RateTally | RatioTally | None = None
    #: What the interval is wrong with.
    alpha: float = 0.05

    @property
    def candidate_bad(self) -> int | None:
        """None of what is no rate, and of a rate that nobody told; a trigger's is 0 then."""
        if isinstance(self.tally, RateTally):
            return self.tally.bad("candidate")
        return 0 if self.role == "hard_trigger" else None

    @property
    def stable_runs(self) -> int | None:
        """Of a rate that is compared with stable's, which a hard trigger's is not."""
        return None if (rate := self._compared_rate) is None else rate.runs("stable")

    @property
    def stable_bad(self) -> int | None:
        return None if (rate := self._compared_rate) is None else rate.bad("stable")

    @property
    def effect(self) -> float | None:
        """An odds ratio for a rate, a ratio of means, or standard deviations of a score."""
        return None if self._effect is None else self._effect[0]

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self._effect is None else self._effect[1]

    @property
    def _compared_rate(self) -> RateTally | None:
        return self.tally if isinstance(self.tally, RateTally) and self.role != "hard_trigger" else None

    @ComputedOnce
    def _effect(self) -> tuple[float, tuple[float, float]] | None:
        if isinstance(self.tally, RatioTally):
            return _effect_of_ratio(self.tally, self.alpha)
        return None if self._compared_rate is None else _effect_of_rate(self._compared_rate, self.alpha)


def assess(plan: Plan, step: Step, evidence: Evidence) -> tuple[Assessment, ...]:
    """Every guard, signal and hard trigger of a plan, at one of its steps."""
    # Enough of the candidate's runs have passed that a metric which none of them told is silent, not late.
    is_due = evidence.step.candidate_runs >= max(1, step.least_runs)
    found = [_assess(guard, "guard", evidence, plan.alpha, is_due) for guard in plan.guards]
    found += [_assess(signal, "signal", evidence, plan.alpha, is_due) for signal in plan.signals]
    found += [_assess_trigger(trigger, evidence) for trigger in plan.hard_triggers]
    return tuple(found)


def tolerated_effect(guard: Guard) -> float:
    """A guard's tolerance on the scale of a ratio's estimate (a rate's is inside its evidence)."""
    return math.log1p(guard.tolerance) if guard.kind == "ratio" else guard.tolerance


def _assess(guard: Guard, role: Role, evidence: Evidence, alpha: float, is_due: bool) -> Assessment:
    metric = evidence.metric(guard)
    runs, log_e = metric.candidate_runs, metric.log_e(tolerated_effect(guard))
    verdict: Verdict = "pass"
    if runs == 0:
        # No data is its own verdict: silence counts for nobody, and a metric that stays silent holds the rollout.
        verdict = "error" if is_due else "insufficient"
    elif log_e >= math.log(1 / alpha):
        verdict = "fail"
    return Assessment(
        metric=guard.metric,
        role=role,
        verdict=verdict,
        candidate_runs=runs,
        log_e=log_e,
        tally=metric.foremost,
        alpha=alpha,
    )


def _effect_of_rate(rate: RateTally, alpha: float) -> tuple[float, tuple[float, float]] | None:
    found = pooled_log_odds(rate)
    if found is None:
        return None
    low, high = interval(*found, TAU_RATIO, alpha)
    return math.exp(found[0]), (math.exp(low), math.exp(high))


def _effect_of_ratio(ratio: RatioTally, alpha: float) -> tuple[float, tuple[float, float]] | None:
    estimate = ratio.estimate()
    if estimate is None:
        return None
    low, high = interval(estimate.effect, estimate.variance, ratio.tau, alpha)
    is_log = ratio.deviation is None
    return (math.exp(estimate.effect), (math.exp(low), math.exp(high))) if is_log else (estimate.effect, (low, high))


def _assess_trigger(trigger: HardTrigger, evidence: Evidence) -> Assessment:
    metric = evidence.metrics.get(trigger.metric)
    rate = metric.rates[0] if metric is not None and metric.rates else None
    runs, bad = (0, 0) if rate is None else (rate.runs("candidate"), rate.bad("candidate"))
    is_beyond = runs >= trigger.least_runs and bad >= trigger.least_bad and bad / runs >= trigger.rate
    verdict: Verdict = "insufficient" if runs < trigger.least_runs else "pass"
    if is_beyond and not (rate is not None and trigger.metric in MEASURED and _stable_too(rate, trigger)):
        verdict = "fail"
    return Assessment(metric=trigger.metric, role="hard_trigger", verdict=verdict, candidate_runs=runs, tally=rate)


def _stable_too(rate: RateTally, trigger: HardTrigger) -> bool:
    """Whether stable was about as bad beside the candidate, step by step, so that the cause is elsewhere. What stable lacks of the
    trigger's least runs counts as good: a few bad runs excuse nothing."""
    stable, beyond, runs = rate.of("stable"), 0.0, 0
    for step, ours in rate.of("candidate").items():
        theirs = stable.get(step)
        alike = 0.0 if theirs is None else theirs.bad / max(theirs.runs, trigger.least_runs)
        beyond += ours.bad - ours.runs * alike
        runs += ours.runs
    return beyond < _EXCESS * trigger.rate * runs


def pooled_log_odds(rate: RateTally) -> tuple[float, float] | None:
    """(log odds ratio, its variance) by Mantel and Haenszel over the steps, with the variance of Robins, Breslow and
    Greenland (Biometrics 42, 1986) times the design effect; None where the counts say nothing. For people to read: decisions
    are the e-values' matter."""
    sum_r = sum_s = sum_pr = sum_mixed = sum_qs = 0.0
    for candidate, stable in _paired(rate):
        a, b = candidate[1], candidate[0] - candidate[1]
        c, d = stable[1], stable[0] - stable[1]
        n = a + b + c + d
        if candidate[0] == 0 or stable[0] == 0:
            continue
        r, s = a * d / n, b * c / n
        p, q = (a + d) / n, (b + c) / n
        sum_r, sum_s = sum_r + r, sum_s + s
        sum_pr, sum_mixed, sum_qs = sum_pr + p * r, sum_mixed + p * s + q * r, sum_qs + q * s
    if sum_r <= 0 or sum_s <= 0:
        return None
    variance = sum_pr / (2 * sum_r**2) + sum_mixed / (2 * sum_r * sum_s) + sum_qs / (2 * sum_s**2)
    return math.log(sum_r / sum_s), variance * rate.deff


def _paired(rate: RateTally) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """((runs, bad) of the candidate, of stable) for each step that has both."""
    candidate, stable = rate.of("candidate"), rate.of("stable")
    both = sorted(candidate.keys() & stable.keys())
    return [((candidate[step].runs, candidate[step].bad), (stable[step].runs, stable[step].bad)) for step in both]
