"""Moments go out as RFC 3339 and come back the same, whatever zone they are written in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.times import parse_rfc3339, rfc3339


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
