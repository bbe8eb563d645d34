"""One rollout lived through in one world, decided by the project's own code; and the naive rule beside it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.canary.worlds import Traffic, World
from proxy.core.evidence.tallies import RUNS_COUNTED_PER_USER, RateTally, RatioTally, Tick
from proxy.core.rollouts.deciding import Standing, decide
from proxy.core.rollouts.evidence import Evidence, MetricEvidence, StepEvidence
from proxy.core.rollouts.plan import Guard, Plan, Step

#: Costs are winsorised at stable's p99 before the rollout, here known from the law they are drawn from.
_P99 = 2.326
_NEVER = 1e12


@dataclass(frozen=True, slots=True)
class Lived:
    """How it went: whether it was taken back, after how many of the candidate's runs; what the naive rule would have done."""

    is_rolled_back: bool
    candidate_runs: int
    naive_rolled_back: bool


def ramp(percentages: Sequence[float], guards: Sequence[Guard]) -> Plan:
    """A plan whose steps grow when the harness says so."""
    steps = tuple(Step(percentage, _NEVER, 0, 0) for percentage in percentages)
    return Plan(steps=steps, guards=tuple(guards))


def live(world: World, plan: Plan, seed: int, *, ticks: int, runs_per_tick: int) -> Lived:
    """Run the ramp, an equal number of ticks a step, to its end or to the rollback."""
    traffic = Traffic(world, seed, runs_per_tick)
    errors = RateTally()
    costs = RatioTally()
    naive = Counter[str]()
    seen_runs, naive_back = 0, False
    ticks_a_step = math.ceil(ticks / len(plan.steps))
    guarded = {guard.metric for guard in plan.guards}
    cap = math.exp(_P99 * (world.cost_sigma or 0.0))
    for number in range(ticks):
        step = number // ticks_a_step
        share = plan.steps[step].percentage / 100
        error_tick, cost_tick, counted, candidate_counted = Tick(), Tick(), Counter[int](), 0
        for run in traffic.tick():
            is_candidate = run.bucket < share
            seen_runs += is_candidate
            is_error = run.error_draw < traffic.error_rate(run, number, is_candidate)
            naive["c" if is_candidate else "s"] += 1
            naive["cb" if is_candidate else "sb"] += is_error
            counted[run.user] += 1
            if world.users is not None and counted[run.user] > RUNS_COUNTED_PER_USER:
                continue
            side = "candidate" if is_candidate else "stable"
            error_tick.count(step, side, run.cluster, is_bad=is_error)
            candidate_counted += is_candidate
            if world.cost_sigma is not None:
                cost = run.cost * (world.cost_factor if is_candidate else 1.0)
                cost_tick.add(step, side, run.cluster, min(cost, cap), 1.0)
        errors = errors.close(error_tick) if "errors" in guarded else errors
        costs = costs.close(cost_tick, candidate_counted) if "cost" in guarded else costs
        naive_back = naive_back or _naive(naive)
        metrics = {"errors": MetricEvidence(rates=(errors,)), "cost": MetricEvidence(ratio=costs)}
        evidence = Evidence(
            StepEvidence(candidate_runs=1), {name: metrics[name] for name in guarded if name in metrics}
        )
        standing = Standing(plan=plan, state="running", step=step, seconds_in_step=0.0)
        if decide(standing, evidence).action == "roll_back":
            return Lived(True, seen_runs, naive_back)
    return Lived(False, seen_runs, naive_back)


def _naive(counts: Counter[str]) -> bool:
    """The rule most people write: after 50 runs, 1.5 times stable's error rate is bad."""
    if counts["c"] < 50 or counts["sb"] == 0:
        return False
    return counts["cb"] / counts["c"] > 1.5 * counts["sb"] / counts["s"]
