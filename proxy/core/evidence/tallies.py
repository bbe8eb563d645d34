"""What is kept of a rollout's runs: sums that add exactly over processes and do not grow with traffic.

Per metric: the log evidence of the closed blocks, and counts by step, arm and cluster. A **tick** is counted first, run by run
(`Tick`), then closed once into the standing evidence (`RateTally.close`, `RatioTally.close`); what comes later opens another.
Of one user's runs in one tick only the first two are counted: which two does not depend on how they went, and a user who calls
a hundred times is no hundred witnesses.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from proxy.core.evidence.bernoulli import Arms, MarginEvidence, OddsEvidence, log_sum_exp
from proxy.core.evidence.clustering import ComputedOnce, StepClusters, design_effect, non_empty
from proxy.core.evidence.ratio import (
    LEAST_CANDIDATE_CLUSTERS as LEAST_RATIO_CLUSTERS,
)
from proxy.core.evidence.ratio import (
    LEAST_CANDIDATE_RUNS,
    TAU_RATIO,
    TAU_SCORE,
    Estimate,
    StepSums,
    estimate_log_ratio,
    estimate_mean_difference,
    log_e,
)

Side = Literal["candidate", "stable"]
_Amount = TypeVar("_Amount", int, float)
_Place = tuple[int, Side]
_Columns = tuple[dict[int, _Amount], dict[int, _Amount]]
SIDES: Final[tuple[Side, Side]] = ("candidate", "stable")
RUNS_COUNTED_PER_USER: Final = 2
#: A rate acts only when so many clusters of the candidate have runs.
LEAST_RATE_CLUSTERS: Final = 10
_NO_COLUMNS: Final[_Columns[int]] = ({}, {})
_NO_CLUSTERS: Final = StepClusters()
_NO_SUMS: Final = StepSums()


@dataclass(slots=True)
class Tick:
    """One metric's runs of one tick: by (step in which the run started, side), then cluster. Of a rate how many runs and how many bad
    ones, of a ratio the sums of numerator and denominator."""

    counts: dict[_Place, _Columns[int]] = field(default_factory=dict[_Place, _Columns[int]])
    sums: dict[_Place, _Columns[float]] = field(default_factory=dict[_Place, _Columns[float]])

    def count(self, step: int, side: Side, cluster: int, *, is_bad: bool) -> None:
        """Count one run of a rate."""
        columns = self.counts.get((step, side))
        if columns is None:
            columns = self.counts[step, side] = ({}, {})
        runs, bad = columns
        runs[cluster] = runs.get(cluster, 0) + 1
        if is_bad:
            bad[cluster] = bad.get(cluster, 0) + 1

    def add(self, step: int, side: Side, cluster: int, numerator: float, denominator: float) -> None:
        """Add one run of a ratio."""
        columns = self.sums.get((step, side))
        if columns is None:
            columns = self.sums[step, side] = ({}, {})
        numerators, denominators = columns
        numerators[cluster] = numerators.get(cluster, 0.0) + numerator
        denominators[cluster] = denominators.get(cluster, 0.0) + denominator

    def merge(self, other: "Tick") -> None:
        """Add what another process counted in the same tick."""
        for place, counts in other.counts.items():
            _add_columns(self.counts.setdefault(place, ({}, {})), counts)
        for place, sums in other.sums.items():
            _add_columns(self.sums.setdefault(place, ({}, {})), sums)

    def block(self, step: int) -> Arms:
        """What came to a step of a rate."""
        runs, bad = self.counts.get((step, "candidate"), _NO_COLUMNS)
        stable_runs, stable_bad = self.counts.get((step, "stable"), _NO_COLUMNS)
        return Arms(sum(runs.values()), sum(bad.values()), sum(stable_runs.values()), sum(stable_bad.values()))


def _add_columns(columns: _Columns[_Amount], more: _Columns[_Amount]) -> None:
    for column, added in zip(columns, more, strict=True):
        for cluster, amount in added.items():
            column[cluster] = column.get(cluster, 0) + amount


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
        for place, (runs, bad) in tick.counts.items():
            steps[place] = steps.get(place, _NO_CLUSTERS).plus(runs, bad)
        for step in sorted({step for step, _ in tick.counts}):
            block = tick.block(step)
            odds = odds.after(block)
            margin = None if margin is None else margin.after(block)
        return RateTally(odds, margin, steps)

    def runs(self, side: Side) -> int:
        """Runs counted of one side, over all steps."""
        return sum([counts.runs for (_, other), counts in self.steps.items() if other == side])

    def bad(self, side: Side) -> int:
        """Bad runs among them."""
        return sum([counts.bad for (_, other), counts in self.steps.items() if other == side])

    def of(self, side: Side) -> dict[int, StepClusters]:
        """One side's counts by step."""
        return {step: counts for (step, other), counts in self.steps.items() if other == side}

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
        for place, (numerators, denominators) in tick.sums.items():
            steps[place] = steps.get(place, _NO_SUMS).plus(numerators, denominators)
        return RatioTally(self.deviation, self.candidate_runs + candidate_runs, steps)

    def paired(self) -> list[tuple[StepSums, StepSums]]:
        """(candidate, stable) sums of each step."""
        steps = sorted({step for step, _ in self.steps})
        return [
            (self.steps.get((step, "candidate"), _NO_SUMS), self.steps.get((step, "stable"), _NO_SUMS))
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
        estimate = self._acting
        return 0.0 if estimate is None else log_e(estimate.effect, estimate.variance, self.tau, tolerated_effect)

    @property
    def may_act(self) -> bool:
        """Whether there are runs and clusters enough for it to act."""
        return self._acting is not None

    @property
    def _acting(self) -> Estimate | None:
        """The estimate, where there is enough for it to act; with too few runs none is made."""
        estimate = self.estimate() if self.candidate_runs >= LEAST_CANDIDATE_RUNS else None
        return None if estimate is None or estimate.candidate_clusters < LEAST_RATIO_CLUSTERS else estimate


def mean_log_e(log_es: Sequence[float]) -> float:
    """ln of the mean of e-values: one metric seen from several sides, such as latency at stable's median and at its p95."""
    return log_es[0] if len(log_es) == 1 else log_sum_exp(log_es) - math.log(len(log_es))
