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
from itertools import accumulate
from operator import mul
from typing import Final, NamedTuple

#: The odds ratios looked for, as multiples of the tolerated one.
ALTERNATIVES: Final[tuple[float, ...]] = (1.5, 2.0, 4.0, 10.0)
#: Up to here exponentials are added as they are: far from where floats end on either side.
_SAFE_LOG: Final = 300.0


class Arms(NamedTuple):
    """One block: runs of the candidate and of stable, and how many of them were bad."""

    candidate_runs: int
    candidate_bad: int
    stable_runs: int
    stable_bad: int

    @property
    def tells_nothing(self) -> bool:
        """Whether there is nobody to compare, or nothing bad."""
        return self.candidate_runs == 0 or self.stable_runs == 0 or self.candidate_bad + self.stable_bad == 0


def block_log_e(block: Arms, odds_ratio: float, tolerance: float = 1.0) -> float:
    """The natural log of a block's e-value for `odds_ratio` against a null of at most `tolerance`.

    With an `odds_ratio` below `tolerance` it is evidence that the candidate is better than the tolerance (non-inferiority). 0
    where one arm has no runs.
    """
    return _log_es(block, (odds_ratio,), tolerance)[0]


def _log_es(block: Arms, odds_ratios: Sequence[float], tolerance: float) -> tuple[float, ...]:
    """`block_log_e` for several odds ratios, whose terms are the same."""
    if block.tells_nothing:
        return (0.0,) * len(odds_ratios)
    null, *logs = _log_generating(block, (tolerance, *odds_ratios))
    # Beyond the fewest bad runs that are the candidate's whatever happens: stable has no more runs.
    bad = block.candidate_bad - max(0, block.candidate_bad + block.stable_bad - block.stable_runs)
    null -= bad * math.log(tolerance)
    return tuple([bad * math.log(psi) - log + null for psi, log in zip(odds_ratios, logs, strict=True)])


def _log_generating(block: Arms, odds_ratios: Sequence[float]) -> list[float]:
    """For each psi the ln of the generating function of the candidate's bad runs given the block's margins: a polynomial in psi, whose
    coefficients are in proportion to how likely it is, where the arms do not differ, that the fewest, one more, two more of the bad runs
    are the candidate's. The first is 1 here, each further one follows from the one before; M(psi) is psi to the fewest, times this, in
    proportion to this at 1, which cancels out."""
    runs, others, bad = block.candidate_runs, block.stable_runs, block.candidate_bad + block.stable_bad
    fewest, most = max(0, bad - others), min(bad, runs)
    ratios = [(runs - j) * (bad - j) / ((j + 1) * (others - bad + j + 1)) for j in range(fewest, most)]
    # The first ratio is the largest: no sum is above that power, nor does it lack more than what is too small to see.
    steepest = max([1.0, *ratios[:1]]) * max([1.0, *odds_ratios])
    if len(ratios) * math.log(steepest) < _SAFE_LOG:
        coefficients = list(accumulate(ratios, mul, initial=1.0))
        coefficients.reverse()
        return [math.log(_polynomial(coefficients, psi)) for psi in odds_ratios]
    logs = list(accumulate(map(math.log, ratios), initial=0.0))
    return [log_sum_exp([log + j * math.log(psi) for j, log in enumerate(logs)]) for psi in odds_ratios]


def _polynomial(coefficients: Sequence[float], x: float) -> float:
    """Its value; the coefficient of the highest power first."""
    value = 0.0
    for coefficient in coefficients:
        value = value * x + coefficient
    return value


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
        if block.tells_nothing:
            return self
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
