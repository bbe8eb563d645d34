"""Runs by page, newest first, and their number: by the index of what is asked for, or by segments for those of one owner.

Segments are made in run_segments.py. Other lists are in lists.py, cursors in paging.py.
"""

import sqlite3
from typing import Any

from proxy.core.calls.runs import Attempt, Run, only_attempt
from proxy.core.pages import Page
from proxy.store.ports.store import RunFilter
from proxy.store.rows.runs import attempt_of, run_of
from proxy.store.rows.values import Row
from proxy.store.sqlite.runs.run_segments import AFTER_SEGMENTS, ALL_SEGMENTS, IN_SEGMENT, SEGMENTS
from proxy.store.sqlite.statements.paging import BEFORE_FIRST, fetched, key_of, page_of

_KEY = ("started_at_microseconds", "number")
# Only constants of this code base are put together below; every value is bound.
_COUNT = "SELECT COUNT(*) FROM {place} AND {where}"
_PAGE = """
SELECT {columns} FROM {place} AND (started_at_microseconds, number) < (?, ?) AND {where}
ORDER BY started_at_microseconds DESC, number DESC LIMIT ?
"""
_ANYWHERE = "runs WHERE TRUE"
# NOT INDEXED: by their numbers only. SQLite would else rather pass all runs, to have them in order.
_BY_NUMBER = "run_records NOT INDEXED CROSS JOIN run_lanes USING (lane)"
_AFTER_SEGMENTS = f"{_BY_NUMBER} WHERE {AFTER_SEGMENTS}"
_IN_SEGMENT = f"{_BY_NUMBER} WHERE {IN_SEGMENT}"
_ALL_SEGMENTS = f"{_BY_NUMBER} WHERE {ALL_SEGMENTS}"


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
    statement = _PAGE.format(columns=columns, place=_ANYWHERE, where=where)
    return statement, [*key_of(cursor, BEFORE_FIRST, BEFORE_FIRST), *values, fetched(limit)]


def _rows(plain: sqlite3.Connection, wanted: RunFilter, cursor: str | None, limit: int, columns: str) -> list[Row]:
    owner = _owner(wanted)
    if owner:
        return _rows_of_owner(plain, wanted, owner, cursor, limit, columns)
    return plain.execute(*runs_statement(wanted, cursor, limit, columns)).fetchall()


def _rows_of_owner(
    plain: sqlite3.Connection, wanted: RunFilter, owner: list[str], cursor: str | None, limit: int, columns: str
) -> list[Row]:
    """First what is in no segment yet, then segment by segment until none can have a newer run than those found."""
    where, values = _narrowed(wanted)
    start, number = key_of(cursor, BEFORE_FIRST, BEFORE_FIRST)
    size = fetched(limit)
    bound = [start, number, *values, size]
    after_segments = _PAGE.format(columns=columns, place=_AFTER_SEGMENTS, where=where)
    rows: list[Row] = plain.execute(after_segments, bound).fetchall()
    latest = start if wanted.to_microseconds is None else min(start, wanted.to_microseconds)
    in_segment = _PAGE.format(columns=columns, place=_IN_SEGMENT, where=where)
    for segment in plain.execute(SEGMENTS, (wanted.from_microseconds or 0, latest)).fetchall():
        if len(rows) == size and segment["latest_start_microseconds"] < rows[-1]["started_at_microseconds"]:
            break
        found = plain.execute(in_segment, [segment["segment"], *owner, *bound]).fetchall()
        if found:
            rows = sorted([*rows, *found], key=_order, reverse=True)[:size]
    return rows


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
    conditions: list[str] = []
    values: list[Any] = []
    narrowing = (
        ("agent = ?", wanted.agent),
        ("version = ?", wanted.version),
        ("release = ?", wanted.release),
        ("rollout = ?", wanted.rollout),
        ("arm = ?", wanted.arm),
        ("user = ?", wanted.user),
        ("conversation = ?", wanted.conversation),
        ("outcome = ?", wanted.outcome),
        ("quarantined = ?", wanted.quarantined),
        ("started_at_microseconds >= ?", wanted.from_microseconds),
        ("started_at_microseconds < ?", wanted.to_microseconds),
    )
    for condition, value in narrowing:
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return " AND ".join(conditions) or "TRUE", values
