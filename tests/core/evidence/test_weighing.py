"""Several metrics, one verdict."""

import math

import pytest

from proxy.core.evidence.weighing import cause, combined_log_e


def test_the_weighted_mean_is_never_weaker_than_a_share_of_its_strongest() -> None:
    combined = combined_log_e({"errors": math.log(1000), "cost": 0.0}, {"errors": 1.0, "cost": 3.0})
    assert math.exp(combined) == pytest.approx(0.25 * 1000 + 0.75)


def test_a_metric_without_evidence_dilutes_and_never_fails() -> None:
    assert combined_log_e({}, {"errors": 1.0}) == pytest.approx(0.0)
    assert combined_log_e({}, {}) == 0.0


def test_the_cause_is_the_metric_that_carries_most() -> None:
    weights = {"errors": 1.0, "cost": 4.0}
    assert cause({"errors": 3.0, "cost": 2.5}, weights) == "cost"
    assert cause({"errors": 5.0, "cost": 2.5}, weights) == "errors"
    assert cause({}, weights) is None
