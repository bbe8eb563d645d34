"""What is kept of a rollout's runs: sums that add exactly over processes and do not grow with traffic.

Per metric: the log evidence of the closed blocks, and counts by step, arm and cluster. A **tick** is counted first, run by run
(`Tick`), then closed once into the standing evidence (`RateTally.close`, `RatioTally.close`); what comes later opens another.
Of one user's runs in one tick only the first two are counted: which two does not depend on how they went, and a user who calls
a hundred times is no hundred witnesses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from proxy.core.evidence.bernoulli import Arms, MarginEvidence, OddsEvidence, log_sum_exp
from proxy.core.evidence.clustering import ClusterCount, ComputedOnce, StepClusters, add_cells, design_effect, non_empty
from proxy.core.evidence.ratio import (
    LEAST_CANDIDATE_CLUSTERS as LEAST_RATIO_CLUSTERS,
)
from proxy.core.evidence.ratio import (
    LEAST_CANDIDATE_RUNS,
    TAU_RATIO,
    TAU_SCORE,
    Estimate,
    StepSums,
    Sums,
    estimate_log_ratio,
    estimate_mean_difference,
    log_e,
)

Side = Literal["candidate", "stable"]
_Cell = TypeVar("_Cell", ClusterCount, Sums)
SIDES: Final[tuple[Side, Side]] = ("candidate", "stable")
RUNS_COUNTED_PER_USER: Final = 2
#: A rate acts only when so many clusters of the candidate have runs.
LEAST_RATE_CLUSTERS: Final = 10
_NOTHING: Final = StepClusters()


@dataclass(slots=True)
class Tick:
    """One metric's runs of one tick: by (step in which the run started, side), then cluster."""

    counts: dict[tuple[int, Side], dict[int, ClusterCount]] = field(
        default_factory=dict[tuple[int, "Side"], dict[int, ClusterCount]]
    )
    sums: dict[tuple[int, Side], dict[int, Sums]] = field(default_factory=dict[tuple[int, "Side"], dict[int, Sums]])

    def count(self, step: int, side: Side, cluster: int, *, is_bad: bool) -> None:
        """Count one run of a rate."""
        cells = self.counts.get((step, side))
        if cells is None:
            cells = self.counts[step, side] = {}
        more = ClusterCount(1, int(is_bad))
        before = cells.get(cluster)
        cells[cluster] = more if before is None else before.plus(more)

    def add(self, step: int, side: Side, cluster: int, numerator: float, denominator: float) -> None:
        """Add one run of a ratio."""
        cells = self.sums.get((step, side))
        if cells is None:
            cells = self.sums[step, side] = {}
        more = Sums(numerator, denominator)
        before = cells.get(cluster)
        cells[cluster] = more if before is None else before.plus(more)

    def merge(self, other: "Tick") -> None:
        """Add what another process counted in the same tick."""
        for place, counts in other.counts.items():
            add_cells(self.counts.setdefault(place, {}), counts)
        for place, sums in other.sums.items():
            add_cells(self.sums.setdefault(place, {}), sums)


@dataclass(frozen=True)
class RateTally:
    """Everything known of one rate: closed blocks as log evidence, and counts by step and side. What is made of them is computed
    once: a tick without runs leaves the tally as it is, and one with runs the steps that had none."""

    odds: OddsEvidence = field(default_factory=OddsEvidence)
    margin: MarginEvidence | None = None
    steps: Mapping[tuple[int, Side], StepClusters] = field(default_factory=dict[tuple[int, "Side"], StepClusters])

    def close(self, tick: Tick) -> "RateTally":
        """The tally with one more tick in it: each step that has runs in it is a block."""
        odds, margin, steps = self.odds, self.margin, dict(self.steps)
        for key, more in tick.counts.items():
            before = steps.get(key)
            steps[key] = StepClusters(more) if before is None else before.plus(more)
        for step in sorted({step for step, _ in tick.counts}):
            block = _block(self.steps, steps, step)
            odds = odds.after(block)
            margin = None if margin is None else margin.after(block)
        return RateTally(odds, margin, steps)

    def runs(self, side: Side) -> int:
        """Runs counted of one side, over all steps."""
        return sum([step.runs for step in self.of(side).values()])

    def bad(self, side: Side) -> int:
        """Bad runs among them."""
        return sum([step.bad for step in self.of(side).values()])

    def of(self, side: Side) -> dict[int, StepClusters]:
        """One side's counts by step."""
        return self._sides[side]

    @ComputedOnce
    def _sides(self) -> dict[Side, dict[int, StepClusters]]:
        sides: dict[Side, dict[int, StepClusters]] = {side: {} for side in SIDES}
        for (step, side), counts in self.steps.items():
            sides[side][step] = counts
        return sides

    @ComputedOnce
    def deff(self) -> float:
        return design_effect(self.of("candidate").values(), self.of("stable").values())

    @ComputedOnce
    def is_active(self) -> bool:
        """Whether there are clusters enough for it to act."""
        return non_empty(self.of("candidate").values()) >= LEAST_RATE_CLUSTERS

    def log_e(self) -> float:
        """ln of the evidence that the candidate is worse; 0 while it may not act."""
        return self._log_e

    @ComputedOnce
    def _log_e(self) -> float:
        return self.odds.log_e(self.deff) if self.is_active else 0.0

    def log_e_within_margin(self) -> float:
        """ln of the evidence that the candidate is within the margin asked for; 0 without one."""
        return self.margin.log_e(self.deff) if self.margin is not None and self.is_active else 0.0


def _block(
    before: Mapping[tuple[int, Side], StepClusters], after: Mapping[tuple[int, Side], StepClusters], step: int
) -> Arms:
    """What came to a step between two states of it."""
    ours, theirs = after.get((step, "candidate"), _NOTHING), after.get((step, "stable"), _NOTHING)
    our_past, their_past = before.get((step, "candidate"), _NOTHING), before.get((step, "stable"), _NOTHING)
    return Arms(
        ours.runs - our_past.runs, ours.bad - our_past.bad, theirs.runs - their_past.runs, theirs.bad - their_past.bad
    )


@dataclass(frozen=True)
class RatioTally:
    """Everything known of one ratio or score: sums by step and side, likewise computed once. `deviation`: of a score, frozen at
    the start."""

    deviation: float | None = None
    candidate_runs: int = 0
    steps: Mapping[tuple[int, Side], StepSums] = field(default_factory=dict[tuple[int, "Side"], StepSums])

    def close(self, tick: Tick, candidate_runs: int) -> "RatioTally":
        """The tally with one more tick in it, of which so many runs were the candidate's."""
        steps = dict(self.steps)
        for key, more in tick.sums.items():
            steps[key] = steps.get(key, StepSums()).plus(more)
        return RatioTally(self.deviation, self.candidate_runs + candidate_runs, steps)

    def paired(self) -> list[tuple[StepSums, StepSums]]:
        """(candidate, stable) sums of each step."""
        steps = sorted({step for step, _ in self.steps})
        return [
            (self.steps.get((step, "candidate"), StepSums()), self.steps.get((step, "stable"), StepSums()))
            for step in steps
        ]

    def estimate(self) -> Estimate | None:
        """The effect so far; positive is worse."""
        return self._estimate

    @ComputedOnce
    def _estimate(self) -> Estimate | None:
        if self.deviation is not None:
            return estimate_mean_difference(self.paired(), self.deviation)
        return estimate_log_ratio(self.paired())

    @property
    def tau(self) -> float:
        return TAU_RATIO if self.deviation is None else TAU_SCORE

    def log_e(self, tolerated_effect: float) -> float:
        """ln of the evidence that the effect is above the tolerated one; 0 while it may not act."""
        estimate = self.estimate()
        if estimate is None or not self.may_act:
            return 0.0
        return log_e(estimate.effect, estimate.variance, self.tau, tolerated_effect)

    @property
    def may_act(self) -> bool:
        """Whether there are runs and clusters enough for it to act."""
        estimate = self.estimate()
        return (
            estimate is not None
            and self.candidate_runs >= LEAST_CANDIDATE_RUNS
            and estimate.candidate_clusters >= LEAST_RATIO_CLUSTERS
        )


def by_step(cells: Mapping[tuple[int, Side, int], _Cell]) -> dict[tuple[int, Side], dict[int, _Cell]]:
    """Cells by step, side and cluster, as those of each step and side."""
    steps: dict[tuple[int, Side], dict[int, _Cell]] = {}
    for (step, side, cluster), cell in cells.items():
        steps.setdefault((step, side), {})[cluster] = cell
    return steps


def mean_log_e(log_es: Sequence[float]) -> float:
    """ln of the mean of e-values: one metric seen from several sides, such as latency at stable's median and at its p95."""
    return log_sum_exp(list(log_es)) - log_sum_exp([0.0] * len(log_es))
