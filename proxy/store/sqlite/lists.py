"""Lists by page: newest first where there is a time, each page one range of an index however far back it begins.

Counterparts: paging.py (cursors), access.py (tokens and proposals).
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from proxy.core.audit import AuditEntry
from proxy.core.outcomes import Outcome
from proxy.core.pages import Page
from proxy.core.releases import Release
from proxy.core.runs import Attempt, Run
from proxy.core.snapshot import Agent, Rollout
from proxy.core.versions import VersionSummary
from proxy.store.rows import Row, agent_of, audit_entry_of, release_of, summary_of
from proxy.store.run_rows import attempt_of, outcome_of, run_of
from proxy.store.sqlite.paging import BEFORE_FIRST, fetched, key_of, page_of
from proxy.store.sqlite.traffic import arms_of, rollouts_of
from proxy.store.store import RunFilter

_AGENTS = """
SELECT agents.*, (SELECT COALESCE(MAX(number), 0) FROM versions WHERE agent = agents.name) AS newest
FROM agents WHERE name > ? ORDER BY name LIMIT ?
"""
_VERSIONS = "SELECT * FROM versions WHERE agent = ? AND number < ? ORDER BY number DESC LIMIT ?"
_RELEASES = "SELECT * FROM releases WHERE agent = ? AND number < ? ORDER BY number DESC LIMIT ?"
_LABEL_RELEASES = "SELECT * FROM releases WHERE agent = ? AND label = ? AND number < ? ORDER BY number DESC LIMIT ?"
_LABEL_HISTORY = "SELECT * FROM releases WHERE agent = ? AND label = ? ORDER BY number"
_ROLLOUTS = "SELECT * FROM rollouts WHERE agent = ? AND number < ? ORDER BY number DESC LIMIT ?"
_AUDIT = "SELECT * FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?"
_AUDIT_AFTER = "SELECT * FROM audit WHERE number > ? ORDER BY number LIMIT ?"
_OUTCOMES = "SELECT * FROM outcomes WHERE run = ? ORDER BY id"


def list_agents(plain: sqlite3.Connection, cursor: str | None, limit: int) -> Page[Agent]:
    """By name, archived ones among them."""
    (after,) = key_of(cursor, "")
    rows = plain.execute(_AGENTS, (after, fetched(limit))).fetchall()
    return page_of(rows, limit, lambda shown: [agent_of(row) for row in shown], ("name",))


def list_versions(plain: sqlite3.Connection, agent: str, cursor: str | None, limit: int) -> Page[VersionSummary]:
    (before,) = key_of(cursor, BEFORE_FIRST)
    rows = plain.execute(_VERSIONS, (agent, before, fetched(limit))).fetchall()
    return page_of(rows, limit, lambda shown: [summary_of(row) for row in shown], ("number",))


def list_releases(
    plain: sqlite3.Connection, agent: str, label: str | None, cursor: str | None, limit: int
) -> Page[Release]:
    (before,) = key_of(cursor, BEFORE_FIRST)
    if label is None:
        found = plain.execute(_RELEASES, (agent, before, fetched(limit)))
    else:
        found = plain.execute(_LABEL_RELEASES, (agent, label, before, fetched(limit)))
    return page_of(found.fetchall(), limit, lambda shown: _releases_of(plain, shown), ("number",))


def read_label_history(plain: sqlite3.Connection, agent: str, label: str) -> list[Release]:
    """Every release of a label, oldest first."""
    return _releases_of(plain, plain.execute(_LABEL_HISTORY, (agent, label)).fetchall())


def list_rollouts(plain: sqlite3.Connection, agent: str, cursor: str | None, limit: int) -> Page[Rollout]:
    (before,) = key_of(cursor, BEFORE_FIRST)
    rows = plain.execute(_ROLLOUTS, (agent, before, fetched(limit))).fetchall()
    return page_of(rows, limit, lambda shown: rollouts_of(plain, shown), ("number",))


def list_audit(plain: sqlite3.Connection, cursor: str | None, limit: int) -> Page[AuditEntry]:
    (before,) = key_of(cursor, BEFORE_FIRST)
    rows = plain.execute(_AUDIT, (before, fetched(limit))).fetchall()
    return page_of(rows, limit, lambda shown: [audit_entry_of(row) for row in shown], ("number",))


def list_audit_after(plain: sqlite3.Connection, number: int, limit: int) -> list[AuditEntry]:
    """Oldest first."""
    return [audit_entry_of(row) for row in plain.execute(_AUDIT_AFTER, (number, limit))]


def list_runs(plain: sqlite3.Connection, wanted: RunFilter, cursor: str | None, limit: int) -> Page[Run]:
    statement, values = runs_statement(wanted, cursor, limit)
    rows = plain.execute(statement, values).fetchall()
    return page_of(rows, limit, lambda shown: [run_of(row) for row in shown], ("started_at_microseconds", "id"))


def list_run_ids(plain: sqlite3.Connection, wanted: RunFilter, cursor: str | None, limit: int) -> Page[str]:
    statement, values = runs_statement(wanted, cursor, limit, "id, started_at_microseconds")
    rows = plain.execute(statement, values).fetchall()
    return page_of(rows, limit, lambda shown: [row["id"] for row in shown], ("started_at_microseconds", "id"))


def count_runs(plain: sqlite3.Connection, wanted: RunFilter) -> int:
    where, values = _narrowed(wanted)
    # As below.
    return plain.execute(f"SELECT COUNT(*) FROM runs WHERE {where}", values).fetchone()[0]  # noqa: S608


def runs_statement(wanted: RunFilter, cursor: str | None, limit: int, columns: str = "*") -> tuple[str, list[Any]]:
    """The statement and values of one page of runs."""
    where, values = _narrowed(wanted)
    key = "(started_at_microseconds, id) < (?, ?)"
    order = "ORDER BY started_at_microseconds DESC, id DESC LIMIT ?"
    # Only constants of this module are put together; every value is bound.
    statement = f"SELECT {columns} FROM runs WHERE {key} AND {where} {order}"  # noqa: S608
    return statement, [*key_of(cursor, BEFORE_FIRST, ""), *values, fetched(limit)]


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


def read_run(plain: sqlite3.Connection, run_id: str) -> Run | None:
    row = plain.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    return None if row is None else run_of(row)


def read_attempts(plain: sqlite3.Connection, run_id: str) -> list[Attempt]:
    """In the order they were made."""
    rows = plain.execute("SELECT * FROM attempts WHERE run = ? ORDER BY number", (run_id,))
    return [attempt_of(row) for row in rows]


def read_outcomes(plain: sqlite3.Connection, run_id: str) -> list[Outcome]:
    """In the order they were recorded."""
    return [outcome_of(row) for row in plain.execute(_OUTCOMES, (run_id,))]


def _releases_of(plain: sqlite3.Connection, rows: Sequence[Row]) -> list[Release]:
    arms = arms_of(plain, [(row["agent"], row["number"]) for row in rows])
    return [release_of(row, arms[row["agent"], row["number"]]) for row in rows]
