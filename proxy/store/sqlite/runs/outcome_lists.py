"""Outcomes: those of a run, those of a page of runs in one statement, and all of them by page, newest first.

Ids of outcomes sort by the time they were recorded, so that the key is the order of the list.

Decision: agent, version and label of an outcome are its run's, and no index has them beside outcomes. A page looks at no more than
LOOKED_AT outcomes and may then be short, with a cursor. Not taken: columns and an index of their own (a migration that would
write millions of rows at the start of the next release).
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from proxy.core.calls.outcomes import Outcome, OutcomesOfRun, ServedOutcome
from proxy.core.calls.run_filter import OutcomeFilter
from proxy.core.pages import Page
from proxy.store.rows.columns import Row, json_text
from proxy.store.rows.runs import outcome_of
from proxy.store.sqlite.statements.paging import cursor_of, fetched, key_of, page_of

#: Outcomes that one page looks at.
LOOKED_AT: Final = 50_000
#: Outcomes shown of each run where several runs are.
SHOWN_OF_A_RUN: Final = 100
_AFTER_ALL: Final = "\U0010ffff"

_OF_RUN: Final = "SELECT * FROM outcomes WHERE run = ? ORDER BY id"
# What many runs have is read in steps of an index, however many outcomes one of them has.
_OF_RUNS: Final = """
SELECT outcomes.*, (SELECT COUNT(*) FROM outcomes AS counted WHERE counted.run = wanted.value) AS outcome_count
FROM json_each(?) AS wanted CROSS JOIN outcomes
ON outcomes.id IN (SELECT id FROM outcomes AS newest WHERE newest.run = wanted.value ORDER BY id DESC LIMIT ?)
"""
_LAST_LOOKED_AT: Final = "SELECT id FROM outcomes WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT 1 OFFSET ?"
# The order of the join is written down, as in the view of runs. Only constants are put together; every value is bound.
_PAGE: Final = """
SELECT outcomes.*, agent, version, label, arm
FROM outcomes CROSS JOIN run_records ON run_records.id = outcomes.run CROSS JOIN run_lanes USING (lane)
WHERE outcomes.id < ? AND outcomes.id >= ? {where} ORDER BY outcomes.id DESC LIMIT ?
"""


def read_outcomes(plain: sqlite3.Connection, run_id: str) -> list[Outcome]:
    """In the order they were recorded."""
    return [outcome_of(row) for row in plain.execute(_OF_RUN, (run_id,))]


def read_outcomes_of(plain: sqlite3.Connection, run_ids: Sequence[str]) -> dict[str, OutcomesOfRun]:
    """By run."""
    newest: dict[str, list[Outcome]] = {}
    counts: dict[str, int] = {}
    for row in plain.execute(_OF_RUNS, (json_text(list(run_ids)), SHOWN_OF_A_RUN)):
        newest.setdefault(row["run"], []).append(outcome_of(row))
        counts[row["run"]] = row["outcome_count"]
    return {run: OutcomesOfRun(sorted(told, key=_id), counts[run]) for run, told in newest.items()}


def list_outcomes(
    plain: sqlite3.Connection, wanted: OutcomeFilter, cursor: str | None, limit: int
) -> Page[ServedOutcome]:
    (before,) = key_of(cursor, _AFTER_ALL)
    if wanted.before_id is not None:
        before = min(before, wanted.before_id)
    # Those of one run have an index of their own.
    last = None if wanted.run else plain.execute(_LAST_LOOKED_AT, (before, wanted.first_id, LOOKED_AT - 1)).fetchone()
    where, values = _narrowed(wanted)
    first = wanted.first_id if last is None else last["id"]
    rows = plain.execute(_PAGE.format(where=where), (before, first, *values, fetched(limit))).fetchall()
    page = page_of(rows, limit, lambda shown: [_served(row) for row in shown], ("id",))
    if last is None or page.next_cursor is not None:
        return page
    return Page(page.items, cursor_of([last["id"]]))


def _id(outcome: Outcome) -> str:
    return outcome.id


def _served(row: Row) -> ServedOutcome:
    return ServedOutcome(outcome_of(row), row["agent"], row["version"], row["label"], row["arm"])


def _narrowed(wanted: OutcomeFilter) -> tuple[str, list[Any]]:
    """Only the conditions that narrow."""
    conditions = (
        ("outcomes.run = ?", wanted.run),
        ("request_id = ?", wanted.request_id),
        ("trace_id = ?", wanted.trace_id),
        ("name = ?", wanted.name),
        ("agent = ?", wanted.agent),
        ("version = ?", wanted.version),
        ("label = ?", wanted.label),
        ("recorded_at_microseconds >= ?", wanted.from_microseconds),
        ("recorded_at_microseconds < ?", wanted.to_microseconds),
    )
    asked = [(condition, value) for condition, value in conditions if value is not None]
    return "".join(f" AND {condition}" for condition, _ in asked), [value for _, value in asked]
