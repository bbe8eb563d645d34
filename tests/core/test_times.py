"""Moments go out as RFC 3339 and come back the same, whatever zone they are written in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.times import parse_rfc3339, parse_span, rfc3339, span_text


@given(st.integers(0, 4_102_444_800_000_000))
def test_a_moment_survives_the_way_out_and_back(microseconds: int) -> None:
    assert parse_rfc3339(rfc3339(microseconds), "time") == microseconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-09-20T14:03Z", "2026-09-20T14:03:00.000000Z"),
        ("2026-09-20t14:03:05.5z", "2026-09-20T14:03:05.500000Z"),
        ("2026-09-20T16:03:00+02:00", "2026-09-20T14:03:00.000000Z"),
    ],
)
def test_zones_and_short_forms_are_read(text: str, shown: str) -> None:
    assert rfc3339(parse_rfc3339(text, "time")) == shown


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-09-20", "2026-09-20T14:03:00", "2026-13-01T00:00:00Z", "1" * 500]
)
def test_a_time_without_a_zone_or_sense_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_rfc3339(text, "from")
    assert (caught.value.code, caught.value.param) == ("bad_time", "from")


@given(st.one_of(st.floats(0, 999_999_998), st.integers(0, 999_999_998)))
def test_a_span_survives_the_way_out_and_back(seconds: float) -> None:
    assert parse_span(span_text(parse_span(seconds, "watch")), "watch") == parse_span(seconds, "watch")


@pytest.mark.parametrize(
    ("written", "text"), [("90s", "90s"), (1_234_567, "1234567s"), ("1.5w", "252h"), (0.25, "0.25s")]
)
def test_a_span_is_written_short_and_exact(written: object, text: str) -> None:
    assert span_text(parse_span(written, "watch")) == text


@pytest.mark.parametrize("span", ["999999999w", -1, 1e12, float("nan"), float("inf"), "15", "", "never", True, None])
def test_what_is_no_span_is_refused(span: object) -> None:
    with pytest.raises(BadInput) as caught:
        parse_span(span, "watch")
    assert (caught.value.code, caught.value.param) == ("bad_span", "watch")
