"""Whose runs are where: the runs of one user or conversation, found by segments that are sorted in when they are full.

Decision: users and conversations come in no order, so an index on them writes a page of its own for nearly every run, to the
log and to the database: 13 us of a run's 30 with 100,000 users. Sorted in 4,096 at a time it is less than 1 us, in one piece of
3 ms. A page of somebody's runs then costs up to 2 ms for the runs after the last segment, and 10 us for each segment until it
is full: 3 ms among a million runs for who has hardly any.
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
SELECT :segment, 'user', user, number FROM run_records
WHERE number BETWEEN :first AND :last AND user IS NOT NULL ORDER BY user, number
""",
)
#: Conditions on runs, and the segments that may have runs of a time, latest first.
AFTER_SEGMENTS = f"number > {SEGMENT_RUNS} * (SELECT COALESCE(MAX(segment) + 1, 0) FROM run_segments)"  # noqa: S608 (a constant)
IN_SEGMENT = "number IN (SELECT run FROM run_owners WHERE segment = ? AND kind = ? AND owner = ?)"
ALL_SEGMENTS = """
number IN (SELECT run FROM run_segments CROSS JOIN run_owners USING (segment) WHERE kind = ? AND owner = ?)
"""
SEGMENTS = """
SELECT segment, latest_start_microseconds FROM run_segments
WHERE latest_start_microseconds >= ? AND earliest_start_microseconds <= ? ORDER BY latest_start_microseconds DESC
"""


def sort_in(plain: sqlite3.Connection, newest_before: int, newest: int) -> None:
    """Sort in the segments that became full with the newest run; the numbers of the newest before and now."""
    for segment in range(newest_before // SEGMENT_RUNS, newest // SEGMENT_RUNS):
        bounds = {"segment": segment, "first": segment * SEGMENT_RUNS + 1, "last": (segment + 1) * SEGMENT_RUNS}
        plain.execute(_SEGMENT, bounds)
        for statement in _OWNERS:
            plain.execute(statement, bounds)
