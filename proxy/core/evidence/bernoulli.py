"""T1: is a bad event (error, refusal, failed validation, slow answer) more frequent among the candidate's runs?

Conditional 2x2 e-value. A block is what both arms did in one step of the ramp during one tick: `n` runs and `k` bad ones of
each. Given the block's margins the candidate's bad runs follow Fisher's noncentral hypergeometric law, in which the base rate
does not occur, so that an outage or a ramp step that touches both arms cannot pass for a difference. Under an odds ratio of at
most `tolerance` each block has an expectation of at most 1; blocks multiply, a mixture over alternatives keeps that, and by
Ville's inequality evidence of 1/alpha is ever reached with probability alpha at most, however often one looks (Turner, Ly and
Grünwald, arXiv 2106.02693, and Ville 1939).

A block must be closed when it is evaluated: what comes late opens a new one and never edits an old one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: The odds ratios looked for, as multiples of the tolerated one.
ALTERNATIVES: Final = (1.5, 2.0, 4.0, 10.0)


@dataclass(frozen=True, slots=True)
class Arms:
    """One block: runs of the candidate and of stable, and how many of them were bad."""

    candidate_runs: int
    candidate_bad: int
    stable_runs: int
    stable_bad: int


def block_log_e(block: Arms, odds_ratio: float, tolerance: float = 1.0) -> float:
    """The natural log of a block's e-value for `odds_ratio` against a null of at most `tolerance`.

    With an `odds_ratio` below `tolerance` it is evidence that the candidate is better than the tolerance (non-inferiority). 0
    where one arm has no runs.
    """
    return _log_es(block, (odds_ratio,), tolerance)[0]


def _log_es(block: Arms, odds_ratios: Sequence[float], tolerance: float) -> tuple[float, ...]:
    """`block_log_e` for several odds ratios, whose terms are the same."""
    bad = block.candidate_bad + block.stable_bad
    if block.candidate_runs == 0 or block.stable_runs == 0 or bad == 0:
        return (0.0,) * len(odds_ratios)
    terms = _hypergeometric_logs(block.candidate_runs, block.stable_runs, bad)
    null = _log_normaliser(terms, tolerance) - block.candidate_bad * math.log(tolerance)
    return tuple(block.candidate_bad * math.log(psi) - _log_normaliser(terms, psi) + null for psi in odds_ratios)


def _log_normaliser(terms: Sequence[tuple[int, float]], odds_ratio: float) -> float:
    """ln M(psi): the generating function of the candidate's bad runs given the block's margins."""
    if odds_ratio == 1.0:
        return 0.0
    log_odds = math.log(odds_ratio)
    return log_sum_exp([log_weight + j * log_odds for j, log_weight in terms])


def _hypergeometric_logs(candidate_runs: int, stable_runs: int, bad: int) -> list[tuple[int, float]]:
    """(j, ln P(j)): how likely j of the `bad` runs are the candidate's when the arms do not differ.

    The first term by `lgamma`, each further one from the one before, which is exact enough and far cheaper.
    """
    least, most = max(0, bad - stable_runs), min(bad, candidate_runs)
    log_weight = (
        _log_choose(candidate_runs, least)
        + _log_choose(stable_runs, bad - least)
        - _log_choose(candidate_runs + stable_runs, bad)
    )
    terms = [(least, log_weight)]
    for j in range(least, most):
        log_weight += math.log((candidate_runs - j) * (bad - j) / ((j + 1) * (stable_runs - bad + j + 1)))
        terms.append((j + 1, log_weight))
    return terms


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def log_sum_exp(logs: Sequence[float]) -> float:
    """ln of the sum of the exponentials, without leaving the range of floats."""
    top = max(logs)
    return top + math.log(sum([math.exp(log - top) for log in logs]))


@dataclass(frozen=True, slots=True)
class OddsEvidence:
    """The sum of the closed blocks' log e-values, one for each of `ALTERNATIVES`: all that must be kept of them."""

    tolerance: float = 1.0
    log_sums: tuple[float, ...] = (0.0,) * len(ALTERNATIVES)

    def after(self, block: Arms) -> "OddsEvidence":
        """The evidence once `block` is closed too."""
        log_es = _log_es(block, [self.tolerance * alternative for alternative in ALTERNATIVES], self.tolerance)
        sums = tuple(before + more for before, more in zip(self.log_sums, log_es, strict=True))
        return OddsEvidence(self.tolerance, sums)

    def log_e(self, deff: float = 1.0) -> float:
        """ln of the evidence that the candidate's odds are above the tolerance, deflated by the design effect."""
        return log_sum_exp([log_sum / deff for log_sum in self.log_sums]) - math.log(len(self.log_sums))


@dataclass(frozen=True, slots=True)
class MarginEvidence:
    """The same for promotion: evidence that the candidate's odds are below `margin` (above 1) times stable's."""

    margin: float
    log_sum: float = 0.0

    def after(self, block: Arms) -> "MarginEvidence":
        """The evidence once `block` is closed too."""
        return MarginEvidence(self.margin, self.log_sum + block_log_e(block, 1.0, self.margin))

    def log_e(self, deff: float = 1.0) -> float:
        """ln of the evidence that the odds ratio is below the margin."""
        return self.log_sum / deff
