"""T2: means and ratios, such as cost per successful run, output tokens per run, a numeric score.

Per step, arm and cluster two sums are kept: of the (winsorised) numerator and of the denominator. The log ratio of the arms,
weighted over steps, is asymptotically normal with a variance read from the spread over clusters; the e-value is that of a
one-sided mixture over normal alternatives (Waudby-Smith et al., arXiv 2103.06476). Valid by simulation, not by theorem: it acts
only with many runs and clusters, and never on rates, where it errs too often.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.core.evidence.clustering import CLUSTERS

#: The mixture's width for log ratios, and for scores in standard deviations.
TAU_RATIO: Final = 0.3
TAU_SCORE: Final = 0.2
LEAST_CANDIDATE_RUNS: Final = 100
LEAST_CANDIDATE_CLUSTERS: Final = 20


@dataclass(frozen=True, slots=True)
class Sums:
    """The numerator's and the denominator's sum over the runs of one cluster."""

    numerator: float
    denominator: float


#: One arm's sums in one step, by cluster 0..63.
StepSums = Mapping[int, Sums]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The log ratio candidate / stable (or the difference of scores in standard deviations), and how sure it is."""

    effect: float
    variance: float
    candidate_clusters: int


def estimate_log_ratio(steps: Sequence[tuple[StepSums, StepSums]]) -> Estimate | None:
    """Estimate from (candidate, stable) sums of each step; None where an arm has nothing to compare yet."""
    usable = [step for step in steps if all(_total(arm).numerator > 0 and _total(arm).denominator > 0 for arm in step)]
    if not usable:
        return None
    weights = _weights(usable)
    effect = 0.0
    psi = dict.fromkeys(range(CLUSTERS), 0.0)
    for weight, arms in zip(weights, usable, strict=True):
        for sign, arm in zip((1, -1), arms, strict=True):
            total = _total(arm)
            ratio = total.numerator / total.denominator
            effect += sign * weight * math.log(ratio)
            scale = sign * weight / total.numerator
            for cluster, sums in arm.items():
                psi[cluster] += scale * (sums.numerator - ratio * sums.denominator)
    return _estimate(effect, psi, usable)


def estimate_mean_difference(steps: Sequence[tuple[StepSums, StepSums]], deviation: float) -> Estimate | None:
    """By how many standard deviations (`deviation`, frozen from stable's history) the candidate's mean score is lower."""
    usable = [step for step in steps if all(_total(arm).denominator > 0 for arm in step)]
    if not usable or deviation <= 0:
        return None
    weights = _weights(usable)
    effect = 0.0
    psi = dict.fromkeys(range(CLUSTERS), 0.0)
    for weight, (candidate, stable) in zip(weights, usable, strict=True):
        effect += weight * (_ratio(stable) - _ratio(candidate)) / deviation
        for sign, arm in ((-1, candidate), (1, stable)):
            total, mean = _total(arm), _ratio(arm)
            for cluster, sums in arm.items():
                share = (sums.numerator - mean * sums.denominator) / total.denominator
                psi[cluster] += sign * weight * share / deviation
    return _estimate(effect, psi, usable)


def _weights(steps: Sequence[tuple[StepSums, StepSums]]) -> list[float]:
    raw: list[float] = []
    for candidate, stable in steps:
        c, s = _total(candidate).denominator, _total(stable).denominator
        raw.append(c * s / (c + s))
    total = sum(raw)
    return [weight / total for weight in raw]


def _estimate(effect: float, psi: Mapping[int, float], steps: Sequence[tuple[StepSums, StepSums]]) -> Estimate | None:
    clusters = {cluster for candidate, _ in steps for cluster, sums in candidate.items() if sums.denominator > 0}
    if len(clusters) < 2:
        return None
    spread = CLUSTERS / (CLUSTERS - 1) * sum(value * value for value in psi.values())
    variance = spread * (1 + 2 / (len(clusters) - 1))
    return Estimate(effect, variance, len(clusters)) if variance > 0 else None


def _total(arm: StepSums) -> Sums:
    return Sums(
        math.fsum(sums.numerator for sums in arm.values()), math.fsum(sums.denominator for sums in arm.values())
    )


def _ratio(arm: StepSums) -> float:
    total = _total(arm)
    return total.numerator / total.denominator


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
