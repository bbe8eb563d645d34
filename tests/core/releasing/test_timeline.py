import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.releasing.releases import Release, ReleaseKind, split, whole
from proxy.core.releasing.timeline import served_at
from proxy.core.snapshot import Arm


def release(
    number: int,
    at: int,
    arms: tuple[Arm, ...],
    kind: ReleaseKind = "label_moved",
    rollout: str | None = None,
    salt: str | None = None,
) -> Release:
    return Release(
        agent="support",
        number=number,
        kind=kind,
        label="prod",
        arms=arms,
        salt=salt,
        rollout=rollout,
        who="ann",
        approved_by=None,
        why="because",
        created_at_microseconds=at,
    )


HISTORY = [
    release(1, 100, whole(1)),
    release(2, 200, split(1, 2, 10_000), "rollout_started", "r1", "support/r1"),
    release(3, 300, split(1, 2, 50_000), "share_changed", "r1", "support/r1"),
    release(5, 400, whole(1), "rolled_back", "r1"),
]


@pytest.mark.parametrize(
    ("at", "number", "shares", "rollout", "until"),
    [
        (100, 1, {1: 100.0}, None, 200),
        (199, 1, {1: 100.0}, None, 200),
        (200, 2, {1: 90.0, 2: 10.0}, "r1", 300),
        (399, 3, {1: 50.0, 2: 50.0}, "r1", 400),
        (10_000, 5, {1: 100.0}, None, None),
    ],
)
def test_what_was_served_follows_from_the_ledger(
    at: int, number: int, shares: dict[int, float], rollout: str | None, until: int | None
) -> None:
    served = served_at(HISTORY, at)
    assert served is not None
    assert served.release.number == number
    assert served.rollout == rollout
    assert served.until_microseconds == until
    document = served.document()
    assert {arm["version"]: arm["percentage"] for arm in document["arms"]} == shares
    assert document["rollout"] == rollout


def test_nothing_was_served_before_the_first_release() -> None:
    assert served_at(HISTORY, 99) is None
    assert served_at([], 100) is None


def test_the_document_tells_times_as_people_read_them() -> None:
    served = served_at(HISTORY, 250)
    assert served is not None
    document = served.document()
    assert document["time"] == "1970-01-01T00:00:00.000250Z"
    assert document["since"] == "1970-01-01T00:00:00.000200Z"
    assert document["until"] == "1970-01-01T00:00:00.000300Z"
    assert document["salt"] == "support/r1"


def test_the_later_row_holds_where_two_have_the_same_time_or_the_clock_was_set_back() -> None:
    history = [release(1, 100, whole(1)), release(2, 100, whole(2)), release(3, 90, whole(3))]
    served = served_at(history, 100)
    assert served is not None
    assert served.release.number == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(0, 60))
def test_the_newest_release_not_after_the_moment_is_the_one(times: list[int], at: int) -> None:
    history = [release(number, moment, whole(number)) for number, moment in enumerate(sorted(times), start=1)]
    served = served_at(history, at)
    expected = [row.number for row in history if row.created_at_microseconds <= at]
    assert (served.release.number if served else None) == (expected[-1] if expected else None)
