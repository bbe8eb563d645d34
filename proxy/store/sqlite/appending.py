"""Writing what is never changed again: components, versions, releases with their arms, audit entries.

Plain functions that run on the writer's thread inside an open transaction; changes.py calls them for one change, and whoever
fills a database in bulk writes the same rows through them. That nothing is changed later is the schema's to hold
(migrations/), that it was not is proof.py's to prove.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache

from proxy.core.proof.audit import NO_PREVIOUS, AuditDraft, AuditEntry, seal
from proxy.core.releasing.releases import Release
from proxy.core.versions.components import COMPONENT_KINDS
from proxy.core.versions.versions import Version
from proxy.store.rows.columns import Columns
from proxy.store.rows.values import AUDIT, arm_columns, authored_json, release_columns, version_columns

_INSERT_COMPONENT = """
INSERT INTO components (number, hash, kind, content)
SELECT (SELECT COALESCE(MAX(number), 0) + 1 FROM components), :hash, :kind, :content
WHERE NOT EXISTS (SELECT 1 FROM components WHERE hash = :hash)
"""
_SET_LABEL = """
INSERT INTO labels (agent, name, version, release) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET version = excluded.version, release = excluded.release
"""
_NEWEST_ENTRY = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1"


def insert(plain: sqlite3.Connection, table: str, rows: Sequence[Columns]) -> None:
    """Insert rows that have the same columns. `table` and the columns are names from this code base."""
    plain.executemany(_insertion(table, tuple(rows[0])), rows)


@cache
def _insertion(table: str, columns: tuple[str, ...]) -> str:
    names, marks = ", ".join(columns), ", ".join(f":{column}" for column in columns)
    # Only names from this code base are put together; every value is bound.
    return f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608


def append_version(plain: sqlite3.Connection, version: Version) -> None:
    """The version, and those of its components that no version had before."""
    components = [
        {"hash": version.bundle.hashes[kind], "kind": kind, "content": authored_json(version.bundle.content(kind))}
        for kind in COMPONENT_KINDS
    ]
    plain.executemany(_INSERT_COMPONENT, components)
    insert(plain, "versions", [version_columns(version)])


def append_release(plain: sqlite3.Connection, release: Release) -> None:
    """The ledger row with its arms, and the label as from then on."""
    insert(plain, "releases", [release_columns(release)])
    insert(plain, "release_arms", arm_columns(release))
    plain.execute(_SET_LABEL, (release.agent, release.label, release.version, release.number))


def append_audit(plain: sqlite3.Connection, draft: AuditDraft) -> AuditEntry:
    """The entry that follows the newest one."""
    last = plain.execute(_NEWEST_ENTRY).fetchone()
    number, previous = (last["number"] + 1, last["hash"]) if last is not None else (1, NO_PREVIOUS)
    entry = seal(draft, number, previous)
    insert(plain, "audit", [AUDIT.columns(entry)])
    return entry
