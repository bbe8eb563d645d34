"""T1: golden vectors, exact expectations by enumeration, and sums that do not care who counted."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.evidence.bernoulli import ALTERNATIVES, Arms, MarginEvidence, OddsEvidence, block_log_e


@pytest.mark.parametrize(
    ("block", "odds_ratio", "tolerance", "expected"),
    [
        (Arms(10, 3, 190, 2), 4.0, 1.0, 3.476025979),
        (Arms(10, 0, 190, 2), 4.0, 1.0, -0.277898185),
        (Arms(50, 5, 950, 10), 10.0, 1.0, 6.127210074),
        (Arms(50, 5, 950, 10), 1.5, 1.0, 1.658120000),
        (Arms(50, 0, 950, 10), 1.0, 2.0, 0.485969075),
    ],
)
def test_a_block_has_the_published_evidence(block: Arms, odds_ratio: float, tolerance: float, expected: float) -> None:
    assert block_log_e(block, odds_ratio, tolerance) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("candidate_runs", "stable_runs"), [(1, 1), (3, 7), (5, 20), (12, 4)])
@pytest.mark.parametrize("tolerance", [1.0, 1.25, 2.0])
@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_a_block_expects_no_more_than_one_where_the_candidate_is_not_worse(
    candidate_runs: int, stable_runs: int, tolerance: float, alternative: float
) -> None:
    """By enumeration of every outcome, at odds ratios up to the tolerated one and base rates from rare to common."""
    for base in (0.01, 0.1, 0.5, 0.9):
        for odds_ratio in (0.5, 1.0, tolerance):
            odds = base / (1 - base) * odds_ratio
            rate = odds / (1 + odds)
            expected = math.fsum(
                _binomial(candidate_runs, k, rate)
                * _binomial(stable_runs, j, base)
                * math.exp(block_log_e(Arms(candidate_runs, k, stable_runs, j), tolerance * alternative, tolerance))
                for k in range(candidate_runs + 1)
                for j in range(stable_runs + 1)
            )
            assert expected <= 1 + 1e-12


@pytest.mark.parametrize("odds_ratio", [2.0, 3.0, 8.0])
def test_a_margin_expects_no_more_than_one_where_the_candidate_is_at_it_or_beyond(odds_ratio: float) -> None:
    base = 0.2
    odds = base / (1 - base) * odds_ratio
    rate = odds / (1 + odds)
    expected = math.fsum(
        _binomial(8, k, rate) * _binomial(12, j, base) * math.exp(block_log_e(Arms(8, k, 12, j), 1.0, 2.0))
        for k in range(9)
        for j in range(13)
    )
    assert expected <= 1 + 1e-12


def _binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize(
    "block",
    [
        Arms(6, 3, 18, 9),
        Arms(40, 40, 1, 1),
        Arms(1_000, 60, 70, 3),
        Arms(5, 5, 1_000_000, 100),
        Arms(100_000, 45, 60, 5),
        Arms(300, 70, 2_000, 120),
        Arms(1_000, 300, 3_000, 500),
    ],
)
@pytest.mark.parametrize(("odds_ratio", "tolerance"), [(1.5, 1.0), (12.5, 1.25), (1.0, 2.0), (500.0, 50.0)])
def test_blocks_of_any_size_have_the_evidence_of_whole_numbers(
    block: Arms, odds_ratio: float, tolerance: float
) -> None:
    """M(psi) by binomial coefficients as they are, which no float could hold."""
    runs, ours, others, theirs = block
    bad = ours + theirs

    def power_sum(psi: Fraction) -> Fraction:
        terms = range(max(0, bad - others), min(bad, runs) + 1)
        return sum((math.comb(runs, j) * math.comb(others, bad - j) * psi**j for j in terms), Fraction(0))

    psi, limit = Fraction(odds_ratio), Fraction(tolerance)
    e = (psi / limit) ** ours * power_sum(limit) / power_sum(psi)
    exact = _log(e.numerator) - _log(e.denominator)
    assert block_log_e(block, odds_ratio, tolerance) == pytest.approx(exact, rel=1e-11, abs=1e-11)


def _log(whole: int) -> float:
    shift = max(0, whole.bit_length() - 900)
    return math.log(whole >> shift) + shift * math.log(2)


@given(st.integers(0, 60), st.integers(0, 400), st.data())
def test_an_arm_without_runs_says_nothing_and_no_block_is_out_of_range(
    candidate_runs: int, stable_runs: int, data: st.DataObject
) -> None:
    block = Arms(
        candidate_runs,
        data.draw(st.integers(0, candidate_runs)),
        stable_runs,
        data.draw(st.integers(0, stable_runs)),
    )
    log_e = OddsEvidence().after(block).log_e()
    assert math.isfinite(log_e)
    if candidate_runs == 0 or stable_runs == 0:
        assert log_e == pytest.approx(0.0, abs=1e-12)


def test_evidence_of_a_million_runs_in_one_block_is_finite_and_strong() -> None:
    evidence = OddsEvidence().after(Arms(500_000, 10_000, 500_000, 5_000))
    assert 500 < evidence.log_e() < 2_000


def test_the_same_share_of_bad_runs_is_evidence_for_nobody() -> None:
    evidence = OddsEvidence()
    for _ in range(50):
        evidence = evidence.after(Arms(100, 5, 900, 45))
    assert evidence.log_e() < 0


def test_equal_arms_are_proven_to_be_within_the_margin() -> None:
    evidence = MarginEvidence(2.0)
    for _ in range(50):
        evidence = evidence.after(Arms(100, 5, 900, 45))
    assert evidence.log_e() > math.log(20)


def test_a_larger_design_effect_never_makes_evidence_stronger() -> None:
    evidence = OddsEvidence().after(Arms(100, 20, 900, 45))
    assert evidence.log_e(3.0) < evidence.log_e(1.5) < evidence.log_e()
