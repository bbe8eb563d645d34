"""T2: means and ratios, such as cost per successful run, output tokens per run, a numeric score.

Per step, arm and cluster two sums are kept: of the (winsorised) numerator and of the denominator. The log ratio of the arms,
weighted over steps, is asymptotically normal with a variance read from the spread over clusters; the e-value is that of a
one-sided mixture over normal alternatives (Waudby-Smith et al., arXiv 2103.06476). Valid by simulation, not by theorem: it acts
only with many runs and clusters, and never on rates, where it errs too often.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Final, NamedTuple

from proxy.core.evidence.clustering import CLUSTERS, ComputedOnce

#: The mixture's width for log ratios, and for scores in standard deviations.
TAU_RATIO: Final = 0.3
TAU_SCORE: Final = 0.2
LEAST_CANDIDATE_RUNS: Final = 100
LEAST_CANDIDATE_CLUSTERS: Final = 20
_NONE: Final = array("d", [0.0] * CLUSTERS)


class Sums(NamedTuple):
    """The numerator's and the denominator's sum."""

    numerator: float
    denominator: float


@dataclass(frozen=True)
class StepSums:
    """One arm's sums in one step, of each cluster 0..63; what follows from them is computed once."""

    numerator_of: "array[float]" = field(default_factory=lambda: _NONE)
    denominator_of: "array[float]" = field(default_factory=lambda: _NONE)

    @classmethod
    def of(cls, numerator_of: Sequence[float], denominator_of: Sequence[float]) -> "StepSums":
        """Of sums by cluster."""
        return cls(array("d", numerator_of), array("d", denominator_of))

    def plus(self, numerators: Mapping[int, float], denominators: Mapping[int, float]) -> "StepSums":
        """With what was added later in the same step, by cluster."""
        numerator_of, denominator_of = self.numerator_of[:], self.denominator_of[:]
        for cluster, amount in numerators.items():
            numerator_of[cluster] += amount
        for cluster, amount in denominators.items():
            denominator_of[cluster] += amount
        return StepSums(numerator_of, denominator_of)

    @ComputedOnce
    def total(self) -> Sums:
        return Sums(math.fsum(self.numerator_of), math.fsum(self.denominator_of))

    @ComputedOnce
    def ratio(self) -> float:
        return self.total.numerator / self.total.denominator

    @ComputedOnce
    def residuals(self) -> list[float]:
        """The numerator of each cluster beyond that of the arm's ratio."""
        ratio = self.ratio
        return [above - ratio * below for above, below in zip(self.numerator_of, self.denominator_of, strict=True)]


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
    clusters = _non_empty([candidate for candidate, _ in steps])
    if clusters < 2:
        return None
    (first_scale, first), *others = scaled
    influences = [first_scale * residual for residual in first.residuals]
    for scale, arm in others:
        influences = [before + scale * residual for before, residual in zip(influences, arm.residuals, strict=True)]
    spread = CLUSTERS / (CLUSTERS - 1) * sum([influence * influence for influence in influences])
    variance = spread * (1 + 2 / (clusters - 1))
    return Estimate(effect, variance, clusters) if variance > 0 else None


def _non_empty(steps: Sequence[StepSums]) -> int:
    """How many clusters have something to divide by, over all steps of one arm."""
    denominators = steps[0].denominator_of
    for step in steps[1:]:
        denominators = array("d", map(add, denominators, step.denominator_of))
    return CLUSTERS - denominators.count(0.0)


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
