"""When a rollout may grow: by time, by the clock on the wall in a zone, and not in a freeze."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.rollouts.plan import DEFAULT_PLAN
from proxy.core.rollouts.reading import plan_document, read_new_plan, read_plan
from proxy.core.rollouts.schedule import Closed, Schedule, closed, read_schedule, schedule_document
from proxy.core.times import parse_rfc3339

BERLIN = {"from": "09:00", "to": "17:00", "time_zone": "Europe/Berlin"}


def at(text: str) -> int:
    return parse_rfc3339(text, "at")


def hours(**members: Any) -> Schedule:
    return read_schedule({"business_hours": {**BERLIN, **members}})


def until(schedule: Schedule, now: str) -> tuple[str, str | None] | None:
    """By what it is closed and until when; None: open."""
    found = closed(schedule, at(now))
    if found is None:
        return None
    end = found.until_microseconds
    return found.by, None if end is None else f"{datetime.fromtimestamp(end / 1e6, UTC):%Y-%m-%dT%H:%MZ}"


def test_nothing_is_closed_where_nothing_is_said() -> None:
    assert closed(Schedule(), 0) is None
    assert read_schedule({}) == read_schedule(None) == Schedule()


def test_it_does_not_begin_before_its_time_and_does_at_that_very_moment() -> None:
    schedule = read_schedule({"not_before": "2026-12-01T09:00:00+01:00"})
    assert until(schedule, "2026-12-01T07:59:59.999999Z") == ("not_before", "2026-12-01T08:00Z")
    assert until(schedule, "2026-12-01T08:00:00Z") is None


@pytest.mark.parametrize(
    ("now", "found"),
    [
        # 2026-11-27 is a Friday; Berlin is an hour ahead in winter.
        ("2026-11-27T07:59:59Z", "2026-11-27T08:00Z"),
        ("2026-11-27T08:00:00Z", None),
        ("2026-11-27T15:59:59Z", None),
        ("2026-11-27T16:00:00Z", "2026-11-30T08:00Z"),
        ("2026-11-28T12:00:00Z", "2026-11-30T08:00Z"),
    ],
)
def test_business_hours_are_those_of_their_zone_and_days(now: str, found: str | None) -> None:
    assert until(hours(), now) == (None if found is None else ("business_hours", found))


@pytest.mark.parametrize(
    ("now", "found"),
    [
        # On 2027-03-28 Berlin's clocks go from 02:00 to 03:00, on 2026-10-25 from 03:00 to 02:00.
        ("2027-03-26T16:00:00Z", "2027-03-29T07:00Z"),
        ("2026-10-23T15:00:00Z", "2026-10-26T08:00Z"),
    ],
)
def test_hours_move_with_the_clock_on_the_wall_when_daylight_saving_changes(now: str, found: str) -> None:
    assert until(hours(), now) == ("business_hours", found)


def test_a_time_that_a_change_skips_is_taken_by_the_offset_before_it_and_one_that_it_repeats_as_the_first() -> None:
    night = hours(**{"days": ["sun"], "from": "02:30", "to": "04:00"})
    assert until(night, "2027-03-28T01:29:59Z") == ("business_hours", "2027-03-28T01:30Z")
    assert until(night, "2027-03-28T01:30:00Z") is None
    assert until(night, "2026-10-25T00:29:59Z") == ("business_hours", "2026-10-25T00:30Z")
    assert until(night, "2026-10-25T02:59:59Z") is None
    assert until(night, "2026-10-25T03:00:00Z") == ("business_hours", "2026-11-01T01:30Z")


def test_hours_that_a_change_leaves_nothing_of_are_those_of_the_next_week() -> None:
    skipped = hours(**{"days": ["sun"], "from": "02:15", "to": "02:45"})
    # 02:15 and 02:45 are 01:15Z and 01:45Z by the offset before, and both skipped: as long as on any other day.
    assert until(skipped, "2027-03-28T01:20:00Z") is None
    assert until(skipped, "2027-03-28T01:45:00Z") == ("business_hours", "2027-04-04T00:15Z")


def test_hours_may_run_over_midnight_into_a_day_that_is_none_of_theirs() -> None:
    night = hours(**{"days": ["fri"], "from": "22:00", "to": "06:00"})
    assert until(night, "2026-11-27T20:59:00Z") == ("business_hours", "2026-11-27T21:00Z")
    assert until(night, "2026-11-28T04:59:00Z") is None
    assert until(night, "2026-11-28T05:00:00Z") == ("business_hours", "2026-12-04T21:00Z")


def test_a_whole_day_is_from_midnight_to_24_00() -> None:
    saturday = hours(**{"days": ["sat"], "from": "00:00", "to": "24:00", "time_zone": "Asia/Kathmandu"})
    assert until(saturday, "2026-11-27T18:14:59Z") == ("business_hours", "2026-11-27T18:15Z")
    assert until(saturday, "2026-11-28T18:14:59Z") is None


def test_a_freeze_ends_where_nothing_else_forbids_to_grow() -> None:
    schedule = read_schedule(
        {
            "business_hours": BERLIN,
            "freezes": [
                {"from": "2026-12-23T00:00:00Z", "to": "2027-01-01T00:00:00Z", "why": "holidays"},
                {"from": "2026-12-31T12:00:00Z", "to": "2027-01-04T10:00:00Z"},
            ],
        }
    )
    assert until(schedule, "2026-12-24T12:00:00Z") == ("freeze", "2027-01-04T10:00Z")
    found = closed(schedule, at("2026-12-24T12:00:00Z"))
    assert found is not None
    assert found.sentence == "frozen (holidays), until 2027-01-04T10:00:00Z"
    assert until(schedule, "2026-12-22T17:00:00Z") == ("business_hours", "2027-01-04T10:00Z")


def test_a_rollout_that_is_not_to_begin_on_a_weekend_begins_on_monday() -> None:
    schedule = read_schedule({"not_before": "2026-11-28T00:00:00Z", "business_hours": BERLIN})
    assert until(schedule, "2026-11-20T12:00:00Z") == ("not_before", "2026-11-30T08:00Z")


def test_a_host_that_does_not_know_the_zone_lets_nothing_grow_and_says_why() -> None:
    elsewhere = hours(time_zone="Mars/Olympus")
    found = closed(elsewhere, at("2026-11-27T12:00:00Z"))
    assert found == Closed("unknown_time_zone", None, "Mars/Olympus")
    assert "does not know the time zone Mars/Olympus, with no end that is known" in found.sentence


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "Europe", "../../etc/passwd", "localtime", "europe/berlin", "UTC+1", "a\0b"]
)
def test_a_zone_that_is_none_is_refused_when_a_plan_is_made_and_read_again_all_the_same(zone: str) -> None:
    document = {"schedule": {"business_hours": {**BERLIN, "time_zone": zone}}}
    with pytest.raises(BadInput, match="IANA name") as refused:
        read_new_plan(document)
    assert (refused.value.code, refused.value.param) == ("bad_plan", "schedule.business_hours.time_zone")
    assert read_plan(document).schedule.business_hours is not None


def test_a_zone_that_is_nearly_one_is_named() -> None:
    with pytest.raises(BadInput, match="did you mean Europe/Berlin"):
        read_new_plan({"schedule": {"business_hours": {**BERLIN, "time_zone": "Europe/Berln"}}})


@pytest.mark.parametrize(
    ("schedule", "param"),
    [
        ([], "schedule"),
        ({"freeze": []}, "schedule"),
        ({"not_before": "tomorrow"}, "schedule.not_before"),
        ({"not_before": "2026-12-01T09:00:00"}, "schedule.not_before"),
        ({"not_before": 5}, "schedule.not_before"),
        ({"business_hours": {**BERLIN, "days": []}}, "schedule.business_hours.days"),
        ({"business_hours": {**BERLIN, "days": ["mon", "mon"]}}, "schedule.business_hours.days"),
        ({"business_hours": {**BERLIN, "days": ["monday"]}}, "schedule.business_hours.days"),
        ({"business_hours": {**BERLIN, "days": [["mon"]]}}, "schedule.business_hours.days"),
        ({"business_hours": {**BERLIN, "days": "mon"}}, "schedule.business_hours.days"),
        ({"business_hours": {**BERLIN, "from": "9:00"}}, "schedule.business_hours.from"),
        ({"business_hours": {**BERLIN, "from": "24:00"}}, "schedule.business_hours"),
        ({"business_hours": {**BERLIN, "to": "24:01"}}, "schedule.business_hours.to"),
        ({"business_hours": {**BERLIN, "to": 1020}}, "schedule.business_hours.to"),
        ({"business_hours": {**BERLIN, "to": "09:00"}}, "schedule.business_hours"),
        ({"business_hours": {**BERLIN, "to": "17:00\n"}}, "schedule.business_hours.to"),
        ({"business_hours": {"from": "09:00", "to": "17:00"}}, "schedule.business_hours.time_zone"),
        ({"freezes": {}}, "schedule.freezes"),
        ({"freezes": [{"from": "2026-12-01T00:00:00Z"}]}, "schedule.freezes[0].to"),
        ({"freezes": [{"from": "2026-12-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}]}, "schedule.freezes[0].to"),
        (
            {"freezes": [{"from": "2026-12-01T00:00:00Z", "to": "2026-12-02T00:00:00Z", "why": 1}]},
            "schedule.freezes[0].why",
        ),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_by_name(schedule: Any, param: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_plan({"schedule": schedule})
    assert (refused.value.code, refused.value.param) == ("bad_plan", param)


def test_a_schedule_is_read_as_it_was_written() -> None:
    plan = read_new_plan(
        {
            "schedule": {
                "not_before": "2026-12-01T09:00:00.000001Z",
                "business_hours": {**BERLIN, "days": ["sun", "mon"], "to": "24:00"},
                "freezes": [{"from": "2026-12-23T00:00:00Z", "to": "2027-01-02T00:00:00Z", "why": "holidays"}],
            }
        }
    )
    assert read_plan(plan_document(plan)) == plan
    assert plan.schedule.business_hours is not None
    assert plan.schedule.business_hours.days == ("mon", "sun")
    assert plan_document(DEFAULT_PLAN)["schedule"] is None


MOMENTS = st.integers(at("2026-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z"))
MINUTES = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02d}:{minute % 60:02d}")
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham", "UTC"])
DAYS = st.lists(st.sampled_from(["mon", "wed", "sat", "sun"]), min_size=1, unique=True)


@given(now=MOMENTS, start=MINUTES, end=MINUTES, zone=ZONES, days=DAYS, freeze=st.tuples(MOMENTS, MOMENTS))
def test_it_is_open_at_the_moment_it_says_and_at_no_minute_before(
    now: int, start: str, end: str, zone: str, days: list[str], freeze: tuple[int, int]
) -> None:
    if start == end or freeze[0] == freeze[1]:
        return
    document = schedule_document(
        read_schedule({"business_hours": {"days": days, "from": start, "to": end, "time_zone": zone}})
    )
    schedule = read_schedule(document)
    found = closed(schedule, now)
    if found is None:
        return
    assert found.until_microseconds is not None
    assert closed(schedule, found.until_microseconds) is None
    step = max(60_000_000, (found.until_microseconds - now) // 200)
    assert all(closed(schedule, moment) is not None for moment in range(now, found.until_microseconds, step))


@pytest.mark.parametrize("now", [-(2**62), -1, 0, 2**62])
def test_a_clock_that_is_far_off_raises_nothing(now: int) -> None:
    found = closed(hours(), now)
    assert found is None or isinstance(found.sentence, str)
