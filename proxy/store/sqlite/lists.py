"""Lists by page: newest first where there is a time, each page one range of an index however far back it begins.

A cursor is the key of the last item shown, so that items added meanwhile neither repeat nor hide others. It is opaque to
callers and not a secret: a forged one only begins the list elsewhere.
"""

import base64
import binascii
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import orjson

from proxy.core.audit import AuditEntry
from proxy.core.errors import BadInput
from proxy.core.pages import MAX_PAGE, Page
from proxy.core.releases import Release
from proxy.core.runs import Attempt, Run
from proxy.core.snapshot import Agent, Rollout
from proxy.core.versions import Version
from proxy.store.rows import Row, agent_of, audit_entry_of, release_of
from proxy.store.run_rows import attempt_of, run_of
from proxy.store.sqlite.traffic import arms_of, rollouts_of, versions_of
from proxy.store.store import RunFilter

Item = TypeVar("Item")
_BEFORE_FIRST = 2**63 - 1

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


def list_agents(plain: sqlite3.Connection, cursor: str | None, limit: int) -> Page[Agent]:
    """By name, archived ones among them."""
    (after,) = _key_of(cursor, "")
    rows = plain.execute(_AGENTS, (after, _fetched(limit))).fetchall()
    return _page(rows, limit, lambda shown: [agent_of(row) for row in shown], ("name",))


def list_versions(plain: sqlite3.Connection, agent: str, cursor: str | None, limit: int) -> Page[Version]:
    (before,) = _key_of(cursor, _BEFORE_FIRST)
    rows = plain.execute(_VERSIONS, (agent, before, _fetched(limit))).fetchall()
    return _page(rows, limit, lambda shown: versions_of(plain, shown), ("number",))


def list_releases(
    plain: sqlite3.Connection, agent: str, label: str | None, cursor: str | None, limit: int
) -> Page[Release]:
    (before,) = _key_of(cursor, _BEFORE_FIRST)
    if label is None:
        found = plain.execute(_RELEASES, (agent, before, _fetched(limit)))
    else:
        found = plain.execute(_LABEL_RELEASES, (agent, label, before, _fetched(limit)))
    return _page(found.fetchall(), limit, lambda shown: _releases_of(plain, shown), ("number",))


def read_label_history(plain: sqlite3.Connection, agent: str, label: str) -> list[Release]:
    """Every release of a label, oldest first."""
    return _releases_of(plain, plain.execute(_LABEL_HISTORY, (agent, label)).fetchall())


def list_rollouts(plain: sqlite3.Connection, agent: str, cursor: str | None, limit: int) -> Page[Rollout]:
    (before,) = _key_of(cursor, _BEFORE_FIRST)
    rows = plain.execute(_ROLLOUTS, (agent, before, _fetched(limit))).fetchall()
    return _page(rows, limit, lambda shown: rollouts_of(plain, shown), ("number",))


def list_audit(plain: sqlite3.Connection, cursor: str | None, limit: int) -> Page[AuditEntry]:
    (before,) = _key_of(cursor, _BEFORE_FIRST)
    rows = plain.execute(_AUDIT, (before, _fetched(limit))).fetchall()
    return _page(rows, limit, lambda shown: [audit_entry_of(row) for row in shown], ("number",))


def list_runs(plain: sqlite3.Connection, wanted: RunFilter, cursor: str | None, limit: int) -> Page[Run]:
    statement, values = runs_statement(wanted, cursor, limit)
    rows = plain.execute(statement, values).fetchall()
    return _page(rows, limit, lambda shown: [run_of(row) for row in shown], ("started_at_microseconds", "id"))


def runs_statement(wanted: RunFilter, cursor: str | None, limit: int) -> tuple[str, list[Any]]:
    """The statement and values of one page of runs: only the conditions that narrow, so that an index can serve it."""
    started_at, run_id = _key_of(cursor, _BEFORE_FIRST, "")
    conditions = ["(started_at_microseconds, id) < (?, ?)"]
    values: list[Any] = [started_at, run_id]
    narrowing = (
        ("agent = ?", wanted.agent),
        ("version = ?", wanted.version),
        ("release = ?", wanted.release),
        ("rollout = ?", wanted.rollout),
        ("arm = ?", wanted.arm),
        ("user = ?", wanted.user),
        ("conversation = ?", wanted.conversation),
        ("outcome = ?", wanted.outcome),
        ("started_at_microseconds >= ?", wanted.from_microseconds),
        ("started_at_microseconds < ?", wanted.to_microseconds),
    )
    for condition, value in narrowing:
        if value is not None:
            conditions.append(condition)
            values.append(value)
    where = " AND ".join(conditions)
    order = "ORDER BY started_at_microseconds DESC, id DESC LIMIT ?"
    # Only the constants above are put together; every value is bound.
    return f"SELECT * FROM runs WHERE {where} {order}", [*values, _fetched(limit)]  # noqa: S608


def read_run(plain: sqlite3.Connection, run_id: str) -> Run | None:
    row = plain.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    return None if row is None else run_of(row)


def read_attempts(plain: sqlite3.Connection, run_id: str) -> list[Attempt]:
    """In the order they were made."""
    rows = plain.execute("SELECT * FROM attempts WHERE run = ? ORDER BY number", (run_id,))
    return [attempt_of(row) for row in rows]


def _releases_of(plain: sqlite3.Connection, rows: Sequence[Row]) -> list[Release]:
    arms = arms_of(plain, [(row["agent"], row["number"]) for row in rows])
    return [release_of(row, arms[row["agent"], row["number"]]) for row in rows]


def _page(
    rows: Sequence[Row], limit: int, items_of: Callable[[Sequence[Row]], list[Item]], key: tuple[str, ...]
) -> Page[Item]:
    """A page of `rows`, which has one row more than is shown where the list goes on."""
    size = _fetched(limit) - 1
    shown = rows[:size]
    goes_on = len(rows) > size
    return Page(items_of(shown), _cursor_of([shown[-1][column] for column in key]) if goes_on else None)


def _fetched(limit: int) -> int:
    return max(1, min(limit, MAX_PAGE)) + 1


def _cursor_of(key: Sequence[str | int]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def _key_of(cursor: str | None, *first: str | int) -> tuple[Any, ...]:
    """The key in a cursor, of the same types as `first`, which is the key before the first page."""
    if cursor is None:
        return first
    try:
        decoded: Any = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        decoded = None
    key = cast("list[Any]", decoded) if isinstance(decoded, list) else []
    if [type(part) for part in key] != [type(part) for part in first]:
        raise BadInput("bad_cursor", "the cursor is not one this list gave out", param="cursor")
    return tuple(key)
