"""One side's runs against another's: the sequential tests of rollouts (core/evidence) over the sums of reports.

Where both sides were arms of one rollout, the blocks are its steps, hour by hour or day by day, and who got which was drawn. Other
sides are compared within each hour that has runs of both: whoever had the one may differ from whoever had the other, and the
comparison says so (`is_randomised`). Unlike a rollout's own judgement it does not leave out runs of users with many, which the design
effect answers for, and an hour that is not over yet is a block of what it has so far: figures for people, by which nothing moves.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypedDict

from proxy.core.evidence.bernoulli import Arms, OddsEvidence
from proxy.core.evidence.clustering import StepClusters
from proxy.core.evidence.ratio import TAU_RATIO, StepSums, interval
from proxy.core.evidence.tallies import SIDES, RateTally, RatioTally, Side
from proxy.core.reports.counting import CLUSTERED_RATES
from proxy.core.reports.figures import Interval, step_clusters
from proxy.core.reports.sums import Cell, RunSums, summed
from proxy.core.rollouts.assessing import pooled_log_odds
from proxy.core.rollouts.telling import odds
from proxy.core.shapes import Count

ComparisonVerdict = Literal["worse", "better", "no_difference_shown", "not_enough_traffic"]
_ALPHA: Final = 0.05
#: Of either side, before anything is said of a difference that is not shown.
_LEAST_RUNS: Final = 50
#: Each side and the one that it is held against.
_SIDES: Final[tuple[tuple[Side, Side], ...]] = (("candidate", "stable"), ("stable", "candidate"))
COST_PER_SUCCESS: Final = "cost_per_success"
#: A block of two sides: the cells of each.
Block = Mapping[Side, Sequence[RunSums]]


class SideCount(TypedDict):
    """Runs that could be compared, and the bad ones of a rate."""

    runs: Count
    bad: Count | None


class ComparedMetric(TypedDict):
    """`effect` is an odds ratio for a rate, a ratio of means for a cost; null where the counts do not say. `evidence`: as odds
    against there being no difference, for people."""

    verdict: ComparisonVerdict
    candidate: SideCount
    stable: SideCount
    effect: float | None
    interval: Interval | None
    evidence: str
    log_e: float


def blocks_of(
    candidate: Sequence[tuple[Cell, RunSums]], stable: Sequence[tuple[Cell, RunSums]]
) -> tuple[list[Block], bool]:
    """What can be compared, and whether users were drawn to the sides: cells that have all but version and arm in common where
    both were arms of one rollout, else all cells of an hour."""
    drawn = _paired(candidate, stable, is_drawn=True)
    return (drawn, True) if drawn else (_paired(candidate, stable, is_drawn=False), False)


def compared(blocks: Sequence[Block]) -> dict[str, ComparedMetric]:
    """Errors, refusals and cost per successful run, of the candidate against stable."""
    metrics = {metric: _rate(blocks, metric) for metric in CLUSTERED_RATES}
    return {**metrics, COST_PER_SUCCESS: _cost(blocks)}


def _paired(
    candidate: Sequence[tuple[Cell, RunSums]], stable: Sequence[tuple[Cell, RunSums]], *, is_drawn: bool
) -> list[Block]:
    found: dict[tuple[object, ...], dict[Side, list[RunSums]]] = {}
    sides: dict[Side, Sequence[tuple[Cell, RunSums]]] = {"candidate": candidate, "stable": stable}
    for side, cells in sides.items():
        for cell, sums in cells:
            if is_drawn and not cell.rollout:
                continue
            key = (cell.rollout, cell.step, cell.start_microseconds) if is_drawn else (cell.start_microseconds,)
            found.setdefault(key, {}).setdefault(side, []).append(sums)
    return [found[key] for key in sorted(found, key=repr) if len(found[key]) == len(sides)]


def _rate(blocks: Sequence[Block], metric: str) -> ComparedMetric:
    ahead, back = OddsEvidence(), OddsEvidence()
    steps: dict[tuple[int, Side], StepClusters] = {}
    turned: dict[tuple[int, Side], StepClusters] = {}
    for number, block in enumerate(blocks):
        ours, theirs = (_clusters(block[side], metric) for side in SIDES)
        ahead = ahead.after(Arms(ours.runs, ours.bad, theirs.runs, theirs.bad))
        back = back.after(Arms(theirs.runs, theirs.bad, ours.runs, ours.bad))
        # What follows from a side's counts is worked out once for both directions.
        steps[number, "candidate"] = turned[number, "stable"] = ours
        steps[number, "stable"] = turned[number, "candidate"] = theirs
    worse, better = RateTally(ahead, None, steps), RateTally(back, None, turned)
    found = pooled_log_odds(worse)
    bounds = None if found is None else interval(*found, TAU_RATIO, _ALPHA)
    return {
        "verdict": _verdict(min(map(worse.runs, SIDES)) >= _LEAST_RUNS, worse.log_e(), better.log_e()),
        "candidate": {"runs": worse.runs("candidate"), "bad": worse.bad("candidate")},
        "stable": {"runs": worse.runs("stable"), "bad": worse.bad("stable")},
        "effect": None if found is None else math.exp(found[0]),
        "interval": None if bounds is None else [math.exp(bounds[0]), math.exp(bounds[1])],
        "evidence": odds(max(worse.log_e(), better.log_e())),
        "log_e": worse.log_e(),
    }


def _cost(blocks: Sequence[Block]) -> ComparedMetric:
    runs: dict[Side, int] = {"candidate": 0, "stable": 0}
    steps: dict[tuple[int, Side], StepSums] = {}
    back: dict[tuple[int, Side], StepSums] = {}
    for number, block in enumerate(blocks):
        for side, other in _SIDES:
            runs[side] += sum([priced for sums in block[side] for priced in sums.of("cluster_priced").values()])
            steps[number, side] = back[number, other] = _costs(block[side])
    tally, turned = RatioTally(None, runs["candidate"], steps), RatioTally(None, runs["stable"], back)
    estimate = tally.estimate()
    bounds = None if estimate is None else interval(estimate.effect, estimate.variance, TAU_RATIO, _ALPHA)
    log_e, better = tally.log_e(0.0), turned.log_e(0.0)
    return {
        "verdict": _verdict(tally.may_act and turned.may_act, log_e, better),
        "candidate": {"runs": runs["candidate"], "bad": None},
        "stable": {"runs": runs["stable"], "bad": None},
        "effect": None if estimate is None else math.exp(estimate.effect),
        "interval": None if bounds is None else [math.exp(bounds[0]), math.exp(bounds[1])],
        "evidence": odds(max(log_e, better)),
        "log_e": log_e,
    }


def _clusters(cells: Sequence[RunSums], metric: str) -> StepClusters:
    bad = summed([sums.of(f"cluster_{metric}") for sums in cells])
    return step_clusters(summed([sums.of("cluster_runs") for sums in cells]), bad)


def _costs(cells: Sequence[RunSums]) -> StepSums:
    """What the runs of each cluster cost, and how many successful ones that was for."""
    ok = summed([sums.of("cluster_priced_ok") for sums in cells])
    costs = summed([sums.of("cluster_cost") for sums in cells])
    return StepSums().plus(
        {int(cluster): float(cost) for cluster, cost in costs.items()},
        {int(cluster): float(count) for cluster, count in ok.items() if cluster in costs},
    )


def _verdict(is_enough: bool, worse: float, better: float) -> ComparisonVerdict:
    needed = math.log(1 / _ALPHA)
    if worse >= needed:
        return "worse"
    if better >= needed:
        return "better"
    return "no_difference_shown" if is_enough else "not_enough_traffic"
