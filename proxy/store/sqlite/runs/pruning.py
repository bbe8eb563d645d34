"""Removing old runs, oldest first, a few at a time: what they come to in a day is added up before, in the same transaction.

The newest run stays whatever its age: runs are numbered from it on, and a number that comes twice would be in a segment that
is sorted in already.

Decision: runs are removed one by one and not in segments of 4,096, which is what a small installation records in a year.
"""

import sqlite3
from typing import Final

from proxy.store.rows.columns import json_text
from proxy.store.sqlite.runs.counted_runs import CountedRuns
from proxy.store.sqlite.runs.run_segments import SEGMENT_RUNS, bounds_of
from proxy.store.sqlite.runs.run_sums import sum_up_pruned

#: A few milliseconds of the writer's thread.
_RUNS_A_STEP: Final = 256
_LATENCIES_A_STEP: Final = 512
#: A run that says more than this of itself does not spoil the sum of the others; sums end at the second.
_MOST_OF_A_RUN: Final = 2**50
_MOST: Final = 2**62
_SUMMED: Final = (
    "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "cost_nanodollars",
    "estimated_cost_nanodollars",
)  # fmt: skip

# Only names of this code base are put together; values are bound.
_OLDEST: Final = """
SELECT number, id, user_id, conversation FROM run_records
WHERE started_at_microseconds < ? AND number < (SELECT MAX(number) FROM run_records)
ORDER BY started_at_microseconds LIMIT ?
"""
_ADD_TO_DAYS: Final = f"""
INSERT INTO run_days (agent, day_microseconds, version, arm, kind, result, runs, {", ".join(_SUMMED)})
SELECT agent, started_at_microseconds - started_at_microseconds % 86400000000, COALESCE(version, 0), COALESCE(arm, ''), kind, result,
    COUNT(*), {", ".join(f"SUM(MIN(MAX(COALESCE({name}, 0), 0), {_MOST_OF_A_RUN}))" for name in _SUMMED)}
FROM json_each(?) AS pruned CROSS JOIN run_records ON number = pruned.value CROSS JOIN run_lanes USING (lane)
WHERE TRUE GROUP BY 1, 2, 3, 4, 5, 6
ON CONFLICT DO UPDATE SET
    {", ".join(f"{name} = MIN({name} + excluded.{name}, {_MOST})" for name in ("runs", *_SUMMED))}
"""  # noqa: S608
_OF_RUNS: Final = (
    "DELETE FROM attempts WHERE run IN (SELECT value FROM json_each(?))",
    "DELETE FROM outcomes WHERE run IN (SELECT value FROM json_each(?))",
)
_OWNER: Final = "DELETE FROM run_owners WHERE segment = ? AND kind = ? AND owner = ? AND run = ?"
_RUNS: Final = "DELETE FROM run_records WHERE number IN (SELECT value FROM json_each(?))"
_IS_LEFT: Final = "SELECT 1 FROM run_records WHERE number BETWEEN ? AND ? LIMIT 1"
_OF_SEGMENT: Final = ("DELETE FROM run_segment_lanes WHERE segment = ?", "DELETE FROM run_segments WHERE segment = ?")
# Earlier releases counted durations here; the sums of reports have them now, by label and arm as well.
_NEXT_VERSION: Final = """
SELECT agent, version FROM latency_histograms WHERE (agent, version) > (?, ?) ORDER BY agent, version LIMIT 1
"""
_LATENCIES: Final = """
DELETE FROM latency_histograms WHERE (agent, version, hour_microseconds, bucket) IN (
    SELECT agent, version, hour_microseconds, bucket FROM latency_histograms
    WHERE agent = ? AND version = ? AND hour_microseconds < ? LIMIT ?
)
"""


def prune_runs(plain: sqlite3.Connection, counted: CountedRuns, before_microseconds: int) -> int:
    """One step; how many runs were removed."""
    old = plain.execute(_OLDEST, (before_microseconds, _RUNS_A_STEP)).fetchall()
    if not old:
        return 0
    numbers = json_text([row["number"] for row in old])
    plain.execute(_ADD_TO_DAYS, (numbers,))
    sum_up_pruned(plain, counted, [row["number"] for row in old])
    for statement in _OF_RUNS:
        plain.execute(statement, (json_text([row["id"] for row in old]),))
    owners = [
        (_segment_of(row["number"]), kind, row[column], row["number"])
        for row in old
        for kind, column in (("user", "user_id"), ("conversation", "conversation"))
        if row[column] is not None
    ]
    plain.executemany(_OWNER, owners)
    plain.execute(_RUNS, (numbers,))
    for segment in {_segment_of(row["number"]) for row in old}:
        if plain.execute(_IS_LEFT, bounds_of(segment)).fetchone() is None:
            for statement in _OF_SEGMENT:
                plain.execute(statement, (segment,))
    return len(old)


def prune_latencies(plain: sqlite3.Connection, before_microseconds: int) -> int:
    """One step; how many counts were removed."""
    found = plain.execute(_NEXT_VERSION, ("", -1)).fetchone()
    while found is not None:
        removed = plain.execute(_LATENCIES, (*found, before_microseconds, _LATENCIES_A_STEP)).rowcount
        if removed:
            return removed
        found = plain.execute(_NEXT_VERSION, tuple(found)).fetchone()
    return 0


def _segment_of(number: int) -> int:
    return (number - 1) // SEGMENT_RUNS
