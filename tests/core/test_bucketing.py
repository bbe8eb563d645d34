"""Golden numbers: a changed hash would silently reshuffle every user of every rollout."""

import mmh3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.bucketing import BUCKETS, bucket_of, buckets_for, cluster_of
from proxy.core.errors import BadInput


@pytest.mark.parametrize(
    ("data", "seed", "expected"),
    [
        (b"", 0, 0x00000000),
        (b"", 1, 0x514E28B7),
        (b"", 0xFFFFFFFF, 0x81F16F39),
        (b"\0\0\0\0", 0, 0x2362F9DE),
        (b"Hello, world!", 0x9747B28C, 0x24884CBA),
        (b"The quick brown fox jumps over the lazy dog", 0x9747B28C, 0x2FA826CD),
    ],
)
def test_the_hash_is_murmur3_x86_32(data: bytes, seed: int, expected: int) -> None:
    assert mmh3.hash(data, seed, signed=False) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ejOoVL", 0x00000000),
        ("bY9fO-", 0x00000001),
        ("SI7p-", 0x7FFFFFFF),
        ("6LvT0", 0x80000000),
        ("ceQdGm", 0xFFFFFFFF),
    ],
)
def test_the_edges_of_the_hash_land_on_the_edges_of_the_buckets(key: str, expected: int) -> None:
    """flagd's full-hash edge cases, through the same multiply-and-shift."""
    assert mmh3.hash(key, 0, signed=False) == expected
    assert 0 <= (expected * BUCKETS) >> 32 < BUCKETS
    if expected == 0xFFFFFFFF:
        assert (expected * BUCKETS) >> 32 == BUCKETS - 1


@pytest.mark.parametrize(
    ("key", "weight_100"),
    [
        ("jon@company.com", 36),
        ("user1", 76),
        ("fractional-flagjack", 62),
        ("fractional-flagqueen", 99),
        ("fractional-flagten", 18),
        ("fractional-flagnine", 32),
        ("fractional-flag3", 14),
    ],
)
def test_the_shift_agrees_with_flagds_published_vectors(key: str, weight_100: int) -> None:
    assert (mmh3.hash(key, 0, signed=False) * 100) >> 32 == weight_100


@pytest.mark.parametrize(
    ("group", "unit", "expected"),
    [
        ("gr1", "123", 73),
        ("groupX", "999", 25),
        ("demo", "user-1", 95),
        ("demo", "user-2", 96),
        ("demo", "user-7", 81),
        ("demo", "user-42", 87),
        ("demo", "alice", 32),
        ("demo", "bob", 76),
        ("Feature.flexibleRollout.10", "174", 10),
        ("Feature.flexibleRollout.10", "499", 32),
        ("Feature.flexibleRollout.userId.55", "25", 55),
    ],
)
def test_the_key_is_built_like_unleashs(group: str, unit: str, expected: int) -> None:
    """Same hash over the same `{group}:{id}`; only Unleash's last step is a modulus."""
    assert mmh3.hash(f"{group}:{unit}", 0, signed=False) % 100 + 1 == expected


@pytest.mark.parametrize(
    ("salt", "unit", "full_hash", "bucket", "cluster"),
    [
        ("checkout-agent/r1", "user-1", 2780544288, 64739, 17),
        ("checkout-agent/r1", "user-2", 536966103, 12502, 9),
        ("checkout-agent/r2", "user-1", 1930400900, 44945, 10),
        ("a", "é", 1386996530, 32293, 59),
    ],
)
def test_our_own_vectors_never_change(salt: str, unit: str, full_hash: int, bucket: int, cluster: int) -> None:
    assert mmh3.hash(f"{salt}:{unit}".encode(), 0, signed=False) == full_hash
    assert bucket_of(salt, unit) == bucket
    assert cluster_of(salt, unit) == cluster


def test_two_spellings_of_the_same_characters_are_one_user() -> None:
    assert bucket_of("a", "e\u0301") == bucket_of("a", "\u00e9") == 32293


def test_case_and_spaces_make_different_users() -> None:
    assert len({bucket_of("s", unit) for unit in ("user", "User", " user", "user ")}) == 4


def test_the_separator_keeps_salt_and_unit_apart() -> None:
    assert bucket_of("exp1", "2user") != bucket_of("exp", "12user")


@given(st.text(max_size=20), st.text(st.characters(), max_size=40))
@settings(max_examples=100)
def test_every_text_has_a_bucket_and_a_cluster(salt: str, unit: str) -> None:
    assert 0 <= bucket_of(salt, unit) < BUCKETS
    assert 0 <= cluster_of(salt, unit) < 64


def test_a_share_of_the_buckets_is_that_share_of_the_users() -> None:
    share = buckets_for(10)
    inside = sum(bucket_of("agent/rollout", f"user-{index}") < share for index in range(10_000))
    assert 880 <= inside <= 1120


@pytest.mark.parametrize(
    ("percentage", "buckets"), [(0, 0), (0.001, 1), (10, 10_000), (33.333, 33_333), (100, 100_000)]
)
def test_a_percentage_is_a_whole_number_of_buckets(percentage: float, buckets: int) -> None:
    assert buckets_for(percentage) == buckets


@pytest.mark.parametrize("percentage", [-0.001, 100.001, 0.0001, 1e-9, float("nan"), float("inf")])
def test_a_percentage_out_of_range_or_too_fine_is_refused(percentage: float) -> None:
    with pytest.raises(BadInput) as refusal:
        buckets_for(percentage)
    assert refusal.value.code == "bad_percentage"
