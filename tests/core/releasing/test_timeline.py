import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.releasing.releases import Release, ReleaseKind, whole
from proxy.core.releasing.timeline import doubt_at, served_at
from proxy.core.snapshot import Arm
from tests.two_arms import split

NOW = 20_000


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
    served = served_at(HISTORY, at, NOW)
    assert served is not None
    assert served.release.number == number
    assert served.rollout == rollout
    assert served.until_microseconds == until
    document = served.document()
    assert {arm["version"]: arm["percentage"] for arm in document["arms"]} == shares
    assert document["rollout"] == rollout


def test_nothing_was_served_before_the_first_release() -> None:
    assert served_at(HISTORY, 99, NOW) is None
    assert served_at([], 100, NOW) is None


def test_the_document_tells_times_as_people_read_them() -> None:
    served = served_at(HISTORY, 250, NOW)
    assert served is not None
    document = served.document()
    assert document["time"] == "1970-01-01T00:00:00.000250Z"
    assert document["since"] == "1970-01-01T00:00:00.000200Z"
    assert document["until"] == "1970-01-01T00:00:00.000300Z"
    assert document["salt"] == "support/r1"


def test_the_later_row_holds_where_two_have_the_same_time_or_the_clock_was_set_back() -> None:
    history = [release(1, 100, whole(1)), release(2, 100, whole(2)), release(3, 90, whole(3))]
    served = served_at(history, 100, NOW)
    assert served is not None
    assert served.release.number == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(0, 60))
def test_the_newest_release_not_after_the_moment_is_the_one(times: list[int], at: int) -> None:
    history = [release(number, moment, whole(number)) for number, moment in enumerate(sorted(times), start=1)]
    served = served_at(history, at, NOW)
    expected = [row.number for row in history if row.created_at_microseconds <= at]
    assert (served.release.number if served else None) == (expected[-1] if expected else None)


def stepped(*times: int) -> list[Release]:
    return [release(number, time, whole(number)) for number, time in enumerate(times, start=1)]


#: What the clock showed at releases 1, 2, 3, 4; it was wrong at the third.
AHEAD = stepped(100, 200, 10_000, 300)
BEHIND = stepped(100, 200, 50, 400)


@pytest.mark.parametrize(
    ("history", "now", "at", "number", "is_certain"),
    [
        # The time of the third has not come yet, so it was made between the second and the fourth.
        (AHEAD, 400, 150, 1, True),
        (AHEAD, 400, 250, 2, False),
        (AHEAD, 400, 300, 4, True),
        (AHEAD, 400, 350, 4, True),
        (AHEAD, 400, 400, 4, True),
        # It has come meanwhile, so that either of two may be wrong.
        (AHEAD, 20_000, 150, 1, True),
        (AHEAD, 20_000, 250, 2, False),
        (AHEAD, 20_000, 5_000, 4, False),
        (AHEAD, 20_000, 10_000, 4, False),
        (AHEAD, 20_000, 10_001, 4, False),
        (BEHIND, 500, 60, 3, False),
        (BEHIND, 500, 150, 3, False),
        (BEHIND, 500, 250, 3, False),
        (BEHIND, 500, 450, 4, True),
        # What is in force now is the newest, whatever time it bears; when it began nobody can tell.
        (AHEAD[:3], 300, 300, 3, True),
        (AHEAD[:3], 300, 250, 2, False),
        (AHEAD[:3], 300, 150, 1, True),
        (stepped(100, 200, 300), 400, 250, 2, True),
    ],
)
def test_where_the_clock_was_set_the_order_of_the_ledger_decides_and_doubt_is_told(
    history: list[Release], now: int, at: int, number: int, is_certain: bool
) -> None:
    served = served_at(history, at, now)
    assert served is not None
    assert served.release.number == number
    document = served.document()
    assert document["uncertain"] is not is_certain
    assert (document["uncertain_reason"] is None) is is_certain


def test_that_nothing_was_served_is_uncertain_too_while_the_first_release_bears_a_time_to_come() -> None:
    history = stepped(10_000, 200)
    assert served_at(history, 150, 300) is None
    assert doubt_at(history, 150, 300) is not None
    assert doubt_at(history, 250, 300) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(-40, 40)), min_size=1, max_size=7), st.data())
def test_no_single_wrong_clock_names_a_wrong_release_for_certain(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    """One release is made while the clock is off; every moment asked for is answered right, or as uncertain."""
    true_times = [sum(gap for gap, _ in steps[: index + 1]) + 100 for index in range(len(steps))]
    wrong = data.draw(st.integers(0, len(steps) - 1))
    shown = [time + (steps[index][1] if index == wrong else 0) for index, time in enumerate(true_times)]
    now = true_times[-1] + 1
    history = stepped(*shown)
    at = data.draw(st.integers(true_times[0], now))
    truth = max(number for number, time in enumerate(true_times, start=1) if time <= at)
    served = served_at(history, at, now)
    if sorted(shown) != shown and served is not None and served.doubt is None:
        assert served.release.number == truth
