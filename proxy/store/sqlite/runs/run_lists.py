"""Runs by page, newest first, and their number: by the index of what is asked for, or by segments for those of one owner and
for what is asked of a lane (version, release, rollout, arm, result, kind).

Segments are made in run_segments.py. Other lists are in lists.py, cursors in paging.py.

Decision: each full segment has a row for every lane and agent among its runs, with the first and the last of their numbers, so
that a page looks only where something is. Of 3 million runs a page of 60 by any one filter takes at most 30 ms of CPU; a result
that 24 of them had 18 ms instead of 2.5 s, `arm` 15 ms instead of 4 s, quarantined (an index of those that are, alone) 3 ms instead
of 1.7 s, an end of time that was passed over run by run 3 ms instead of 320 ms (2026-11-28). It costs a tenth of a byte and 0.5 us a
run, worked out once a segment. Not taken: an index that begins with the lane (20 to 30 bytes and an insertion a run, and it would
have to be built at the start of the first new release); looking through the index by agent, which ends with the lane (0.46 s).

Decision: the ids of a provider's request and of a caller's trace are looked for run by run, newest first: 0.6 s among a million
where there is none (2026-11-29), less by time or user. Who asks has one id in hand, once. Not taken: an index of random texts
(a page of its own written for nearly every run, see run_segments.py).
"""

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from proxy.core.calls.run_filter import RUN_NAMINGS, RunFilter, RunName, RunNaming
from proxy.core.calls.runs import Attempt, Run, only_attempt
from proxy.core.pages import Page
from proxy.store.rows.columns import Row, json_text
from proxy.store.rows.runs import attempt_of, run_of
from proxy.store.sqlite.runs.run_segments import (
    AFTER_SEGMENTS,
    ALL_SEGMENTS,
    IN_SEGMENT,
    RUNS_OF_LANES,
    SEGMENTS,
    bounds_of,
)
from proxy.store.sqlite.statements.paging import BEFORE_FIRST, fetched, key_of, page_of

_KEY = ("started_at_microseconds", "number")
# Only constants of this code base are put together below; every value is bound.
_COUNT = "SELECT COUNT(*) FROM {place} AND {where}"
_PAGE = """
SELECT {columns} FROM {place} AND (started_at_microseconds, number) < (?, ?) AND {where}
ORDER BY started_at_microseconds DESC, number DESC LIMIT ?
"""
_BY_IDS = "SELECT runs.* FROM json_each(?) AS wanted CROSS JOIN runs ON runs.id = wanted.value"
# By their start alone, newest first, so that it ends as soon as each has been found; what has no run is looked for to the end.
_NAMED = """
SELECT id, agent, request_id, trace_id, conversation FROM run_records INDEXED BY runs_by_start CROSS JOIN run_lanes USING (lane)
WHERE kind = 'live' AND (request_id IN (SELECT value FROM json_each(:request_id)) OR trace_id IN (SELECT value FROM json_each(:trace_id))
    OR conversation IN (SELECT value FROM json_each(:conversation)))
ORDER BY started_at_microseconds DESC, number DESC
"""
_ANYWHERE = "runs WHERE TRUE"
# NOT INDEXED: by their numbers only. SQLite would else rather pass all runs, to have them in order.
_BY_NUMBER = "run_records NOT INDEXED CROSS JOIN run_lanes USING (lane)"
_AFTER_SEGMENTS = f"{_BY_NUMBER} WHERE {AFTER_SEGMENTS}"
_IN_SEGMENT = f"{_BY_NUMBER} WHERE {IN_SEGMENT}"
_ALL_SEGMENTS = f"{_BY_NUMBER} WHERE {ALL_SEGMENTS}"
_QUARANTINED = "run_records INDEXED BY runs_quarantined CROSS JOIN run_lanes USING (lane) WHERE TRUE"
_BETWEEN = f"{_BY_NUMBER} WHERE number BETWEEN ? AND ?"
_OF_LANES = "lane IN (SELECT lane FROM run_lanes WHERE {lane})"
_SOME_LANE = "SELECT 1 FROM run_lanes WHERE {lane} LIMIT 1"


def list_runs(plain: sqlite3.Connection, wanted: RunFilter, cursor: str | None, limit: int) -> Page[Run]:
    rows = _rows(plain, wanted, cursor, limit, "*")
    return page_of(rows, limit, lambda shown: [run_of(row) for row in shown], _KEY)


def list_run_ids(plain: sqlite3.Connection, wanted: RunFilter, cursor: str | None, limit: int) -> Page[str]:
    rows = _rows(plain, wanted, cursor, limit, "id, started_at_microseconds, number")
    return page_of(rows, limit, lambda shown: [row["id"] for row in shown], _KEY)


def count_runs(plain: sqlite3.Connection, wanted: RunFilter) -> int:
    where, values = _narrowed(wanted)
    owner = _owner(wanted)
    if not owner:
        return _number(plain, _COUNT.format(place=_ANYWHERE, where=where), values)
    after = _number(plain, _COUNT.format(place=_AFTER_SEGMENTS, where=where), values)
    return after + _number(plain, _COUNT.format(place=_ALL_SEGMENTS, where=where), [*owner, *values])


def read_run(plain: sqlite3.Connection, run_id: str) -> Run | None:
    row = plain.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    return None if row is None else run_of(row)


def read_runs_by_id(plain: sqlite3.Connection, run_ids: Sequence[str]) -> dict[str, Run]:
    """Those that are there."""
    return {row["id"]: run_of(row) for row in plain.execute(_BY_IDS, (json_text(list(dict.fromkeys(run_ids))),))}


def read_newest_runs(plain: sqlite3.Connection, names: Collection[RunName]) -> dict[RunName, str]:
    """The newest run of each."""
    missing = set(names)
    found: dict[RunName, str] = {}
    kinds: list[RunNaming] = [kind for kind in RUN_NAMINGS if kind != "run"]
    wanted = {kind: json_text(sorted({name.id for name in missing if name.by == kind})) for kind in kinds}
    for row in plain.execute(_NAMED, wanted) if missing else ():
        agents: tuple[str | None, ...] = (None, row["agent"])
        carried = {RunName(kind, row[kind], agent) for kind in kinds if row[kind] for agent in agents}
        for name in carried & missing:
            found[name] = row["id"]
        missing -= carried
        if not missing:
            break
    return found


def read_attempts(plain: sqlite3.Connection, run_id: str) -> list[Attempt]:
    """In the order they were made: what is recorded apart, else what the run tells."""
    rows = plain.execute("SELECT * FROM attempts WHERE run = ? ORDER BY number", (run_id,)).fetchall()
    if rows:
        return [attempt_of(row) for row in rows]
    run = read_run(plain, run_id)
    only = None if run is None else only_attempt(run)
    return [] if only is None else [only]


def runs_statement(wanted: RunFilter, cursor: str | None, limit: int, columns: str = "*") -> tuple[str, list[Any]]:
    """The statement and values of one page of runs, whoever they are of."""
    where, values = _narrowed(wanted)
    place = _QUARANTINED if wanted.quarantined else _ANYWHERE
    statement = _PAGE.format(columns=columns, place=place, where=where)
    return statement, [*_before(wanted, cursor), *values, fetched(limit)]


def _rows(plain: sqlite3.Connection, wanted: RunFilter, cursor: str | None, limit: int, columns: str) -> list[Row]:
    lane, values = _of_lane(wanted)
    if values and plain.execute(_SOME_LANE.format(lane=lane), values).fetchone() is None:
        return []
    if (values or _owner(wanted)) and not wanted.quarantined:
        return _rows_by_segments(plain, wanted, cursor, limit, columns)
    return plain.execute(*runs_statement(wanted, cursor, limit, columns)).fetchall()


def _rows_by_segments(
    plain: sqlite3.Connection, wanted: RunFilter, cursor: str | None, limit: int, columns: str
) -> list[Row]:
    """First what is in no segment yet, then segment by segment until none can have a newer run than those found."""
    where, values = _narrowed(wanted)
    start, number = _before(wanted, cursor)
    size = fetched(limit)
    bound = [start, number, *values, size]
    after_segments = _PAGE.format(columns=columns, place=_AFTER_SEGMENTS, where=where)
    rows: list[Row] = plain.execute(after_segments, bound).fetchall()
    in_segment = _PAGE.format(columns=columns, place=_place_in_segment(wanted), where=where)
    for segment in plain.execute(SEGMENTS, (wanted.from_microseconds or 0, start)):
        if len(rows) == size and segment["latest_start_microseconds"] < rows[-1]["started_at_microseconds"]:
            break
        between = _between(plain, segment, wanted)
        if between is None:
            continue
        place = [*between, segment["segment"], *_owner(wanted)] if _owner(wanted) else between
        found = plain.execute(in_segment, [*place, *bound]).fetchall()
        if found:
            rows = sorted([*rows, *found], key=_order, reverse=True)[:size]
    return rows


def _place_in_segment(wanted: RunFilter) -> str:
    return f"{_BETWEEN} AND {IN_SEGMENT}" if _owner(wanted) else _BETWEEN


def _between(plain: sqlite3.Connection, segment: Row, wanted: RunFilter) -> list[int] | None:
    """Between which numbers a segment can have runs of what is asked for; None where it has none."""
    lane, values = _of_lane(wanted)
    if not values or not segment["lanes_sorted"]:
        return list(bounds_of(segment["segment"]))
    statement = f"{RUNS_OF_LANES} AND {_OF_LANES.format(lane=lane)}"
    if wanted.agent is not None:
        statement, values = f"{statement} AND agent = ?", [*values, wanted.agent]
    first, last = plain.execute(statement, [segment["segment"], *values]).fetchone()
    return None if first is None else [first, last]


def _before(wanted: RunFilter, cursor: str | None) -> tuple[int, int]:
    """Start and number before which a page begins. The end of what is wanted is in it, because SQLite goes by one upper bound."""
    start, number = key_of(cursor, BEFORE_FIRST, BEFORE_FIRST)
    end = wanted.to_microseconds
    return (start, number) if end is None else min((start, number), (end, 0))


def _order(row: Row) -> tuple[int, int]:
    return row["started_at_microseconds"], row["number"]


def _owner(wanted: RunFilter) -> list[str]:
    """Kind and name of whose runs are asked for, the narrower of two; empty where it is nobody's in particular."""
    if wanted.conversation is not None:
        return ["conversation", wanted.conversation]
    return [] if wanted.user is None else ["user", wanted.user]


def _number(plain: sqlite3.Connection, statement: str, values: list[Any]) -> int:
    return plain.execute(statement, values).fetchone()[0]


def _narrowed(wanted: RunFilter) -> tuple[str, list[Any]]:
    """Only the conditions that narrow, so that an index can serve them; `TRUE` without any."""
    (own, own_values), (lane, lane_values) = _of_run(wanted), _of_lane(wanted)
    return f"{own} AND {lane}", own_values + lane_values


def _of_run(wanted: RunFilter) -> tuple[str, list[Any]]:
    """What a run's own row is asked."""
    own, values = _conditions(
        ("agent = ?", wanted.agent),
        ("user_id = ?", wanted.user),
        ("conversation = ?", wanted.conversation),
        ("request_id = ?", wanted.request_id),
        ("trace_id = ?", wanted.trace_id),
        ("started_at_microseconds >= ?", wanted.from_microseconds),
        ("started_at_microseconds < ?", wanted.to_microseconds),
    )
    if wanted.quarantined is None:
        return own, values
    # Spelled out: the index of those that are is not used for a value that is bound.
    return f"{own} AND quarantined = {int(wanted.quarantined)}", values


def _of_lane(wanted: RunFilter) -> tuple[str, list[Any]]:
    """What its lane is asked."""
    return _conditions(
        ("version = ?", wanted.version),
        ("release = ?", wanted.release),
        ("rollout = ?", wanted.rollout),
        ("arm = ?", wanted.arm),
        ("result = ?", wanted.result),
        ("kind = ?", wanted.kind),
    )


def _conditions(*narrowing: tuple[str, Any]) -> tuple[str, list[Any]]:
    asked = [(condition, value) for condition, value in narrowing if value is not None]
    return " AND ".join(condition for condition, _ in asked) or "TRUE", [value for _, value in asked]
