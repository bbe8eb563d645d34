"""When a rollout may begin, grow and be promoted: not before a time, within business hours, outside freezes. Taking it back never waits.

    schedule:
      not_before: 2026-12-01T09:00:00Z
      business_hours: {days: [mon, tue, wed, thu, fri], from: "09:00", to: "17:00", time_zone: Europe/Berlin}
      freezes: [{from: 2026-12-23T00:00:00Z, to: 2027-01-02T00:00:00Z, why: holidays}]

Decision: hours are those of the clock on the wall in their zone, each day anew, so that a change of daylight saving moves them with the
people. A time that a change skips or repeats is taken as RFC 5545 does: by the offset before the gap, and the first of two. Hours whose
end is not behind their beginning end on the next day, which needs not be one of the days.

Decision: a zone is refused when a plan is made, and not when it is read again. A host that knows fewer zones than the one on which the
plan was made lets nothing grow, says why, and goes on judging; that the plan could not be read would leave the candidate unwatched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, TypedDict, get_args
from zoneinfo import ZoneInfo, available_timezones

from proxy.core.errors import BadInput
from proxy.core.nearest import nearest_of
from proxy.core.rollouts.members import bad_plan, list_at, object_at
from proxy.core.shapes import Moment
from proxy.core.times import parse_rfc3339, rfc3339

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
ClosedBy = Literal["not_before", "business_hours", "freeze", "unknown_time_zone"]
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\Z")
_END_OF_DAY: Final = "24:00"
_MOST_FREEZES: Final = 100
_LONGEST_WHY: Final = 200
_LONGEST_ZONE: Final = 64
#: Of the database of zones, and none: what this host happens to be set to, and what stands for nothing.
_NO_ZONES: Final = frozenset({"localtime", "Factory"})
_DAY_MINUTES: Final = 24 * 60
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Years that a calendar has on both sides of a zone's offset.
_YEARS: Final = range(2, 9999)


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """From one minute of the day to another, on some days, by the clock of a zone. `to_minute` up to 1,440, the day's end."""

    days: tuple[Day, ...]
    from_minute: int
    to_minute: int
    time_zone: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """A stretch of time, UTC microseconds, its end not in it, in which nothing grows."""

    from_microseconds: int
    to_microseconds: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All of it; without any of it a rollout may always grow."""

    not_before_microseconds: int | None = None
    business_hours: BusinessHours | None = None
    freezes: tuple[Freeze, ...] = ()


@dataclass(frozen=True, slots=True)
class Closed:
    """Why nothing may grow now, and until when; None: nobody can tell."""

    by: ClosedBy
    until_microseconds: int | None
    why: str = ""

    @property
    def sentence(self) -> str:
        """`frozen (holidays) until 2027-01-02T00:00:00Z`."""
        what = {
            "not_before": "it is not to begin yet",
            "business_hours": "outside business hours",
            "freeze": f"frozen ({self.why})" if self.why else "frozen",
            "unknown_time_zone": f"this host does not know the time zone {self.why}",
        }[self.by]
        if self.until_microseconds is None:
            return f"{what}, with no end that is known"
        return f"{what}, until {rfc3339(self.until_microseconds).replace('.000000Z', 'Z')}"


def closed(schedule: Schedule, now_microseconds: int) -> Closed | None:
    """Why a rollout with this schedule may not grow now; None: it may. It may again at the first moment that nothing forbids."""
    found = _closed_by(schedule, now_microseconds)
    if found is None:
        return None
    by, why, until = found
    # Each opening can lie in the next thing that is closed; each freeze is left once, and hours between two of them.
    for _ in range(2 * len(schedule.freezes) + 3):
        if until is None or (further := _closed_by(schedule, until)) is None:
            return Closed(by, until, why)
        until = further[2]
    return Closed(by, None, why)


def _closed_by(schedule: Schedule, now: int) -> tuple[ClosedBy, str, int | None] | None:
    """The first thing that forbids growing at a moment, what is said of it, and when it ends by itself."""
    if schedule.not_before_microseconds is not None and now < schedule.not_before_microseconds:
        return "not_before", "", schedule.not_before_microseconds
    for freeze in schedule.freezes:
        if freeze.from_microseconds <= now < freeze.to_microseconds:
            return "freeze", freeze.why, freeze.to_microseconds
    hours = schedule.business_hours
    if hours is None:
        return None
    try:
        zone = ZoneInfo(hours.time_zone)
    except (LookupError, ValueError, OSError):
        return "unknown_time_zone", hours.time_zone, None
    for start, end in _openings(hours, zone, now):
        if now < end:
            return None if start <= now else ("business_hours", "", start)
    return "business_hours", "", None


def _openings(hours: BusinessHours, zone: ZoneInfo, now: int) -> Iterator[tuple[int, int]]:
    """Stretches of UTC microseconds, in order, from the day before `now` to a week after it, in which the hours are open."""
    try:
        today = (_EPOCH + timedelta(microseconds=now)).astimezone(zone).date()
    except OverflowError:
        return
    if today.year not in _YEARS:
        return
    for offset in range(-1, 9):
        day = today + timedelta(days=offset)
        if DAYS[day.weekday()] not in hours.days:
            continue
        runs_over = hours.to_minute <= hours.from_minute
        start = _instant(day, hours.from_minute, zone)
        end = _instant(day, hours.to_minute + (_DAY_MINUTES if runs_over else 0), zone)
        if start < end:
            yield start, end


def _instant(day: date, minute: int, zone: ZoneInfo) -> int:
    days, minutes = divmod(minute, _DAY_MINUTES)
    on = day + timedelta(days=days)
    wall = datetime(on.year, on.month, on.day, minutes // 60, minutes % 60, tzinfo=zone)
    return (wall - _EPOCH) // timedelta(microseconds=1)


#: `from` is a word of the language, so that these cannot be written as classes.
HoursDocument = TypedDict("HoursDocument", {"days": list[Day], "from": str, "to": str, "time_zone": str})
FreezeDocument = TypedDict("FreezeDocument", {"from": Moment, "to": Moment, "why": str})


class ScheduleDocument(TypedDict):
    """When a rollout may begin, grow and be promoted. Hours are times of the day such as 09:00 (the end up to 24:00) by the clock of an
    IANA time zone."""

    not_before: Moment | None
    business_hours: HoursDocument | None
    freezes: list[FreezeDocument]


def schedule_document(schedule: Schedule) -> ScheduleDocument:
    """As it is kept and shown; `read_schedule` reads it again."""
    before, hours = schedule.not_before_microseconds, schedule.business_hours
    return {
        "not_before": None if before is None else rfc3339(before),
        "business_hours": None
        if hours is None
        else {
            "days": list(hours.days),
            "from": _clock_text(hours.from_minute),
            "to": _clock_text(hours.to_minute),
            "time_zone": hours.time_zone,
        },
        "freezes": [
            {"from": rfc3339(one.from_microseconds), "to": rfc3339(one.to_microseconds), "why": one.why}
            for one in schedule.freezes
        ],
    }


def read_schedule(document: object) -> Schedule:
    """What a document says; whether the zone is one, `check_time_zone` says. Raises BadInput(`bad_plan`) that names the member."""
    if document is None:
        return Schedule()
    found = object_at(document, "schedule", ("not_before", "business_hours", "freezes"))
    before, hours = found.get("not_before"), found.get("business_hours")
    freezes = list_at(found.get("freezes", []), "schedule.freezes", _MOST_FREEZES)
    return Schedule(
        not_before_microseconds=None if before is None else _moment(before, "schedule.not_before"),
        business_hours=None if hours is None else _hours(hours, "schedule.business_hours"),
        freezes=tuple(_freeze(item, f"schedule.freezes[{index}]") for index, item in enumerate(freezes)),
    )


def check_time_zone(schedule: Schedule) -> None:
    """Raises BadInput(`bad_plan`) for a zone that this host does not know."""
    hours = schedule.business_hours
    known = set[str]() if hours is None else available_timezones() - _NO_ZONES
    if hours is not None and hours.time_zone not in known:
        hint = nearest_of(hours.time_zone, known) or ", such as Europe/Berlin"
        raise bad_plan("schedule.business_hours.time_zone", f"must be the IANA name of a time zone{hint}")


def _hours(value: object, at: str) -> BusinessHours:
    hours = object_at(value, at, ("days", "from", "to", "time_zone"))
    days = list_at(hours.get("days", list(DAYS[:5])), f"{at}.days", len(DAYS))
    if not days or len(set(map(str, days))) < len(days) or any(day not in DAYS for day in days):
        raise bad_plan(f"{at}.days", f"must be some of {', '.join(DAYS)}, each once")
    zone = hours.get("time_zone")
    if not isinstance(zone, str) or not 0 < len(zone) <= _LONGEST_ZONE:
        raise bad_plan(f"{at}.time_zone", "must be the IANA name of a time zone, such as Europe/Berlin")
    start, end = _minute(hours.get("from"), f"{at}.from"), _minute(hours.get("to"), f"{at}.to")
    if start in (end, _DAY_MINUTES):
        raise bad_plan(at, "must begin and end at different times, such as 09:00 and 17:00, or 00:00 and 24:00")
    return BusinessHours(tuple(day for day in DAYS if day in days), start, end, zone)


def _minute(value: object, at: str) -> int:
    if value == _END_OF_DAY:
        return _DAY_MINUTES
    clock = _CLOCK.match(value) if isinstance(value, str) else None
    if clock is None:
        raise bad_plan(at, 'must be a time of the day such as "09:00", in quotes where it is written as YAML')
    return int(clock[1]) * 60 + int(clock[2])


def _clock_text(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _freeze(value: object, at: str) -> Freeze:
    freeze = object_at(value, at, ("from", "to", "why"))
    start, end = _moment(freeze.get("from"), f"{at}.from"), _moment(freeze.get("to"), f"{at}.to")
    if end <= start:
        raise bad_plan(f"{at}.to", "must be later than `from`")
    why = freeze.get("why", "")
    if not isinstance(why, str) or len(why) > _LONGEST_WHY:
        raise bad_plan(f"{at}.why", f"must be a text of at most {_LONGEST_WHY} characters")
    return Freeze(start, end, why)


def _moment(value: object, at: str) -> int:
    try:
        if not isinstance(value, str):
            raise ValueError
        return parse_rfc3339(value, at)
    except (BadInput, ValueError):
        raise bad_plan(at, 'must be a time with a zone, such as "2026-12-01T09:00:00Z"') from None
