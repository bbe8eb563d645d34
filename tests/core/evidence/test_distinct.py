"""Users counted in a bitmap of fixed size."""

import pytest

from proxy.core.evidence.distinct import DistinctCount


@pytest.mark.parametrize("users", [0, 1, 20, 1_000, 40_000])
def test_users_are_counted_to_half_a_per_cent(users: int) -> None:
    count = DistinctCount()
    for number in range(users):
        count.add(f"user-{number}")
        count.add(f"user-{number}")
    assert count.estimate() == pytest.approx(users, rel=0.01, abs=0.5)


def test_too_many_users_are_said_to_be_too_many() -> None:
    count = DistinctCount()
    number = 0
    while not count.is_full:
        count.add(f"user-{number}")
        number += 1
    assert number > 55_000


def test_what_is_kept_is_read_again() -> None:
    count = DistinctCount()
    for text in ("a", "é", "\ud800", ""):
        count.add(text)
    again = DistinctCount.unpacked(count.packed())
    again.add("a")
    assert again.estimate() == count.estimate() == 4


@pytest.mark.parametrize("packed", [b"", b"nonsense", DistinctCount().packed()[:-9]])
def test_anything_else_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="packed count"):
        DistinctCount.unpacked(packed)
