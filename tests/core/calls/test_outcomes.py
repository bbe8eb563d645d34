import pytest

from proxy.core.calls.outcomes import SEVERITIES, check_outcome
from proxy.core.errors import BadInput


@pytest.mark.parametrize(
    ("name", "value"),
    [("score", 0.9), ("score", -3), ("validation", True), ("escalated", False), ("note", "said so"), ("seen", None)],
)
def test_a_fact_is_kept_as_it_was_told(name: str, value: object) -> None:
    assert check_outcome(name, value, None) == (value, None)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_an_incident_has_a_severity(severity: str) -> None:
    assert check_outcome("incident", "refunded twice", severity) == ("refunded twice", severity)


@pytest.mark.parametrize(
    ("name", "value", "severity", "param"),
    [
        ("Score", 1, None, "name"),
        ("", 1, None, "name"),
        ("x" * 65, 1, None, "name"),
        ("score", "1", None, "value"),
        ("score", float("nan"), None, "value"),
        ("own", float("inf"), None, "value"),
        ("own", 2**53 + 1, None, "value"),
        ("own", [1], None, "value"),
        ("operator_edited", 1, None, "value"),
        ("incident", None, None, "severity"),
        ("incident", None, "bad", "severity"),
        ("own", None, "low", "severity"),
    ],
)
def test_what_reports_could_not_read_is_refused(name: str, value: object, severity: str | None, param: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_outcome(name, value, severity)
    assert (refused.value.code, refused.value.param) == ("bad_outcome", param)


def test_a_misspelt_severity_is_told_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"must be low, medium, high or critical; did you mean high\?"):
        check_outcome("incident", None, "hihg")
