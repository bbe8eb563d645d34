"""T2: golden vectors, and what an effect looks like."""

import math
import random

import pytest

from proxy.core.evidence.ratio import StepSums, estimate_log_ratio, estimate_mean_difference, interval, log_e


@pytest.mark.parametrize(
    ("effect", "variance", "tolerated", "expected"),
    [(0.3, 0.01, 0.0, 3.589638918), (-0.1, 0.02, 0.0, -1.297090407), (0.3, 0.01, 0.1, 1.312539323)],
)
def test_evidence_has_the_published_value(effect: float, variance: float, tolerated: float, expected: float) -> None:
    assert log_e(effect, variance, 0.3, tolerated) == pytest.approx(expected, abs=1e-8)


def test_evidence_is_finite_for_any_effect() -> None:
    for effect in (-50.0, -5.0, 0.0, 5.0, 50.0):
        for variance in (1e-9, 1e-3, 10.0):
            assert math.isfinite(log_e(effect, variance, 0.3))


def _arm(draw: random.Random, mean: float, runs: int) -> StepSums:
    step = StepSums()
    for _ in range(runs):
        cluster = draw.randrange(64)
        step = step.plus({cluster: mean * draw.lognormvariate(0, 0.5)}, {cluster: 1.0})
    return step


def test_a_dearer_candidate_is_seen_with_its_factor_inside_the_interval() -> None:
    draw = random.Random(7)
    estimate = estimate_log_ratio([(_arm(draw, 1.3, 2000), _arm(draw, 1.0, 8000))])
    assert estimate is not None
    low, high = interval(estimate.effect, estimate.variance, 0.3, 0.05)
    assert low < math.log(1.3) < high
    assert low > 0
    assert log_e(estimate.effect, estimate.variance, 0.3) > math.log(20)


def test_a_ramp_step_with_other_prices_is_compared_with_itself() -> None:
    """Prices double in the second step for both arms, and the candidate's share grows with it: no difference is seen."""
    draw = random.Random(8)
    steps = [(_arm(draw, 1.0, 500), _arm(draw, 1.0, 9500)), (_arm(draw, 2.0, 5000), _arm(draw, 2.0, 5000))]
    estimate = estimate_log_ratio(steps)
    assert estimate is not None
    assert abs(estimate.effect) < 0.05


def test_lower_scores_are_worse() -> None:
    draw = random.Random(9)
    estimate = estimate_mean_difference([(_arm(draw, 0.8, 3000), _arm(draw, 0.9, 3000))], deviation=0.5)
    assert estimate is not None
    assert estimate.effect > 0


@pytest.mark.parametrize("empty", [{}, {3: 0.0}])
def test_an_arm_without_runs_gives_no_estimate(empty: dict[int, float]) -> None:
    steps = [(StepSums().plus(empty, empty), StepSums().plus({1: 5.0}, {1: 5.0}))]
    assert estimate_log_ratio(steps) is None
    assert estimate_mean_difference(steps, 1.0) is None
