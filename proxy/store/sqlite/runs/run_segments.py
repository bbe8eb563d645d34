"""Which runs are whose, and which lanes they have, by segments that are sorted in when they are full.

Decision: users and conversations come in no order, so an index on them writes a page of its own for nearly every run, to the
log and to the database: 13 us of a run's 30 with 100,000 users. Sorted in 4,096 at a time it is less than 1 us, in one piece of
3 ms. A page of somebody's runs then costs up to 2 ms for the runs after the last segment, and 10 us for each segment until it
is full: 3 ms among a million runs for who has hardly any.

Segments that were full before their lanes were noted get them from `sort_lanes`, one at a time, beside traffic.
"""

import sqlite3

SEGMENT_RUNS = 4096

_SEGMENT = """
INSERT INTO run_segments (segment, earliest_start_microseconds, latest_start_microseconds)
SELECT :segment, MIN(started_at_microseconds), MAX(started_at_microseconds) FROM run_records WHERE number BETWEEN :first AND :last
"""
#: In the order of the key, so that every page is written once.
_OWNERS = (
    """
INSERT INTO run_owners (segment, kind, owner, run)
SELECT :segment, 'conversation', conversation, number FROM run_records
WHERE number BETWEEN :first AND :last AND conversation IS NOT NULL ORDER BY conversation, number
""",
    """
INSERT INTO run_owners (segment, kind, owner, run)
SELECT :segment, 'user', user_id, number FROM run_records
WHERE number BETWEEN :first AND :last AND user_id IS NOT NULL ORDER BY user_id, number
""",
)
_LANES = """
INSERT INTO run_segment_lanes (segment, lane, agent, first_run, last_run)
SELECT :segment, lane, agent, MIN(number), MAX(number) FROM run_records
WHERE number BETWEEN :first AND :last GROUP BY lane, agent
"""
_SORTED = "UPDATE run_segments SET lanes_sorted = 1 WHERE segment = :segment"
_UNSORTED = "SELECT MAX(segment) FROM run_segments WHERE lanes_sorted = 0"
#: Conditions on runs, and the segments that may have runs of a time, latest first.
AFTER_SEGMENTS = f"number > {SEGMENT_RUNS} * (SELECT COALESCE(MAX(segment) + 1, 0) FROM run_segments)"  # noqa: S608 (a constant)
IN_SEGMENT = "number IN (SELECT run FROM run_owners WHERE segment = ? AND kind = ? AND owner = ?)"
ALL_SEGMENTS = """
number IN (SELECT run FROM run_segments CROSS JOIN run_owners USING (segment) WHERE kind = ? AND owner = ?)
"""
SEGMENTS = """
SELECT segment, latest_start_microseconds, lanes_sorted FROM run_segments
WHERE latest_start_microseconds >= ? AND earliest_start_microseconds <= ? ORDER BY latest_start_microseconds DESC
"""
#: Between which numbers a segment has runs of some lanes; what they are asked follows.
RUNS_OF_LANES = "SELECT MIN(first_run), MAX(last_run) FROM run_segment_lanes WHERE segment = ?"


def bounds_of(segment: int) -> tuple[int, int]:
    """The numbers of its first and its last run."""
    return segment * SEGMENT_RUNS + 1, (segment + 1) * SEGMENT_RUNS


def sort_in(plain: sqlite3.Connection, newest_before: int, newest: int) -> None:
    """Sort in the segments that became full with the newest run; the numbers of the newest before and now."""
    for segment in range(newest_before // SEGMENT_RUNS, newest // SEGMENT_RUNS):
        first, last = bounds_of(segment)
        bounds = {"segment": segment, "first": first, "last": last}
        plain.execute(_SEGMENT, bounds)
        for statement in _OWNERS:
            plain.execute(statement, bounds)
        _note_lanes(plain, segment)


def sort_lanes(plain: sqlite3.Connection) -> int:
    """Note the lanes of the newest segment that lacks them; how many segments that were, 0 at the end."""
    segment = plain.execute(_UNSORTED).fetchone()[0]
    if segment is None:
        return 0
    _note_lanes(plain, segment)
    return 1


def _note_lanes(plain: sqlite3.Connection, segment: int) -> None:
    first, last = bounds_of(segment)
    plain.execute(_LANES, {"segment": segment, "first": first, "last": last})
    plain.execute(_SORTED, {"segment": segment})
