"""Users split as promised, or not."""

import pytest

from proxy.core.evidence.sample_ratio import HOLD_LOG_E, log_e


def test_evidence_has_the_published_value() -> None:
    assert log_e(5200, 94800, 0.05) == pytest.approx(1.790120, abs=1e-6)
    assert log_e(5600, 94400, 0.05) == pytest.approx(33.827942, abs=1e-6)


def test_a_split_as_promised_never_holds_and_a_lost_tenth_does() -> None:
    assert log_e(500, 9500, 0.05) < 0
    assert log_e(45_000, 50_000, 0.5) > HOLD_LOG_E
    assert log_e(0, 0, 0.05) == pytest.approx(0.0)
