"""T2: means and ratios, such as cost per successful run, output tokens per run, a numeric score.

Per step, arm and cluster two sums are kept: of the (winsorised) numerator and of the denominator. The log ratio of the arms,
weighted over steps, is asymptotically normal with a variance read from the spread over clusters; the e-value is that of a
one-sided mixture over normal alternatives (Waudby-Smith et al., arXiv 2103.06476). Valid by simulation, not by theorem: it acts
only with many runs and clusters, and never on rates, where it errs too often.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxy.core.evidence.clustering import CLUSTERS, ComputedOnce, add_cells

#: The mixture's width for log ratios, and for scores in standard deviations.
TAU_RATIO: Final = 0.3
TAU_SCORE: Final = 0.2
LEAST_CANDIDATE_RUNS: Final = 100
LEAST_CANDIDATE_CLUSTERS: Final = 20


class Sums(NamedTuple):
    """The numerator's and the denominator's sum over the runs of one cluster."""

    numerator: float
    denominator: float

    def plus(self, more: "Sums") -> "Sums":
        return Sums(self.numerator + more.numerator, self.denominator + more.denominator)


@dataclass(frozen=True)
class StepSums:
    """One arm's sums in one step, by cluster 0..63; what follows from them is computed once."""

    by_cluster: Mapping[int, Sums] = field(default_factory=dict[int, Sums])

    def plus(self, more: Mapping[int, Sums]) -> "StepSums":
        """With what was added later in the same step."""
        sums = dict(self.by_cluster)
        add_cells(sums, more)
        return StepSums(sums)

    @ComputedOnce
    def total(self) -> Sums:
        if not self.by_cluster:
            return Sums(0.0, 0.0)
        numerators, denominators = zip(*self.by_cluster.values(), strict=True)
        return Sums(math.fsum(numerators), math.fsum(denominators))

    @ComputedOnce
    def occupied(self) -> int:
        """The clusters that have something to divide by, a bit for each."""
        return sum([1 << cluster for cluster, (_, denominator) in self.by_cluster.items() if denominator > 0])

    @ComputedOnce
    def ratio(self) -> float:
        return self.total.numerator / self.total.denominator

    @ComputedOnce
    def residuals(self) -> list[float]:
        """The numerator of each cluster beyond that of the arm's ratio."""
        ratio, residuals = self.ratio, [0.0] * CLUSTERS
        for cluster, (numerator, denominator) in self.by_cluster.items():
            residuals[cluster] = numerator - ratio * denominator
        return residuals


@dataclass(frozen=True, slots=True)
class Estimate:
    """The log ratio candidate / stable (or the difference of scores in standard deviations), and how sure it is."""

    effect: float
    variance: float
    candidate_clusters: int


def estimate_log_ratio(steps: Sequence[tuple[StepSums, StepSums]]) -> Estimate | None:
    """Estimate from (candidate, stable) sums of each step; None where an arm has nothing to compare yet."""
    usable = [step for step in steps if all(arm.total.numerator > 0 and arm.total.denominator > 0 for arm in step)]
    if not usable:
        return None
    effect, scaled = 0.0, list[tuple[float, StepSums]]()
    for weight, (candidate, stable) in zip(_weights(usable), usable, strict=True):
        effect += weight * (math.log(candidate.ratio) - math.log(stable.ratio))
        scaled += ((weight / candidate.total.numerator, candidate), (-weight / stable.total.numerator, stable))
    return _estimate(effect, scaled, usable)


def estimate_mean_difference(steps: Sequence[tuple[StepSums, StepSums]], deviation: float) -> Estimate | None:
    """By how many standard deviations (`deviation`, frozen from stable's history) the candidate's mean score is lower."""
    usable = [step for step in steps if all(arm.total.denominator > 0 for arm in step)]
    if not usable or deviation <= 0:
        return None
    effect, scaled = 0.0, list[tuple[float, StepSums]]()
    for weight, (candidate, stable) in zip(_weights(usable), usable, strict=True):
        weight /= deviation
        effect += weight * (stable.ratio - candidate.ratio)
        scaled += ((-weight / candidate.total.denominator, candidate), (weight / stable.total.denominator, stable))
    return _estimate(effect, scaled, usable)


def _weights(steps: Sequence[tuple[StepSums, StepSums]]) -> list[float]:
    raw: list[float] = []
    for candidate, stable in steps:
        c, s = candidate.total.denominator, stable.total.denominator
        raw.append(c * s / (c + s))
    total = sum(raw)
    return [weight / total for weight in raw]


def _estimate(
    effect: float, scaled: Sequence[tuple[float, StepSums]], steps: Sequence[tuple[StepSums, StepSums]]
) -> Estimate | None:
    """`scaled`: each arm of each step, and by how much one unit of its numerator moves the effect."""
    occupied = 0
    for candidate, _ in steps:
        occupied |= candidate.occupied
    clusters = occupied.bit_count()
    if clusters < 2:
        return None
    influences = [0.0] * CLUSTERS
    for scale, arm in scaled:
        influences = [before + scale * residual for before, residual in zip(influences, arm.residuals, strict=True)]
    spread = CLUSTERS / (CLUSTERS - 1) * sum([influence * influence for influence in influences])
    variance = spread * (1 + 2 / (clusters - 1))
    return Estimate(effect, variance, clusters) if variance > 0 else None


def log_e(effect: float, variance: float, tau: float, tolerated_effect: float = 0.0) -> float:
    """ln of the evidence that the true effect is above `tolerated_effect`."""
    information = 1 / variance
    score = (effect - tolerated_effect) * information
    width = 1 + tau * tau * information
    argument = tau * score / math.sqrt(width)
    return math.log(2) - 0.5 * math.log(width) + argument * argument / 2 + _log_normal_cdf(argument)


def _log_normal_cdf(x: float) -> float:
    """ln Phi(x); by the first terms of its expansion where erfc underflows."""
    if x > -30:
        return math.log(0.5 * math.erfc(-x / math.sqrt(2)))
    return -x * x / 2 - math.log(-x) - 0.5 * math.log(2 * math.pi) - 1 / (x * x)


def interval(effect: float, variance: float, tau: float, alpha: float) -> tuple[float, float]:
    """A two-sided interval to show beside the effect; it may be looked at continuously."""
    information = 1 / variance
    width = 1 + tau * tau * information
    half = math.sqrt(variance * width / (tau * tau * information) * (2 * math.log(1 / alpha) + math.log(width)))
    return effect - half, effect + half
