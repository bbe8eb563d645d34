"""Lists by page: newest first where there is a time, each page one range of an index however far back it begins.

Counterparts: paging.py (cursors), access.py (tokens and proposals), run_lists.py, outcome_lists.py.
"""

import sqlite3
from collections.abc import Sequence

from proxy.core.pages import Page
from proxy.core.proof.audit import AuditEntry
from proxy.core.releasing.releases import Release
from proxy.core.snapshot import Agent, Rollout
from proxy.core.versions.versions import VersionSummary
from proxy.store.rows.columns import Row
from proxy.store.rows.values import AUDIT, agent_of, release_of, summary_of
from proxy.store.sqlite.statements.paging import BEFORE_FIRST, fetched, key_of, page_of
from proxy.store.sqlite.traffic import arms_of, rollouts_of

_AGENTS = """
SELECT agents.*, (SELECT COALESCE(MAX(number), 0) FROM versions WHERE agent = agents.name) AS newest
FROM agents WHERE name > ? ORDER BY name LIMIT ?
"""
_VERSIONS = "SELECT * FROM versions WHERE agent = ? AND number < ? ORDER BY number DESC LIMIT ?"
_RELEASES = "SELECT * FROM releases WHERE agent = ? AND number < ? ORDER BY number DESC LIMIT ?"
_LABEL_RELEASES = "SELECT * FROM releases WHERE agent = ? AND label = ? AND number < ? ORDER BY number DESC LIMIT ?"
_LABEL_HISTORY = "SELECT * FROM releases WHERE agent = ? AND label = ? ORDER BY number"
_ROLLOUTS = "SELECT * FROM rollouts WHERE agent = ? AND number < ? ORDER BY number DESC LIMIT ?"
_ROLLOUT = "SELECT * FROM rollouts WHERE agent = ? AND id = ?"
_AUDIT = "SELECT * FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?"
_AUDIT_AFTER = "SELECT * FROM audit WHERE number > ? ORDER BY number LIMIT ?"


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


def read_rollout(plain: sqlite3.Connection, agent: str, rollout_id: str) -> Rollout | None:
    """One that runs, or one that ended."""
    found = rollouts_of(plain, plain.execute(_ROLLOUT, (agent, rollout_id)).fetchall())
    return found[0] if found else None


def list_audit(plain: sqlite3.Connection, cursor: str | None, limit: int) -> Page[AuditEntry]:
    (before,) = key_of(cursor, BEFORE_FIRST)
    rows = plain.execute(_AUDIT, (before, fetched(limit))).fetchall()
    return page_of(rows, limit, lambda shown: [AUDIT.value(row) for row in shown], ("number",))


def list_audit_after(plain: sqlite3.Connection, number: int, limit: int) -> list[AuditEntry]:
    """Oldest first."""
    return [AUDIT.value(row) for row in plain.execute(_AUDIT_AFTER, (number, limit))]


def _releases_of(plain: sqlite3.Connection, rows: Sequence[Row]) -> list[Release]:
    arms = arms_of(plain, [(row["agent"], row["number"]) for row in rows])
    return [release_of(row, arms[row["agent"], row["number"]]) for row in rows]
