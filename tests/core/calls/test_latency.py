"""Latency buckets: every duration in exactly one, whose edge is at most 2 % above it."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.calls.latency import bucket_edge, latency_bucket


@given(st.integers(2, 10**11))
def test_a_duration_is_below_its_buckets_edge_by_at_most_two_percent(duration):
    bucket = latency_bucket(duration)
    assert bucket_edge(bucket - 1) * (1 - 1e-9) < duration <= bucket_edge(bucket) * (1 + 1e-9)


@given(st.integers(-5, 10**11), st.integers(0, 10**6))
def test_longer_durations_are_never_in_a_lower_bucket(duration, more):
    assert latency_bucket(duration) <= latency_bucket(duration + more)


def test_no_time_at_all_and_clocks_set_back_are_bucket_zero():
    assert [latency_bucket(duration) for duration in (-7, 0, 1)] == [0, 0, 0]
