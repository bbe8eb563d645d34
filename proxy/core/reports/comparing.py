"""One side's runs against another's: the sequential tests of rollouts (core/evidence) over the sums of reports.

Where both sides were arms of one rollout, the blocks are its steps, hour by hour or day by day, and who got which was drawn. Other
sides are compared within each hour that has runs of both: whoever had the one may differ from whoever had the other, and the
comparison says so (`is_randomised`). Unlike a rollout's own judgement it does not leave out runs of users with many, which the design
effect answers for, and an hour that is not over yet is a block of what it has so far: figures for people, by which nothing moves.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypedDict, get_args

from proxy.core.evidence.bernoulli import OddsEvidence
from proxy.core.evidence.clustering import ClusterCount
from proxy.core.evidence.ratio import TAU_RATIO, interval
from proxy.core.evidence.tallies import SIDES, RateTally, RatioTally, Side, Tick
from proxy.core.reports.counting import CLUSTERED_RATES
from proxy.core.reports.figures import Interval
from proxy.core.reports.sums import Cell, RunSums
from proxy.core.rollouts.assessing import pooled_log_odds
from proxy.core.rollouts.telling import odds
from proxy.core.shapes import Count

ComparisonVerdict = Literal["worse", "better", "no_difference_shown", "not_enough_traffic"]
VERDICTS: tuple[ComparisonVerdict, ...] = get_args(ComparisonVerdict)
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
    worse, better = RateTally(OddsEvidence()), RateTally(OddsEvidence())
    # A tick for each block: one that has them all is gone through once for each of them.
    for number, block in enumerate(blocks):
        tick, turned = Tick(), Tick()
        for side, other in _SIDES:
            for cluster, count in _clusters(block[side], metric).items():
                tick.counts[number, side, cluster] = count
                turned.counts[number, other, cluster] = count
        worse, better = worse.close(tick), better.close(turned)
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
    tick, back = Tick(), Tick()
    runs: dict[Side, int] = {"candidate": 0, "stable": 0}
    for number, block in enumerate(blocks):
        for side, other in _SIDES:
            for sums in block[side]:
                runs[side] += sum(sums.of("cluster_priced").values())
                for cluster, cost in sums.of("cluster_cost").items():
                    pair = float(cost), float(sums.get("cluster_priced_ok", cluster))
                    tick.add(number, side, int(cluster), *pair)
                    back.add(number, other, int(cluster), *pair)
    tally, turned = RatioTally().close(tick, runs["candidate"]), RatioTally().close(back, runs["stable"])
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


def _clusters(cells: Sequence[RunSums], metric: str) -> dict[int, ClusterCount]:
    counts: dict[int, ClusterCount] = {}
    for sums in cells:
        bad = sums.of(f"cluster_{metric}")
        for cluster, runs in sums.of("cluster_runs").items():
            more = ClusterCount(runs, bad.get(cluster, 0))
            before = counts.get(int(cluster))
            counts[int(cluster)] = more if before is None else before.plus(more)
    return counts


def _verdict(is_enough: bool, worse: float, better: float) -> ComparisonVerdict:
    needed = math.log(1 / _ALPHA)
    if worse >= needed:
        return "worse"
    if better >= needed:
        return "better"
    return "no_difference_shown" if is_enough else "not_enough_traffic"
